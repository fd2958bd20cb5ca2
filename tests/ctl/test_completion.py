"""Completion: really sourced in the shell, and asked as the shell asks it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rolloutctl.commands import COMMANDS
from rolloutctl.exit import Exit
from tests.ctl.conftest import Run

BASH = shutil.which("bash")
SHELLS = {"zsh": ("-n",), "fish": ("--no-execute",)}


def in_bash(script: Path, *commands: str) -> str:
    assert BASH is not None, "bash is needed"
    told = "\n".join(["set -u", f"source {script}", *commands])
    done = subprocess.run([BASH, "-c", told], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def script(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "rolloutctl.bash"
    path.write_text(run("completion", "bash").out)
    return path


def complete(script: Path, *words: str) -> list[str]:
    """Return what bash offers for the last of the words."""
    line = " ".join(f"'{word}'" for word in ("rolloutctl", *words))
    given = (f"COMP_WORDS=({line})", f"COMP_CWORD={len(words)}", "_rolloutctl")
    return in_bash(script, *given, 'printf "%s\\n" "${COMPREPLY[@]}"').split()


def test_bash_knows_what_to_call(script: Path) -> None:
    assert in_bash(script, "complete -p rolloutctl") == "complete -F _rolloutctl rolloutctl\n"


def test_every_command_is_offered(script: Path) -> None:
    assert complete(script, "") == list(COMMANDS)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("re",), {"reject", "restore", "resume", "retry", "release", "revert", "replay"}),
        (("list", "--st"), {"--state"}),
        (("list", "--state", ""), {"in_flight", "over"}),
        (("list", "--phase", "su"), {"succeeded", "superseded"}),
        (("approve", "r-1", "--f"), {"--figures"}),
        (("completion", "z"), {"zsh"}),
        (("list", "--since", ""), set()),
        (("nothing", ""), set()),
        (("check", "--policies", ""), set()),  # files: bash's own
    ],
)
def test_what_fits_is_offered(script: Path, words: tuple[str, ...], offered: set[str]) -> None:
    assert set(complete(script, *words)) == offered


def test_every_option_of_every_command_is_offered(script: Path, run: Run) -> None:
    ask = "COMP_WORDS=(rolloutctl {0} --); COMP_CWORD=2; _rolloutctl; echo {0} ${{COMPREPLY[@]}}"
    offered = in_bash(script, *(ask.format(name) for name in COMMANDS)).splitlines()
    for name, line in zip(COMMANDS, offered, strict=True):
        usage = run(name, "--help").out.split("\n\n")[0]
        told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", usage))
        assert {name, *told, "--help"} == set(line.split())


@pytest.mark.parametrize("shell", ["bash", *SHELLS])
def test_every_shell_has_every_command(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.code == Exit.OK
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", done.out)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_it(run: Run, tmp_path: Path, shell: str) -> None:
    found = shutil.which(shell, path="/usr/local/bin:/usr/bin:/bin")
    if found is None:
        pytest.skip(f"{shell} is not here: apt-get install {shell}")
    path = tmp_path / f"rolloutctl.{shell}"
    path.write_text(run("completion", shell).out)
    done = subprocess.run(
        [found, *SHELLS[shell], path], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_another_shell_is_a_mistake(run: Run) -> None:
    assert run("completion", "tcsh").code == Exit.USAGE
