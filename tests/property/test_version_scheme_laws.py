"""Laws of every scheme: order is total and no arrival order decides; nothing that is read raises.

Each law has a seeded bug that it must catch.
"""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.errors import VersionRuleError
from deploy_logic.plan.plan import ModelVersion
from deploy_logic.version import rule as version_rule
from deploy_logic.version.allow import Anything
from deploy_logic.version.rule import (
    VersionRule,
    parse_version_rule,
    print_version_rule,
    read_version_rule,
)
from deploy_logic.version.scheme import Pick, Reading, Source, Unreadable
from tests.property.seeded import is_found

START = datetime(2026, 11, 23, tzinfo=UTC)

_number = st.integers(0, 3).map(str)
_pre = st.sampled_from(["", "", "-alpha", "-alpha.1", "-0", "-rc.2", "-rc.10"])
_build = st.sampled_from(["", "", "+a", "+b"])
_v = st.sampled_from(["", "v"])
semvers = st.builds("{}{}.{}.{}{}{}".format, _v, _number, _number, _number, _pre, _build)
dates = st.builds("2026-{:02}-{:02}".format, st.integers(1, 12), st.integers(1, 28))
hostile = st.sampled_from(
    [
        *("", " 7", "7\n", "007", "+1", "-1", "1_000", "1e3", "\u0667", "NaN", "1.2", "v"),
        *("9" * 255, "9" * 256, "9" * 5000, "1.0.0\n", "01.0.0", "1.0.0-01"),
        *("\ud800", "\x00", "A", "a", "\u00e9", "e\u0301"),
    ]
)
texts = st.one_of(
    semvers, dates, hostile, st.integers(0, 30).map(str), st.text(max_size=6),
    st.builds("main-{}-{}".format, st.sampled_from("abf"), st.integers(0, 12)),
)  # fmt: skip
times = st.none() | st.integers(0, 3).map(lambda seconds: START + timedelta(seconds=seconds))
facts = st.builds(
    ModelVersion,
    version=texts,
    id=st.just(""),
    tags=st.dictionaries(st.just("release"), texts),
    properties=st.dictionaries(st.just("build"), texts),
    created=times,
)
_partial = st.sampled_from(["1", "1.2", "1.x", "v1.2.0", "1.2.0-rc.1", "*", "0.0.3", "2.1.0+a"])
_range = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["", "^", "~", ">", ">= ", "<", "<="]), _partial),
    st.builds("{} - {}".format, _partial, _partial),
    st.builds(">={} <{} || {}".format, _partial, _partial, _partial),
    st.sampled_from(["latest", "", "^1.2 ^1", ">X", "1.2.3", "=1.2.3"]),
)
_integers = st.one_of(
    st.just("latest"), st.integers(0, 12).map(str),
    st.builds("{} {}, != {}".format, st.sampled_from([">=", "<", "="]), _number, _number),
)  # fmt: skip
_expressions = st.sampled_from(
    ["*", "latest", "regex:^main-", "regex:-(?P<v>[0-9]+)$", "regex:^(?P<v>.)", "regex:(?P<w>1)"]
)
ALLOWS = {
    "integer": _integers,
    "semver": _range,
    "alphabetical": _expressions,
    "registered": _expressions,
}


EXCEPTIONS: Mapping[str, Callable[[int], str]] = {
    "integer": str,
    "semver": "1.{}.0".format,
    "alphabetical": "2026-{}".format,
    "registered": "2026-{}".format,
}


@st.composite
def rules(draw: st.DrawFn) -> VersionRule:
    scheme = draw(st.sampled_from(sorted(ALLOWS)))
    written: dict[object, object] = {
        "scheme": scheme,
        "allow": draw(ALLOWS[scheme]),
        "from": draw(st.sampled_from(["version", "version", "tag:release", "property:build"])),
        "pick": draw(st.sampled_from(["highest", "lowest"])),
        "allow_older": draw(st.booleans()),
        "except": draw(st.lists(st.integers(0, 9).map(EXCEPTIONS[scheme]), max_size=2)),
    }
    return read_version_rule(written)


ordered_rules = rules().filter(lambda rule: rule.has_order)
registry = st.lists(facts, max_size=6, unique_by=lambda one: one.version)


# The laws, each as a question whose answer must be yes


def order_of_arrival_does_not_matter(rule: VersionRule, models: list[ModelVersion]) -> bool:
    ordered = rule.order(models)
    return all(
        rule.order(list(turned)) == ordered and rule.best(list(turned)) == rule.best(models)
        for turned in itertools.islice(itertools.permutations(models), 24)
    )


def of_two_at_most_one_follows_the_other(rule: VersionRule, models: list[ModelVersion]) -> bool:
    pairs = itertools.combinations(models, 2)
    return not any(
        not rule.refuses_model_after(one, other) and not rule.refuses_model_after(other, one)
        for one, other in pairs
    )


def of_two_that_are_read_exactly_one_is_picked(
    rule: VersionRule, models: list[ModelVersion]
) -> bool:
    return all(
        bool(rule.refuses_beside(one, other)) != bool(rule.refuses_beside(other, one))
        for one, other in itertools.combinations(rule.order(models), 2)
    )


def newer_is_transitive(rule: VersionRule, models: list[ModelVersion]) -> bool:
    return not any(
        not rule.refuses_model_after(two, one)
        and not rule.refuses_model_after(three, two)
        and rule.refuses_model_after(three, one)
        for one, two, three in itertools.permutations(models, 3)
    )


def every_allowed_version_is_readable(rule: VersionRule, models: list[ModelVersion]) -> bool:
    return all(isinstance(rule.read(one), Reading) for one in models if not rule.refuses_model(one))


def what_is_printed_is_the_rule(rule: VersionRule, _models: list[ModelVersion]) -> bool:
    printed = print_version_rule(rule)
    return parse_version_rule(printed) == rule and parse_version_rule(rule.text) == rule


def text_alone_never_refuses_what_all_facts_allow(
    rule: VersionRule, models: list[ModelVersion]
) -> bool:
    return not any(
        (rule.refuses(one.version) and not rule.refuses_model(one))
        or (
            rule.refuses_after(one.version, other.version)
            and not rule.refuses_model_after(one, other)
        )
        for one, other in itertools.product(models, repeat=2)
    )


def nothing_raises(rule: VersionRule, models: list[ModelVersion]) -> bool:
    try:
        for one, other in itertools.product(models, repeat=2):
            said = (rule.refuses(one.version), rule.refuses_after(one.version, other.version))
            known = (rule.refuses_model(one), rule.refuses_model_after(one, other))
            assert all(isinstance(reason, str) for reason in (*said, *known))
    except (ArithmeticError, LookupError, TypeError, UnicodeError, ValueError):
        return False
    return True


type Law = Callable[[VersionRule, list[ModelVersion]], bool]

LAWS: list[Law] = [
    order_of_arrival_does_not_matter,
    of_two_at_most_one_follows_the_other,
    of_two_that_are_read_exactly_one_is_picked,
    newer_is_transitive,
    every_allowed_version_is_readable,
    what_is_printed_is_the_rule,
    text_alone_never_refuses_what_all_facts_allow,
    nothing_raises,
]


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@given(rule=ordered_rules, models=registry)
def test_law(law: Law, rule: VersionRule, models: list[ModelVersion]) -> None:
    assert law(rule, models)


@given(rules(), registry)
def test_rule_that_lifts_the_order_keeps_the_other_laws(
    rule: VersionRule, models: list[ModelVersion]
) -> None:
    assert order_of_arrival_does_not_matter(rule, models)
    assert every_allowed_version_is_readable(rule, models)
    assert what_is_printed_is_the_rule(rule, models)
    assert nothing_raises(rule, models)
    if not rule.has_order:
        assert not any(
            rule.refuses_model_after(one, other) for one, other in itertools.pairwise(models)
        )


@given(
    st.sampled_from(sorted(ALLOWS)),
    st.one_of(st.text(), st.text(alphabet="^~<>=-|.*xv+ 0123:regex(?P<>)[]\\"), texts),
)
def test_any_text_is_allowed_or_marked_inside_it(scheme: str, text: str) -> None:
    refused: VersionRuleError | None = None
    try:
        assert read_version_rule({"scheme": scheme, "allow": text}).scheme == scheme
    except VersionRuleError as error:
        refused = error
    assert refused is None or refused.key == "allow"
    assert refused is None or 0 <= refused.position <= len(refused.rule)


@given(st.text(), st.text(alphabet='{}":,[]schemealowfrpik_ 0123'))
def test_any_text_is_a_rule_or_marked_inside_it(start: str, rest: str) -> None:
    refused: VersionRuleError | None = None
    try:
        parse_version_rule(start + rest)
        parse_version_rule("{" + rest)
    except VersionRuleError as error:
        refused = error
    assert refused is None or 0 <= refused.position <= len(refused.rule)


# One seeded bug per law


def _remember_arrival(patch: pytest.MonkeyPatch) -> None:
    """Equal keys are left in the order in which they came."""
    patch.setattr(Reading, "rank", property(lambda self: (self.key, "")))


def _equal_is_newer(patch: pytest.MonkeyPatch) -> None:
    """Of two with equal keys each may follow the other."""
    real = VersionRule._refuse_after

    def refuse(self: VersionRule, found: Any, stable: Any) -> str:
        reason = real(self, found, stable)
        return "" if "its equal" in reason else reason

    patch.setattr(VersionRule, "_refuse_after", refuse)


def _forget_the_lowest(patch: pytest.MonkeyPatch) -> None:
    """Whatever the rule picks, neither of two equal ones gives way."""

    def beside(self: VersionRule, model: Any, other: Any) -> str:
        one, two = self.read(model), self.read(other)
        if isinstance(one, Unreadable) or isinstance(two, Unreadable):
            return ""
        is_behind = one.key < two.key if self.pick is Pick.HIGHEST else two.key < one.key
        return "behind" if is_behind else ""

    patch.setattr(VersionRule, "refuses_beside", beside)


def _let_the_unreadable_pass(patch: pytest.MonkeyPatch) -> None:
    """What cannot be read follows everything, and everything follows it."""
    real = VersionRule._refuse_after

    def refuse(self: VersionRule, found: Any, stable: Any) -> str:
        is_unread = isinstance(found, Unreadable) or isinstance(stable, Unreadable)
        return "" if is_unread else real(self, found, stable)

    patch.setattr(VersionRule, "_refuse_after", refuse)


def _allow_the_unreadable(patch: pytest.MonkeyPatch) -> None:
    """A rule that allows everything allows what it cannot read."""
    real = VersionRule.refuses_model

    def refuses(self: VersionRule, model: Any) -> str:
        return "" if isinstance(self.allow, Anything) else real(self, model)

    patch.setattr(VersionRule, "refuses_model", refuses)


def _print_without_the_source(patch: pytest.MonkeyPatch) -> None:
    """The printed rule has lost where it reads."""
    real = print_version_rule

    def show(rule: VersionRule) -> str:
        return real(replace(rule, source=Source()))

    patch.setitem(globals(), "print_version_rule", show)


def _judge_tags_by_the_version(patch: pytest.MonkeyPatch) -> None:
    """The trigger judges the version where a tag counts."""
    patch.setattr(VersionRule, "reads_version", property(lambda _self: True))


def _read_with_int(patch: pytest.MonkeyPatch) -> None:
    """Whole numbers are read by Python, which reads much and raises at the rest."""
    patch.setattr(version_rule, "read_integer", int)


SEEDED: list[tuple[Law, Callable[[pytest.MonkeyPatch], None]]] = [
    (order_of_arrival_does_not_matter, _remember_arrival),
    (of_two_at_most_one_follows_the_other, _equal_is_newer),
    (of_two_that_are_read_exactly_one_is_picked, _forget_the_lowest),
    (newer_is_transitive, _let_the_unreadable_pass),
    (every_allowed_version_is_readable, _allow_the_unreadable),
    (what_is_printed_is_the_rule, _print_without_the_source),
    (text_alone_never_refuses_what_all_facts_allow, _judge_tags_by_the_version),
    (nothing_raises, _read_with_int),
]


def test_every_law_has_a_seeded_bug() -> None:
    assert [law for law, _ in SEEDED] == LAWS


@pytest.mark.parametrize(("law", "seed"), SEEDED, ids=lambda value: value.__name__.strip("_"))
def test_law_catches_its_seeded_bug(
    law: Law, seed: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(monkeypatch)
    among = st.tuples(ordered_rules, registry)
    is_noticed = is_found(among, lambda drawn: not law(*drawn), most=5_000)
    assert is_noticed, f"nobody noticed: {seed.__doc__}"
