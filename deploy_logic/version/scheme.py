"""Step 2 of 5: how a version is read, and from where. Pure.

What a scheme cannot read is a no with a reason, never an exception and never an order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol, assert_never

from semver import Version

_LONGEST = 255  # characters, as Azure ML allows; Python refuses to read over 4,300 digits
_WHOLE = re.compile(r"[0-9]+")
_NUMBER = r"(?:0|[1-9][0-9]*)"
_LABEL = r"(?:[0-9]*[A-Za-z-][0-9A-Za-z-]*|0|[1-9][0-9]*)"
PRERELEASE = rf"{_LABEL}(?:\.{_LABEL})*"
BUILD = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_SEMVER = re.compile(
    rf"v?({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({PRERELEASE}))?(?:\+({BUILD}))?"
)


class Scheme(StrEnum):
    """What versions are read as, and so how they are ordered."""

    INTEGER = "integer"
    SEMVER = "semver"
    ALPHABETICAL = "alphabetical"
    REGISTERED = "registered"  # by the time of registration


class Pick(StrEnum):
    """Which of two versions counts as the newer one."""

    HIGHEST = "highest"
    LOWEST = "lowest"


class Origin(StrEnum):
    """Where the text stands that is read."""

    VERSION = "version"
    TAG = "tag"
    PROPERTY = "property"


class Facts(Protocol):
    """What a rule may ask about a model version, as the workspace holds it."""

    @property
    def version(self) -> str:
        """The version as it was registered."""
        ...

    @property
    def tags(self) -> Mapping[str, str]:
        """Its tags."""
        ...

    @property
    def properties(self) -> Mapping[str, str]:
        """Its properties."""
        ...

    @property
    def created(self) -> datetime | None:
        """When it was registered; None when nobody says."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """What the scheme cannot read, and why."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the text stands: in the version itself, or in a tag or property of that name."""

    origin: Origin = Origin.VERSION
    name: str = ""

    def __str__(self) -> str:
        """Return the source as people write it."""
        return f"{self.origin}:{self.name}" if self.name else self.origin.value

    def find(self, model: Facts) -> str | None:
        """Return the text, or None when the model version has none."""
        match self.origin:
            case Origin.VERSION:
                return model.version
            case Origin.TAG:
                return model.tags.get(self.name)
            case Origin.PROPERTY:
                return model.properties.get(self.name)
            case _:
                assert_never(self.origin)

    def describe(self, version: str, text: str | None = None) -> str:
        """Return what the text is called in a sentence."""
        if self.origin is Origin.VERSION:
            return f"version {version}"
        shown = "" if text is None else f" ({text!r})"
        return f"{self.origin} {self.name!r} of version {version}{shown}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A version that was read."""

    subject: str  # what it is called in a sentence
    version: str
    text: str
    key: Any  # an int, a semver.Version, a text or a time: of one kind within a rule

    @property
    def rank(self) -> tuple[Any, str]:
        """Return what sorts: equal keys are put in order by the text of the version."""
        return self.key, self.version


def read_integer(text: str) -> int | Unreadable:
    """Return the whole number; `007` is refused, as it could not be told from 7."""
    if not _WHOLE.fullmatch(text) or len(text) > _LONGEST:
        return Unreadable(reason=f"is not a whole number of at most {_LONGEST} digits")
    if text != "0" and text.startswith("0"):
        return Unreadable(reason=f"is ambiguous with {text.lstrip('0') or '0'!r}")
    return int(text)


def read_semver(text: str) -> Version | Unreadable:
    """Return the semantic version (2.0.0); a leading v is accepted, blanks are not."""
    found = _SEMVER.fullmatch(text)
    if found is None or len(text) > _LONGEST:
        right = f"such as 1.2.0 or v1.2.0-rc.1, of at most {_LONGEST} characters"
        return Unreadable(reason=f"is not a semantic version {right}")
    major, minor, patch, prerelease, build = found.groups()
    return Version(int(major), int(minor), int(patch), prerelease, build)


def read_text(text: str) -> str | Unreadable:
    """Return the text, which anything but nothing is."""
    return text or Unreadable(reason="is empty")


def read_time(created: datetime | None) -> datetime | Unreadable:
    """Return the time of registration, in UTC when it does not say in which zone."""
    if created is None:
        return Unreadable(reason="has no time of registration")
    return created if created.tzinfo else created.replace(tzinfo=UTC)
