"""Name patterns: what they select, and where a bad one is bad."""

import pytest

from deploy_logic.errors import PatternError
from deploy_logic.pattern import NamePattern, PatternKind, PatternSet, parse_name_pattern

# pattern, names it selects, names it does not
SELECTS = [
    ("fraud", ["fraud"], ["Fraud", "fraud-eu", "fraud ", "frau", "my-fraud", ""]),
    ("team:fraud", ["team:fraud"], ["fraud"]),
    ("fraud-*", ["fraud-*"], ["fraud-eu"]),  # without a prefix it is a name
    ("glob:fraud", ["fraud"], ["fraud-eu", "Fraud", "xfraud"]),
    ("glob:fraud-*", ["fraud-eu", "fraud-", "fraud-a-b", "fraud-a\nb"], ["fraud", "my-fraud-eu"]),
    ("glob:*", ["fraud", "größe", "詐欺", "a.b"], []),
    ("glob:**", ["fraud"], []),
    ("glob:?", ["a", "é", "詐", "\U0001f600"], ["", "ab", "e\u0301"]),
    ("glob:fraud-?u", ["fraud-eu", "fraud-ru"], ["fraud-u", "fraud-eeu"]),
    ("glob:v[0-9]", ["v0", "v9"], ["va", "v", "v10"]),
    ("glob:v[!0-9]", ["va", "v-"], ["v0", "v"]),
    ("glob:[abc-]x", ["ax", "-x"], ["dx", "x"]),
    ("glob:[-a]x", ["-x", "ax"], ["bx"]),
    ("glob:[]]x", ["]x"], ["[x"]),
    ("glob:[!]]x", ["ax"], ["]x"]),
    ("glob:[[]x", ["[x"], ["]x"]),
    ("glob:[*]x", ["*x"], ["ax"]),
    ("glob:[?]x", ["?x"], ["ax"]),
    ("glob:[!!]x", ["ax"], ["!x"]),
    ("glob:[a^]x", ["ax", "^x"], ["bx"]),
    ("glob:a.b+(c)$", ["a.b+(c)$"], ["axb+(c)$", "a.b+c"]),
    ("glob:größ?", ["größe"], ["GRÖSSE"]),
    ("glob:[à-ü]", ["é"], ["e"]),
    ("glob:glob:x", ["glob:x"], ["x"]),
    ("regex:^fraud-(eu|us)$", ["fraud-eu", "fraud-us"], ["fraud-de", "my-fraud-eu", "fraud-eu-2"]),
    ("regex:fraud", ["fraud", "my-fraud-eu"], ["Fraud", "frau"]),  # found anywhere
    ("regex:(?i)^fraud$", ["FRAUD"], ["fraud-eu"]),
    ("regex:^a$", ["a"], ["a\n"]),  # the end of the name, not of a line
    ("regex:^.$", ["詐"], ["\n"]),
    ("regex:^(?P<team>[a-z]+):", ["ml:fraud"], ["fraud"]),
    (r"regex:^\d+$", ["123"], ["١٢٣", "a"]),
]

# pattern, position of the marker, what the message says
REFUSES = [
    ("", 0, "the name of a model"),
    ("glob:", 5, "something after the colon"),
    ("regex:", 6, "something after the colon"),
    ("Glob:fraud", 0, "glob:"),
    ("REGEX:fraud", 0, "regex:"),
    (" glob:fraud", 0, "glob:"),
    ("glob :fraud", 0, "glob:"),
    ("glob:fraud-[ab", 11, "a closing ]"),
    ("glob:fraud-[]", 11, "a closing ]"),
    ("glob:fraud-[!]", 11, "a closing ]"),
    ("glob:[^a]", 6, "! at the start"),
    ("glob:x[z-a]", 7, "z comes after a"),
    ("glob:x[0-9z-a]", 10, "z comes after a"),
    (r"glob:a\*", 6, "no backslash"),
    ("regex:^a(b", 10, "missing )"),
    ("regex:a)b(c)", 7, "unexpected )"),
    ("regex:(a)b)", 10, "unexpected )"),
    ("regex:a**", 7, "bad repetition operator"),
    ("regex:[z-a]", 7, "invalid character class range"),
    ("regex:fraud(?!-test)", 11, "without look-around"),
    (r"regex:(a)\1", 9, "back-references"),
    ("regex:a{1001}", 7, "invalid repetition size"),
    ("regex:((a{100}){100}){100}", None, "repetition"),
    ("a\ud800", 1, "half of a surrogate pair"),
    ("regex:\udfff", 6, "half of a surrogate pair"),
]


@pytest.mark.parametrize(
    ("pattern", "name"), [(pattern, name) for pattern, names, _ in SELECTS for name in names]
)
def test_selects(pattern: str, name: str) -> None:
    parsed = parse_name_pattern(pattern)
    assert parsed.matches(name)
    assert parsed.refuses(name) == ""
    assert PatternSet([parsed]).find(name) == [0]


@pytest.mark.parametrize(
    ("pattern", "name"), [(pattern, name) for pattern, _, names in SELECTS for name in names]
)
def test_does_not_select(pattern: str, name: str) -> None:
    parsed = parse_name_pattern(pattern)
    assert not parsed.matches(name)
    assert repr(name) in parsed.refuses(name)
    assert repr(pattern) in parsed.refuses(name)
    assert PatternSet([parsed]).find(name) == []


@pytest.mark.parametrize(("pattern", "position", "says"), REFUSES)
def test_bad_pattern_is_an_error_at_its_place(
    pattern: str, position: int | None, says: str
) -> None:
    with pytest.raises(PatternError) as refused:
        parse_name_pattern(pattern)
    assert says in str(refused.value)
    assert str(refused.value).splitlines()[-1] == " " * (refused.value.position + 2) + "^"
    str(refused.value).encode()  # can be printed
    if position is not None:
        assert refused.value.position == position


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("fraud", PatternKind.EXACT),
        ("glob:fraud-*", PatternKind.GLOB),
        ("regex:^fraud", PatternKind.REGEX),
        ("exact:fraud", PatternKind.EXACT),
        ("globe:fraud", PatternKind.EXACT),
    ],
)
def test_prefix_tells_the_kind(pattern: str, kind: PatternKind) -> None:
    parsed = parse_name_pattern(pattern)
    assert (parsed.text, parsed.kind) == (pattern, kind)


def test_a_pattern_is_a_value() -> None:
    assert parse_name_pattern("glob:a*") == parse_name_pattern("glob:a*")
    assert len({parse_name_pattern("glob:a*"), parse_name_pattern("glob:a*")}) == 1
    assert parse_name_pattern("glob:a*") != parse_name_pattern("glob:a?")


def test_name_that_was_meant_as_a_pattern_is_told_how_to_write_one() -> None:
    refusal = parse_name_pattern("fraud-*").refuses("fraud-eu")
    assert refusal == "model 'fraud-eu' is not 'fraud-*' (a pattern is written 'glob:fraud-*')"


@pytest.mark.parametrize("pattern", ["fraud", "glob:*", "regex:."])
def test_half_a_surrogate_pair_is_no_name(pattern: str) -> None:
    parsed = parse_name_pattern(pattern)
    assert not parsed.matches("\ud800")
    assert PatternSet([parsed]).find("\ud800") == []


def test_names_compare_exactly_and_not_by_normal_form() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert parse_name_pattern(composed).matches(composed)
    assert not parse_name_pattern(composed).matches(decomposed)
    assert not parse_name_pattern(f"glob:{composed}").matches(decomposed)


def test_pattern_that_would_explode_elsewhere_takes_its_steps_one_by_one() -> None:
    # (a+)+$ takes 2**n steps in an engine that backtracks: this would not end
    assert not parse_name_pattern("regex:^(a+)+$").matches("a" * 250 + "!")


def expensive(number: int) -> NamePattern:
    """Return a pattern of which a few dozen are too many for one RE2 set."""
    return parse_name_pattern(f"regex:(?:x{number}[^-]{{900}}){{1}}[é-ü]{{90}}$")


def test_patterns_too_many_for_one_set_are_parted() -> None:
    patterns = [expensive(number) for number in range(120)]
    patterns += [parse_name_pattern("glob:fraud-*")]
    many = PatternSet(patterns)
    assert len(many._sets) > 1
    assert many.find("fraud-eu") == [120]
    assert many.find("x7" + "a" * 900 + "é" * 90) == [7]


def test_set_that_ran_out_of_memory_is_asked_one_by_one() -> None:
    class Failing:
        def Match(self, name: str) -> list[int]:  # noqa: N802 - as RE2 calls it
            del name
            return []

    many = PatternSet([parse_name_pattern("glob:a*"), parse_name_pattern("glob:b*")])
    ((_, numbers),) = many._sets
    many._sets = [(Failing(), numbers)]
    assert many.find("ab") == [0]


def test_pattern_that_no_set_can_hold_is_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    import re2  # noqa: PLC0415 - only this test needs it

    class Refusing:
        def Add(self, pattern: str) -> None:  # noqa: N802 - as RE2 calls it
            del pattern

        def Compile(self) -> None:  # noqa: N802 - as RE2 calls it
            raise re2.error("failed to compile Set")

    monkeypatch.setattr(re2.Set, "SearchSet", lambda _options: Refusing())
    many = PatternSet([parse_name_pattern("glob:a*"), parse_name_pattern("b")])
    assert many.find("ab") == [0]
    assert many.find("b") == [1]
