"""What `doctor` finds: one thing each, with the command that mends it."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands."""

    OK = "ok"
    BAD = "bad"
    UNKNOWN = "unknown"  # it could not be asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: State
    text: str
    mend: str = ""  # a command; of what is unknown, the one that shows it


def good(name: str, text: str) -> Finding:
    """Return a finding that needs nothing."""
    return Finding(name=name, state=State.OK, text=text)


def bad(name: str, text: str, mend: str = "") -> Finding:
    """Return a finding that needs somebody."""
    return Finding(name=name, state=State.BAD, text=text, mend=mend)


def unknown(name: str, text: str, mend: str = "") -> Finding:
    """Return what could not be found out."""
    return Finding(name=name, state=State.UNKNOWN, text=text, mend=mend)
