"""Every exception of ours. An expected "no" is a value, not an exception.

RolloutError
├── InputError            somebody wrote something wrong; raised at the door, never later
│   ├── SettingsError     an app setting
│   ├── EventError        an Event Grid message
│   ├── PolicyError       policy files; carries every complaint
│   ├── PatternError      a name pattern; marks the place
│   └── VersionRuleError  a version rule; marks the place
├── OperationError        what was asked is not possible now, or not for this person
└── WorkspaceError        Azure did not do as asked, and asking again will not help
    └── TransientError    the same, but asking again may help: the engine asks again
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


class RolloutError(Exception):
    """The root of the tree."""


class InputError(RolloutError):
    """Somebody wrote something wrong; the message says what was given and what would be right."""


class SettingsError(InputError):
    """App settings are missing or unreadable; the message names every one of them."""


class EventError(InputError):
    """An event claims to be a registration and contradicts itself or lacks what it must say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One thing wrong in one policy file."""

    file: str
    line: int  # counted from 1
    column: int  # counted from 1
    path: str  # such as strategy.steps[1].weight
    given: str  # as it was written
    expected: str  # what would be right
    kind: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Return the complaint as one line that editors can jump to."""
        place = f"{self.file}:{self.line}:{self.column}"
        warning = "" if self.kind == "error" else "warning: "
        return f"{place}: {warning}{self.path}: {self.given} ({self.expected})"


class PolicyError(InputError):
    """Policies that cannot be used, with every complaint of every file."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        """Keep the complaints in the order of the files."""
        super().__init__("\n".join(str(complaint) for complaint in complaints))
        self.complaints = tuple(complaints)


class VersionRuleError(InputError):
    """A version rule that does not parse; the message shows the rule with a marker."""

    def __init__(self, rule: str, position: int, expected: str, *, key: str = "") -> None:
        """Mark the place, counted in characters from 0; of a long form, in the value of a key."""
        start = f"{key}: " if key else ""
        super().__init__(f"{start}{rule!r}: {expected}\n  {rule}\n  {' ' * position}^")
        self.key = key
        self.rule = rule
        self.position = position
        self.expected = expected


class PatternError(InputError):
    """A name pattern that does not parse; the message shows it with a marker."""

    def __init__(self, pattern: str, position: int, expected: str) -> None:
        """Mark the place, counted in characters from 0."""
        super().__init__(f"{pattern!r}: {expected}\n  {pattern}\n  {' ' * position}^")
        self.pattern = pattern
        self.position = position
        self.expected = expected


class OperationError(RolloutError):
    """What was asked cannot be done; status is the HTTP status that says so."""

    def __init__(self, message: str, *, status: int, **members: object) -> None:
        """Keep the status: 401, 403, 404, 409 or 400; members say the same to programs, as JSON."""
        super().__init__(message)
        self.status = status
        self.members = members


class WorkspaceError(RolloutError):
    """Azure refused or failed; code is its own word for it (such as OutOfQuota)."""

    def __init__(self, message: str, *, code: str = "", status: int | None = None) -> None:
        """Keep the service's code and the HTTP status, when there were any."""
        super().__init__(message)
        self.code = code
        self.status = status


class TransientError(WorkspaceError):
    """Azure could not do it now: throttled, busy, unreachable or out of order for a moment."""

    def __init__(
        self, message: str, *, code: str = "", retry_after: timedelta = timedelta(0)
    ) -> None:
        """Keep how long Azure asks us to wait; zero when it does not say."""
        super().__init__(message, code=code)
        self.retry_after = retry_after
