"""What azure-ai-ml says about a template, turned into complaints that say what would be right.

Needs no azure-ai-ml itself: it takes the messages of its schemas, which are nested like the YAML.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from deploy_logic.template.place import (
    TemplateComplaint,
    Where,
    child,
    complain,
    complain_at,
    key_of,
    written,
)

type KnownKeys = Callable[[Where], Iterable[str]]  # of the mapping at a place

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_LINKS: Final = re.compile(
    r"(Visit this link to refer to[^\n]*|The easiest way to author[^\n]*|To set up:[^\n]*"
    r"|For more (information|details)[^\n]*|See https?://\S+[^\n]*)"
)
_STREAM: Final = re.compile(r"<_io\.\w+ object at 0x[0-9a-f]+>")
_ADDRESS: Final = re.compile(
    r"\(?https?://(aka\.ms|[\w.]*microsoft\.com|[\w.]*visualstudio\.com)\S*"
)
_REFERENCE: Final = "In order to specify an existing"
# a piece of its stack, or of how it tells the forms apart
_NOT_A_REASON: Final = re.compile(r"^[A-Za-z]+Error: .* from  |.*schema data cannot be a string")
_NOT_IN_SET: Final = re.compile(r"Value (?P<given>.*) passed is not in set (?P<set>\[.*\])$")
_NO_FILE: Final = re.compile(r"(No such file or directory|Can't find directory or file in[^:]*)")
_EXPECTED: Final = {
    "Not a valid integer.": "a whole number",
    "Not a valid number.": "a number",
    "Not a valid boolean.": "true or false",
    "Not a valid string.": "text, in quotes if need be",
    "Not a valid mapping type.": "a mapping of names to values",
    "Not a valid list.": "a list",
    "Invalid input type.": "a mapping of keys to values",
    "Field may not be null.": "a value, or no such key",
}
_EXAMPLES: Final = {
    "instance_type": "a VM size such as Standard_DS3_v2",
    "instance_count": "a whole number",
}
_REFERENCES: Final = (
    "azureml:NAME:VERSION, azureml:NAME@latest, azureml://registries/..., or a mapping"
)


def clean(text: str) -> str:
    """Return a reason on one line, without colours, boilerplate and links."""
    text = _LINKS.sub("", _STREAM.sub("", _COLOURS.sub("", text)))
    return " ".join(_ADDRESS.sub("", text).split()).strip(" .:")


def complain_of_messages(
    root: yaml.MappingNode, messages: object, *, folder: Path, known_keys: KnownKeys
) -> tuple[TemplateComplaint, ...]:
    """Return one complaint per field of a schema's messages."""
    found: dict[Where, TemplateComplaint] = {}
    for where, message in _flatten(root, (), messages):
        if where not in found:
            found[where] = _complain(root, where, message.replace(f"{folder}/", ""), known_keys)
    return tuple(found.values())


def _complain(
    root: yaml.MappingNode, where: Where, message: str, known_keys: KnownKeys
) -> TemplateComplaint:
    if message == "Unknown field.":
        given, expected = _unknown(where, sorted(known_keys(where)))
        key = key_of(_at(root, where[:-1]), where[-1])
        return complain_at(key or root, where, given, expected)
    where = (*where, *_which_file(_at(root, where), message))
    given, expected = _reword(_at(root, where), where, message)
    return complain(root, where, given, expected)


def _which_file(node: yaml.Node | None, message: str) -> Where:
    """Return the key whose file is missing: the message has the path, but not the key."""
    pairs = node.value if isinstance(node, yaml.MappingNode) and _NO_FILE.match(message) else ()
    place = message.rstrip(".")
    named = (key.value for key, value in pairs if place.endswith(str(value.value)))
    return tuple(named)[:1]


def _reword(node: yaml.Node | None, where: Where, message: str) -> tuple[str, str]:
    """Return what was given and what would be right, in our words."""
    if message == "Missing data for required field.":
        name = str(where[-1]) if where else ""
        return "missing", _EXAMPLES.get(name, f"a value for {name}")
    choice = _NOT_IN_SET.search(message)
    if choice is not None:
        return written(node), f"one of {', '.join(re.findall(r"'([^']*)'", choice['set']))}"
    if message.startswith(_REFERENCE):
        return written(node), _REFERENCES
    if _NO_FILE.match(message):
        place = clean(message.partition(": ")[2])
        given = written(node) if isinstance(node, yaml.ScalarNode) else repr(place)
        return f"{given} is not there", "a file, from the template's folder"
    if message in _EXPECTED:
        return written(node), _EXPECTED[message]
    return clean(message), "what azure-ai-ml can load"


def _unknown(where: Where, known: list[str]) -> tuple[str, str]:
    name = str(where[-1])
    if where == ("resources",):
        return "resources of a managed deployment", "instance_type, or type: kubernetes beside it"
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"no key {name!r} here", f"{near[0]}?"
    return f"no key {name!r} here", f"one of {', '.join(known)}" if known else "no such key"


def _at(root: yaml.Node, where: Where) -> yaml.Node | None:
    node: yaml.Node | None = root
    for part in where:
        node = child(node, part)
    return node


def _flatten(root: yaml.Node, where: Where, messages: object) -> Iterator[tuple[Where, str]]:
    """Yield every message with its place; of alternatives, those of the likeliest one."""
    if isinstance(messages, str):
        yield where, messages
    elif isinstance(messages, dict):
        for key, below in messages.items():
            yield from _flatten(root, where if key == "_schema" else (*where, key), below)
    elif isinstance(messages, list):
        if all(isinstance(one, str) for one in messages):
            for one in messages:
                yield where, one
        else:
            yield from _likeliest(root, [list(_flatten(root, where, one)) for one in messages])


def _likeliest(root: yaml.Node, alternatives: list[list[tuple[Where, str]]]) -> Any:  # noqa: ANN401
    """Return the complaints of the form that was meant: the one with the fewest, the last of those.

    A form is not meant when it asks for a reference where a mapping stands, or breaks in itself.
    """
    meant = [[one for one in form if not _is_beside_the_point(root, *one)] for form in alternatives]
    left = [form for form in meant if form]
    return min(reversed(left), key=len) if left else alternatives[0]


def _is_beside_the_point(root: yaml.Node, where: Where, message: str) -> bool:
    node = _at(root, where)
    value = node.value if isinstance(node, yaml.ScalarNode) else None
    if message.startswith(_REFERENCE):
        return value is None or value.startswith("file:")
    is_address = value is not None and "://" in value
    return (message == "Not a valid URL." and not is_address) or bool(_NOT_A_REASON.match(message))
