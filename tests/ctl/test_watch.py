"""Watching: live in a terminal, as lines elsewhere, through a break, and to every end."""

import json
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from rolloutctl.exit import Exit
from rolloutctl.online.follow import hearing_ctrl_c
from tests.ctl.app import OPERATOR, App
from tests.ctl.conftest import Done, Run
from tests.ctl.recorded import assert_golden
from tests.ctl.story import ID, LINES, failed, life, promoted, rollout, waiting
from tests.ctl.terminal import Terminal

FAST = ("--every", "50ms")


def watch(run: Run, *given: str) -> Done:
    return run("watch", ID, *FAST, *given)


def test_elsewhere_every_move_is_a_line_with_its_reason(app: App, run: Run) -> None:
    app.script = list(life())
    done = watch(run)
    assert done.code == Exit.OK
    assert "\x1b" not in done.out
    assert_golden("watch-plain", done.out.rstrip("\n"))


@pytest.mark.parametrize(
    ("phase", "code"),
    [
        ("succeeded", Exit.OK),
        ("failed", Exit.NO),
        ("superseded", Exit.NO),
        ("no_match", Exit.NO),
        ("errored", Exit.NEEDS_PERSON),
    ],
)
def test_it_ends_as_the_rollout_ended(app: App, run: Run, phase: str, code: Exit) -> None:
    app.script = [rollout(), failed(phase=phase)]
    done = watch(run)
    assert done.code == code
    assert done.out.splitlines()[-1].startswith(f"{phase}: error_rate: ")


def test_in_json_every_line_and_every_change_is_an_object(app: App, run: Run) -> None:
    app.script = [rollout(timeline=LINES[:2]), rollout(timeline=LINES[:2]), rollout(), promoted()]
    done = watch(run, "--json")
    told = [json.loads(one) for one in done.out.splitlines()]
    kinds = [one["kind"] for one in told]
    assert kinds == [*["line"] * 2, "rollout", *["line"] * 4, "line", "rollout"]
    assert [one["text"] for one in told if one["kind"] == "line"] == [
        one["text"] for one in promoted()["timeline"]
    ]
    last: dict[str, Any] = told[-1]["rollout"]
    assert (last["phase"], "timeline" in last) == ("succeeded", False)


def test_lines_that_went_by_unseen_are_counted(app: App, run: Run) -> None:
    app.script = [
        rollout(timeline=LINES[:2]),
        rollout(timeline=LINES[4:], timeline_left_out=4),
        promoted(),
    ]
    lines = watch(run).out.splitlines()
    assert "-- 2 lines went by unseen" in lines
    assert sum("probe 1" in one for one in lines) == 1
    assert sum("is at most 2 %" in one for one in lines) == 1


def test_a_break_is_said_and_outlived(app: App, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("rolloutctl.online.follow.time.sleep", slept.append)
    app.script = [rollout(timeline=LINES[:2]), promoted()]
    app.faults = [None, 503, 0]  # the first look stands; then it breaks twice
    done = watch(run)
    assert done.code == Exit.OK
    notes = [one for one in done.out.splitlines() if one.startswith("-- ")]
    assert len(notes) == 3
    assert "asking again in 1s" in notes[0]
    assert "asking again in 2s" in notes[1]
    assert notes[2] == "-- the app answers again"
    assert slept == [0.05, 1, 2]


def test_an_app_that_never_answered_is_not_waited_for(app: App, run: Run) -> None:
    app.faults = [503]
    done = watch(run)
    assert done.code == Exit.UNREACHABLE
    assert len(app.asked) == 1


def test_patience_has_an_end(app: App, run: Run) -> None:
    app.script = [rollout()]
    app.faults = [None, *[503] * 1000]
    done = watch(run, "--give-up", "100ms")
    assert done.code == Exit.UNREACHABLE


def test_a_refusal_is_final(app: App, run: Run) -> None:
    done = watch(run)
    assert (done.code, done.out) == (Exit.USAGE, "")
    assert len(app.asked) == 1


def test_on_an_endpoint_the_rollout_in_flight_is_watched(app: App, run: Run) -> None:
    app.rollouts = [promoted(rollout_id="old")]
    app.script = [rollout(), promoted()]
    done = run("watch", "--endpoint", "fraud", *FAST)
    assert done.code == Exit.OK
    assert done.out.startswith(f"{ID}: ")


def test_on_an_endpoint_at_rest_the_next_rollout_is_waited_for(app: App, home: Path) -> None:
    app.rollouts = [promoted(rollout_id="old")]
    with open_terminal(app, home, "watch", "--endpoint", "fraud", *FAST) as terminal:
        terminal.until(lambda text: "waiting for the next rollout" in text, "that it waits")
        app.script = [rollout(), promoted()]
        assert terminal.end() == Exit.OK


@pytest.mark.parametrize("given", [(), ("r-1", "--endpoint", "e"), ("r-1", "--every", "soon")])
def test_a_command_line_that_cannot_be_is_a_mistake(run: Run, given: tuple[str, ...]) -> None:
    assert run("watch", *given).code == Exit.USAGE


# In a terminal


def open_terminal(app: App, home: Path, *arguments: str, **given: str) -> Terminal:
    usual = {"ROLLOUTCTL_APP": app.url, "ROLLOUTCTL_TOKEN": OPERATOR, "HOME": str(home)}
    return Terminal(*arguments, given={**usual, **given})


def test_a_terminal_shows_a_picture_that_moves(app: App, home: Path) -> None:
    app.script = [rollout()]
    with open_terminal(app, home, "watch", ID, *FAST) as terminal:
        terminal.until(lambda text: "at weight 10" in text, "the bake")
        assert re.search(r"fraud-detector-v2  ██░+  10  candidate", terminal.shown)
        assert "▶ bake 10m, watched by" in terminal.shown
        assert b"\x1b[1m" in terminal.sent
        app.script = [waiting()]
        terminal.until(lambda text: "waits    approval to promote" in text, "what it waits for")
        assert terminal.shown.count("version  fraud-detector 2") == 1  # drawn over, not again
        assert "at weight 10" not in terminal.shown
        app.script = [promoted()]
        assert terminal.end() == Exit.OK
        assert "2026-11-23T09:44:10Z  weights read back" in terminal.text
        assert re.search(r"fraud-detector-v2  █+ 100  candidate", terminal.text)
        assert terminal.text.splitlines()[-1] == "succeeded"
    assert b"\x1b[?25h" in terminal.sent  # the cursor is there again


def test_without_colour_there_is_none(app: App, home: Path) -> None:
    app.script = [rollout(), promoted()]
    with open_terminal(app, home, "watch", ID, *FAST, NO_COLOR="1") as terminal:
        assert terminal.end() == Exit.OK
        assert "succeeded" in terminal.text
    found = set(re.findall(rb"\x1b\[([\d;]*)m", terminal.sent))
    colours = {code for codes in found for code in codes.split(b";") if code[:1] in b"3459"}
    assert (
        colours - {b"3", b"4", b"5", b"9"} == set()
    )  # 3x, 4x and 9x are colours, one digit is none


def test_a_dumb_terminal_gets_lines(app: App, home: Path) -> None:
    app.script = [rollout(), promoted()]
    with open_terminal(app, home, "watch", ID, *FAST, TERM="dumb") as terminal:
        assert terminal.end() == Exit.OK
    assert b"\x1b" not in terminal.sent
    assert b"succeeded: 'fraud-detector-v2' is the stable" in terminal.sent


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_is_lost_in_a_clean_up_is_heard_all_the_same() -> None:
    class Cleaned:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with hearing_ctrl_c() as check:
        check()
        Cleaned()
        with pytest.raises(KeyboardInterrupt):
            check()
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_leaves_the_rollout_alone(app: App, home: Path) -> None:
    app.script = [rollout()]
    with open_terminal(app, home, "watch", ID, *FAST) as terminal:
        terminal.until(lambda text: "at weight 10" in text, "the bake")
        terminal.interrupt()
        assert terminal.end() == Exit.INTERRUPTED
        assert f"the rollout goes on (rolloutctl watch {ID})" in terminal.text.replace("\n", "")
    assert app.posts() == []
    assert b"\x1b[?25h" in terminal.sent
