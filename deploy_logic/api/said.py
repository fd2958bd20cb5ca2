"""What people write into requests: bodies and query parameters, each refused with what is right."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy_logic.codec import Json
from deploy_logic.errors import EventError, OperationError
from deploy_logic.event import parse_json
from deploy_logic.operations.history import IN_FLIGHT, OVER, read_place

_LONGEST_TEXT = 500  # characters of one text in a body
_LONGEST_VALUE = 300  # of a query parameter
MOST_ROLLOUTS = 200  # on a page
STATES = {"in_flight": IN_FLIGHT, "over": OVER}
PHASES = sorted(IN_FLIGHT | OVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a query."""

    name: str
    text: str  # what it is, for people
    schema: Json
    read: Callable[[str], str]  # ValueError says what would be right
    default: str = ""


def read_body(body: bytes, *, most: int) -> Json:
    """Return the JSON object; OperationError 400 for anything else."""
    if len(body) > most:
        raise OperationError(f"the body has {len(body)} bytes (at most {most})", status=400)
    try:
        value = parse_json(body.decode("utf-8"))
    except (EventError, UnicodeDecodeError):
        value = None
    if not isinstance(value, dict):
        raise OperationError('the body is not a JSON object such as {"reason": "..."}', status=400)
    return value


def read_reason(body: Mapping[str, object]) -> str:
    """Return why something is asked for; OperationError 400 when that is not said."""
    reason = body.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise OperationError('a reason is needed (a body such as {"reason": "..."})', status=400)
    return reason.strip()[:_LONGEST_TEXT]


def read_said(body: Mapping[str, object]) -> dict[str, str]:
    """Return the texts of a body, a reason among them; OperationError 400 for anything else."""
    reason, said = read_reason(body), {}
    for key, value in body.items():
        if not isinstance(value, str):
            raise OperationError(f"{key!r} is no text", status=400)
        said[key] = value.strip()[:_LONGEST_TEXT]
    return {**said, "reason": reason}


def read_query(parameters: Sequence[Parameter], query: Mapping[str, str]) -> dict[str, str]:
    """Return every parameter's value, or its default; OperationError 400 for any other."""
    known = {one.name: one for one in parameters}
    for name in query:
        if name not in known:
            names = ", ".join(known) or "none"
            raise OperationError(f"{_quote(name)} is no parameter here ({names})", status=400)
    given = {}
    for name, one in known.items():
        try:
            given[name] = one.read(query[name]) if name in query else one.default
        except ValueError as error:
            text = f"{name} {_quote(query[name])}: {error}"
            raise OperationError(text, status=400) from error
    return given


def read_text(text: str) -> str:
    """Return a name as it is given."""
    if len(text) > _LONGEST_VALUE or not text.isprintable():
        raise ValueError(f"no name (at most {_LONGEST_VALUE} printable characters)")
    return text


def read_choice(choices: Sequence[str]) -> Callable[[str], str]:
    """Return a reader that takes these values alone."""

    def read(text: str) -> str:
        if text not in choices:
            raise ValueError(f"none of {', '.join(choices)}")
        return text

    return read


def read_time(text: str) -> str:
    """Return a moment in UTC; without a zone it is UTC already."""
    try:
        at = datetime.fromisoformat(text)
        at = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("no time (such as 2026-11-23T09:00:00Z or 2026-11-23)") from error
    return at.isoformat().replace("+00:00", "Z")


def read_limit(text: str) -> str:
    """Return how many are wanted on a page."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MOST_ROLLOUTS))
    if not is_number or not 1 <= int(text) <= MOST_ROLLOUTS:
        raise ValueError(f"no number from 1 to {MOST_ROLLOUTS}")
    return text


def read_cursor(text: str) -> str:
    """Return the place where the page begins."""
    try:
        read_place(text)
    except ValueError as error:
        raise ValueError("no place in the list (what next of the page before says)") from error
    return read_text(text)


def _quote(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= _LONGEST_VALUE else quoted[:_LONGEST_VALUE] + "…"
