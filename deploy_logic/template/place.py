"""Step 2 of 5: a template's text becomes YAML nodes that know their places. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, cast

import yaml

from deploy_logic.template.placeholder import hide, show, stand_in

type Where = tuple[str | int, ...]

_EXPECTED: Final = "one plain YAML mapping"
_MOST_VALUES: Final = 100_000  # with every alias unfolded, as it would be sent
_MERGE: Final = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateComplaint:
    """One thing wrong in one template."""

    line: int  # counted from 1
    column: int  # counted from 1
    path: str  # such as environment_variables.REGION
    given: str
    expected: str

    def __str__(self) -> str:
        """Return the complaint on one line, without the file."""
        return f"{self.line}:{self.column}: {self.path}: {self.given} ({self.expected})"


def read(text: str) -> yaml.MappingNode | TemplateComplaint:
    """Return the template's mapping, of the hidden text, or why it cannot be read.

    What `<<` merges in stands before what overrides it, as azure-ai-ml will see it.
    """
    strange = stand_in(text)
    if strange:
        return _at_the_start(f"{strange!r}", "plain text")
    try:
        root = compose(text)
        if root is not None:
            if _count(root, {}) > _MOST_VALUES:
                return _at_the_start(
                    f"aliases unfold to over {_MOST_VALUES} values", "what Azure ML can take"
                )
            yaml.SafeLoader("").construct_document(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return TemplateComplaint(
            line=mark.line + 1 if mark else 1,
            column=mark.column + 1 if mark else 1,
            path="template",
            given=show(str(error.problem or error.context)),
            expected=_EXPECTED,
        )
    except (ValueError, TypeError, yaml.YAMLError, RecursionError) as error:
        # such as the date 2026-13-45, a mapping as key, a control character, 10,000 brackets
        return _at_the_start(str(error).partition("\n")[0], _EXPECTED)
    if isinstance(root, yaml.MappingNode):
        return root
    given = "nothing is written" if root is None else f"this is {shape(root)}"
    return _at_the_start(given, "a mapping of keys to values")


def compose(text: str) -> yaml.Node | None:
    """Return the nodes of the hidden text, each as it is written; None when there are none."""
    return yaml.compose(hide(text))


def _at_the_start(given: str, expected: str) -> TemplateComplaint:
    return TemplateComplaint(line=1, column=1, path="template", given=given, expected=expected)


def _count(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how many values the node unfolds to; what stands in itself is without end."""
    if id(node) not in sizes:
        sizes[id(node)] = _MOST_VALUES + 1  # until it is known: only an alias of itself asks
        sizes[id(node)] = 1 + sum(_count(below, sizes) for below in _below(node))
    return sizes[id(node)]


def _below(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def complain(root: yaml.Node, where: Where, given: str, expected: str) -> TemplateComplaint:
    """Point at the value, or at the nearest thing around it that was written."""
    at = root
    for part in where:
        at = child(at, part) or at
    return complain_at(at, where, given, expected)


def complain_at(node: yaml.Node, where: Where, given: str, expected: str) -> TemplateComplaint:
    """Point at this very node."""
    shown = ""
    for part in where:
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else str(part)
    mark = node.start_mark
    return TemplateComplaint(
        line=mark.line + 1,
        column=mark.column + 1,
        path=shown or "template",
        given=given,
        expected=expected,
    )


def child(node: yaml.Node | None, part: str | int) -> yaml.Node | None:
    """Return the value of a key or the item of a list, when there is one."""
    if isinstance(node, yaml.MappingNode):
        # the last one counts: what was merged in stands before what overrides it
        return next((value for key, value in reversed(node.value) if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return cast("yaml.Node", node.value[part])
    return None


def key_of(node: yaml.Node | None, name: str | int) -> yaml.Node | None:
    """Return the key of that name itself, when there is one."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((key for key, _ in reversed(pairs) if key.value == name), None)


def scalars(root: yaml.Node | None) -> Iterator[tuple[Where, yaml.ScalarNode]]:
    """Yield every key and value once, however many aliases it has."""
    return iter(()) if root is None else _scalars(root, (), set())


def _scalars(
    node: yaml.Node, where: Where, seen: set[int]
) -> Iterator[tuple[Where, yaml.ScalarNode]]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        yield where, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _scalars(key, (*where, name_of(key)), seen)
            yield from _scalars(value, (*where, name_of(key)), seen)
    else:
        for number, value in enumerate(node.value):
            yield from _scalars(value, (*where, number), seen)


def find_repeated_keys(text: str) -> Iterator[TemplateComplaint]:
    """Complain about keys that stand twice: YAML readers keep the last and say nothing."""
    root = compose(text)  # reading has put merged keys beside the own ones
    seen: set[int] = set()
    waiting: list[tuple[Where, yaml.Node]] = [] if root is None else [((), root)]
    while waiting:
        where, node = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        names: set[str] = set()
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                name = name_of(key)
                waiting.append(((*where, name), value))
                if name in names and key.tag != _MERGE:
                    given = f"{name!r} stands twice"
                    yield complain_at(key, (*where, name), given, "each key once")
                names.add(name)
        elif isinstance(node, yaml.SequenceNode):
            waiting += [((*where, number), value) for number, value in enumerate(node.value)]


def name_of(key: yaml.Node) -> str:
    """Return a key as it is written."""
    return show(str(key.value)) if isinstance(key, yaml.ScalarNode) else shape(key)


def written(node: yaml.Node | None) -> str:
    """Return a value as complaints quote it."""
    if isinstance(node, yaml.ScalarNode):
        return repr(show(node.value))
    return "nothing" if node is None else shape(node)


def shape(node: yaml.Node) -> str:
    """Return what kind of node it is, in words."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    return "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
