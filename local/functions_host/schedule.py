"""Timer schedules: six-field NCRONTAB expressions and time spans, in UTC. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_SPAN = re.compile(r"(?:(?P<d>\d+)\.)?(?P<h>\d{1,2}):(?P<m>\d{1,2})(?::(?P<s>\d{1,2}))?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# (what it is called, lowest, highest, names of the values from the lowest on)
_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("second", 0, 59, ()),
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("day of week", 0, 6, _DAYS),
)
_HORIZON = 366 * 9  # days; leap days are at most eight years apart


class ScheduleError(ValueError):
    """An expression that is no schedule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    """A fixed interval."""

    interval: timedelta

    def after(self, moment: datetime) -> datetime:
        """Return the next occurrence after a moment."""
        return moment + self.interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """The moments whose every field is allowed: also day and day of week, as in NCRONTAB."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    days_of_week: frozenset[int]

    def after(self, moment: datetime) -> datetime:
        """Return the first occurrence after a moment; raises ScheduleError when there is none."""
        start = moment.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=1)
        for offset in range(_HORIZON):
            day = start.date() + timedelta(days=offset)
            if not self._allows(day):
                continue
            for found in self._times(day):
                if found >= start:
                    return found
        raise ScheduleError("the schedule never occurs")

    def _allows(self, day: date) -> bool:
        return (
            day.day in self.days
            and day.month in self.months
            and day.isoweekday() % 7 in self.days_of_week
        )

    def _times(self, day: date) -> Iterator[datetime]:
        for hour in self.hours:
            for minute in self.minutes:
                for second in self.seconds:
                    yield datetime(day.year, day.month, day.day, hour, minute, second, tzinfo=UTC)


type Schedule = Every | Cron


def parse_schedule(text: str) -> Schedule:
    """Read a schedule: `0 */5 * * * *`, `*/5 * * * *` (no seconds) or `00:05:00`."""
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        return _every(text, {name: int(value or 0) for name, value in span.groupdict().items()})
    fields = text.split()
    if len(fields) == len(_FIELDS) - 1:
        fields.insert(0, "0")
    if len(fields) != len(_FIELDS):
        raise ScheduleError(
            f"schedule {text!r}: {len(fields)} fields (five or six, or a time span)"
        )
    values = [_values(text, field, *kind) for field, kind in zip(fields, _FIELDS, strict=True)]
    seconds, minutes, hours, days, months, days_of_week = values
    return Cron(
        seconds=tuple(sorted(seconds)),
        minutes=tuple(sorted(minutes)),
        hours=tuple(sorted(hours)),
        days=frozenset(days),
        months=frozenset(months),
        days_of_week=frozenset(days_of_week),
    )


def _every(text: str, parts: dict[str, int]) -> Every:
    if parts["d"] == 0 and parts["h"] > 23:  # noqa: PLR2004 - .NET reads 24:00:00 as 24 days
        raise ScheduleError(f"schedule {text!r}: {parts['h']} hours (write days as d.hh:mm:ss)")
    interval = timedelta(days=parts["d"], hours=parts["h"], minutes=parts["m"], seconds=parts["s"])
    if interval <= timedelta():
        raise ScheduleError(f"schedule {text!r}: an interval of nothing")
    return Every(interval=interval)


def _values(
    text: str, field: str, name: str, low: int, high: int, names: tuple[str, ...]
) -> set[int]:
    values: set[int] = set()
    for part in field.lower().split(","):
        found = re.fullmatch(r"(\*|[a-z0-9]+(?:-[a-z0-9]+)?)(?:/(\d+))?", part)
        if found is None or found[2] == "0":
            raise ScheduleError(f"schedule {text!r}: {name}: {part!r} is not a value or a range")
        first, dash, last = found[1].partition("-")
        if first == "*":
            begin, end = low, high
        else:
            begin = _value(first, low, names)
            # NCRONTAB reads 5/15 as "from 5 on, every 15".
            end = _value(last, low, names) if dash else (high if found[2] else begin)
        if not low <= begin <= end <= high:
            raise ScheduleError(f"schedule {text!r}: {name}: {part!r} is not within {low}-{high}")
        values.update(range(begin, end + 1, int(found[2] or 1)))
    return values


def _value(text: str, low: int, names: tuple[str, ...]) -> int:
    if text.isdigit():
        return int(text)
    return names.index(text[:3]) + low if text[:3] in names else -1
