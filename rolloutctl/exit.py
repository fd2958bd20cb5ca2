"""What every command ends with, and the errors that carry it."""

from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes, the same for every command. They are an API: never renumbered, only added."""

    OK = 0  # as asked; a rollout that was watched succeeded
    NO = 1  # the answer is no
    USAGE = 2  # the command line is wrong, or names what the app does not know
    REFUSED = 3  # the app refuses: who asks, or when
    UNREACHABLE = 4  # no answer, or none of the app's
    NEEDS_PERSON = 5  # a rollout that was watched errored
    INTERRUPTED = 130  # Ctrl-C, as shells count it


class CommandError(Exception):
    """A command cannot do what it was asked for; the message is what people read."""

    def __init__(self, text: str, *, code: Exit, problem: dict[str, Any] | None = None) -> None:
        """Take the sentence, what the command ends with, and the app's problem details."""
        super().__init__(text)
        self.code = code
        self.problem = problem if problem is not None else {"title": text}


class UsageError(CommandError):
    """The command line, or a file that it names, is wrong."""

    def __init__(self, text: str) -> None:
        """Take what was found and what would be right."""
        super().__init__(text, code=Exit.USAGE)


class UnreachableError(CommandError):
    """There was no answer, or none that the app would give."""

    def __init__(self, text: str, *, problem: dict[str, Any] | None = None) -> None:
        """Take what was asked, and what came instead."""
        super().__init__(text, code=Exit.UNREACHABLE, problem=problem)


class RefusedError(CommandError):
    """The app answered with problem details."""

    def __init__(self, text: str, *, status: int, problem: dict[str, Any]) -> None:
        """Take the sentence, the status and all that the app said."""
        refused = {401, 403, 409}
        super().__init__(
            text, code=Exit.REFUSED if status in refused else Exit.USAGE, problem=problem
        )
        self.status = status
