"""A run of the tests ends with the table of planted mistakes, if they were all caught in it."""

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TABLE = (HERE / "planted-mistakes.txt").read_text(encoding="utf-8")
HEADING = "mistakes planted into infra/"


def run(*options: str) -> str:
    """Return what a run of the planted mistakes' tests prints."""
    command = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *options)
    target = HERE / "test_planted_mistakes.py"
    done = subprocess.run(
        (*command, target), cwd=HERE.parents[1], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "in parallel"])
def test_the_table_is_printed_before_the_last_line(options: tuple[str, ...]) -> None:
    said = run("-k", "caught_as_recorded", *options)
    assert HEADING in said
    assert TABLE in said
    assert said.index(TABLE) < said.rindex("1 passed")


def test_without_the_comparison_there_is_no_table() -> None:
    said = run("-k", "has_what_was_promised")
    assert "1 passed" in said
    assert HEADING not in said
