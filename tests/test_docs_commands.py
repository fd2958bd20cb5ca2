"""Every command in the pages is run by a test, or marked as needing Azure and looked through.

A block that begins with three backticks and `sh azure` needs Azure, or its command line; one with
`sh` does not. A block without a language is what something prints, and has no commands.
"""

import argparse
import ast
import importlib
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.bicep import read_folder
from rolloutctl.commands import OFFLINE, build_parser

REPOSITORY = Path(__file__).parents[1]
PAGES = {
    path.relative_to(REPOSITORY).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(
        [
            *(REPOSITORY / "docs").rglob("*.md"),
            *(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "bench/README.md")),
        ]
    )
}
CI_EXAMPLES = sorted((REPOSITORY / "docs" / "ci-examples").glob("*.yml"))
LANGUAGES = {"", "sh", "sh azure", "yaml", "json", "python", "mermaid", "kusto"}
# What runs each command that needs no Azure, as it stands there: a test, by how the command begins.
HELD = {
    "make ": "tests/test_docs_commands.py::test_every_make_command_runs_its_program",
    "make run": "tests/e2e/test_demo.py::test_the_demo_ends_as_it_should_and_callers_lose_nothing",
    "make infra": "tests/test_docs_commands.py::test_make_infra_runs",
    "make package": "tests/test_package.py::test_it_is_whole",
    ".venv/bin/python -m local.azure_ml": "tests/e2e/test_documented.py::"
    "test_the_emulator_starts_as_shown_and_takes_the_fault_shown",
    ".venv/bin/python -m local up": "tests/e2e/test_documented.py::"
    "test_everything_starts_as_shown_and_lists_no_rollouts_yet",
    ".venv/bin/python -m rolloutctl": "tests/test_docs_commands.py::"
    "test_every_rolloutctl_command_runs",
    "curl --cacert $CA -X POST $URL/admin/faults": "tests/e2e/test_documented.py::"
    "test_the_emulator_starts_as_shown_and_takes_the_fault_shown",
    "curl -s $APP/api/rollouts": "tests/e2e/test_documented.py::"
    "test_everything_starts_as_shown_and_lists_no_rollouts_yet",
    "TOKEN=$(curl -s $IDENTITY/token/ann)": "tests/e2e/test_documented.py::"
    "test_a_rollout_outlives_the_kill_shown_and_is_aborted_as_shown",
    "curl -s -X POST $APP/api/rollouts/$ROLLOUT_ID/abort": "tests/e2e/test_documented.py::"
    "test_a_rollout_outlives_the_kill_shown_and_is_aborted_as_shown",
    "curl -s -X POST $APP/admin/functions/sweep": "tests/e2e/test_documented.py::"
    "test_sweep_and_queue_are_fired_as_shown",
    "curl -s -X POST $APP/admin/functions/on_event_queued": "tests/e2e/test_documented.py::"
    "test_sweep_and_queue_are_fired_as_shown",
    "pgrep -f": "tests/e2e/test_documented.py::"
    "test_a_rollout_outlives_the_kill_shown_and_is_aborted_as_shown",
    "kill -9 PROCESS_ID": "tests/e2e/test_documented.py::"
    "test_a_rollout_outlives_the_kill_shown_and_is_aborted_as_shown",
}
# The program that each `make` command comes down to; the tests of HELD run that very one.
PROGRAMS = {
    "make setup": "",  # nothing but the environments
    "make run": "-m local run",
    'make run ARGS="--once"': "-m local run --once",
    "make infra": "-m infra.check",
    "make package": "-m infra.package",
}
# The environments count as made: whatever runs the tests has one, and no test installs.
MADE = ("-o", ".venv/ready", "-o", ".venv-scoring/ready", "-o", "node_modules/ready")
# What a block that needs Azure may call.
TOOLS = {"az", "azd", "curl", "jq", "set", "eval", "export", "while", "cp"}
AZD_OWN = {"AZURE_ENV_NAME", "AZURE_LOCATION"}


def blocks(language: str) -> Iterator[tuple[str, str]]:
    """Give page and text of every block of that language."""
    for page, text in PAGES.items():
        for name, body in re.findall(r"^```([^\n]*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            if name.strip() == language:
                yield page, body


def commands(body: str) -> list[str]:
    """Return the commands of a block: lines joined, comments left out."""
    joined = body.replace("\\\n", " ")
    lines = [re.sub(r"\s+#\s.*$", "", line).strip() for line in joined.splitlines()]
    return [re.sub(r"\s+", " ", line) for line in lines if line and not line.startswith("#")]


LOCAL = sorted({(page, one) for page, body in blocks("sh") for one in commands(body)})
AZURE = sorted(set(blocks("sh azure")))
SAID = sorted(
    {one for _, one in LOCAL if " -m rolloutctl " in one}
    | {
        one
        for _, body in AZURE
        for one in commands(body)
        if " -m rolloutctl " in one and "FILE" not in one
    }
)


ROLLOUTCTL = [one for one in SAID if shlex.split(one)[3] in OFFLINE]
ONLINE = sorted(
    one
    for _, body in AZURE
    for one in commands(body)
    if " -m rolloutctl " in one and shlex.split(one)[3] not in OFFLINE
)


def test_every_block_says_what_it_is() -> None:
    for page, text in PAGES.items():
        fences = re.findall(r"^```([^\n]*)$", text, re.MULTILINE)
        assert len(fences) % 2 == 0, page
        assert {fence.strip() for fence in fences} <= LANGUAGES, page


def test_what_is_printed_is_no_command() -> None:
    begins = (*(f"{tool} " for tool in TOOLS), "make ", "python", ".venv/bin/")
    found = [one for _, body in blocks("") for one in commands(body) if one.startswith(begins)]
    synopsis = re.compile(r"\[|\w\|\w|\b[A-Z_]{2,}\b")  # options, choices, names of what goes there
    assert [one for one in found if synopsis.search(one) is None] == []


def test_what_is_collected_is_not_empty() -> None:
    assert len(LOCAL) >= 12
    assert len(AZURE) >= 30
    assert len(CI_EXAMPLES) == 2


@pytest.mark.parametrize(("page", "command"), LOCAL)
def test_every_command_is_run_by_a_test(page: str, command: str) -> None:
    held = [test for start, test in HELD.items() if command.startswith(start)]
    assert held, f"{page}: {command!r} is run by no test that HELD names"


@pytest.mark.parametrize("test", sorted(set(HELD.values())))
def test_every_test_that_runs_a_command_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_row_is_left_of_a_command_that_is_gone() -> None:
    for start in HELD:
        assert any(one.startswith(start) for _, one in LOCAL), start


@pytest.mark.parametrize("command", ROLLOUTCTL)
def test_every_rolloutctl_command_runs(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    _, _, _, name, *options = shlex.split(command)
    module = importlib.import_module(f"rolloutctl.{name.replace('-', '_')}")
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    assert module.run(parser.parse_args(options)) == 0


@pytest.mark.parametrize("command", ONLINE)
def test_every_rolloutctl_command_that_needs_an_app_is_one(command: str) -> None:
    _, _, _, *given = shlex.split(command)
    parsed = build_parser().parse_args(given)
    assert parsed.command == given[0]


def make_targets() -> set[str]:
    texts = [*PAGES.values(), *(path.read_text() for path in CI_EXAMPLES)]
    return {
        name
        for text in texts
        for name in re.findall(r"^(?:\s*- (?:run|script): )?make ([a-z]+)", text, re.MULTILINE)
    }


def test_every_make_target_in_a_command_is_there() -> None:
    named = make_targets()
    assert {"run", "infra", "package", "check", "test"} <= named
    for name in sorted(named):
        assert make("--dry-run", name).returncode == 0


@pytest.mark.parametrize("command", sorted({one for _, one in LOCAL if one.startswith("make ")}))
def test_every_make_command_runs_its_program(command: str) -> None:
    assert command in PROGRAMS, f"{command!r} has no row in PROGRAMS"
    done = make("--dry-run", *MADE, *shlex.split(command)[1:])
    assert done.returncode == 0, done.stderr
    program = PROGRAMS[command]
    printed = [line.strip() for line in done.stdout.splitlines() if " -m " in line]
    assert printed == ([f".venv/bin/python {program}"] if program else [])


def test_make_infra_runs() -> None:
    done = make(*MADE, "infra")
    assert done.returncode == 0, done.stdout + done.stderr


def make(*options: str) -> "subprocess.CompletedProcess[str]":
    command = (find_tool("make"), "--no-print-directory", *options)
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)


# What needs Azure: it cannot be run here, but much can be seen without.


@pytest.mark.parametrize(("page", "body"), AZURE, ids=lambda value: str(value)[:40])
def test_what_needs_azure_is_sound(page: str, body: str) -> None:
    assert not list(_wrong(body, _assigned(PAGES[page])))


@pytest.mark.parametrize("path", CI_EXAMPLES, ids=lambda path: path.name)
def test_the_ci_examples_are_sound(path: Path) -> None:
    example = yaml.safe_load(path.read_text(encoding="utf-8"))
    scripts = list(_scripts(example))
    text = "\n".join(scripts)
    for must in ("bicep build", "what-if", "make test", "make package", "subscription.bicep"):
        assert must in text
    for script in scripts:
        plain = re.sub(r"\$\([A-Z][\w.]+\)", "PIPELINE", script)  # Azure Pipelines' own
        assert not list(_wrong(plain, {"GITHUB_ENV"}))
    assert "secrets." not in path.read_text(encoding="utf-8")


def _scripts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"run", "script", "inlineScript"} and isinstance(inner, str):
                yield inner
            yield from _scripts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _scripts(inner)


def _assigned(page: str) -> set[str]:
    """Return the variables that some block of the page assigns."""
    needing = "\n".join(re.findall(r"^```sh azure\n(.*?)^```", page, re.DOTALL | re.MULTILINE))
    return set(re.findall(r"^(?:export )?([A-Z_]+)=", needing, re.MULTILINE))


def _wrong(body: str, assigned: set[str]) -> Iterator[str]:
    """Give what is wrong: the shell cannot read it, or it names what is not there."""
    read_only = (find_tool("bash"), "-n", "-c", body)
    parsed = subprocess.run(read_only, capture_output=True, text=True, check=False)
    if parsed.returncode:
        yield parsed.stderr
    known = _given() | assigned
    for name in re.findall(r"\$\{?([A-Z][A-Z_]+)", body):
        if name not in known:
            yield f"${name} is neither an output of main.bicep, nor a parameter, nor set here"
    for name in re.findall(r"azd env set (\w+)", body):
        if name not in known:
            yield f"{name} is read by no parameter file"
    for path in re.findall(r"\binfra/[\w./-]+", body):
        if not (REPOSITORY / path).exists():
            yield f"{path} is not there"
    for command in commands(body):
        first = command.split()[0].rstrip(";")
        is_ours = first.startswith((".venv/bin/python", "make"))
        if not is_ours and "=" not in first and first not in TOOLS:
            yield f"{first!r} is not one of {', '.join(sorted(TOOLS))}"


def find_tool(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is needed"
    return found


def _given() -> set[str]:
    files, _ = read_folder(REPOSITORY / "infra")
    parameters = "".join(
        (REPOSITORY / "infra" / f"{name}.bicepparam").read_text()
        for name in ("main", "subscription")
    )
    variables = set(re.findall(r"readEnvironmentVariable\('(\w+)'", parameters))
    return set(files["main.bicep"].outputs) | variables | AZD_OWN


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('az group show --name "$GROUP"', "$GROUP is neither"),
        ("az deployment sub create --template-file infra/mian.bicep", "infra/mian.bicep is not"),
        ("azd env set ROLLOUTS_ENGIN scheduler", "ROLLOUTS_ENGIN is read by no"),
        ("az group show --name 'x", "unexpected EOF"),
        ("rm -rf /", "'rm' is not one of"),
    ],
)
def test_what_is_unsound_is_seen(body: str, says: str) -> None:
    assert says in "; ".join(_wrong(body, set()))
