"""Semantic versions and their ranges, held against the public tables of semver.org and node-semver.

The tables are data (tests/data/versions), each with its source and what was left out. Strict mode
only: node-semver's modes loose and includePrerelease do not exist here.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from semver import Version

from deploy_logic.errors import VersionRuleError
from deploy_logic.version.scheme import Unreadable, read_semver
from deploy_logic.version.semver_range import parse_semver_range

DATA = Path(__file__).parent / "data" / "versions"
NODE: dict[str, Any] = json.loads((DATA / "node-semver.json").read_text())
ASKED: list[Any] = json.loads((DATA / "node-semver-asked.json").read_text())["asked"]
SEMVER: dict[str, Any] = json.loads((DATA / "semver-org.json").read_text())
ANY = "*"  # node-semver's word for the empty range


def short(value: object) -> str:
    return repr(value)[:60]


def read(text: str) -> Version:
    version = read_semver(text)
    assert not isinstance(version, Unreadable), version
    return version


def is_inside(written: str, text: str) -> bool:
    version = read_semver(text)
    return not isinstance(version, Unreadable) and not parse_semver_range(written).refuses(version)


def test_tables_are_as_large_as_they_were() -> None:
    """The tests below would hold of nothing."""
    rows = {**NODE, **{f"semver.org {key}": value for key, value in SEMVER.items()}}
    counts = [len(value) for value in rows.values() if isinstance(value, list)]
    assert sum(counts) >= 500
    assert len(ASKED) >= 200


@pytest.mark.parametrize("text", SEMVER["valid"] + NODE["valid"], ids=short)
def test_valid_version_is_read_as_it_is_written(text: str) -> None:
    assert str(read(text)) == text.removeprefix("v")


@pytest.mark.parametrize("text", SEMVER["invalid"] + NODE["invalid"], ids=short)
def test_invalid_version_is_unreadable_with_a_reason(text: str) -> None:
    version = read_semver(text)
    assert isinstance(version, Unreadable)
    assert "is not a semantic version" in version.reason


@pytest.mark.parametrize(
    "text",
    [
        *(" 1.0.0", "1.0.0 ", "1.0.0\n", "V1.0.0", "vv1.0.0", "=1.0.0", "1.0.\u0663"),
        *("", "v", "1,0,0", f"1.0.0-{'a' * 250}", f"{'9' * 5000}.0.0"),
    ],
    ids=short,
)
def test_what_others_forgive_is_unreadable_too(text: str) -> None:
    assert isinstance(read_semver(text), Unreadable)


@pytest.mark.parametrize(
    ("low", "high"),
    [pair for chain in SEMVER["precedence"] for pair in itertools.combinations(chain, 2)]
    + [(low, high) for high, low in NODE["greater"]],
)
def test_precedence(low: str, high: str) -> None:
    assert read(low) < read(high)
    assert not read(high) < read(low)
    assert read(low) != read(high)


@pytest.mark.parametrize(("one", "other"), SEMVER["equal"] + NODE["equal"])
def test_build_metadata_counts_for_nothing(one: str, other: str) -> None:
    assert read(one) == read(other)


@pytest.mark.parametrize(("written", "version"), NODE["include"], ids=short)
def test_range_includes(written: str, version: str) -> None:
    assert is_inside(written, version)


@pytest.mark.parametrize(
    ("written", "version"), NODE["exclude"] + NODE["above"] + NODE["below"], ids=short
)
def test_range_excludes(written: str, version: str) -> None:
    assert not is_inside(written, version)


@pytest.mark.parametrize(("written", "version", "expected"), NODE["strictly"], ids=short)
def test_rows_of_other_modes_get_the_answer_of_the_strict_one(
    written: str, version: str, *, expected: bool
) -> None:
    assert is_inside(written, version) is expected


@pytest.mark.parametrize(("written", "canonical"), NODE["parse"], ids=short)
def test_range_has_the_canonical_form_of_node_semver_or_is_refused(
    written: str, canonical: str | None
) -> None:
    if canonical is None:
        with pytest.raises(VersionRuleError) as refused:
            parse_semver_range(written)
        assert refused.value.rule == written
    else:
        assert (str(parse_semver_range(written)) or ANY) == canonical


@pytest.mark.parametrize(("written", "canonical", "inside", "outside"), ASKED, ids=short)
def test_random_range_is_answered_as_node_semver_does(
    written: str, canonical: str | None, inside: list[str], outside: list[str]
) -> None:
    if canonical is None:
        with pytest.raises(VersionRuleError):
            parse_semver_range(written)
        return
    assert str(parse_semver_range(written)) == canonical
    assert [version for version in inside if not is_inside(written, version)] == []
    assert [version for version in outside if is_inside(written, version)] == []


@pytest.mark.parametrize(
    ("written", "position", "expected"),
    [
        ("^", 1, "a version or a part of one"),
        ("^1.2 |", 5, "a version or a part of one"),
        ("1.2.3.4", 5, "a blank between comparisons"),
        ("01.2.3", 1, "a blank between comparisons"),
        (">=1.0.0,<2.0.0", 7, "a blank between comparisons"),
        (">=1 <2 || 3.y", 11, "a blank between comparisons"),
        (">=1.0.0<2.0.0", 7, "a blank between comparisons"),
        ("1.x.5", 4, "x or nothing after x"),
        ("x.1", 2, "x or nothing after x"),
        ("1.2 - 1.4 5", 10, "|| or the end after a range with a hyphen"),
        ("1.2 -1.4", 4, "a version or a part of one"),
        ("1.2 - ", 6, "a version or a part of one"),
        ("1.2.3beta", 5, "a blank between comparisons"),
        ("==1.2", 1, "a version or a part of one"),
        ("vv1", 0, "a version or a part of one"),
        ("1.2.3 *alpha", 7, "a blank between comparisons"),
        (f">={'9' * 300}", 257, "a blank between comparisons"),
    ],
    ids=short,
)
def test_wrong_range_is_marked_at_the_place(written: str, position: int, expected: str) -> None:
    with pytest.raises(VersionRuleError) as refused:
        parse_semver_range(written)
    assert (refused.value.position, refused.value.rule) == (position, written)
    assert refused.value.expected.startswith(expected)


@pytest.mark.parametrize(
    ("written", "version", "reason"),
    [
        ("^1.2", "2.0.0", "is not in '^1.2'"),
        (" ^1.2 ", "1.1.9", "is not in '^1.2'"),
        ("^1.2", "1.3.0-rc.1", "is not in '^1.2', which asks for no pre-release of 1.3.0"),
        ("*", "1.0.0-rc.1", "is not in '*', which asks for no pre-release of 1.0.0"),
        ("^1.2.0-0", "1.2.0-rc.1", ""),
    ],
)
def test_refusal_has_its_reason(written: str, version: str, reason: str) -> None:
    assert parse_semver_range(written).refuses(read(version)) == reason
