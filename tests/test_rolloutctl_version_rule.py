"""`rolloutctl version-rule`: what it prints, in JSON and in words, and its exit codes."""

import io
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_logic.version.rule import KEYS, read_version_rule
from deploy_logic.version.scheme import Scheme
from rolloutctl.__main__ import main

REPOSITORY = Path(__file__).parents[1]

type Capture = pytest.CaptureFixture[str]


def said(capsys: Capture, *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["version-rule", "--json", *arguments]) == code
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_every_part_of_the_answer(capsys: Capture) -> None:
    versions = ("1.3.0", "x", "1.2.0", "1.2.5", "2.0.0", "1.4.0-rc.1")
    answer = said(capsys, "--scheme", "semver", "--allow", "^1.2", "--stable", "1.2.0", *versions)
    unreadable = "is not a semantic version such as 1.2.0 or v1.2.0-rc.1, of at most 255 characters"
    prerelease = "is not in '^1.2', which asks for no pre-release of 1.4.0"
    assert answer == {
        "error": None,
        "readable": ["1.3.0", "1.2.0", "1.2.5", "2.0.0", "1.4.0-rc.1"],
        "allowed": ["1.3.0", "1.2.5"],
        "ordered": ["1.2.0", "1.2.5", "1.3.0", "1.4.0-rc.1", "2.0.0"],
        "pick": "1.3.0",
        "refused": [
            {"version": "x", "reason": f"version 'x' {unreadable}"},
            {"version": "1.2.0", "reason": "version 1.2.0 is already the stable"},
            {"version": "2.0.0", "reason": "version 2.0.0 is not in '^1.2'"},
            {"version": "1.4.0-rc.1", "reason": f"version 1.4.0-rc.1 {prerelease}"},
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "pick", "allowed"),
    [
        (["7", "9", "8"], "9", ["7", "9", "8"]),
        (["--pick", "lowest", "7", "9", "8"], "7", ["7", "9", "8"]),
        (["--pick", "lowest", "--stable", "8", "7", "9", "8"], "7", ["7"]),
        (["--stable", "9", "7", "8"], None, []),
        (["--stable", "9", "--allow-older", "7", "8"], "8", ["7", "8"]),
        (["--stable", "9", "--allow", "7", "7", "8"], "7", ["7"]),
        (["--stable", "x", "7"], None, []),
        (["007", " 8", "+9", "1_0", "1e3", "\u0667", "-1"], None, []),
        (["--scheme", "registered", "b", "c", "a"], "a", ["b", "c", "a"]),
        (["--scheme", "registered", "--pick", "lowest", "b", "c", "a"], "b", ["b", "c", "a"]),
        (["--scheme", "registered", "--stable", "c", "b", "c", "a"], "a", ["a"]),
        (["--scheme", "registered", "--stable", "z", "b", "c", "a"], None, []),
        (["--scheme", "alphabetical", "2026-11-01", "2026-2-1"], "2026-2-1", None),
        (["9" * 255, "1" + "0" * 255, "8"], "9" * 255, ["9" * 255, "8"]),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else None,
)
def test_picks(
    arguments: list[str], pick: str | None, allowed: list[str] | None, capsys: Capture
) -> None:
    answer = said(capsys, *arguments)
    assert answer["pick"] == pick
    if allowed is not None:
        assert answer["allowed"] == allowed
    kept = len(answer["allowed"]) + len(answer["refused"])
    assert kept == len(arguments) - _options(arguments)


def _options(arguments: list[str]) -> int:
    """Return how many of the arguments are options and their values."""
    count = 0
    while count < len(arguments) and arguments[count].startswith("--"):
        count += 1 if arguments[count] == "--allow-older" else 2
    return count


def test_versions_come_from_stdin(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"8\r\n\n10\n x\n\xff\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="utf-8"))
    answer = said(capsys, "7", "-", "9")
    assert answer["allowed"] == ["7", "8", "10", "9"]
    assert [one["version"] for one in answer["refused"]] == [" x", "\udcff"]


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        (["--allow", ">= 3, then 5"], "allow: '>= 3, then 5': latest, one version"),
        (["--scheme", "calver"], "scheme: 'calver': one of integer, semver"),
        (["--pick", "best"], "pick: 'best': one of highest, lowest"),
        (["--scheme", "semver", "--allow", "01"], "allow: '01': a blank between"),
    ],
    ids=str,
)
def test_wrong_rule_is_an_error_and_nothing_else(
    arguments: list[str], start: str, capsys: Capture
) -> None:
    answer = said(capsys, *arguments, "7", code=1)
    assert answer.pop("error").startswith(start)
    assert answer == {"readable": [], "allowed": [], "ordered": [], "pick": None, "refused": []}
    assert main(["version-rule", *arguments, "7"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(start)


def test_words(capsys: Capture) -> None:
    assert main(["version-rule", "--stable", "7", "9", "x", "6", "8"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rule 'latest'",
        "  no   '6': version 6 is older than 7",
        "  yes  '8': allowed",
        "  yes  '9': allowed",
        "  no   'x': version 'x' is not a whole number of at most 255 digits",
        "picks '9'",
    ]


def test_words_when_nothing_is_picked(capsys: Capture) -> None:
    assert main(["version-rule", "--scheme", "semver", "\udcff"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == ("rule {scheme: semver}", "picks nothing")


def test_without_versions_the_command_line_is_wrong() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["version-rule"])
    assert ended.value.code == 2


# The pages


@pytest.mark.parametrize("page", ["docs/rolloutctl-version-rule.md"])
def test_example_of_the_page_is_what_is_printed(page: str, capsys: Capture) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    found = re.search(r"^\$ python -m rolloutctl (.*)\n((?:.+\n)+?)```", text, re.MULTILINE)
    assert found is not None
    assert main(shlex.split(found[1])) == 0
    assert capsys.readouterr().out == found[2]


def test_page_of_the_rules_has_every_key_scheme_and_example() -> None:
    text = (REPOSITORY / "docs" / "version-rules.md").read_text(encoding="utf-8")
    first_column = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert first_column == {*KEYS, *Scheme}
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    written = [yaml.safe_load(block) for block in blocks]
    rules = [one.get("select", one)["version"] for one in written]
    assert [read_version_rule(one).scheme for one in rules] == ["semver", "alphabetical"]
    ranges = re.findall(r"^\| (`.+?`) \|", text.split("## Ranges")[1].split("##")[0], re.MULTILINE)
    assert len(ranges) == 6
    for one in re.findall(r"`([^`]+)`", " ".join(ranges).replace("\\|", "|")):
        assert read_version_rule({"scheme": "semver", "allow": one}).scheme is Scheme.SEMVER
