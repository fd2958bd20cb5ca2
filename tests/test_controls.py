"""The stop switch and suspended policies."""

import pytest

from deploy_logic.ledger.controls import (
    ALLOWED_WHEN,
    Control,
    Controls,
    Turned,
    find_bar,
    refuse_turn,
    turn,
)
from deploy_logic.ledger.record import Barred, Mark, Reply
from tests.builders import MONDAY

SINCE = "by ann since 2026-11-23T09:00:00Z: because"


def turned(control: str, policy: str = "") -> Turned:
    return Turned(control=Control(control), by="ann", reason="because", at=MONDAY, policy=policy)


STOPPED = turn(Controls(), turned("stop"))
SUSPENDED = turn(Controls(), turned("suspend", "p"))


def test_every_control_has_its_row() -> None:
    assert set(ALLOWED_WHEN) == set(Control)


@pytest.mark.parametrize(
    ("controls", "one", "reason"),
    [
        (STOPPED, turned("stop"), f"everything is stopped already, {SINCE}"),
        (Controls(), turned("go_on"), "nothing is stopped"),
        (SUSPENDED, turned("suspend", "p"), f"policy 'p' is suspended already, {SINCE}"),
        (SUSPENDED, turned("resume", "q"), "policy 'q' is not suspended"),
    ],
    ids=lambda value: value.control if isinstance(value, Turned) else "",
)
def test_what_is_so_already_is_refused_and_changes_nothing(
    controls: Controls, one: Turned, reason: str
) -> None:
    assert refuse_turn(controls, one) == reason
    assert turn(controls, one) == controls


def test_who_turned_what_is_remembered() -> None:
    assert STOPPED.stopped == Mark(by="ann", reason="because", at=MONDAY)
    on = turn(STOPPED, turned("go_on"))
    assert on.stopped is None
    assert on.lines == (turned("stop"), turned("go_on"))


def test_policies_are_suspended_one_by_one() -> None:
    both = turn(SUSPENDED, turned("suspend", "q"))
    assert set(both.suspended) == {"p", "q"}
    assert set(turn(both, turned("resume", "p")).suspended) == {"q"}


def test_bar() -> None:
    assert find_bar(Controls(), "p") is None
    assert find_bar(SUSPENDED, "q") is None
    suspended = Barred(reply=Reply.SUSPENDED, reason=f"policy 'p' is suspended {SINCE}")
    assert find_bar(SUSPENDED, "p") == suspended
    stopped = Barred(reply=Reply.STOPPED, reason=f"everything is stopped {SINCE}")
    assert find_bar(turn(SUSPENDED, turned("stop")), "p") == stopped


def test_lines_are_bounded() -> None:
    controls = Controls()
    for _ in range(150):
        controls = turn(turn(controls, turned("stop")), turned("go_on"))
    assert len(controls.lines) == 200
