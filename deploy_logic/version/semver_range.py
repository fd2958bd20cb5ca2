"""Step 2 of 5: ranges of semantic versions, as node-semver reads them in its strict mode. Pure.

The grammar and what each range means: https://github.com/npm/node-semver#ranges
"""

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from semver import Version

from deploy_logic.errors import VersionRuleError
from deploy_logic.version.scheme import BUILD, PRERELEASE

_COMPARE: dict[str, Callable[[Version, Version], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "": operator.eq,
}
_BLANKS = re.compile(r"[ \t\r\n\f\v]*")
_HYPHEN = re.compile(r"[ \t\r\n\f\v]+-[ \t\r\n\f\v]+")
_SIGN = re.compile(r"~>?|\^|[<>]=?|=")
_NUMBER = r"0|[1-9][0-9]{0,254}|[xX*]"
_PARTIAL = re.compile(
    rf"v?({_NUMBER})(?:\.({_NUMBER})(?:\.({_NUMBER})(?:-({PRERELEASE}))?)?)?(?:\+{BUILD})?"
)
_EXPECTED = "a version or a part of one, such as 1.2.3, 1.2 or 1.x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparator:
    """One bound; without a sign, exactly that version."""

    sign: str
    version: Version

    def __str__(self) -> str:
        """Return it in node-semver's canonical form."""
        return f"{self.sign}{self.version}"

    def holds(self, version: Version) -> bool:
        """Whether the version is on the right side."""
        return _COMPARE[self.sign](version, self.version)


type Comparators = tuple[Comparator, ...]

_NOTHING = Comparator(sign="<", version=Version(0, 0, 0, "0"))  # no version is below
_AT_LEAST_0 = Comparator(sign=">=", version=Version(0, 0, 0))  # says nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class SemverRange:
    """A parsed range: one of the sets must hold as a whole; an empty set always does."""

    written: str
    sets: tuple[Comparators, ...]

    def __str__(self) -> str:
        """Return it in node-semver's canonical form; * is empty there."""
        return "||".join(" ".join(map(str, comparators)) for comparators in self.sets)

    def refuses(self, version: Version) -> str:
        """Return why the version is not in the range, or nothing when it is."""
        inside = [one for one in self.sets if all(bound.holds(version) for bound in one)]
        if any(_allows_prerelease(one, version) for one in inside):
            return ""
        reason = f"is not in {self.written!r}"
        if inside:  # but for its being a pre-release
            core = version.finalize_version()
            reason += f", which asks for no pre-release of {core}"
        return reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Partial:
    """A version of which parts may be missing or x."""

    major: int | None
    minor: int | None
    patch: int | None
    prerelease: str | None
    end: int

    @property
    def full(self) -> Version | None:
        """Return the version when no part is missing."""
        if self.major is None or self.minor is None or self.patch is None:
            return None
        return Version(self.major, self.minor, self.patch, self.prerelease)

    @property
    def lowest(self) -> Version:
        """Return the lowest release that it stands for."""
        return Version(self.major or 0, self.minor or 0, self.patch or 0, self.prerelease)

    @property
    def next(self) -> Version:
        """Return the release that follows all that it stands for, when its patch is missing."""
        if self.minor is None:
            return Version((self.major or 0) + 1)
        return Version(self.major or 0, self.minor + 1)


def parse_semver_range(text: str) -> SemverRange:
    """Return the range; VersionRuleError marks the place that does not parse."""
    sets: list[Comparators] = []
    position = 0
    while True:
        comparators, position = _parse_set(text, position)
        sets.append(_normalise(comparators))
        if position == len(text):
            return SemverRange(written=text.strip(), sets=_combine(sets))
        position += len("||")


def _allows_prerelease(comparators: Comparators, version: Version) -> bool:
    """Whether it is a release, or a bound of the set is a pre-release of the same one."""
    core = version.finalize_version()
    return not version.prerelease or any(
        one.version.prerelease and one.version.finalize_version() == core for one in comparators
    )


def _parse_set(text: str, start: int) -> tuple[list[Comparator], int]:
    """Return the comparators up to the next || or the end, and where that is."""
    found: list[Comparator] = []
    position = _skip(text, start)
    begin = position
    while position < len(text) and not text.startswith("||", position):
        sign = _SIGN.match(text, position)
        at = position if sign is None else _skip(text, sign.end())
        partial = _parse_partial(text, at)
        hyphen = _HYPHEN.match(text, partial.end)
        if begin == position and sign is None and hyphen is not None:
            return _parse_hyphen(text, partial, hyphen.end())
        found += _expand(text, sign[0] if sign else "", partial, at)
        position = _end_of_comparator(text, partial.end)
    return found, position


def _parse_hyphen(text: str, low: _Partial, position: int) -> tuple[list[Comparator], int]:
    """Return what `1.2 - 3.4` means, which must be all between two ||."""
    high = _parse_partial(text, position)
    end = _skip(text, high.end)
    if end < len(text) and not text.startswith("||", end):
        raise VersionRuleError(text, end, "|| or the end after a range with a hyphen")
    below = [] if low.major is None else [Comparator(sign=">=", version=low.lowest)]
    if high.major is None:
        return below, end
    if high.full is not None:
        return [*below, Comparator(sign="<=", version=high.full)], end
    return [*below, _below(high.next)], end


def _parse_partial(text: str, position: int) -> _Partial:
    found = _PARTIAL.match(text, position)
    if found is None:
        raise VersionRuleError(text, position, _EXPECTED)
    major, minor, patch = (_number(part) for part in found.group(1, 2, 3))
    minor = None if major is None else minor
    patch = None if minor is None else patch
    prerelease = None if patch is None else found[4]  # of an x-range it says nothing
    return _Partial(major=major, minor=minor, patch=patch, prerelease=prerelease, end=found.end())


def _number(part: str | None) -> int | None:
    return None if part is None or part in "xX*" else int(part)


def _end_of_comparator(text: str, position: int) -> int:
    """Return where the next one begins; a blank must be between two."""
    begin = _skip(text, position)
    if begin == position and begin < len(text) and not text.startswith("||", begin):
        expected = "a blank between comparisons, || between ranges, or the end"
        raise VersionRuleError(text, position, expected)
    return begin


def _expand(text: str, sign: str, partial: _Partial, position: int) -> list[Comparator]:
    """Return the plain bounds that one comparison with its sign stands for."""
    if sign in {"^", "~", "~>"}:
        return _expand_compatible(sign, partial)
    _check_order(text, position)
    if partial.major is None:
        return [_NOTHING] if sign in {"<", ">"} else []
    if partial.full is not None:
        return [Comparator(sign="" if sign == "=" else sign, version=partial.full)]
    return _expand_x_range(sign, partial)


def _expand_x_range(sign: str, partial: _Partial) -> list[Comparator]:
    """Return what a comparison with all releases of 1 or 1.2 stands for."""
    match sign:
        case ">":
            return [Comparator(sign=">=", version=partial.next)]
        case ">=":
            return [Comparator(sign=">=", version=partial.lowest)]
        case "<":
            return [_below(partial.lowest)]
        case "<=":
            return [_below(partial.next)]
        case _:
            return _between(partial.lowest, partial.next)


def _expand_compatible(sign: str, partial: _Partial) -> list[Comparator]:
    """Return what `^` (left-most part that is not 0 stays) and `~` (minor stays) stand for."""
    if partial.major is None:
        return []
    highest = Version(partial.major + 1)
    if partial.minor is not None and (sign != "^" or partial.major == 0):
        highest = Version(partial.major, partial.minor + 1)
        if sign == "^" and partial.minor == 0 and partial.patch is not None:
            highest = Version(0, 0, partial.patch + 1)
    return _between(partial.lowest, highest)


def _between(low: Version, high: Version) -> list[Comparator]:
    return [Comparator(sign=">=", version=low), _below(high)]


def _below(high: Version) -> Comparator:
    """Return what keeps out the release and its pre-releases too."""
    return Comparator(sign="<", version=high.replace(prerelease="0"))


def _check_order(text: str, position: int) -> None:
    """Refuse a number after an x, such as 1.x.5: nobody could say what it means."""
    found = _PARTIAL.match(text, position)
    parts = [] if found is None else [part for part in found.group(1, 2, 3) if part]
    for number, part in enumerate(parts[:-1], 1):
        if found is not None and part in "xX*" and parts[number] not in {"x", "X", "*"}:
            raise VersionRuleError(text, found.start(number + 1), f"x or nothing after {part}")


def _normalise(comparators: list[Comparator]) -> Comparators:
    """Return each bound once, without what says nothing; a set that allows nothing says so."""
    if _NOTHING in comparators:
        return (_NOTHING,)
    return tuple(dict.fromkeys(one for one in comparators if one != _AT_LEAST_0))


def _combine(sets: list[Comparators]) -> tuple[Comparators, ...]:
    """Return the sets without those that allow nothing; * takes the place of all, as in node."""
    useful = [one for one in sets if one != (_NOTHING,)]
    if () in useful:
        return ((),)
    return tuple(useful) or (sets[0],)


def _skip(text: str, position: int) -> int:
    found = _BLANKS.match(text, position)
    return position if found is None else found.end()
