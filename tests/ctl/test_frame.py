"""What `show` and `watch` draw, as text; the files in frames/ are what was last agreed on."""

from datetime import UTC, datetime

import pytest

from rolloutctl.online.frame import Look, write
from rolloutctl.words import ASCII, UNICODE, bar, clean, find_signs, print_length
from tests.ctl.recorded import assert_golden
from tests.ctl.story import Json, failed, promoted, rollout, waiting

NOW = datetime(2026, 11, 23, 9, 50, 20, tzinfo=UTC)
LOOK = Look(now=NOW, signs=UNICODE)
MOMENTS: dict[str, Json] = {
    "baking": rollout(),
    "waiting": waiting(),
    "promoted": promoted(),
    "failed": failed(),
    "paused": rollout(paused_by="oid-1", attempt=2),
    "mirrored": rollout(mirror={"fraud-detector-v2": 20}, weights={"fraud-detector-v1": 100}),
    "first": rollout(stable="", weights={}, steps=[], measured={}, bake=None, phase="pending"),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_moment_is_drawn_as_agreed(name: str) -> None:
    assert_golden(name, write(MOMENTS[name], LOOK))


def test_a_narrow_terminal_wraps_what_is_long() -> None:
    text = write(MOMENTS["baking"], LOOK, width=60)
    assert_golden("baking-60", text)
    assert max(map(len, text.splitlines())) <= 60


def test_an_output_without_unicode_gets_other_signs() -> None:
    text = write(MOMENTS["baking"], Look(now=NOW, signs=find_signs("ascii")))
    assert_golden("baking-ascii", text)
    assert text.isascii()


@pytest.mark.parametrize(
    ("encoding", "signs"), [("utf-8", UNICODE), ("latin-1", ASCII), (None, ASCII)]
)
def test_signs_are_those_that_the_output_can_show(encoding: str | None, signs: object) -> None:
    assert find_signs(encoding) is signs


def test_what_a_terminal_would_obey_is_not_shown() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\nnext"
    shown = failed(reason=evil, policy=evil, steps=[evil], model=evil)
    shown["measured"] = {evil: {"verdict": evil, "reason": evil}}
    shown["awaits"] = {**waiting()["awaits"], "text": evil, "approvers": [evil], "figures": evil}
    text = write(shown, LOOK)
    assert "owned" in text
    assert all(one.isprintable() or one == "\n" for one in text)
    assert clean(evil) == " ]0;owned  [2J next"


def test_a_bake_that_should_be_over_is_about_to_end() -> None:
    late = Look(now=datetime(2026, 11, 23, 9, 59, tzinfo=UTC), signs=UNICODE)
    assert "about to end of 10m 00s at weight 10" in write(rollout(), late)


def test_a_field_that_an_older_app_lacks_is_no_mistake() -> None:
    shown = rollout()
    for key in ("bake", "possible", "mirror", "measured", "paused_by", "awaits"):
        del shown[key]
    assert "weights" in write(shown, LOOK)


@pytest.mark.parametrize(
    ("part", "drawn"),
    [(0, "....."), (0.001, "#...."), (0.5, "##..."), (0.99, "####."), (1, "#####"), (7, "#####")],
)
def test_a_bar_is_empty_only_of_nothing_and_full_only_of_all(part: float, drawn: str) -> None:
    signs = ASCII.__class__(full="#", empty=".", done="", now="", next="", bad="")
    assert bar(part, width=5, signs=signs) == drawn


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0s"), (-5, "0s"), (59, "59s"), (61, "1m 01s"), (3600, "1h 00m"), (90061, "1d 01h")],
)
def test_a_length_of_time_has_its_two_greatest_units(seconds: int, words: str) -> None:
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    end = datetime.fromtimestamp(epoch.timestamp() + seconds, UTC)
    assert print_length(end - epoch) == words
