"""Stories in which people come in: approvals, pauses, promotion now, weights changed by hand."""

from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.rollout import Operation
from tests.test_orchestrator import is_rolled_back, shifts, texts
from tests.test_story_gates import ERRORS, FAIL, Gated

LEADS = {"approvers": ["group:ml-leads"], "deadline": "4h"}
HOUR = timedelta(hours=1)


def asked_to_promote(**approval: Any) -> Gated:
    tale = Gated(weights=(10,), bake="10m", approval={"promote": {**LEADS, **approval}})
    tale.offer()
    tale.world.run(HOUR)
    assert tale.run.context.status["phase"] == "waiting"
    return tale


def is_waiting(tale: Gated) -> bool:
    tale.world.run(timedelta(minutes=1))
    return bool(tale.run.context.status["phase"] == "waiting")


def test_nothing_is_created_before_it_is_approved() -> None:
    tale = Gated(approval={"before": LEADS})
    tale.offer()
    tale.world.run(HOUR)
    assert tale.awaits()["what"] == "approval before anything is created"
    assert tale.awaits()["approvers"] == ["group:ml-leads"]
    assert "create_deployment" not in tale.workspace.calls
    tale.answer(Operation.APPROVE, claims=("group:ml-leads",))
    tale.world.run()
    assert tale.result()["phase"] == "succeeded"


def test_promotion_waits_for_its_approval_at_the_last_step() -> None:
    tale = asked_to_promote()
    assert tale.weights() == {"blue": 90, "fraud-v7": 10}
    tale.answer(Operation.APPROVE, claims=("group:ml-leads",))
    tale.world.run()
    assert (tale.result()["phase"], tale.weights()) == ("succeeded", {"fraud-v7": 100})


def test_rejected_promotion_rolls_back() -> None:
    tale = asked_to_promote()
    tale.answer(Operation.REJECT, claims=("group:ml-leads",))
    tale.world.run()
    assert tale.result()["reason"] == "rejected by ann: looks wrong"
    is_rolled_back(tale)


def test_approval_that_does_not_come_in_time_is_a_no() -> None:
    tale = asked_to_promote()
    tale.world.run()
    assert tale.result()["reason"] == "no approval to promote within 4h"
    is_rolled_back(tale)


@pytest.mark.parametrize("operation", [Operation.APPROVE, Operation.REJECT])
def test_answer_of_somebody_who_was_not_asked_does_not_count(operation: Operation) -> None:
    tale = asked_to_promote()
    tale.answer(operation, claims=("group:interns",))
    assert is_waiting(tale)
    tale.world.run()
    refused = f"{operation} by ann does not count: only group:ml-leads may answer"
    assert refused in texts(tale.result())


def test_quorum_needs_different_people() -> None:
    tale = asked_to_promote(quorum=2)
    for _ in range(2):
        tale.answer(Operation.APPROVE, by="ann", claims=("group:ml-leads",))
        assert is_waiting(tale)
    assert tale.awaits()["approved_by"] == ["ann"]
    tale.answer(Operation.APPROVE, by="bob", claims=("group:ML-Leads",))
    tale.world.run()
    assert tale.result()["phase"] == "succeeded"


def test_whoever_registered_the_version_may_not_approve_it() -> None:
    tale = Gated(approval={"promote": {**LEADS, "not_by_requester": True}}, weights=(10,))
    tale.workspace.register("7", by="ann")
    tale.offer()
    tale.world.run(HOUR)
    tale.answer(Operation.APPROVE, by="Ann", claims=("group:ml-leads",))
    assert is_waiting(tale)
    tale.answer(Operation.APPROVE, by="bob", claims=("group:ml-leads",))
    tale.world.run()
    assert tale.result()["phase"] == "succeeded"


def test_answer_from_before_the_question_does_not_count() -> None:
    tale = Gated(weights=(10,), bake="30m", approval={"promote": LEADS})
    tale.offer()
    tale.world.run(timedelta(minutes=20))
    tale.ask(Operation.APPROVE, claims=("group:ml-leads",))
    tale.world.run(HOUR)
    assert tale.run.context.status["phase"] == "waiting"


def test_pause_stays_where_it_is_and_resume_goes_on() -> None:
    tale = Gated(weights=(10, 50), bake="10m")
    tale.when("progressing", lambda: tale.ask(Operation.PAUSE))
    tale.offer()
    tale.world.run(timedelta(hours=3))
    assert tale.weights() == {"blue": 90, "fraud-v7": 10}
    assert tale.run.context.status["paused_by"] == "ann"
    tale.ask(Operation.RESUME)
    tale.world.run()
    assert tale.result()["phase"] == "succeeded"


def test_gates_are_measured_while_paused() -> None:
    tale = Gated(ERRORS, weights=(10, 50), bake="10m")
    tale.when("progressing", lambda: tale.ask(Operation.PAUSE))
    tale.offer()
    tale.world.run(timedelta(hours=2))
    tale.verdicts["error_rate 1"] = [FAIL]
    tale.world.run()
    assert tale.result()["reason"] == FAIL.reason
    is_rolled_back(tale)


def test_pause_that_nobody_ends_is_ended_by_the_deadline() -> None:
    tale = Gated(weights=(10,), deadline="3h")
    tale.when("progressing", lambda: tale.ask(Operation.PAUSE))
    result = tale.tell()
    assert (result["phase"], result["reason"]) == ("failed", "the deadline of 3h has passed")
    is_rolled_back(tale)


@pytest.mark.parametrize("phase", ["progressing", "waiting"])
def test_promote_now_leaves_out_what_remains(phase: str) -> None:
    tale = Gated(ERRORS, bake="1h", final_bake="1h", approval={"promote": LEADS})
    tale.when(phase, lambda: tale.ask(Operation.PROMOTE_NOW))
    result = tale.tell()
    assert (result["phase"], tale.weights()) == ("succeeded", {"fraud-v7": 100})
    assert any("promoted now by ann: looks wrong" in text for text in texts(result))
    if phase == "progressing":
        assert shifts(tale) == [{"blue": 90, "fraud-v7": 10}, {"blue": 0, "fraud-v7": 100}]


def test_promotion_asked_for_while_the_candidate_is_made_is_left_aside() -> None:
    tale = Gated(weights=(10, 50))
    tale.when("preparing", lambda: tale.ask(Operation.PROMOTE_NOW))
    result = tale.tell()
    assert "promote_now is not possible while preparing: left aside" in texts(result)
    assert [weights["fraud-v7"] for weights in shifts(tale)] == [10, 50, 100]


def drifted() -> Gated:
    """Tell of a rollout whose weights somebody changes by hand while it bakes at 10."""
    tale = Gated(weights=(10, 50), bake="30m")
    tale.offer()
    tale.world.run(timedelta(minutes=20))
    tale.workspace.endpoints["fraud"].weights = {"blue": 70, "fraud-v7": 30}
    return tale


@pytest.mark.parametrize("is_seen_by", ["the sweep", "the next shift"])
def test_weights_changed_by_hand_freeze_the_rollout(is_seen_by: str) -> None:
    tale = drifted()
    if is_seen_by == "the sweep":
        tale.ask(Operation.FREEZE)
    tale.world.run(HOUR)
    assert tale.awaits()["what"] == "weights"
    assert "{'blue': 70, 'fraud-v7': 30}" in tale.awaits()["text"]
    assert tale.weights() == {"blue": 70, "fraud-v7": 30}


@pytest.mark.parametrize("is_seen_by", ["the sweep", "the next shift"])
@pytest.mark.parametrize("operation", [Operation.ADOPT, Operation.RESTORE])
def test_frozen_rollout_goes_on_when_a_person_says_how(
    operation: Operation, is_seen_by: str
) -> None:
    tale = drifted()
    if is_seen_by == "the sweep":
        tale.ask(Operation.FREEZE)
    tale.world.run(HOUR)
    tale.answer(operation)
    tale.world.run()
    assert (tale.result()["phase"], tale.weights()) == ("succeeded", {"fraud-v7": 100})
    restored = {"blue": 90, "fraud-v7": 10}
    again = shifts(tale).count(restored) == 2
    assert again is (operation is Operation.RESTORE and is_seen_by == "the sweep")


def test_frozen_rollout_that_is_rejected_gives_the_stable_everything() -> None:
    tale = drifted()
    tale.world.run(HOUR)
    tale.answer(Operation.REJECT)
    tale.world.run()
    assert tale.result()["phase"] == "failed"
    is_rolled_back(tale)


def test_freeze_without_a_reason_changes_nothing() -> None:
    tale = Gated(weights=(10,), bake="30m")
    tale.when("progressing", lambda: tale.ask(Operation.FREEZE))
    result = tale.tell()
    assert result["phase"] == "succeeded"
    assert "the weights are as they were set" in texts(result)


def test_rollout_waits_for_its_turn() -> None:
    tale = Gated(weights=(10,))
    tale.needs_turn = True
    result = tale.tell()
    assert result["phase"] == "succeeded"
    told = [text for kind, text in tale.run.context.actions if kind == "turns"]
    assert [text.partition(" ")[0] for text in told] == ["enter", "leave"]
