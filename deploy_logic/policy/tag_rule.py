"""Step 2 of 5: what a tag must be: a text, or a number held against bounds. Pure."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

EXPECTED = "a comparison with a number such as >= 0.91, or several with commas between"

_COMPARE: dict[str, Callable[[Decimal, Decimal], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_SIGN = re.compile(r"\s*(>=|<=|!=|>|<|=)\s*", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,50}(?:\.[0-9]{0,50})?|\.[0-9]{1,50})(?:[eE][+-]?[0-9]{1,3})?"
)


class TagRuleError(ValueError):
    """A comparison that cannot be read."""

    def __init__(self, position: int, expected: str) -> None:
        """Mark the place, counted in characters from 0."""
        super().__init__(expected)
        self.position = position
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRule:
    """A parsed rule: bounds for a number, or else exactly this text."""

    text: str
    bounds: tuple[tuple[str, Decimal], ...] = ()

    def refuses(self, value: str | None) -> str:
        """Return why a tag's value does not do, in words that follow its name; or nothing."""
        if value is None:
            return f"is missing, not {self.text!r}"
        if not self.bounds:
            return "" if value == self.text else f"is {value!r}, not {self.text!r}"
        if _NUMBER.fullmatch(value.strip()) is None:
            return f"is {value!r}, which is no number to hold against {self.text!r}"
        number = Decimal(value.strip())
        for sign, bound in self.bounds:
            if not _COMPARE[sign](number, bound):
                return f"is {value!r}, which is not {sign} {bound}"
        return ""


def parse_tag_rule(text: str) -> TagRule:
    """Return the rule; what begins with a sign is a comparison, or a TagRuleError."""
    if _SIGN.match(text) is None:
        return TagRule(text=text)
    bounds: list[tuple[str, Decimal]] = []
    position = 0
    while True:
        sign = _SIGN.match(text, position)
        if sign is None:
            raise TagRuleError(min(position, len(text)), EXPECTED)
        number = _NUMBER.match(text, sign.end())
        if number is None:
            raise TagRuleError(min(sign.end(), len(text)), f"a number after {sign[1]}")
        bounds.append((sign[1], Decimal(number[0])))
        position = number.end() + len(text[number.end() :]) - len(text[number.end() :].lstrip())
        if position == len(text):
            return TagRule(text=text, bounds=tuple(bounds))
        if text[position] != ",":
            raise TagRuleError(position, "a comma between comparisons, and nothing after them")
        position += 1
