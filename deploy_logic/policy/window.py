"""Step 2 of 5: spans of the week or the calendar as people write them. Pure.

`Mon-Fri 08:00-17:00 Europe/Berlin`, `Sat,Sun Europe/Berlin`, `22:00-06:00 UTC`,
`2026-12-20..2027-01-03 Europe/Berlin`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EXPECTED = "days, hours and a zone, such as Mon-Fri 08:00-17:00 Europe/Berlin"
_HOURS = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_DATES = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?", re.ASCII)
_ZONE = re.compile(r"[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*", re.ASCII)
_WHOLE_DAY = (0, 24 * 60)
_LOOK_AHEAD = 400  # days: no window is further apart than a year, but for dates long over


class WindowError(ValueError):
    """A window that cannot be read."""

    def __init__(self, position: int, expected: str) -> None:
        """Mark the place, counted in characters from 0."""
        super().__init__(expected)
        self.position = position
        self.expected = expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When it is open, in minutes from midnight of its own zone; a day is 0 for Monday."""

    text: str
    zone: str
    days: frozenset[int] = frozenset(range(7))
    start: int = 0
    end: int = 24 * 60  # not above start: on the next day
    first: date | None = None
    last: date | None = None

    def contains(self, moment: datetime) -> bool:
        """Whether it is open then. What begins before midnight belongs to the day it begins."""
        local = moment.astimezone(_open_zone(self.zone))
        minute = local.hour * 60 + local.minute
        today = local.date()
        if self.start < self.end:
            return self._has(today) and self.start <= minute < self.end
        yesterday = today - timedelta(days=1)
        is_late = minute >= self.start and self._has(today)
        return is_late or (minute < self.end and self._has(yesterday))

    def edges(self, day: date) -> tuple[datetime, datetime]:
        """Return when it opens and closes on a day, whether or not it is a day of its own."""
        zone = _open_zone(self.zone)
        midnight = datetime.combine(day, time(), zone)
        is_next = self.end <= self.start
        ends = midnight + timedelta(minutes=self.end) + timedelta(days=int(is_next))
        return (midnight + timedelta(minutes=self.start)).astimezone(UTC), ends.astimezone(UTC)

    def _has(self, day: date) -> bool:
        if self.first is not None and day < self.first:
            return False
        if self.last is not None and day > self.last:
            return False
        return day.weekday() in self.days


def is_open(allow: Iterable[Window], deny: Iterable[Window], moment: datetime) -> bool:
    """Whether a rollout may start: inside of what is allowed, if anything is, and never denied."""
    allowed = tuple(allow)
    is_allowed = not allowed or any(window.contains(moment) for window in allowed)
    return is_allowed and not any(window.contains(moment) for window in deny)


def next_open(allow: Iterable[Window], deny: Iterable[Window], moment: datetime) -> datetime | None:
    """Return the first moment from this one on that is open; None: not within about a year."""
    allowed, denied = tuple(allow), tuple(deny)
    if is_open(allowed, denied, moment):
        return moment
    today = moment.astimezone(UTC).date()
    days = [today + timedelta(days=number) for number in range(-1, _LOOK_AHEAD)]
    edges = {edge for window in (*allowed, *denied) for day in days for edge in window.edges(day)}
    later = (edge for edge in sorted(edges) if edge > moment)
    return next((edge for edge in later if is_open(allowed, denied, edge)), None)


def parse_window(text: object) -> Window:
    """Return the window; WindowError marks the place that does not parse."""
    if not isinstance(text, str):
        raise WindowError(0, EXPECTED)
    words = [(found.start(), found[0]) for found in re.finditer(r"\S+", text)]
    if len(words) < 2:  # noqa: PLR2004 - a span and its zone
        raise WindowError(len(text.rstrip()), EXPECTED)
    zone = _read_zone(*words.pop())
    days, hours = frozenset(range(7)), _WHOLE_DAY
    first, last = None, None
    if _DATES.fullmatch(words[0][1]):
        first, last = _read_dates(*words.pop(0))
    elif not words[0][1][0].isdigit():
        days = _read_days(*words.pop(0))
    if words:
        hours = _read_hours(*words.pop(0))
    if words:
        raise WindowError(words[0][0], EXPECTED)
    return Window(
        text=text, zone=zone, days=days, start=hours[0], end=hours[1], first=first, last=last
    )


def _read_days(position: int, text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in re.finditer(r"[^,]*", text):
        if not part[0] and part.start() != 0 and text[part.start() - 1 : part.start()] != ",":
            continue  # the nothing after a part
        first, dash, last = part[0].partition("-")
        start = _read_day(position + part.start(), first)
        end = _read_day(position + part.start() + len(first) + 1, last) if dash else start
        found |= {day % 7 for day in range(start, end + (7 if end < start else 0) + 1)}
    return frozenset(found)


def _read_day(position: int, text: str) -> int:
    if text not in DAYS:
        raise WindowError(position, f"one of {', '.join(DAYS)}, as in Mon-Fri or Sat,Sun")
    return DAYS.index(text)


def _read_hours(position: int, text: str) -> tuple[int, int]:
    found = _HOURS.fullmatch(text)
    if found is None:
        raise WindowError(position, "hours such as 08:00-17:00")
    start = _read_clock(position, found[1], found[2])
    end = _read_clock(position + 6, found[3], found[4])
    if start == 24 * 60:
        raise WindowError(position, "hours that begin from 00:00 to 23:59")
    if start == end:
        raise WindowError(position, "hours that differ; for the whole day leave them out")
    return start, end


def _read_clock(position: int, hour: str, minute: str) -> int:
    value = int(hour) * 60 + int(minute)
    if int(minute) >= 60 or value > 24 * 60:  # noqa: PLR2004 - minutes of an hour
        raise WindowError(position, "a time from 00:00 to 24:00")
    return value


def _read_dates(position: int, text: str) -> tuple[date, date]:
    found = _DATES.fullmatch(text)
    first, last = (found[1], found[2] or found[1]) if found else ("", "")
    dates = []
    for offset, one in ((0, first), (text.rfind(last), last)):
        try:
            dates.append(date.fromisoformat(one))
        except ValueError as error:
            expected = "a date of the calendar, such as 2026-12-20"
            raise WindowError(position + offset, expected) from error
    if dates[1] < dates[0]:
        raise WindowError(position, "the earlier date first")
    return dates[0], dates[1]


def _open_zone(name: str) -> "ZoneInfo":
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - most policies have no windows

    return ZoneInfo(name)


def _read_zone(position: int, text: str) -> str:
    """Return the zone; the machine's own is none, since it differs from machine to machine."""
    try:
        if _ZONE.fullmatch(text) is not None:
            _open_zone(text)
            return text
    except (OSError, ValueError, KeyError):  # a folder; not a file of zones; not found
        pass
    import difflib  # noqa: PLC0415 - most policies have no windows, and none a wrong one
    import zoneinfo  # noqa: PLC0415 - as above

    near = difflib.get_close_matches(text, sorted(zoneinfo.available_timezones()), n=1)
    shown = near[0] if near else "Europe/Berlin or UTC"
    raise WindowError(position, f"a time zone, such as {shown}")
