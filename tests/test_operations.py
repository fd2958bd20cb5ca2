"""What may be asked for from outside: an event, a list, an abort."""

import logging
from typing import Any

import pytest

from deploy_logic import operations
from deploy_logic.controls import Control, Turned
from deploy_logic.errors import OperationError
from deploy_logic.ledger_record import Barred, Reply
from deploy_logic.rollout import Operation, Phase, Request
from tests.builders import MONDAY, a_policy, an_event_text, an_offer
from tests.desk import SECOND, Counter


@pytest.fixture
def desk() -> Counter:
    return Counter()


# --- events


def test_registered_version_is_offered_once_per_matching_policy() -> None:
    other = a_policy(policy="other-one", deploy={"endpoint": "other", "template": "t.yml"})
    third = a_policy(policy="third-one", select={"model": "churn"})
    desk = Counter(a_policy(), other, third)
    ids = desk.handle(an_event_text())
    assert desk.engine.offered == [an_offer(a_policy()), an_offer(other)]
    assert ids == [one.rollout_id for one in desk.engine.offered]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "event refused"),
        (an_event_text(subject="models/fraud:8"), "event refused"),
        (an_event_text(topic=SECOND), "event ignored"),
        (an_event_text(eventType="RunCompleted"), "event ignored"),
        (an_event_text(model="churn"), "no match"),
    ],
)
def test_event_that_asks_for_nothing_is_logged_with_its_reason_and_never_raised(
    desk: Counter, text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="rollout"):
        assert desk.handle(text) == []
    assert desk.engine.offered == []
    (record,) = caplog.records
    assert record.message == said
    assert vars(record)["reason"]


def test_engine_that_cannot_be_asked_is_no_bad_event(desk: Counter) -> None:
    desk.engine.is_down = True
    with pytest.raises(ConnectionError):  # Event Grid shall send it again
        desk.handle(an_event_text())


# --- lists


def test_rollouts_are_listed_newest_first_without_timelines_and_no_matches(desk: Counter) -> None:
    shown = {"phase": "succeeded", "timeline": [1], "timeline_left_out": 3}
    desk.engine.rollouts = {
        "a": {**shown, "rollout_id": "a"},
        "b": {**shown, "rollout_id": "b", "phase": "no_match"},
        "c": {**shown, "rollout_id": "c", "phase": "pending"},
    }
    assert operations.list_rollouts(desk.engine) == {
        "rollouts": [
            {"rollout_id": "c", "phase": "pending"},
            {"rollout_id": "a", "phase": "succeeded"},
        ]
    }


def test_one_rollout_is_shown_whole(desk: Counter) -> None:
    desk.engine.rollouts["a"] = {"phase": "pending", "timeline": [1]}
    assert operations.show_rollout(desk.engine, "a") == {"phase": "pending", "timeline": [1]}


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda desk: operations.show_rollout(desk.engine, "x"), "there is no rollout 'x'"),
        (
            lambda desk: operations.abort(desk.engine, "x", by="ann", reason="r"),
            "there is no rollout 'x'",
        ),
    ],
    ids=["rollout", "abort"],
)
def test_what_nobody_knows_is_404(desk: Counter, act: Any, says: str) -> None:
    with pytest.raises(OperationError, match=says) as refused:
        act(desk)
    assert refused.value.status == 404


# --- abort


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_over])
def test_abort(desk: Counter, phase: Phase) -> None:
    desk.engine.rollouts["r"] = {"phase": phase.value}
    if phase is Phase.ROLLING_BACK:
        with pytest.raises(OperationError, match="'r' is rolling_back") as refused:
            operations.abort(desk.engine, "r", by="ann", reason="looks wrong")
        assert (refused.value.status, desk.engine.asked) == (409, [])
        return
    answer = operations.abort(desk.engine, "r", by="ann", reason="looks wrong")
    assert answer == {"rollout_id": "r", "operation": "abort", "by": "ann"}
    request = Request(operation=Operation.ABORT, by="ann", reason="looks wrong")
    assert desk.engine.asked == [("r", request)]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase.is_over])
def test_what_is_over_cannot_be_aborted(desk: Counter, phase: Phase) -> None:
    desk.engine.rollouts["r"] = {"phase": phase.value}
    with pytest.raises(OperationError, match=f"'r' is {phase}") as refused:
        operations.abort(desk.engine, "r", by="ann", reason="looks wrong")
    assert (refused.value.status, desk.engine.asked) == (409, [])


# --- what is stopped or suspended


def test_controls_are_read_once_and_only_when_something_matched() -> None:
    other = a_policy(policy="other-one", deploy={"endpoint": "other", "template": "t.yml"})
    desk = Counter(a_policy(), other)
    desk.handle(an_event_text(model="churn"))
    assert desk.engine.reads == []
    desk.handle(an_event_text())
    assert desk.engine.reads == ["controls"]
    assert desk.engine.barred == [None, None]


def test_offer_of_a_suspended_policy_is_barred_and_the_others_are_not() -> None:
    other = a_policy(policy="other-one", deploy={"endpoint": "other", "template": "t.yml"})
    desk = Counter(a_policy(), other)
    turned = Turned(control=Control.SUSPEND, by="ann", reason="r", at=MONDAY, policy="fraud-prod")
    desk.engine.turn_control(turned)
    desk.handle(an_event_text())
    reason = "policy 'fraud-prod' is suspended by ann since 2026-11-23T09:00:00Z: r"
    assert desk.engine.barred == [Barred(reply=Reply.SUSPENDED, reason=reason), None]
    assert desk.said() == ["suspended"]
    assert [one.endpoint for one in desk.engine.offered if one.rollout_id in desk.engine.alive] == [
        "other"
    ]


@pytest.mark.parametrize(("cap", "needs_turn"), [(0, False), (2, True)])
def test_offer_needs_a_turn_where_there_is_a_cap(cap: int, *, needs_turn: bool) -> None:
    desk = Counter(max_parallel=cap)
    desk.handle(an_event_text())
    assert [one.needs_turn for one in desk.engine.offered] == [needs_turn]
