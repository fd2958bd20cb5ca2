"""Weights that somebody has set by hand: during a rollout, and without one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from deploy_logic.ledger.drift import Sighting, notice
from deploy_logic.ledger.record import Decision, Ledger, Tell
from deploy_logic.rollout import Operation, Phase, Request
from tests.builders import MONDAY
from tests.test_ledger_operation import a_kept, end, last, run, wanted

MINUTE = timedelta(minutes=1)
SET = {"blue": 90, "fraud-v7": 10}
BY_HAND = {"blue": 100}
REASON = "the weights were changed by hand: blue 100 (blue 90, fraud-v7 10 had been set)"
RUNNING = run(Ledger(), wanted("7"))


def seen(found: dict[str, int] = BY_HAND, expected: dict[str, int] = SET) -> Sighting:
    return Sighting(
        found=found,
        rollout_id=wanted("7").rollout_id,
        expected=expected,
        patience=2 * MINUTE,
    )


def looks(*sightings: Sighting, apart: timedelta = 5 * MINUTE) -> list[Decision]:
    """Return what follows from each of several sweeps."""
    ledger, decisions = RUNNING, []
    for number, one in enumerate(sightings):
        decisions.append(notice(ledger, one, at=MONDAY + number * apart))
        ledger = decisions[-1].ledger
    return decisions


def test_two_sweeps_that_see_the_same_freeze_the_rollout_once() -> None:
    first, second, third = looks(seen(), seen(), seen())
    assert (first.actions, third.actions) == ((), ())
    request = Request(operation=Operation.FREEZE, by="sweep", reason=REASON)
    assert second.actions == (Tell(rollout_id=wanted("7").rollout_id, request=request),)
    assert last(second) == ("freeze", REASON, "")


def test_difference_that_has_just_come_up_is_not_enough() -> None:
    assert [one.actions for one in looks(seen(), seen(), apart=MINUTE)] == [(), ()]
    *_, third = looks(seen(), seen(), seen(), apart=MINUTE)
    assert len(third.actions) == 1


def test_rollout_that_goes_on_meanwhile_was_only_not_read_back_yet() -> None:
    later = {"blue": 50, "fraud-v7": 50}
    assert looks(seen(later), seen(BY_HAND, later))[-1].actions == ()
    calm = looks(seen(), seen(SET), seen())
    assert [one.actions for one in calm] == [(), (), ()]
    assert calm[1].ledger.noticed is None


def test_other_weights_begin_anew() -> None:
    other = {"green": 100}
    assert [len(one.actions) for one in looks(seen(), seen(other), seen(other))] == [0, 0, 1]


def test_end_of_the_rollout_ends_it() -> None:
    ended = end(looks(seen())[-1].ledger).ledger
    assert ended.noticed is None
    assert notice(ended, seen(), at=MONDAY) == Decision(ledger=ended)


def test_sighting_of_another_time_is_worth_nothing() -> None:
    assert notice(RUNNING, Sighting(found=BY_HAND), at=MONDAY) == Decision(ledger=RUNNING)


def at_rest(**changes: Any) -> Ledger:
    return replace(end(RUNNING, serves="fraud-v7", kept=(a_kept("6"),)).ledger, **changes)


def test_weights_set_by_hand_without_a_rollout_are_adopted_and_said() -> None:
    sighting = Sighting(found={"fraud-v6": 100}, model="fraud", version="6")
    decision = notice(at_rest(), sighting, at=MONDAY)
    assert decision.actions == ()
    reason = "the weights were changed by hand: fraud-v6 100 (fraud-v7 100 before)"
    assert last(decision) == ("adopted", reason, "")
    ledger = decision.ledger
    assert ledger.stable is not None
    assert (ledger.stable.version, ledger.stable.phase) == ("6", Phase.SUCCEEDED)
    assert (ledger.serves, ledger.kept) == ({"fraud-v6": 100}, ())
    assert notice(ledger, sighting, at=MONDAY) == Decision(ledger=ledger)


def test_split_weights_are_said_and_leave_the_stable() -> None:
    before = at_rest()
    decision = notice(before, Sighting(found={"fraud-v6": 40, "fraud-v7": 60}), at=MONDAY)
    assert last(decision)[0] == "adopted"
    assert decision.ledger.stable == before.stable


def test_weights_that_were_not_known_are_no_change() -> None:
    decision = notice(at_rest(serves={}), Sighting(found={"fraud-v7": 100}), at=MONDAY)
    assert decision.ledger == at_rest()
