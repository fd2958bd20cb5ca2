"""Timer schedules: when they occur next."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.functions_host.schedule import ScheduleError, parse_schedule

NOON = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)  # a Sunday


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("* * * * * *", "2026-11-22T12:00:01"),
        ("0 */5 * * * *", "2026-11-22T12:05:00"),
        ("*/5 * * * *", "2026-11-22T12:05:00"),
        ("0 0 * * * *", "2026-11-22T13:00:00"),
        ("30 15 9 * * *", "2026-11-23T09:15:30"),
        ("0 0 9 * * Mon-Fri", "2026-11-23T09:00:00"),
        ("0 0 9 * * 0", "2026-11-29T09:00:00"),
        ("0 0 0 1 jan *", "2027-01-01T00:00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 0 0 1 * Monday", "2027-02-01T00:00:00"),
        ("0 5/20 * * * *", "2026-11-22T12:05:00"),
        ("0 45,50 11-12 * * *", "2026-11-22T12:45:00"),
        ("00:05:00", "2026-11-22T12:05:00"),
        ("1.00:00:00", "2026-11-23T12:00:00"),
    ],
)
def test_next_occurrence(schedule: str, expected: str) -> None:
    assert parse_schedule(schedule).after(NOON) == datetime.fromisoformat(f"{expected}+00:00")


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * *",
        "60 * * * * *",
        "* * * 0 * *",
        "* * * * * 7",
        "0 10-5 * * * *",
        "0 */0 * * * *",
        "0 0 0 * foo *",
        "00:00:00",
        "24:00:00",
    ],
)
def test_what_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(ScheduleError):
        parse_schedule(schedule)


def test_a_day_that_never_comes_is_refused() -> None:
    with pytest.raises(ScheduleError, match="never"):
        parse_schedule("0 0 0 31 2 *").after(NOON)


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    offset=st.integers(0, 3 * 86_400),
)
def test_daily_schedule_occurs_within_a_day_and_is_stable(
    minute: int, hour: int, offset: int
) -> None:
    moment = NOON + timedelta(seconds=offset)
    schedule = parse_schedule(f"0 {minute} {hour} * * *")
    found = schedule.after(moment)
    assert moment < found <= moment + timedelta(days=1)
    assert (found.hour, found.minute, found.second) == (hour, minute, 0)
    assert schedule.after(found) == found + timedelta(days=1)
