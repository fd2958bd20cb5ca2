"""docs/errors.md has every code, status and exit code that the source can give, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy_logic.activities.workspace import _BAD_CANDIDATE
from deploy_logic.adapters.arm import _NOWHERE, AGAIN
from deploy_logic.api.openapi import STATUSES
from deploy_logic.api.route import Route
from deploy_logic.api.table import ROUTES
from rolloutctl.commands import OFFLINE
from tests.test_docs import PAGES, REPOSITORY, in_first_column, section

ERRORS = PAGES["docs/errors.md"]
# Where requests of people are answered: what a route calls is looked for in these.
ANSWERING = [
    "deploy_logic/operations/rollouts.py",
    "deploy_logic/operations/endpoints.py",
    "deploy_logic/operations/history.py",
    "deploy_logic/operations/dry_run.py",
    "deploy_logic/operations/replay.py",
    "deploy_logic/api/said.py",
    "deploy_logic/api/page.py",
    "deploy_logic/adapters/identity.py",
    "deploy_logic/adapters/identity_platform.py",
    "deploy_logic/adapters/identity_source.py",
    "deploy_logic/adapters/identity_token.py",
]
# What is asked of whoever comes: who that is, and the right.
WHO = ("read_principal", "require")
# Each program: where it returns its exit code, or leaves with sys.exit.
PROGRAMS = {
    **{
        f"rolloutctl {name}": [(f"rolloutctl/{name.replace('-', '_')}.py", "run")]
        for name in OFFLINE
    },
    "local up": [("local/__main__.py", "_up"), ("local/demo/story.py", "check_environment")],
    "local run": [("local/__main__.py", "_run"), ("local/demo/story.py", "check_environment")],
    "local.azure_ml": [
        ("local/azure_ml/__main__.py", "main"),
        ("local/azure_ml/__main__.py", "_serve"),
    ],
    "infra.check": [("infra/check.py", "main")],
    "infra.package": [("infra/package.py", "main")],
}


def parse(path: str) -> ast.Module:
    return ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))


def functions(tree: ast.Module) -> dict[str, ast.AST]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name: node for node in tree.body if isinstance(node, kinds)}


# Codes


def codes(source: str) -> set[str]:
    """Return every code that is written out where an exception is made."""
    return {
        str(keyword.value.value)
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "code" and isinstance(keyword.value, ast.Constant)
    } - {""}


def rows(heading: str, first: str) -> list[list[str]]:
    """Return the cells of the table under the heading whose first column is called so."""
    for table in re.findall(r"(?:^\|.*\n)+", section(ERRORS, heading), re.MULTILINE):
        lines = [[cell.strip() for cell in row.split("|")[1:-1]] for row in table.splitlines()]
        if lines[0][:2] == first.split(" | "):
            return lines[2:]
    raise AssertionError(f"{heading}: no table begins with {first!r}")


def test_every_code_of_ours_has_its_row_and_no_other() -> None:
    written = {
        code
        for path in (REPOSITORY / "deploy_logic").rglob("*.py")
        for code in codes(path.read_text(encoding="utf-8"))
    }
    assert {"BadTemplate", "NoToken"} <= written
    assert {row[0].strip("`") for row in rows("## Codes", "code | means")} == written


def test_every_code_of_azure_that_is_looked_at_has_its_row() -> None:
    found = {row[0].strip("`"): row[2] for row in rows("## Codes", "code | when")}
    assert set(found) == _BAD_CANDIDATE | _NOWHERE
    assert {code for code, so in found.items() if "`failed`" in so} == _BAD_CANDIDATE


def test_the_statuses_that_are_asked_again_are_named() -> None:
    (line,) = re.findall(r"^Of Azure's statuses, (.+) are asked again", ERRORS, re.MULTILINE)
    assert {int(number) for number in re.findall(r"\d+", line)} == AGAIN


# Statuses


def refusals(node: ast.AST) -> Iterator[int]:
    """Give the status of every OperationError that is made there."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "OperationError":
            for keyword in call.keywords:
                if keyword.arg == "status" and isinstance(keyword.value, ast.Constant):
                    yield int(str(keyword.value.value))


def calls(node: ast.AST) -> Iterator[str]:
    """Give the name of everything that is called there, or handed on by its name.

    Not of what is called where a refusal is caught and goes no further.
    """
    caught = {
        id(inner)
        for found in ast.walk(node)
        if isinstance(found, ast.Try)
        and any(ast.unparse(one.type or found) == "OperationError" for one in found.handlers)
        for part in found.body
        for inner in ast.walk(part)
    }
    for found in (one for one in ast.walk(node) if id(one) not in caught):
        if isinstance(found, ast.Name):
            yield found.id
        elif isinstance(found, ast.Attribute):
            yield found.attr


def reachable(node: ast.AST, known: dict[str, ast.AST]) -> set[int]:
    """Return the statuses of all refusals that a function can come to."""
    statuses, seen, waiting = set(refusals(node)), set[str](), [*calls(node)]
    while waiting:
        name = waiting.pop()
        if name in known and name not in seen:
            seen.add(name)
            statuses |= {*refusals(known[name])}
            waiting += calls(known[name])
    return statuses


def known() -> dict[str, ast.AST]:
    """Return every function that a route could come to, by its name."""
    found: dict[str, ast.AST] = {}
    for path in ANSWERING:
        for name, function in functions(parse(path)).items():
            assert name not in found, f"two functions called {name} cannot be told apart"
            found[name] = function
    return found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_route_makes_the_refusals_that_it_names(route: Route) -> None:
    beside = functions(parse(route.handle.__code__.co_filename))
    body = beside[route.handle.__name__]
    private = {name: node for name, node in beside.items() if name.startswith("_")}
    assert reachable(body, {**known(), **private}) == route.refusals


def test_the_door_makes_the_refusals_of_all() -> None:
    """Who asks is looked at by the identity's adapter; the archive is what does not answer."""
    door = functions(parse("deploy_logic/api/door.py"))
    found = reachable(door["_take"], {**known(), **door})
    assert found == {400, 403, 415}
    assert reachable(known()["read_principal"], known()) == {401}


def test_every_route_has_its_row_with_its_statuses() -> None:
    table = {
        row[0].strip("`"): [int(number) for number in row[1].split(", ")]
        for row in rows("## Statuses of the routes", "route | statuses")
    }
    assert table == {route.place: route.statuses for route in ROUTES}
    assert table["POST /api/rollouts/{rollout_id}/{operation}"] == [
        *(200, 400, 401, 403, 404, 409, 415, 503)
    ]


def test_every_status_is_explained() -> None:
    explained = {int(row[0]) for row in rows("## Statuses of the routes", "status | means")}
    assert explained == {500, *(status for route in ROUTES for status in route.statuses)}
    assert explained == set(STATUSES)


def test_no_refusal_is_made_elsewhere() -> None:
    doors = {"deploy_logic/api/door.py", "deploy_logic/adapters/http.py"}
    for path in (REPOSITORY / "deploy_logic").rglob("*.py"):
        if path.relative_to(REPOSITORY).as_posix() not in {*ANSWERING, *doors}:
            assert not list(refusals(ast.parse(path.read_text(encoding="utf-8")))), path


# Exit codes


def exits(node: ast.AST) -> Iterator[int]:
    """Give every exit code that a function returns, or leaves with; a text means 1."""
    for found in ast.walk(node):
        if isinstance(found, ast.Return) and found.value is not None:
            yield from numbers(found.value)
        if isinstance(found, ast.Call) and ast.unparse(found.func) == "sys.exit":
            values = list(numbers(found.args[0]))
            yield from values or [1]


def numbers(value: ast.expr) -> Iterator[int]:
    if isinstance(value, ast.IfExp):
        yield from (*numbers(value.body), *numbers(value.orelse))
    elif isinstance(value, ast.Constant) and isinstance(value.value, int):
        yield value.value


def test_every_exit_code_has_its_row_and_no_other() -> None:
    found = {
        (program, code)
        for program, places in PROGRAMS.items()
        for path, function in places
        for code in exits(functions(parse(path))[function])
    }
    found |= {("infra.package", 0)}  # it comes to its end
    table = {
        (row[0].strip("`"), int(row[1])) for row in rows("## Exit codes", "program | exit code")
    }
    assert table == found


@pytest.mark.parametrize("command", ["check", "match", "version-rule"])
def test_a_command_s_own_page_says_the_same(command: str) -> None:
    page = Path(REPOSITORY / "docs" / f"rolloutctl-{command}.md").read_text(encoding="utf-8")
    said = {int(number) for number in re.findall(r"^Exit code (\d):", page, re.MULTILINE)}
    table = {
        int(row[1])
        for row in rows("## Exit codes", "program | exit code")
        if row[0] == f"`rolloutctl {command}`"
    }
    assert said == {*table, 2}


def test_what_is_collected_is_not_empty() -> None:
    assert codes("raise TransientError('x', code='NewCode')") == {"NewCode"}
    assert list(refusals(ast.parse("raise OperationError('x', status=418)"))) == [418]
    assert set(exits(ast.parse("def f():\n  sys.exit('x')\n  return 0 if y else 3"))) == {0, 1, 3}
    assert in_first_column(section(ERRORS, "## Codes")) >= {"`NoToken`".strip("`")}
