"""Long rules: every scheme and source, what they refuse and why, and marks under mistakes."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.errors import VersionRuleError
from deploy_logic.plan.plan import ModelVersion
from deploy_logic.version.rule import (
    VersionRule,
    parse_version_rule,
    print_version_rule,
    read_version_rule,
)
from rolloutctl.version_rule import ask
from tests.builders import MONDAY, model_id

DATA = Path(__file__).parent / "data" / "versions"
FLUX: dict[str, Any] = json.loads((DATA / "flux-image-policies.json").read_text())
RELEASE = {"scheme": "semver", "from": "tag:release", "allow": "^1.2"}
DATED = {"scheme": "alphabetical", "allow": "regex:^main-[a-f0-9]+-(?P<v>[0-9]+)$"}
TIMED = {"scheme": "registered"}
NO_SEMVER = "is not a semantic version such as 1.2.0 or v1.2.0-rc.1, of at most 255 characters"
EIGHT = "tag 'release' of version 8 ('1.9.0')"


def rule(written: Mapping[str, Any]) -> VersionRule:
    keys: dict[object, object] = dict(written.items())
    return read_version_rule(keys)


def a_model(version: str = "7", **facts: Any) -> ModelVersion:
    return ModelVersion(version=version, id=model_id(version), **facts)


def released(version: str, release: str) -> ModelVersion:
    return a_model(version, tags={"release": release})


@pytest.mark.parametrize("case", FLUX["cases"], ids=lambda case: case["label"])
def test_policy_of_flux_picks(case: dict[str, Any]) -> None:
    if case.get("error"):
        with pytest.raises(VersionRuleError):
            rule(case["rule"])
        return
    answer = ask(rule(case["rule"]), case["versions"], None)
    assert answer["pick"] == case["pick"]
    assert answer["allowed"] == case.get("allowed", answer["allowed"])


@pytest.mark.parametrize(
    ("written", "is_good"), FLUX["ranges"] + FLUX["ranges_that_differ"], ids=str
)
def test_range_of_flux_is_read_or_refused(written: str, *, is_good: bool) -> None:
    try:
        rule({"scheme": "semver", "allow": written})
    except VersionRuleError:
        assert not is_good
    else:
        assert is_good


@pytest.mark.parametrize(
    ("written", "text", "name"),
    [
        ({}, "latest", "'latest'"),
        ({"allow": 7}, "7", "'7'"),
        ({"scheme": "integer", "allow": ">=3,<9", "pick": "highest"}, ">= 3, < 9", "'>= 3, < 9'"),
        (
            {"allow": ">= 3", "allow_older": True},
            '{"scheme": "integer", "allow": ">= 3", "allow_older": true}',
            '{scheme: integer, allow: ">= 3", allow_older: true}',
        ),
        (
            RELEASE,
            '{"scheme": "semver", "from": "tag:release", "allow": "^1.2"}',
            "{scheme: semver, from: tag:release, allow: ^1.2}",
        ),
        (
            {"scheme": "semver", "allow": "^1.2", "except": ["1.3.4", "1.4.0"]},
            '{"scheme": "semver", "allow": "^1.2", "except": ["1.3.4", "1.4.0"]}',
            "{scheme: semver, allow: ^1.2, except: [1.3.4, 1.4.0]}",
        ),
        (
            {"except": [7]},
            '{"scheme": "integer", "except": ["7"]}',
            "{scheme: integer, except: [7]}",
        ),
        (
            {"scheme": "semver", "from": "version", "allow": "latest", "allow_older": False},
            '{"scheme": "semver"}',
            "{scheme: semver}",
        ),
        (
            {"scheme": "registered", "from": "property:run id", "pick": "lowest", "allow": "*"},
            '{"scheme": "registered", "from": "property:run id", "pick": "lowest"}',
            '{scheme: registered, from: "property:run id", pick: lowest}',
        ),
    ],
    ids=str,
)
def test_long_form_has_one_plain_text(written: dict[str, Any], text: str, name: str) -> None:
    made = rule(written)
    assert (made.text, print_version_rule(made), made.name) == (text, text, name)
    assert parse_version_rule(text) == made


@pytest.mark.parametrize(
    ("written", "key", "position", "expected"),
    [
        ({"schema": "semver"}, "", 0, "one of scheme, from, allow, except, pick, allow_older"),
        ({"scheme": "calver"}, "scheme", 0, "one of integer, semver, alphabetical, registered"),
        ({"scheme": None}, "scheme", 0, "one of integer, semver, alphabetical, registered"),
        ({"from": "label:x"}, "from", 0, "version, tag:NAME or property:NAME"),
        ({"from": "tag"}, "from", 3, "tag:NAME"),
        ({"from": "property:"}, "from", 9, "property:NAME"),
        ({"from": 7}, "from", 0, "version, tag:NAME or property:NAME"),
        ({"pick": "newest"}, "pick", 0, "one of highest, lowest"),
        ({"pick": ["highest"]}, "pick", 0, "one of highest, lowest"),
        ({"allow_older": "yes"}, "allow_older", 0, "true or false"),
        ({"except": "7"}, "except", 0, "a list such as"),
        ({"except": [1.1]}, "except", 0, "text in quotes"),
        ({"except": [True]}, "except", 0, "text in quotes"),
        ({"except": ["007"]}, "except", 0, "a version that the integer scheme can read: it"),
        (
            {"scheme": "semver", "except": ["1.2"]},
            "except",
            0,
            "a version that the semver",
        ),
        ({"scheme": "registered", "except": [""]}, "except", 0, "a version that the registered"),
        ({"scheme": "semver", "allow": 1.1}, "allow", 0, "text in quotes"),
        ({"scheme": "semver", "allow": True}, "allow", 0, "text in quotes"),
        ({"allow": ">= 3, then 5"}, "allow", 6, "latest, one version such as 7"),
        ({"scheme": "semver", "allow": "^1.2 |"}, "allow", 5, "a version or a part of one"),
        ({"scheme": "alphabetical", "allow": "main-*"}, "allow", 0, "latest, *, or regex:"),
        ({"scheme": "registered", "allow": "regex:^(a"}, "allow", 9, "an expression that RE2"),
        ({"scheme": "alphabetical", "allow": "regex:"}, "allow", 6, "something after the colon"),
    ],
    ids=str,
)
def test_wrong_long_form_names_its_key_and_marks_the_place(
    written: dict[str, Any], key: str, position: int, expected: str
) -> None:
    with pytest.raises(VersionRuleError) as refused:
        rule(written)
    assert (refused.value.key, refused.value.position) == (key, position)
    assert refused.value.expected.startswith(expected)
    assert str(refused.value).startswith(f"{key}: " if key else "'schema'")


@pytest.mark.parametrize(
    ("text", "position"),
    [("{", 1), ('{"scheme"', 9), ('{"allow": ' + "9" * 5000 + "}", 0), ('{"a": ' * 99_999, 0)],
    ids=["opened", "no value", "endless number", "endless nesting"],
)
def test_text_that_is_no_json_is_marked(text: str, position: int) -> None:
    with pytest.raises(VersionRuleError) as refused:
        parse_version_rule(text)
    assert refused.value.position == position


@pytest.mark.parametrize(
    ("written", "model", "reason"),
    [
        (RELEASE, released("7", "1.3.0"), ""),
        (RELEASE, released("7", "v1.2.0+b"), ""),
        (RELEASE, released("7", "2.0.0"), "tag 'release' of version 7 ('2.0.0') is not in '^1.2'"),
        (RELEASE, a_model("1.3.0"), "tag 'release' of version 1.3.0 is missing"),
        (
            RELEASE,
            released("7", "1.3"),
            f"tag 'release' of version 7 ('1.3') {NO_SEMVER}",
        ),
        ({"from": "property:build"}, a_model(properties={"build": "12"}), ""),
        (
            {"from": "property:build"},
            a_model(tags={"build": "12"}),
            "property 'build' of version 7 is missing",
        ),
        ({"scheme": "semver", "allow": "1.2.0"}, a_model("v1.2.0"), ""),
        (
            {"scheme": "semver", "allow": "1.2.0"},
            a_model("1.2.1"),
            "version 1.2.1 is not 1.2.0, which the rule pins",
        ),
        (DATED, a_model("main-a1-160"), ""),
        (DATED, a_model("dev-a1-160"), f"version 'dev-a1-160' does not match {DATED['allow']!r}"),
        (
            {"scheme": "alphabetical", "allow": "regex:^a(?P<v>[0-9]*)"},
            a_model("a"),
            "version 'a' leaves (?P<v>) of 'regex:^a(?P<v>[0-9]*)' empty",
        ),
        ({"scheme": "alphabetical"}, a_model("2026-11-01"), ""),
        (
            {"scheme": "alphabetical", "from": "tag:day"},
            a_model(tags={"day": ""}),
            "tag 'day' of version 7 ('') is empty",
        ),
        (TIMED, a_model("x", created=MONDAY), ""),
        (TIMED, a_model("x"), "version 'x' has no time of registration"),
        (
            {"scheme": "registered", "allow": "regex:^rel"},
            a_model("x", created=MONDAY),
            "version 'x' does not match 'regex:^rel'",
        ),
        (
            {"scheme": "registered", "allow": "regex:."},
            a_model("half of a pair \ud800", created=MONDAY),
            "version 'half of a pair \\ud800' does not match 'regex:.'",
        ),
    ],
    ids=str,
)
def test_model_version_is_refused_with_its_reason(
    written: dict[str, Any], model: ModelVersion, reason: str
) -> None:
    assert rule(written).refuses_model(model) == reason


LATER = MONDAY + timedelta(seconds=1)
OLDER: Mapping[str, tuple[dict[str, Any], ModelVersion, ModelVersion, str]] = {
    "newer by its tag, lower by its version": (
        RELEASE, released("6", "1.10.0"), released("7", "1.9.0"), "",
    ),
    "older by its tag": (
        RELEASE, released("8", "1.9.0"), released("7", "1.10.0"),
        f"{EIGHT} is older than tag 'release' of version 7 ('1.10.0')",
    ),
    "equal by its tag": (
        RELEASE, released("8", "1.9.0"), released("7", "1.9.0"),
        f"{EIGHT} is not newer than its equal tag 'release' of version 7 ('1.9.0')",
    ),
    "stable without the tag": (
        RELEASE, released("8", "1.9.0"), a_model("7"),
        "the stable's tag 'release' of version 7 is missing, so nothing counts as newer",
    ),
    "equal but for its build": (
        {"scheme": "semver"}, a_model("1.0.0+b"), a_model("1.0.0+a"),
        "version 1.0.0+b is not newer than its equal 1.0.0+a",
    ),
    "pinned": ({"scheme": "semver", "allow": "1.0.0"}, a_model("1.0.0"), a_model("2.0.0"), ""),
    "older is allowed": (
        {"scheme": "semver", "allow_older": True}, a_model("1.0.0"), a_model("2.0.0"), "",
    ),
    "older than what cannot be read is allowed": (
        {"scheme": "semver", "allow_older": True}, a_model("1.0.0"), a_model("x"), "",
    ),
    "lower is wanted": ({"pick": "lowest"}, a_model("6"), a_model("7"), ""),
    "lowest is picked": (
        {"pick": "lowest"}, a_model("8"), a_model("7"), "version 8 is not lower than 7",
    ),
    "code points, not numbers": (
        {"scheme": "alphabetical"}, a_model("10"), a_model("9"), "version '10' is older than '9'",
    ),
    "upper case comes before lower": (
        {"scheme": "alphabetical"}, a_model("a"), a_model("B"), "",
    ),
    "group orders, not what stands before it": (
        DATED, a_model("main-a-3"), a_model("main-f-2"), "",
    ),
    "registered later": (
        TIMED, a_model("a", created=LATER), a_model("b", created=MONDAY), "",
    ),
    "registered before": (
        TIMED, a_model("b", created=MONDAY), a_model("a", created=LATER),
        "version 'b' is older than version 'a'",
    ),
    "nobody knows when the stable was registered": (
        TIMED, a_model("b", created=MONDAY), a_model("a"),
        "the stable's version 'a' has no time of registration, so nothing counts as newer",
    ),
    "time without a zone is UTC": (
        TIMED, a_model("b", created=LATER), a_model("a", created=datetime(2026, 11, 23, 9)),  # noqa: DTZ001 - the case
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OLDER)
def test_may_follow_the_stable(what: str) -> None:
    written, model, stable, reason = OLDER[what]
    assert rule(written).refuses_model_after(model, stable) == reason


@pytest.mark.parametrize(
    ("written", "version", "stable", "refusals"),
    [
        (RELEASE, "x", "y", ("", "")),
        ({**DATED, "from": "property:p"}, "x", "y", ("", "")),
        (TIMED, "x", "y", ("", "")),
        ({**TIMED, "allow": "regex:^r"}, "x", "y", ("version 'x' does not match 'regex:^r'", "")),
        ({"scheme": "semver"}, "1.0.0", "2.0.0", ("", "version 1.0.0 is older than 2.0.0")),
        (
            {"scheme": "alphabetical", "allow": "regex:b"},
            "a",
            "b",
            ("version 'a' does not match 'regex:b'", "version 'a' is older than 'b'"),
        ),
    ],
    ids=str,
)
def test_text_alone_refuses_only_what_it_decides(
    written: dict[str, Any], version: str, stable: str, refusals: tuple[str, str]
) -> None:
    made = rule(written)
    assert (made.refuses(version), made.refuses_after(version, stable)) == refusals


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"scheme": "semver"}, ["1.0.0-rc.1", "1.0.0", "v1.0.0", "1.2.0", "1.10.0"]),
        ({"scheme": "alphabetical"}, ["1.0.0", "1.0.0-rc.1", "1.10.0", "1.2.0", "v1.0.0", "x"]),
    ],
    ids=str,
)
def test_order_is_from_lowest_to_highest_with_equal_ones_by_their_text(
    written: dict[str, Any], expected: list[str]
) -> None:
    versions = ["x", "1.10.0", "v1.0.0", "1.0.0", "1.2.0", "1.0.0-rc.1"]
    made = rule(written)
    for models in ([a_model(v) for v in versions], [a_model(v) for v in reversed(versions)]):
        assert [one.version for one in made.order(models)] == expected


def test_of_equal_ones_the_same_one_is_always_picked() -> None:
    one, two, other = (a_model(f"1.0.0+{build}") for build in "abx")
    made = rule({"scheme": "semver"})
    reason = "version 1.0.0+a is not newer than its equal 1.0.0+b"
    assert made.refuses_beside(one, two) == reason
    assert made.refuses_beside(two, one) == ""
    assert made.best([one, other, two]) == made.best([two, one, other]) == other
    assert made.best([]) is None


@pytest.mark.parametrize(
    ("written", "version", "reason"),
    [
        ({"scheme": "semver", "allow": "^1.2", "except": ["1.3.4"]}, "1.3.3", ""),
        (
            {"scheme": "semver", "allow": "^1.2", "except": ["1.3.4"]},
            *("1.3.4", "version 1.3.4 is '1.3.4', which the rule excepts"),
        ),
        (
            {"scheme": "semver", "except": ["v1.3.4"]},
            *("1.3.4+build.7", "version 1.3.4+build.7 is 'v1.3.4', which the rule excepts"),
        ),
        ({"scheme": "semver", "allow": ">=1.3.4-a", "except": ["1.3.4"]}, "1.3.4-rc.1", ""),
        ({"allow": ">= 3", "except": [7]}, "7", "version 7 is '7', which the rule excepts"),
        ({"allow": ">= 3", "except": [7]}, "8", ""),
        (
            {"scheme": "registered", "except": ["bad one"]},
            *("bad one", "version 'bad one' is 'bad one', which the rule excepts"),
        ),
        (
            {"scheme": "alphabetical", "allow": "regex:^r-(?P<v>.+)$", "except": ["r-2026"]},
            *("r-2026", "version 'r-2026' is 'r-2026', which the rule excepts"),
        ),
    ],
    ids=str,
)
def test_exceptions_are_refused(written: dict[str, Any], version: str, reason: str) -> None:
    assert rule(written).refuses(version) == reason
