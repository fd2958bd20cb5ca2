"""Step 2 of 5: the nodes of a YAML document become values, each with its place. Pure.

Anchors and merge keys work, as far as they do not blow a document up.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

type Path = tuple[str | int, ...]
type Keys = dict[str, tuple["Place", "Place"]]  # of key and value

TAG = "tag:yaml.org,2002:"
_MOST_NODES = 20_000  # of a document, with what its aliases stand for
_LONGEST_QUOTE = 80
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_WHOLE_CHARACTERS = "whole characters, not half of a surrogate pair"
_LIKE_JSON = "a plain value: text, a number, true, false, a list or a mapping"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a value stands, and the places of what is in it."""

    line: int  # counted from 1
    column: int  # counted from 1
    text: str  # as it is written, shortened
    shift: int | None = None  # from the column to the value's first character, where they fit
    keys: Keys = field(default_factory=dict)
    items: tuple["Place", ...] = ()

    def child(self, part: str | int) -> "Place | None":
        """Return the place of the value under a key, or of an item."""
        if isinstance(part, int):
            return self.items[part] if part < len(self.items) else None
        found = self.keys.get(part)
        return found[1] if found else None

    def find_column(self, offset: int) -> int:
        """Return the column of a character of the value, or of the value where that is unknown."""
        return self.column if self.shift is None else self.column + self.shift + offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something in the YAML that cannot be meant."""

    line: int
    column: int
    path: Path = ()
    given: str
    expected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document: its value as plain Python, and its places."""

    value: Any
    place: Place
    troubles: tuple[Trouble, ...] = ()
    nulls: tuple[Path, ...] = ()  # the ways to where nothing is written


def quote(written: str) -> str:
    """Return what was written on one line, without what could not be shown."""
    line = " ".join(written.split())
    shown = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in line)
    return shown if len(shown) <= _LONGEST_QUOTE else shown[: _LONGEST_QUOTE - 1] + "…"


def read_node(text: str, node: yaml.Node) -> Document:
    """Return the document; what is too much leaves nothing but the trouble."""
    reader = _Reader(text)
    try:
        value, place = reader.read(node, (), ())
    except _Enough:
        value, place = None, reader.place(node)
    return Document(
        value=value, place=place, troubles=tuple(reader.troubles), nulls=tuple(reader.nulls)
    )


class _Enough(Exception):  # noqa: N818 - ends the reading of one document, nothing else
    """Aliases stand for more than anybody writes."""


@dataclass(slots=True)
class _Mapping:
    """A mapping while it is read: its own keys win over those that are merged in."""

    values: dict[str, Any] = field(default_factory=dict)
    places: Keys = field(default_factory=dict)
    own: dict[str, Place] = field(default_factory=dict)


class _Reader:
    """Reads the nodes of one document."""

    def __init__(self, text: str) -> None:
        self.troubles: list[Trouble] = []
        self.nulls: list[Path] = []
        self._text = text
        self._left = _MOST_NODES

    def read(self, node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]) -> tuple[Any, Place]:
        self._left -= 1
        if self._left < 0:
            self._complain(node, path, f"at most {_MOST_NODES} values, aliases written out")
            raise _Enough
        if any(node is one for one in above):
            self._complain(node, path, "an alias of something else than what it stands in")
            return "", self.place(node)
        above = (*above, node)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
            mapping = self._read_mapping(node, path, above)
            return mapping.values, self.place(node, keys=mapping.places)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
            pairs = [self.read(one, (*path, n), above) for n, one in enumerate(node.value)]
            items = tuple(place for _, place in pairs)
            return [value for value, _ in pairs], self.place(node, items=items)
        if isinstance(node, yaml.ScalarNode):
            return self._read_scalar(node, path), self.place(node)
        self._complain(node, path, _LIKE_JSON, given=f"tag {node.tag!r}")
        return "", self.place(node)

    def _read_scalar(self, node: yaml.ScalarNode, path: Path) -> Any:  # noqa: ANN401, PLR0911 - any value, by its tag
        text = str(node.value)
        if _SURROGATE.search(text):
            self._complain(node, path, _WHOLE_CHARACTERS)
            return _SURROGATE.sub("?", text)
        try:
            match node.tag.removeprefix(TAG):
                case "str":
                    return text
                case "int":
                    return int(text)
                case "float":
                    number = float(text)
                    return number if math.isfinite(number) else text
                case "bool":
                    return {"true": True, "false": False}[text.lower()]
                case "null":
                    self.nulls.append(path)
                    return None
        except (ValueError, KeyError):  # such as !!int x
            self._complain(node, path, f"what its tag {node.tag!r} says")
            return text
        self._complain(node, path, _LIKE_JSON, given=f"tag {node.tag!r}")
        return text

    def _read_mapping(
        self, node: yaml.MappingNode, path: Path, above: tuple[yaml.Node, ...]
    ) -> _Mapping:
        mapping = _Mapping()
        for key, inner in node.value:
            if key.tag == f"{TAG}merge":
                self._merge(mapping, inner, path, above)
                continue
            name = self._read_key(key, path)
            if name is None:
                continue
            if name in mapping.own:
                expected = f"each key once; the first is in line {mapping.own[name].line}"
                given = f"{quote(name)!r} stands twice"
                self._complain(key, (*path, name), expected, given=given)
            mapping.own[name] = self.place(key)
            mapping.values[name], place = self.read(inner, (*path, name), above)
            mapping.places[name] = (mapping.own[name], place)
        return mapping

    def _read_key(self, key: yaml.Node, path: Path) -> str | None:
        if not isinstance(key, yaml.ScalarNode):
            self._complain(key, path, "a word as key")
            return None
        if _SURROGATE.search(key.value):
            self._complain(key, path, _WHOLE_CHARACTERS)
        return _SURROGATE.sub("?", key.value)

    def _merge(
        self, mapping: _Mapping, node: yaml.Node, path: Path, above: tuple[yaml.Node, ...]
    ) -> None:
        """Take over the keys that the mapping does not have; the first one wins."""
        merged = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for one in merged:
            found, place = self.read(one, path, above)
            if not isinstance(found, dict):
                self._complain(one, path, "a mapping to merge, or a list of them")
                continue
            for name, value in found.items():
                if name not in mapping.values:
                    mapping.values[name], mapping.places[name] = value, place.keys[name]

    def place(
        self, node: yaml.Node, *, keys: Keys | None = None, items: tuple[Place, ...] = ()
    ) -> Place:
        start = node.start_mark
        end = node.end_mark.index
        shift = None
        if not isinstance(node, yaml.ScalarNode):
            end = min(end, start.index + _LONGEST_QUOTE * 4)  # only its beginning is shown
        written = self._text[start.index : end].strip()
        if isinstance(node, yaml.ScalarNode):
            shift = {node.value: 0, f"'{node.value}'": 1, f'"{node.value}"': 1}.get(written)
        return Place(
            line=start.line + 1,
            column=start.column + 1,
            text=quote(written) or "nothing",
            shift=shift,
            keys=keys or {},
            items=items,
        )

    def _complain(self, node: yaml.Node, path: Path, expected: str, *, given: str = "") -> None:
        place = self.place(node)
        self.troubles.append(
            Trouble(
                line=place.line,
                column=place.column,
                path=path,
                given=given or place.text,
                expected=expected,
            )
        )
