"""What an attempt to deliver came to, and what Event Grid makes of it. Pure."""

from dataclasses import dataclass
from datetime import timedelta

_TAKEN = frozenset({200, 201, 202, 203, 204})
# A destination of the Azure kind is not tried again after these; 401 is, unlike for webhooks.
_HOPELESS = {
    400: "UndeliverableDueToHttpBadRequest",
    403: "UndeliverableDueToHttpForbidden",
    413: "UndeliverableDueToHttpRequestEntityTooLarge",
}
# After some answers Event Grid waits longer than its schedule says.
_AT_LEAST = {
    401: timedelta(minutes=5),
    404: timedelta(minutes=5),
    408: timedelta(minutes=2),
    503: timedelta(seconds=30),
}
_WORDS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    408: "TimedOut",
    413: "PayloadTooLarge",
    503: "Busy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An answer's status, or why there was none."""

    status: int | None = None
    word: str = ""

    @classmethod
    def of_status(cls, status: int) -> "Outcome":
        """Return the outcome of an answer."""
        word = "Success" if status in _TAKEN else _WORDS.get(status, "GenericError")
        return cls(status=status, word=word)

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has the events."""
        return self.status in _TAKEN

    @property
    def final_reason(self) -> str | None:
        """Why there will be no other attempt; None when there may be."""
        return None if self.status is None else _HOPELESS.get(self.status)

    @property
    def least_pause(self) -> timedelta:
        """How long to wait at least."""
        return timedelta() if self.status is None else _AT_LEAST.get(self.status, timedelta())
