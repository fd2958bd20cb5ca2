"""Step 2 of 5: comparisons of whole numbers. Pure."""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from deploy_logic.errors import VersionRuleError
from deploy_logic.version.scheme import Unreadable, read_integer

EXPECTED = "latest, one version such as 7, or comparisons such as >= 3, < 10, != 7"

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_BLANKS = re.compile(r"\s*", re.ASCII)
_SIGN = re.compile(r"(>=|<=|!=|>|<|=)\s*", re.ASCII)
NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One comparison of a range."""

    sign: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparisons:
    """Comparisons that must all hold."""

    bounds: tuple[Bound, ...]

    def __str__(self) -> str:
        """Return them as people write them."""
        return ", ".join(f"{bound.sign} {bound.value}" for bound in self.bounds)

    def refuses(self, value: int) -> str:
        """Return which comparison does not hold, or nothing when all do."""
        for bound in self.bounds:
            if not _COMPARE[bound.sign](value, bound.value):
                return f"is not {bound.sign} {bound.value}"
        return ""


def parse_comparisons(text: str) -> Comparisons:
    """Return the comparisons; VersionRuleError marks the place that does not parse."""
    bounds: list[Bound] = []
    position = _skip(text, 0)
    while True:
        sign = _SIGN.match(text, position)
        if sign is None:
            raise VersionRuleError(text, position, EXPECTED)
        bounds.append(Bound(sign=sign[1], value=read_number(text, sign.end())))
        number = NUMBER.match(text, sign.end())
        position = _skip(text, number.end() if number else sign.end())
        if position == len(text):
            return Comparisons(bounds=tuple(bounds))
        if text[position] != ",":
            raise VersionRuleError(text, position, "a comma between comparisons")
        position = _skip(text, position + 1)


def read_number(text: str, position: int) -> int:
    """Return the whole number that stands there; VersionRuleError when there is none."""
    found = NUMBER.match(text, position)
    if found is None:
        raise VersionRuleError(text, position, "a whole number")
    value = read_integer(found[0])
    if isinstance(value, Unreadable):
        raise VersionRuleError(text, position, f"version {found[0]!r} {value.reason}")
    return value


def _skip(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return position if found is None else found.end()
