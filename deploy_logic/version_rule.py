"""Step 2 of 5: "which versions". Parse a rule once, ask it about a version. Pure.

The scheme here is `integer`: whole numbers of any size. What it cannot read is a no with a reason,
never an exception and never an order.
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from deploy_logic.errors import VersionRuleError

EXPECTED = "latest, one version such as 7, or comparisons such as >= 3, < 10, != 7"

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_COMPARISON = re.compile(r"\s*(>=|<=|!=|>|<|=)\s*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_MOST_DIGITS = 255  # a version is at most that long; Python refuses to read over 4,300 digits


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A version that the scheme cannot read, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One comparison of a range."""

    sign: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRule:
    """A parsed rule. No bounds means latest; a pinned version means exactly that one."""

    text: str
    bounds: tuple[Bound, ...] = ()
    pinned: int | None = None

    def refuses(self, version: str) -> str:
        """Return why the rule does not allow the version, or nothing when it does."""
        value = read_integer(version)
        if isinstance(value, Unreadable):
            return value.reason
        if self.pinned is not None and value != self.pinned:
            return f"version {version} is not {self.pinned}, which the rule pins"
        for bound in self.bounds:
            if not _COMPARE[bound.sign](value, bound.value):
                return f"version {version} is not {bound.sign} {bound.value}"
        return ""

    def refuses_after(self, version: str, stable: str) -> str:
        """Return why the version may not follow the stable, or nothing when it may.

        latest and every range also mean newer than the stable; a pinned version does not.
        """
        if self.pinned is not None:
            return ""
        value, served = read_integer(version), read_integer(stable)
        if isinstance(value, Unreadable):
            return value.reason
        if isinstance(served, Unreadable):
            return f"the stable's {served.reason}, so nothing counts as newer"
        if value <= served:
            relation = "already the stable" if value == served else f"older than {stable}"
            return f"version {version} is {relation}"
        return ""


def parse_version_rule(text: str) -> VersionRule:
    """Return the rule; VersionRuleError marks the place that does not parse."""
    written = text.strip()
    if written == "latest":
        return VersionRule(text=text)
    if _NUMBER.fullmatch(written):
        return VersionRule(text=text, pinned=_number(text, text.index(written)))
    bounds: list[Bound] = []
    position = 0
    while True:
        sign = _COMPARISON.match(text, position)
        if sign is None:
            raise VersionRuleError(text, min(position, len(text)), EXPECTED)
        value = _number(text, sign.end())
        bounds.append(Bound(sign=sign[1], value=value))
        number = _NUMBER.match(text, sign.end())
        rest = text[number.end() if number else sign.end() :]
        if not rest.strip():
            return VersionRule(text=text, bounds=tuple(bounds))
        position = len(text) - len(rest) + len(rest) - len(rest.lstrip())
        if text[position] != ",":
            raise VersionRuleError(text, position, "a comma between comparisons")
        position += 1


def print_version_rule(rule: VersionRule) -> str:
    """Return the rule in its plainest form, which parses to the same rule."""
    if rule.pinned is not None:
        return str(rule.pinned)
    return ", ".join(f"{bound.sign} {bound.value}" for bound in rule.bounds) or "latest"


def read_integer(version: str) -> int | Unreadable:
    """Return the whole number; `007` is refused, as it could not be told from 7."""
    if not _NUMBER.fullmatch(version) or len(version) > _MOST_DIGITS:
        return Unreadable(reason=f"version {version!r} is not a whole number")
    if version != "0" and version.startswith("0"):
        return Unreadable(reason=f"version {version!r} is ambiguous with {version.lstrip('0')!r}")
    return int(version)


def _number(text: str, position: int) -> int:
    found = _NUMBER.match(text, position)
    if found is None:
        raise VersionRuleError(text, position, "a whole number")
    value = read_integer(found[0])
    if isinstance(value, Unreadable):
        raise VersionRuleError(text, position, value.reason)
    return value
