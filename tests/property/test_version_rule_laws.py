"""Laws of version rules: what is printed parses back, and newer is a strict order."""

from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.errors import VersionRuleError
from deploy_logic.version.allow import Exactly
from deploy_logic.version.integer_range import Bound, Comparisons
from deploy_logic.version.rule import VersionRule, parse_version_rule, print_version_rule

numbers = st.integers(0, 12) | st.integers(0, 10**40)
bound = st.builds(Bound, sign=st.sampled_from([">=", "<=", "!=", ">", "<", "="]), value=numbers)
comparisons = st.builds(Comparisons, bounds=st.lists(bound, min_size=1, max_size=4).map(tuple))
rules = (
    st.just(VersionRule(text=""))
    | st.builds(VersionRule, text=st.just(""), allow=st.builds(Exactly, value=numbers))
    | st.builds(VersionRule, text=st.just(""), allow=comparisons)
)
versions = numbers.map(str) | st.text(max_size=8)


@given(rules)
def test_what_is_printed_parses_to_the_same_rule(rule: VersionRule) -> None:
    assert parse_version_rule(print_version_rule(rule)) == rule


@given(rules, st.lists(st.sampled_from(["", " ", "  "]), min_size=40, max_size=40))
def test_spaces_change_nothing(rule: VersionRule, spaces: list[str]) -> None:
    words = print_version_rule(rule).replace(",", " ,").split(" ")
    text = "".join(f"{space}{word}" for space, word in zip(spaces, words, strict=False))
    assert parse_version_rule(text) == rule


@given(st.text() | st.text(alphabet="<>=!, 0123latest"))
def test_any_text_is_a_rule_or_marked_inside_the_text(text: str) -> None:
    refused: VersionRuleError | None = None
    try:
        assert parse_version_rule(text).text == text
    except VersionRuleError as error:
        refused = error
    assert refused is None or 0 <= refused.position <= len(text)


@given(rules, versions)
def test_any_version_is_answered(rule: VersionRule, version: str) -> None:
    assert isinstance(rule.refuses(version), str)
    assert isinstance(rule.refuses_after(version, "7"), str)
    assert isinstance(rule.refuses_after("7", version), str)


@given(numbers, numbers)
def test_of_two_versions_exactly_one_may_follow_the_other(one: int, other: int) -> None:
    latest = parse_version_rule("latest")
    follows = [
        not latest.refuses_after(str(one), str(other)),
        not latest.refuses_after(str(other), str(one)),
    ]
    assert sorted(follows) == ([False, False] if one == other else [False, True])


@given(numbers, numbers, numbers)
def test_newer_is_transitive(one: int, other: int, third: int) -> None:
    latest = parse_version_rule("latest")
    first, second, last = (str(number) for number in sorted([one, other, third]))
    if not latest.refuses_after(second, first) and not latest.refuses_after(last, second):
        assert not latest.refuses_after(last, first)


@given(st.lists(bound, min_size=1, max_size=4), numbers)
def test_a_range_allows_what_each_of_its_bounds_allows(parts: list[Bound], number: int) -> None:
    whole = VersionRule(text="", allow=Comparisons(bounds=tuple(parts)))
    alone = [VersionRule(text="", allow=Comparisons(bounds=(part,))) for part in parts]
    assert bool(whole.refuses(str(number))) == any(one.refuses(str(number)) for one in alone)
    turned = VersionRule(text="", allow=Comparisons(bounds=tuple(reversed(parts))))
    assert bool(whole.refuses(str(number))) == bool(turned.refuses(str(number)))
