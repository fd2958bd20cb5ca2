"""Reads Bicep files: pycep's tree, and beside it our own list of names.

pycep tells a string from an identifier no more once it has parsed them, so who refers to whom is
read from the tokens.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lark.exceptions import LarkError
from pycep import BicepParser

type Tree = dict[str, Any]

_TOKEN = re.compile(
    r"(?P<space>[ \t\r]+)|(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<line>\n)"
    r"|(?P<long>'''.*?''')|(?P<text>')|(?P<name>[A-Za-z_][A-Za-z0-9_]*)|(?P<number>\d+)"
    r"|(?P<mark>=>|==|!=|<=|>=|&&|\|\||\?\?|\.\?|::|.)",
    re.DOTALL,
)
_DECLARES = frozenset({"param", "var", "resource", "module", "output", "type", "func"})
_WORDS = frozenset({"targetScope", "existing", "if", "for", "in", "true", "false", "null"})
_TYPES = frozenset({"array", "object", "string", "int", "bool"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """One word or mark; kind is name, text, number, mark or line."""

    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BicepFile:
    """One file: its tree, and the names in it."""

    path: str  # from the folder of main.bicep
    tree: Tree
    tokens: Sequence[Token]
    declared: Mapping[str, str]  # name: param, var, resource, module, output, type
    used: Mapping[str, int]  # name: the first line that refers to it

    @property
    def parameters(self) -> Tree:
        """The parameters by name."""
        return dict(self.tree.get("parameters") or {})

    @property
    def outputs(self) -> Tree:
        """The outputs by name."""
        return dict(self.tree.get("outputs") or {})

    def resources(self) -> Iterator[tuple[str, Tree, Tree]]:
        """Give symbol, declaration and body of each resource, loops and conditions taken off."""
        for symbol, found in (self.tree.get("resources") or {}).items():
            yield symbol, found, body(found["config"])

    def modules(self) -> Iterator[tuple[str, str, Tree]]:
        """Give symbol, path and body of each module."""
        for symbol, found in (self.tree.get("modules") or {}).items():
            yield symbol, found["detail"]["path"], body(found["config"])

    def variable(self, name: str) -> Any:  # noqa: ANN401 - any value
        """Return the value of a variable, or None."""
        return ((self.tree.get("variables") or {}).get(name) or {}).get("value")


def read_folder(folder: Path) -> tuple[dict[str, BicepFile], list[str]]:
    """Return the files by their path from the folder, and a complaint per one that is no Bicep."""
    files: dict[str, BicepFile] = {}
    complaints: list[str] = []
    for path in sorted(folder.rglob("*.bicep")):
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8")
        try:
            tree = _parse(text)
        except LarkError as error:
            where = f"line {getattr(error, 'line', '?')}"
            complaints.append(f"{name}: {where}: not Bicep: {str(error).splitlines()[0]}")
            continue
        tokens = tuple(tokenize(text))
        files[name] = BicepFile(
            path=name,
            tree=tree,
            tokens=tokens,
            declared=dict(_declared(tokens)),
            used=_used(tokens),
        )
    return files, complaints


@functools.cache
def _parse(text: str) -> Tree:
    tree: Tree = BicepParser().parse(text=text)
    return tree


def tokenize(text: str) -> Iterator[Token]:
    """Give the tokens; of a string its text, then the tokens of what is interpolated in it."""
    place, line = 0, 1
    while place < len(text):
        found = _TOKEN.match(text, place)
        assert found is not None  # noqa: S101 - the last alternative takes any character
        kind, part = str(found.lastgroup), found[0]
        place = found.end()
        if kind == "text":
            end, inner = _string(text, place)
            yield Token(kind="text", text=text[place : end - 1], line=line)
            for expression in inner:
                yield Token(kind="mark", text="(", line=line)
                yield from (
                    Token(kind=t.kind, text=t.text, line=line) for t in tokenize(expression)
                )
                yield Token(kind="mark", text=")", line=line)
            place = end
        elif kind not in {"space", "comment"}:
            yield Token(kind="text" if kind == "long" else kind, text=part, line=line)
        line += part.count("\n")


def _string(text: str, place: int) -> tuple[int, list[str]]:
    """Return the place after the closing quote, and the interpolated expressions."""
    inner: list[str] = []
    while text[place] != "'":
        if text[place] == "\\":
            place += 2
        elif text.startswith("${", place):
            begin, depth = place + 2, 1
            place = begin
            while depth:
                if text[place] == "'":
                    place, _ = _string(text, place + 1)
                    continue
                depth += {"{": 1, "}": -1}.get(text[place], 0)
                place += 1
            inner.append(text[begin : place - 1])
        else:
            place += 1
    return place + 1, inner


def _declared(tokens: Sequence[Token]) -> Iterator[tuple[str, str]]:
    before = ["line", *(token.kind for token in tokens)]
    for index, token in enumerate(tokens[:-1]):
        is_first = token.kind == "name" and before[index] == "line"
        if is_first and token.text in _DECLARES and tokens[index + 1].kind == "name":
            yield tokens[index + 1].text, token.text


def _used(tokens: Sequence[Token]) -> dict[str, int]:
    """Return the names that are referred to: no keys, no properties, no functions, no locals."""
    local = _locals(tokens)
    used: dict[str, int] = {}
    end = Token(kind="line", text="\n", line=0)
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else end
        after = tokens[index + 1] if index + 1 < len(tokens) else end
        if token.kind != "name" or token.text in _WORDS | _TYPES | _DECLARES | local:
            continue
        is_key = after.text == ":" and (before.kind == "line" or before.text in {"{", ","})
        is_declared = before.kind == "name" and before.text in _DECLARES
        if is_key or is_declared or after.text == "(" or before.text in {".", ".?", "@", "::"}:
            continue
        used.setdefault(token.text, token.line)
    return used


def _locals(tokens: Sequence[Token]) -> set[str]:
    """Return the variables of loops and lambdas."""
    found: set[str] = set()
    for index, token in enumerate(tokens):
        if token.kind == "name" and token.text == "for":
            names = tokens[index + 1 : index + 6]
            for one in names:
                if one.text == "in":
                    break
                if one.kind == "name":
                    found.add(one.text)
        if token.text == "=>" and tokens[index - 1].kind == "name":
            found.add(tokens[index - 1].text)
    return found


def body(config: Any) -> Tree:  # noqa: ANN401 - what pycep gives
    """Return the object inside a loop or a condition."""
    while isinstance(config, dict) and "config" in config:
        config = config["config"]
    return config if isinstance(config, dict) else {}


def objects(value: Any, file: BicepFile) -> Iterator[Tree]:  # noqa: ANN401 - any value
    """Give every object literal that an expression can come to, by way of variables too."""
    if isinstance(value, str):
        yield from objects(file.variable(value), file) if value in file.declared else ()
    elif isinstance(value, list):
        for one in value:
            yield from objects(one, file)
    elif isinstance(value, dict) and (inner := _operands(value)) is not None:
        for one in inner:
            yield from objects(one, file)
    elif isinstance(value, dict):
        yield value


def _operands(value: Tree) -> list[Any] | None:
    """Return what an operator or a function is applied to; None for an object literal."""
    if set(value) == {"operator"}:
        return list(value["operator"]["operands"].values())
    if set(value) == {"function"}:
        return list((value["function"].get("parameters") or {}).values())
    return None


def find(value: Any, *path: str) -> Any:  # noqa: ANN401 - any value
    """Return what lies under these keys, or None."""
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
