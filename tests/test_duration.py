"""Lengths of time: what people may write, and that it is printed so that it reads back."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.duration import parse_duration, print_duration

YEAR = timedelta(days=365)


@pytest.mark.parametrize(
    ("written", "length"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("1m5ms", timedelta(minutes=1, milliseconds=5)),
        ("90s", timedelta(seconds=90)),
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("2d", timedelta(days=2)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("0s", timedelta(0)),
        ("007m", timedelta(minutes=7)),
        (" 5m\n", timedelta(minutes=5)),
        ("PT10M", timedelta(minutes=10)),
        ("pt10m", timedelta(minutes=10)),
        ("P1DT2H", timedelta(days=1, hours=2)),
        ("PT0.5S", timedelta(seconds=0.5)),
        ("PT0.000001S", timedelta(microseconds=1)),
        ("365d", YEAR),
    ],
    ids=str,
)
def test_people_may_write(written: str, length: timedelta) -> None:
    assert parse_duration(written) == length


@pytest.mark.parametrize(
    "written",
    [
        *("", " ", "10", "m", "10 m", "1h 30m", "30m1h", "1m1m", "-5m", "+5m", "1.5h", "10M", "1w"),
        *("P", "PT", "P1M", "P1Y", "PT5", "PT1.5M", "PT-1S", "T5S", "PT0.0000001S"),
        *(
            "\u0665m",
            "1e3s",
            "366d",
            "8761h",
            "PT31536001S",
            "9" * 400 + "d",
            "10m;",
            "ten minutes",
        ),
    ],
    ids=lambda written: written[:20] or "empty",
)
def test_everything_else_is_refused_with_what_was_written(written: str) -> None:
    with pytest.raises(ValueError, match=r"10m, 1h30m, 2d or PT10M") as refused:
        parse_duration(written)
    assert str(refused.value).startswith(repr(written))


@pytest.mark.parametrize(
    ("length", "printed"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(hours=24), "1d"),
        (timedelta(days=2, seconds=1), "2d1s"),
        (timedelta(seconds=0.5), "500ms"),
        (timedelta(seconds=61.25), "1m1s250ms"),
        (timedelta(microseconds=500), "PT0.000500S"),
    ],
    ids=str,
)
def test_printed_in_its_shortest_form(length: timedelta, printed: str) -> None:
    assert print_duration(length) == printed


@given(st.timedeltas(min_value=timedelta(0), max_value=YEAR))
def test_what_is_printed_reads_back(length: timedelta) -> None:
    assert parse_duration(print_duration(length)) == length


@given(st.text())
def test_any_text_is_read_or_refused_with_a_value_error(text: str) -> None:
    try:
        length = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) <= length <= YEAR
