"""Laws of matching: the index finds what asking every policy finds, in any order of policies."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy_logic import pattern as patterns
from deploy_logic.errors import PatternError
from deploy_logic.event import ModelRegistered
from deploy_logic.matching import NoMatch, Offer, PolicyIndex, match_policies
from deploy_logic.pattern import NamePattern, PatternSet, parse_name_pattern
from deploy_logic.policy.policy import Policy, Selector
from tests.builders import WORKSPACE, a_policy

LETTERS = "ab-é."
models = st.sampled_from(["a", "ab", "b"]) | st.text(LETTERS + "AB_", min_size=1, max_size=6)
globs = st.text(LETTERS + "*?[]!^-", min_size=1, max_size=6).map("glob:".__add__)
regexes = st.text(LETTERS + "^$()|*+?[]{}1,\\", min_size=1, max_size=8).map("regex:".__add__)
# Most random patterns match nothing: these match much.
broad = st.sampled_from(
    ["glob:*", "glob:a*", "glob:*b", "glob:?*", "regex:.", "regex:a|b", "a", "b"]
)


def may_be_written(model: str) -> bool:
    """Whether a policy may say it; what it may not is refused when the policy is read."""
    try:
        Selector(model=model)
    except ValidationError:
        return False
    return True


written = (broad | models | globs | regexes | st.text(max_size=5)).filter(may_be_written)
versions = st.sampled_from(["1", "7", "12", "x", "007"])
rules = st.just("latest") | st.sampled_from(["7", ">= 3, < 10", "!= 7"])
endpoints = st.just("fraud") | st.sampled_from(["shared", "{model}", "m-{model}", "{model}-prod"])


@st.composite
def policies_of_any_kind(draw: st.DrawFn) -> list[Policy]:
    """Return policies with any text as name, also such as no file of policies could hold."""
    found = []
    for number in range(draw(st.integers(0, 6))):
        policy = a_policy(
            policy=f"policy-{number}",
            select={"model": "fraud", "version": draw(rules)},
            deploy={"endpoint": draw(endpoints), "template": "t.yml"},
        )
        select = policy.select.model_copy(update={"model": draw(written)})
        found.append(policy.model_copy(update={"select": select}))
    return found


def an_event(model: str, version: str) -> ModelRegistered:
    return ModelRegistered(event_id="e", workspace=WORKSPACE, model=model, version=version)


def parsed(texts: list[str]) -> list[NamePattern]:
    found = []
    for text in texts:
        try:
            found.append(parse_name_pattern(text))
        except PatternError:
            continue
    return found


@given(models, versions, policies_of_any_kind())
def test_index_matches_what_asking_every_policy_matches(
    model: str, version: str, policies: list[Policy]
) -> None:
    event = an_event(model, version)
    naive = match_policies(event, policies)
    assert [one.policy for one in naive] == [one.policy for one in policies]
    indexed = PolicyIndex(policies).match(event)
    assert [one for one in indexed if isinstance(one, Offer)] == [
        one for one in naive if isinstance(one, Offer)
    ]
    assert set(indexed) <= set(naive)


@given(models, versions, policies_of_any_kind(), st.randoms(use_true_random=False))
def test_order_of_policies_does_not_matter(
    model: str, version: str, policies: list[Policy], chance: object
) -> None:
    event = an_event(model, version)
    shuffled = list(policies)
    chance.shuffle(shuffled)  # type: ignore[attr-defined] # a Random
    assert set(match_policies(event, policies)) == set(match_policies(event, shuffled))
    one, other = PolicyIndex(policies).match(event), PolicyIndex(shuffled).match(event)
    assert set(one) == set(other)


@given(st.lists(written, max_size=8), models)
def test_set_finds_what_its_patterns_match_one_by_one(texts: list[str], name: str) -> None:
    found = parsed(texts)
    one_by_one = [number for number, pattern in enumerate(found) if pattern.matches(name)]
    assert PatternSet(found).find(name) == one_by_one


@given(st.text(max_size=10), st.text(max_size=10))
def test_any_text_parses_or_is_refused_at_its_place(text: str, name: str) -> None:
    for prefix in ("", "glob:", "regex:"):
        try:
            pattern = parse_name_pattern(prefix + text)
        except PatternError as error:
            place = error.position
        else:
            place = 0
            assert pattern.matches(name) == (pattern.refuses(name) == "")
        assert 0 <= place <= len(prefix + text)


@given(st.text("ab*?", min_size=1, max_size=8), st.text("ab", max_size=8))
def test_globs_mean_what_they_mean_in_a_shell(glob: str, name: str) -> None:
    pattern = parse_name_pattern(f"glob:{glob}")
    assert pattern.matches(name) == fnmatch.fnmatchcase(name, glob)


@given(st.text("abc-]!", min_size=1, max_size=4), st.sampled_from("abc-]!x"))
def test_choices_mean_what_they_mean_in_a_shell(choice: str, name: str) -> None:
    try:
        pattern = parse_name_pattern(f"glob:[{choice}]")
    except PatternError:
        return  # such as a range from high to low, which a shell takes for an empty one
    assert pattern.matches(name) == fnmatch.fnmatchcase(name, f"[{choice}]")


@given(st.text("ab^$|()", min_size=1, max_size=8), st.text("ab", max_size=6))
def test_expressions_mean_what_they_mean_in_python(expression: str, name: str) -> None:
    try:
        pattern = parse_name_pattern(f"regex:{expression}")
        meant = re.compile(expression)
    except (PatternError, re.error):
        return
    assert pattern.matches(name) == (meant.search(name) is not None)


@given(models, policies_of_any_kind())
def test_every_match_names_an_endpoint_that_azure_takes(model: str, policies: list[Policy]) -> None:
    for answer in match_policies(an_event(model, "7"), policies):
        if isinstance(answer, Offer):
            assert re.fullmatch(r"[a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]", answer.endpoint)


# --- every law catches its seeded bug


def test_set_that_forgets_its_last_pattern_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = PatternSet.find
    monkeypatch.setattr(PatternSet, "find", lambda self, name: real(self, name)[:-1])
    with pytest.raises(AssertionError):
        test_set_finds_what_its_patterns_match_one_by_one()
    with pytest.raises(AssertionError):
        test_index_matches_what_asking_every_policy_matches()


def test_policies_that_hide_each_other_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = PolicyIndex.match
    monkeypatch.setattr(
        PolicyIndex, "match", lambda self, event: real(PolicyIndex(list(self)[:1]), event)
    )
    with pytest.raises(AssertionError):
        test_order_of_policies_does_not_matter()


def test_glob_that_is_not_anchored_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = patterns._translate
    monkeypatch.setattr(
        patterns, "_translate", lambda text, start: real(text, start).removesuffix(r"\z")
    )
    with pytest.raises(AssertionError):
        test_globs_mean_what_they_mean_in_a_shell()


def test_no_match_is_no_offer() -> None:
    policy = a_policy(select={"model": "glob:*"}, deploy={"endpoint": "{model}", "template": "t"})
    (answer,) = match_policies(an_event("größe", "7"), [policy])
    assert isinstance(answer, NoMatch)
