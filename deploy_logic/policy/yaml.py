"""Step 2 of 5: the bytes of a file become documents, or a complaint; never an exception. Pure.

Scalars are read as YAML 1.2 does: `no` and `2026-11-01` are text, and so is `010`, which YAML 1.1
takes for 8.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from deploy_logic.policy.place import TAG, Document, Trouble, quote, read_node

MOST_CHARACTERS = 1_000_000  # of a file: reading that takes seconds
_DEEPEST = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The documents of a file that are not empty, and why there are no more."""

    documents: tuple[Document, ...]
    trouble: Trouble | None = None


class _Loader(yaml.SafeLoader):
    """Reads scalars as YAML 1.2 does, and no deeper than anybody writes."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - as PyYAML has it

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401 - as PyYAML has it
        """Count how deep it is."""
        self._depth += 1
        if self._depth > _DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"at most {_DEEPEST} levels", problem_mark=mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _name, _pattern, _first in (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]{0,254})\Z", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9]{1,20}\.[0-9]{0,50}|\.[0-9]{1,50}|[0-9]{1,20}(?=[eE]))(?:[eE][-+]?[0-9]{1,3})?\Z",
        "-+.0123456789",
    ),
    ("null", r"(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("merge", r"<<\Z", "<"),
):
    _Loader.add_implicit_resolver(TAG + _name, re.compile(_pattern), list(_first))


def read_text(content: bytes) -> Text:
    """Return the documents; whatever the file holds, the answer is data or a trouble."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = _count(content[: error.start].decode("utf-8", "replace"))
        given = f"byte 0x{content[error.start]:02x}"
        return _broken(Trouble(line=line, column=column, given=given, expected="text in UTF-8"))
    if len(text) > MOST_CHARACTERS:
        given = f"{len(text)} characters"
        return _broken(
            Trouble(line=1, column=1, given=given, expected=f"at most {MOST_CHARACTERS} in a file")
        )
    documents: list[Document] = []
    try:
        for node in _compose(text):
            if node.tag != f"{TAG}null":
                documents.append(read_node(text, node))  # noqa: PERF401 - keep those before an error
    except yaml.reader.ReaderError as error:
        line, column = _count(text[: error.position])
        given = f"character U+{int(error.character):04X}"
        expected = "characters that can be printed"
        trouble = Trouble(line=line, column=column, given=given, expected=expected)
        return Text(documents=tuple(documents), trouble=trouble)
    except yaml.MarkedYAMLError as error:
        return Text(documents=tuple(documents), trouble=_misread(text, error))
    return Text(documents=tuple(documents))


def _compose(text: str) -> Iterator[yaml.Node]:
    loader = _Loader(text)
    while loader.check_node():
        node = loader.get_node()
        if node is not None:
            yield node


def _broken(trouble: Trouble) -> Text:
    return Text(documents=(), trouble=trouble)


def _count(before: str) -> tuple[int, int]:
    lines = re.split(r"\r\n|[\n\r]", before)
    return len(lines), len(lines[-1]) + 1


def _misread(text: str, error: yaml.MarkedYAMLError) -> Trouble:
    mark = error.problem_mark or error.context_mark
    line, column, index = (mark.line, mark.column, mark.index) if mark else (0, 0, 0)
    rest = text[index:].splitlines()
    given = quote(rest[0]) if rest and rest[0].strip() else "nothing more"
    reason = f"{error.problem or error.context}"
    expected = f"YAML: {reason}" + (f" {error.context}" if error.context and error.problem else "")
    if "'\\t'" in reason:
        expected = "spaces: YAML does not indent with tabs"
    return Trouble(line=line + 1, column=column + 1, given=given, expected=expected)
