"""Windows: what people may write, when they are open, and when they open next."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.policy.window import Window, WindowError, is_open, next_open, parse_window

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = "Mon-Fri 08:00-17:00 Europe/Berlin"
NIGHT = "Mon-Thu 22:00-04:00 Europe/Berlin"
HOLIDAYS = "2026-12-18..2027-01-06 Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


# 2026-11-23 is a Monday
@pytest.mark.parametrize(
    ("window", "moment", "is_inside"),
    [
        (OFFICE, "2026-11-23 08:00", True),
        (OFFICE, "2026-11-23 07:59", False),
        (OFFICE, "2026-11-23 16:59:59", True),
        (OFFICE, "2026-11-23 17:00", False),
        (OFFICE, "2026-11-28 12:00", False),
        ("Sat,Sun Europe/Berlin", "2026-11-29 00:00", True),
        ("Sat,Sun Europe/Berlin", "2026-11-30 00:00", False),
        ("Fri-Mon Europe/Berlin", "2026-11-23 12:00", True),
        ("Fri-Mon Europe/Berlin", "2026-11-24 12:00", False),
        ("Mon-Tue,Fri 00:00-24:00 Europe/Berlin", "2026-11-27 23:59", True),
        ("09:00-10:00 UTC", "2026-11-23 10:30", True),
        ("09:00-10:00 UTC", "2026-07-20 11:30", True),
        (NIGHT, "2026-11-23 21:59", False),
        (NIGHT, "2026-11-23 22:00", True),
        (NIGHT, "2026-11-27 03:59", True),  # the night that began on Thursday
        (NIGHT, "2026-11-27 22:00", False),
        (NIGHT, "2026-11-23 03:00", False),  # the night that began on Sunday
        (HOLIDAYS, "2026-12-17 23:59", False),
        (HOLIDAYS, "2026-12-18 00:00", True),
        (HOLIDAYS, "2027-01-06 23:59", True),
        (HOLIDAYS, "2027-01-07 00:00", False),
        ("2026-12-24 14:00-24:00 Europe/Berlin", "2026-12-24 15:00", True),
        ("2026-12-24 14:00-24:00 Europe/Berlin", "2026-12-25 15:00", False),
    ],
)
def test_window_is_open(window: str, moment: str, is_inside: bool) -> None:  # noqa: FBT001 - a table's column
    assert parse_window(window).contains(at(moment)) is is_inside


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("", 0, "days, hours and a zone"),
        ("Mon-Fri", 7, "days, hours and a zone"),
        ("Mon-Fri 08:00-17:00", 8, "a time zone"),
        ("Mo-Fri 08:00-17:00 UTC", 0, "one of Mon, Tue"),
        ("Mon-Fr 08:00-17:00 UTC", 4, "one of Mon, Tue"),
        ("Mon,,Fri UTC", 4, "one of Mon, Tue"),
        ("Mon, UTC", 4, "one of Mon, Tue"),
        ("Mon-Fri 8:00-17:00 UTC", 8, "hours such as 08:00-17:00"),
        ("Mon-Fri 08:00-17 UTC", 8, "hours such as 08:00-17:00"),
        ("Mon-Fri 08:60-17:00 UTC", 8, "a time from 00:00 to 24:00"),
        ("Mon-Fri 08:00-24:01 UTC", 14, "a time from 00:00 to 24:00"),
        ("Mon-Fri 24:00-08:00 UTC", 8, "from 00:00 to 23:59"),
        ("Mon-Fri 08:00-08:00 UTC", 8, "hours that differ"),
        ("Mon-Fri 08:00-17:00 x UTC", 20, "days, hours and a zone"),
        ("2026-02-30 UTC", 0, "a date of the calendar"),
        ("2026-02-01..2026-02-30 UTC", 12, "a date of the calendar"),
        ("2026-02-02..2026-02-01 UTC", 0, "the earlier date first"),
        ("Mon Europe/Berln", 4, "Europe/Berlin"),
        ("Mon Europe", 4, "a time zone"),
        ("Mon localtime", 4, "a time zone"),
        ("Mon ../../etc/passwd", 4, "a time zone"),
        ("Mon +01:00", 4, "a time zone"),
    ],
)
def test_mark_stands_where_it_does_not_parse(text: str, position: int, says: str) -> None:
    with pytest.raises(WindowError) as refused:
        parse_window(text)
    assert refused.value.position == position
    assert says in refused.value.expected


@pytest.mark.parametrize("value", [None, 5, ["Mon UTC"], {}], ids=str)
def test_window_is_text(value: object) -> None:
    with pytest.raises(WindowError):
        parse_window(value)


@given(st.text(max_size=40) | st.from_regex(r"(Mon|Fri|-|,|0|:| |UTC|2026-01-0)+"))
def test_any_text_is_read_or_refused_with_its_place(text: str) -> None:
    try:
        found: Window | WindowError = parse_window(text)
    except WindowError as error:
        found = error
    if isinstance(found, WindowError):
        assert 0 <= found.position <= len(text)
        assert found.expected
    else:
        assert found.text == text


def windows(*texts: str) -> tuple[Window, ...]:
    return tuple(parse_window(text) for text in texts)


def test_denied_counts_more_than_allowed() -> None:
    moment = at("2026-12-21 12:00")
    assert is_open(windows(OFFICE), (), moment)
    assert not is_open(windows(OFFICE), windows(HOLIDAYS), moment)
    assert is_open((), (), moment)
    assert is_open((), windows(NIGHT), moment)


@pytest.mark.parametrize(
    ("allow", "deny", "moment", "opens"),
    [
        ((OFFICE,), (), "2026-11-23 09:30", "2026-11-23 09:30"),
        ((OFFICE,), (), "2026-11-27 17:00", "2026-11-30 08:00"),
        ((OFFICE,), (HOLIDAYS,), "2026-12-17 18:00", "2027-01-07 08:00"),
        ((), (HOLIDAYS,), "2026-12-20 12:00", "2027-01-07 00:00"),
        ((NIGHT,), (), "2026-11-27 05:00", "2026-11-30 22:00"),
        ((OFFICE, "Sat 10:00-11:00 Europe/Berlin"), (), "2026-11-27 18:00", "2026-11-28 10:00"),
        # the clocks go forward on 2027-03-28: 02:30 is not there, and 03:30 is what it comes to
        (("Sun 02:30-04:00 Europe/Berlin",), (), "2027-03-28 00:00", "2027-03-28 03:30"),
    ],
)
def test_opens_next(allow: tuple[str, ...], deny: tuple[str, ...], moment: str, opens: str) -> None:
    assert next_open(windows(*allow), windows(*deny), at(moment)) == at(opens).astimezone(UTC)


def test_what_is_over_never_opens_again() -> None:
    assert next_open(windows("2026-01-01 UTC"), (), at("2026-11-23 09:00")) is None
    assert next_open((), windows("Mon-Sun UTC"), at("2026-11-23 09:00")) is None


_spans = st.sampled_from([OFFICE, NIGHT, "Sat,Sun UTC", "22:00-23:30 America/New_York", "Wed UTC"])
_moments = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31)).map(  # noqa: DTZ001 - the next line gives the zone
    lambda one: one.replace(tzinfo=UTC, second=0, microsecond=0)
)


@given(st.lists(_spans, max_size=2), st.lists(_spans, max_size=2), _moments)
def test_next_opening_is_open_and_nothing_before_it_is(
    allow: list[str], deny: list[str], moment: datetime
) -> None:
    given_, against = windows(*allow), windows(*deny)
    opens = next_open(given_, against, moment)
    if opens is None:
        return
    assert opens >= moment
    assert is_open(given_, against, opens)
    probes = (moment + (opens - moment) * part / 7 for part in range(7))
    assert not any(is_open(given_, against, one) for one in probes if one < opens - timedelta(0))
