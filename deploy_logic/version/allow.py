"""Step 2 of 5: what a version rule allows, in the words of its scheme. Pure."""

from dataclasses import dataclass
from typing import assert_never

from semver import Version

from deploy_logic.errors import PatternError, VersionRuleError
from deploy_logic.pattern import NamePattern, PatternKind, parse_name_pattern
from deploy_logic.version.integer_range import NUMBER, Comparisons, parse_comparisons, read_number
from deploy_logic.version.scheme import Scheme, Unreadable, read_semver
from deploy_logic.version.semver_range import SemverRange, parse_semver_range

LATEST = "latest"
_EXPRESSION = "latest, *, or regex: and an expression such as regex:^2026-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anything:
    """Whatever the scheme reads: latest."""

    def __str__(self) -> str:
        """Return it as people write it."""
        return LATEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Exactly:
    """One version and no other."""

    value: int | Version

    def __str__(self) -> str:
        """Return it as people write it."""
        return str(self.value)


type Allow = Anything | Exactly | Comparisons | SemverRange | NamePattern


def print_allow(allow: Allow) -> str:
    """Return it as people write it."""
    match allow:
        case SemverRange():
            return allow.written
        case NamePattern():
            return allow.text
        case _:
            return str(allow)


def read_allow(scheme: Scheme, written: object) -> Allow:
    """Return what the scheme allows by it; VersionRuleError marks the place that does not parse."""
    if isinstance(written, int) and not isinstance(written, bool):
        written = str(written)
    if not isinstance(written, str):  # YAML reads 1.10 as the number 1.1
        raise VersionRuleError(str(written), 0, "text in quotes, such as '1.10'", key="allow")
    try:
        match scheme:
            case Scheme.INTEGER:
                return read_integer_range(written)
            case Scheme.SEMVER:
                return _read_semver_range(written)
            case Scheme.ALPHABETICAL | Scheme.REGISTERED:
                return _read_expression(written)
            case _:
                assert_never(scheme)
    except VersionRuleError as error:
        raise VersionRuleError(error.rule, error.position, error.expected, key="allow") from error


def read_integer_range(text: str) -> Anything | Exactly | Comparisons:
    """Return what the short form allows; a bare number pins it."""
    written = text.strip()
    if written == LATEST:
        return Anything()
    if NUMBER.fullmatch(written):
        return Exactly(value=read_number(text, text.index(written)))
    return parse_comparisons(text)


def _read_semver_range(text: str) -> Exactly | SemverRange:
    """Return the range; a whole version without a sign pins it."""
    if text.strip() == LATEST:
        return SemverRange(written=LATEST, sets=((),))
    pinned = read_semver(text.strip())
    if not isinstance(pinned, Unreadable):
        return Exactly(value=pinned)
    return parse_semver_range(text)


def _read_expression(text: str) -> Anything | NamePattern:
    if text.strip() in {LATEST, "*"}:
        return Anything()
    if not text.startswith(f"{PatternKind.REGEX}:"):
        raise VersionRuleError(text, 0, _EXPRESSION)
    try:
        return parse_name_pattern(text)
    except PatternError as error:
        raise VersionRuleError(error.pattern, error.position, error.expected) from error
