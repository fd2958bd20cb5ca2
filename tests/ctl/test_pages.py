"""docs/rolloutctl*.md have every command with its exit codes, and every option."""

import ast
import functools
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rolloutctl.commands import COMMANDS, ONLINE, build_parser, find_command
from rolloutctl.completion import read_commands
from rolloutctl.exit import Exit

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "rolloutctl.md").read_text(encoding="utf-8")
ROWS = {
    name: (codes, page)
    for name, codes, page in re.findall(
        r"^\| `([\w-]+)` \| [^|]+ \| ([\d, ]+) \| \[[\w -]+\]\(([\w.-]+)\) \|$", PAGE, re.MULTILINE
    )
}
PARSER = {one.name: one for one in read_commands(build_parser())}
COMMON = {"--help", "--app", "--token", "--json", "--reason"}
ANY_APP = {Exit.USAGE, Exit.REFUSED, Exit.UNREACHABLE}


def test_every_command_has_its_row_in_order() -> None:
    table = re.findall(r"^\| `([\w-]+)` \| [^|]+ \| \d", PAGE, re.MULTILINE)
    assert sorted(table) == sorted(COMMANDS)
    assert set(ROWS) == set(COMMANDS)


def test_every_exit_code_has_its_row() -> None:
    rows = re.findall(r"^\| (\d+) \| ", PAGE, re.MULTILINE)
    assert [int(row) for row in rows] == [code.value for code in Exit]


@pytest.mark.parametrize("name", ONLINE)
def test_the_row_of_a_command_has_its_exit_codes(name: str) -> None:
    codes, _ = ROWS[name]
    ours = set(codes_of(name))
    without_app = {"logout": {Exit.USAGE}, "doctor": {Exit.USAGE}}
    assert {int(code) for code in codes.split(", ")} == ours | without_app.get(name, ANY_APP)


def codes_of(name: str) -> Iterator[Exit]:
    """Give every exit code that the command's own code names."""
    run: Any = find_command(name).run
    function = run.func if isinstance(run, functools.partial) else run
    module = inspect.getmodule(function)
    assert module is not None
    for node in ast.walk(ast.Module(body=list(bodies(module, function.__name__)), type_ignores=[])):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Exit":
            yield Exit[node.attr]


def bodies(module: ModuleType, name: str) -> Iterator[ast.stmt]:
    """Give the function of that name, and those of its module that it calls."""
    tree = ast.parse(inspect.getsource(module))
    known = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    waiting, seen = [name], set[str]()
    while waiting:
        one = waiting.pop()
        if one in known and one not in seen:
            seen.add(one)
            yield known[one]
            waiting += [node.id for node in ast.walk(known[one]) if isinstance(node, ast.Name)]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_a_command_has_its_options(name: str) -> None:
    _, page = ROWS[name]
    text = (DOCS / page).read_text(encoding="utf-8")
    assert f"rolloutctl {name}" in text or name == "schema"
    for option in PARSER[name].options:
        if option.name not in COMMON:
            assert option.name in text, f"{page}: {option.name}"


def test_common_options_have_their_rows() -> None:
    for option in COMMON - {"--help", "--reason"}:
        assert re.search(rf"^\| `{option}\b", PAGE, re.MULTILINE)
