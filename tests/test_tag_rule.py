"""What a tag must be: a text, or a number held against bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.policy.tag_rule import TagRuleError, parse_tag_rule


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        ("production", "production"),
        ("", ""),
        ("0.90", "0.90"),
        (">= 0.91", "0.91"),
        (">=0.91", " 0.910 "),
        ("> 0, < 1", "1e-3"),
        ("!= 3", "3.5"),
        ("= 3", "3.0"),
        ("<= -1.5", "-2"),
        ("< 0.3", "0.29999999999999999999"),
    ],
)
def test_allows(rule: str, value: str) -> None:
    assert parse_tag_rule(rule).refuses(value) == ""


@pytest.mark.parametrize(
    ("rule", "value", "reason"),
    [
        ("production", "Production", "is 'Production', not 'production'"),
        ("production", None, "is missing, not 'production'"),
        ("0.90", "0.9", "is '0.9', not '0.90'"),
        (">= 0.91", "0.9", "is '0.9', which is not >= 0.91"),
        (">= 0.91", "high", "is 'high', which is no number to hold against '>= 0.91'"),
        (">= 0.91", "nan", "is 'nan', which is no number to hold against '>= 0.91'"),
        (">= 0.91", "Infinity", "is 'Infinity', which is no number to hold against '>= 0.91'"),
        (">= 0.91", None, "is missing, not '>= 0.91'"),
        ("> 0, < 1", "1", "is '1', which is not < 1"),
        ("!= 3", "3.0", "is '3.0', which is not != 3"),
    ],
)
def test_refuses_with_a_reason(rule: str, value: str | None, reason: str) -> None:
    assert parse_tag_rule(rule).refuses(value) == reason


@pytest.mark.parametrize(
    ("rule", "position", "says"),
    [
        (">=", 2, "a number after >="),
        (">= high", 3, "a number after >="),
        (">= 1, high", 5, "a comparison with a number"),
        (">= 1 < 2", 5, "a comma between"),
        (">= 1,", 5, "a comparison with a number"),
        (">= 1.2.3", 6, "a comma between"),
    ],
)
def test_mark_stands_where_it_does_not_parse(rule: str, position: int, says: str) -> None:
    with pytest.raises(TagRuleError) as refused:
        parse_tag_rule(rule)
    assert refused.value.position == position
    assert says in refused.value.expected


@given(st.text(max_size=20) | st.from_regex(r"[<>=!]=? ?[0-9.,<>= ]*"), st.none() | st.text())
def test_any_text_is_a_rule_or_refused_and_any_value_gets_an_answer(
    text: str, value: str | None
) -> None:
    try:
        rule = parse_tag_rule(text)
    except TagRuleError as error:
        place = error.position
    else:
        place = 0
        assert isinstance(rule.refuses(value), str)
    assert 0 <= place <= len(text)
