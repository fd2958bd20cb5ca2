"""The record of a rollout, and the table of operations."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deploy_logic.rollout import ALLOWED, Entry, Operation, Phase, Rollout, allows
from tests.builders import MONDAY, WORKSPACE

LATER = MONDAY + timedelta(minutes=5)
OVER = {"succeeded", "failed", "errored", "superseded", "no_match"}
# Stored strings are an API.
PHASES = OVER | {"pending", "preparing", "progressing", "waiting", "promoting", "rolling_back"}
TABLE = {
    "abort": {"pending", "preparing", "progressing", "waiting", "promoting"},
    "supersede": {"pending", "preparing", "progressing", "waiting", "promoting"},
    "approve": {"waiting"},
    "reject": {"waiting"},
    "pause": {"pending", "preparing", "progressing", "waiting", "promoting"},
    "resume": {"pending", "preparing", "progressing", "waiting", "promoting"},
    "promote_now": {"progressing", "waiting", "promoting"},
    "freeze": {"progressing", "waiting", "promoting"},
    "adopt": {"waiting"},
    "restore": {"waiting"},
    "turn": {"pending"},
}


def a_rollout() -> Rollout:
    return Rollout(
        rollout_id="r-1",
        workspace=WORKSPACE,
        endpoint="fraud",
        model="fraud",
        version="7",
        policy="fraud-prod",
        started=MONDAY,
    )


def test_stored_words_are_never_renamed() -> None:
    assert {phase.value for phase in Phase} == PHASES
    assert {operation.value for operation in Operation} == set(TABLE)


@pytest.mark.parametrize("phase", list(Phase))
def test_ends(phase: Phase) -> None:
    assert phase.is_over == (phase.value in OVER)


def test_every_operation_has_its_row() -> None:
    assert set(ALLOWED) == set(Operation)


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("operation", list(Operation))
def test_operation_table(operation: Operation, phase: Phase) -> None:
    assert allows(operation, phase) == (phase.value in TABLE[operation.value])


def test_entering_a_phase_is_dated_and_says_why() -> None:
    entered = a_rollout().enter(Phase.PREPARING, at=LATER, text="creating 'x'")
    assert (entered.phase, entered.reason, entered.ended) == (Phase.PREPARING, "creating 'x'", None)
    entry = Entry(at=LATER, text="creating 'x'", figures={"phase": "preparing"})
    assert entered.timeline == (entry,)


def test_entering_an_end_ends_it() -> None:
    assert a_rollout().enter(Phase.FAILED, at=LATER, text="it is bad").ended == LATER


def test_note_adds_one_line_with_its_figures_and_changes_nothing_else() -> None:
    before = a_rollout().enter(Phase.PROGRESSING, at=MONDAY, text="weight 10")
    after = before.note("read back", at=LATER, weights={"a": 100})
    assert after.timeline[:-1] == before.timeline
    assert after.timeline[-1] == Entry(at=LATER, text="read back", figures={"weights": {"a": 100}})
    assert replace(after, timeline=before.timeline) == before
