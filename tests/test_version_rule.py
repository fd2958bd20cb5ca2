"""Version rules: which may be built, how they behave, and where a wrong one is marked."""

import pytest

from deploy_logic.errors import VersionRuleError
from deploy_logic.version.allow import Exactly
from deploy_logic.version.integer_range import Bound, Comparisons
from deploy_logic.version.rule import VersionRule, parse_version_rule, print_version_rule
from deploy_logic.version.scheme import Unreadable, read_integer

BIG = "9" * 255
UNREADABLE = "version 'x' is not a whole number of at most 255 digits"


def bounds(*pairs: tuple[str, int]) -> Comparisons:
    return Comparisons(bounds=tuple(Bound(sign=sign, value=value) for sign, value in pairs))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latest", VersionRule(text="latest")),
        (" latest ", VersionRule(text=" latest ")),
        ("7", VersionRule(text="7", allow=Exactly(value=7))),
        (" 7 ", VersionRule(text=" 7 ", allow=Exactly(value=7))),
        ("0", VersionRule(text="0", allow=Exactly(value=0))),
        (BIG, VersionRule(text=BIG, allow=Exactly(value=int(BIG)))),
        (">= 3", VersionRule(text=">= 3", allow=bounds((">=", 3)))),
        (">=3", VersionRule(text=">=3", allow=bounds((">=", 3)))),
        ("= 7", VersionRule(text="= 7", allow=bounds(("=", 7)))),
        (
            "  > 3,<=10 , != 7 ",
            VersionRule(text="  > 3,<=10 , != 7 ", allow=bounds((">", 3), ("<=", 10), ("!=", 7))),
        ),
        (">= 10, < 3", VersionRule(text=">= 10, < 3", allow=bounds((">=", 10), ("<", 3)))),
    ],
)
def test_may_be_built(text: str, expected: VersionRule) -> None:
    assert parse_version_rule(text) == expected
    assert parse_version_rule(text).text == text


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 0, "latest, one version"),
        ("newest", 0, "latest, one version"),
        ("Latest", 0, "latest, one version"),
        ("1.2.0", 0, "latest, one version"),
        ("-7", 0, "latest, one version"),
        ("7, 8", 0, "latest, one version"),
        ("==7", 1, "a whole number"),
        (">= ", 3, "a whole number"),
        (">= x", 3, "a whole number"),
        (">= 3.5", 4, "a comma between comparisons"),
        (">= 3 < 10", 5, "a comma between comparisons"),
        (">= 3,", 5, "latest, one version"),
        (">= 3, then 5", 6, "latest, one version"),
        ("  x", 2, "latest, one version"),
        (">= 3,, < 4", 5, "latest, one version"),
        (">= 3, 4", 6, "latest, one version"),
        (">= 3, < ten", 8, "a whole number"),
        (">= 03", 3, "version '03' is ambiguous with '3'"),
        ("007", 0, "version '007' is ambiguous with '7'"),
        ("> \u0663", 2, "a whole number"),
        ("9" * 256, 0, "is not a whole number"),
        ("9" * 5000, 0, "is not a whole number"),
    ],
    ids=lambda value: repr(value[:20]) if isinstance(value, str) else None,
)
def test_wrong_rule_is_shown_with_a_marker_under_the_place(
    text: str, position: int, expected: str
) -> None:
    with pytest.raises(VersionRuleError) as refused:
        parse_version_rule(text)
    assert (refused.value.rule, refused.value.position) == (text, position)
    assert expected in refused.value.expected
    said, shown, marker = str(refused.value).split("\n")
    assert said.startswith(repr(text))
    assert (shown, marker) == (f"  {text}", " " * (2 + position) + "^")


@pytest.mark.parametrize(
    ("rule", "allowed", "refused"),
    [
        ("latest", ["0", "1", "7", BIG], []),
        ("7", ["7"], ["6", "8", "70"]),
        (">= 3", ["3", "4", BIG], ["0", "2"]),
        ("> 3", ["4"], ["3"]),
        ("<= 3", ["0", "3"], ["4"]),
        ("< 3", ["2"], ["3"]),
        ("= 3", ["3"], ["2", "4"]),
        ("!= 3", ["2", "4"], ["3"]),
        (">= 3, < 10, != 7", ["3", "6", "8", "9"], ["2", "7", "10"]),
        (">= 10, < 3", [], ["2", "3", "9", "10"]),
    ],
)
def test_behaves(rule: str, allowed: list[str], refused: list[str]) -> None:
    parsed = parse_version_rule(rule)
    assert [version for version in allowed if parsed.refuses(version)] == []
    assert [version for version in refused if not parsed.refuses(version)] == []


@pytest.mark.parametrize(
    ("rule", "version", "reason"),
    [
        ("7", "8", "version 8 is not 7, which the rule pins"),
        (">= 3, != 7", "7", "version 7 is not != 7"),
        (
            "latest",
            "1.2.0-rc.1",
            "version '1.2.0-rc.1' is not a whole number of at most 255 digits",
        ),
        ("latest", "", "version '' is not a whole number of at most 255 digits"),
        ("latest", "\u0667", "version '\u0667' is not a whole number of at most 255 digits"),
        ("latest", "-1", "version '-1' is not a whole number of at most 255 digits"),
        ("latest", "007", "version '007' is ambiguous with '7'"),
    ],
)
def test_refusal_has_its_reason(rule: str, version: str, reason: str) -> None:
    assert parse_version_rule(rule).refuses(version) == reason


@pytest.mark.parametrize(
    ("rule", "version", "stable", "reason"),
    [
        ("latest", "8", "7", ""),
        (">= 3", "8", "7", ""),
        ("latest", "10", "9", ""),
        ("latest", "7", "7", "version 7 is already the stable"),
        (">= 3", "6", "7", "version 6 is older than 7"),
        ("6", "6", "7", ""),
        ("latest", "x", "7", UNREADABLE),
        ("latest", "7", "x", f"the stable's {UNREADABLE}, so nothing counts as newer"),
    ],
)
def test_may_follow_the_stable(rule: str, version: str, stable: str, reason: str) -> None:
    assert parse_version_rule(rule).refuses_after(version, stable) == reason


@pytest.mark.parametrize(
    ("version", "value"),
    [("0", 0), ("7", 7), (BIG, int(BIG))],
    ids=lambda value: str(value)[:5],
)
def test_whole_numbers_of_any_size_are_read(version: str, value: int) -> None:
    assert read_integer(version) == value


def test_longer_than_any_version_is_not_read() -> None:
    assert isinstance(read_integer("9" * 256), Unreadable)


@pytest.mark.parametrize(
    ("text", "printed"), [(" 7 ", "7"), ("latest", "latest"), (">3,<=10", "> 3, <= 10")]
)
def test_printed_in_its_plainest_form(text: str, printed: str) -> None:
    assert print_version_rule(parse_version_rule(text)) == printed
