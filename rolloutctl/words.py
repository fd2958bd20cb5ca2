"""Texts of the terminal: columns, bars, lengths of time, and nothing that a terminal would obey."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

type Json = dict[str, Any]

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_ALL = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Signs:
    """What bars and steps are drawn with."""

    full: str
    empty: str
    done: str
    now: str
    next: str
    bad: str


UNICODE = Signs(full="█", empty="░", done="✓", now="▶", next="·", bad="✗")
ASCII = Signs(full="#", empty="-", done="+", now=">", next=".", bad="x")


def find_signs(encoding: str | None) -> Signs:
    """Return the signs that an output of this encoding can show."""
    try:
        f"{UNICODE.full}{UNICODE.empty}{UNICODE.done}{UNICODE.now}".encode(encoding or "")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def clean(text: object) -> str:
    """Return the text without control characters.

    Reasons quote logs of models and answers of services: what a terminal would obey is not shown.
    """
    return "".join(one if one.isprintable() else " " for one in str(text))


def columns(rows: Sequence[Sequence[object]]) -> str:
    """Return the rows as columns; the last one is as long as it is."""
    texts = [[clean(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in texts]
    return "\n".join(lines)


def bar(part: float, *, width: int, signs: Signs) -> str:
    """Return a bar of which that part, from 0 to 1, is full; only nothing is shown as nothing."""
    count = round(min(max(part, 0.0), 1.0) * width)
    if part > 0:
        count = max(count, 1)
    if part < 1:
        count = min(count, width - 1)
    return signs.full * count + signs.empty * (width - count)


def weight_bar(weight: int, *, width: int, signs: Signs) -> str:
    """Return a bar for a weight, a whole percent."""
    return bar(weight / _ALL, width=width, signs=signs)


def print_length(length: timedelta) -> str:
    """Return the two greatest units of a length of time, such as 4m 05s."""
    rest = max(round(length.total_seconds()), 0)
    counts = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        counts.append((count, unit))
    while len(counts) > 1 and counts[0][0] == 0:
        del counts[0]
    (count, unit), *following = counts[:2]
    return " ".join([f"{count}{unit}", *(f"{count:02}{unit}" for count, unit in following)])


def read_time(text: str) -> datetime:
    """Return the time that the app wrote."""
    return datetime.fromisoformat(text)


def print_time(text: str | None) -> str:
    """Return a time of the app to the second, in UTC."""
    if not text:
        return "-"
    return f"{read_time(text).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def lasted(shown: Json, now: datetime) -> str:
    """Return how long a rollout took, or has taken until now."""
    end = read_time(shown["ended"]) if shown.get("ended") else now
    return print_length(end - read_time(shown["started"]))
