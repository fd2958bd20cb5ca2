"""What may be asked for from outside: an event, a list, an operation."""

import logging
from dataclasses import replace
from typing import Any

import pytest

from deploy_logic.codec import encode
from deploy_logic.errors import OperationError
from deploy_logic.ledger.controls import Control, Turned
from deploy_logic.ledger.record import Barred, Reply
from deploy_logic.operations import rollouts
from deploy_logic.rollout import (
    ALLOWED,
    ANSWERS,
    OF_PEOPLE,
    Awaited,
    Operation,
    Phase,
    Request,
)
from tests.builders import MONDAY, a_policy, an_event_text, an_offer
from tests.desk import BECAUSE, SECOND, Counter


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


# --- one rollout


def test_one_rollout_is_shown_whole(desk: Counter) -> None:
    desk.engine.rollouts["a"] = {"phase": "pending", "timeline": [1]}
    assert rollouts.find_shown(desk.engine, "a") == {"phase": "pending", "timeline": [1]}


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda desk: rollouts.find_shown(desk.engine, "x"), "there is no rollout 'x'"),
        (
            lambda desk: rollouts.ask(desk.engine, "x", "abort", by="ann", said=BECAUSE),
            "there is no rollout 'x'",
        ),
    ],
    ids=["rollout", "abort"],
)
def test_what_nobody_knows_is_404(desk: Counter, act: Any, says: str) -> None:
    with pytest.raises(OperationError, match=says) as refused:
        act(desk)
    assert refused.value.status == 404


# --- operations

FIGURES = "0123456789ab"
LEADS = ("group:ml-leads", "user:Bob")


def waits(**changes: Any) -> dict[str, Any]:
    """Return a rollout that waits for an approval, as it shows itself."""
    awaited = Awaited(
        what="approval to promote",
        text="approval to promote by group:ml-leads, user:Bob",
        operations=(Operation.APPROVE, Operation.REJECT),
        approvers=LEADS,
        figures=FIGURES,
    )
    return {"phase": "waiting", "awaits": encode(replace(awaited, **changes))}


def ask(desk: Counter, operation: str, by: str = "ann", **said: str) -> Any:
    claims = (f"user:{by}", "group:ML-Leads", "group:all", "role:operator", f"name:{by}@b.c")
    told = {**BECAUSE, "figures": FIGURES, **said}
    return rollouts.ask(desk.engine, "r", operation, by=by, claims=claims, said=told)


def refused(desk: Counter, operation: str, by: str = "ann", **said: str) -> OperationError:
    with pytest.raises(OperationError) as caught:
        ask(desk, operation, by, **said)
    assert desk.engine.asked == []
    return caught.value


PLAIN = [one for one in OF_PEOPLE if one not in ANSWERS]


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("operation", PLAIN)
def test_what_the_table_allows_is_asked_and_nothing_else(
    desk: Counter, operation: Operation, phase: Phase
) -> None:
    desk.engine.rollouts["r"] = {"phase": phase.value}
    if phase not in ALLOWED[operation]:
        refusal = refused(desk, operation)
        assert str(refusal).startswith(f"{operation} of 'r': it is {phase} (possible now: ")
        assert refusal.status == 409
        return
    answer = ask(desk, operation)
    assert answer == {"rollout_id": "r", "operation": operation.value, "by": "ann"}
    # nobody is asked for anything, so nothing of who it was is stored but the id
    request = Request(operation=operation, by="ann", reason=BECAUSE["reason"])
    assert desk.engine.asked == [("r", request)]


@pytest.mark.parametrize("operation", ["freeze", "supersede", "turn", "retry", "Abort", "", "x"])
def test_what_is_not_for_people_is_404(desk: Counter, operation: str) -> None:
    desk.engine.rollouts["r"] = {"phase": "waiting"}
    refusal = refused(desk, operation)
    assert refusal.status == 404
    assert str(refusal) == (
        f"{operation!r} is none of abort, approve, reject, pause, resume, promote_now, adopt, "
        "restore"
    )


@pytest.mark.parametrize(
    ("shown", "possible"),
    [
        ({"phase": "pending", "awaits": None}, ["abort", "pause"]),
        ({"phase": "progressing", "paused_by": ""}, ["abort", "pause", "promote_now"]),
        ({"phase": "waiting", "paused_by": "bob"}, ["abort", "resume", "promote_now"]),
        (waits(), ["abort", "approve", "reject", "pause", "promote_now"]),
        ({"phase": "rolling_back"}, []),
        ({"phase": "succeeded"}, []),
    ],
    ids=["pending", "progressing", "paused", "asked", "rolling back", "over"],
)
def test_refusal_says_what_would_be_possible_now(
    desk: Counter, shown: dict[str, Any], possible: list[str]
) -> None:
    desk.engine.rollouts["r"] = shown
    refusal = refused(desk, "restore")
    assert (refusal.status, refusal.members) == (409, {"possible": possible})
    assert f"(possible now: {', '.join(possible) or 'nothing'})" in str(refusal)


# --- answers


@pytest.mark.parametrize("operation", [Operation.APPROVE, Operation.REJECT])
def test_answer_goes_on_with_its_figures_and_the_claims_that_are_asked_for(
    desk: Counter, operation: Operation
) -> None:
    desk.engine.rollouts["r"] = waits()
    ask(desk, operation, "bob")
    ((_, request),) = desk.engine.asked
    assert (request.operation, request.by, request.figures) == (operation, "bob", FIGURES)
    assert request.claims == ("user:bob", "group:ML-Leads")


@pytest.mark.parametrize("operation", [Operation.ADOPT, Operation.RESTORE, Operation.REJECT])
def test_whoever_may_operate_answers_where_nobody_is_named(
    desk: Counter, operation: Operation
) -> None:
    choices = (Operation.ADOPT, Operation.RESTORE, Operation.REJECT)
    desk.engine.rollouts["r"] = waits(what="weights", operations=choices, approvers=())
    ask(desk, operation)
    assert [(request.operation, request.claims) for _, request in desk.engine.asked] == [
        (operation, ())
    ]


def test_answer_without_figures_is_400(desk: Counter) -> None:
    desk.engine.rollouts["r"] = waits()
    refusal = refused(desk, "approve", figures="")
    assert refusal.status == 400
    assert "awaits.figures" in str(refusal)
    with pytest.raises(OperationError) as caught:
        rollouts.ask(desk.engine, "r", "approve", by="ann", said=BECAUSE)
    assert caught.value.status == 400


def test_answer_on_figures_that_have_changed_is_409_with_those_of_now(desk: Counter) -> None:
    desk.engine.rollouts["r"] = waits()
    refusal = refused(desk, "approve", figures="ba9876543210")
    assert str(refusal) == (
        "approve of 'r': it rests on figures 'ba9876543210', and these are '0123456789ab' "
        "(look again)"
    )
    assert (refusal.status, refusal.members) == (409, {"figures": FIGURES})


@pytest.mark.parametrize("operation", ["approve", "reject"])
def test_somebody_who_is_not_asked_is_403_with_who_is(desk: Counter, operation: str) -> None:
    desk.engine.rollouts["r"] = waits(approvers=("group:risk", "user:eve"))
    refusal = refused(desk, operation)
    assert str(refusal) == f"{operation} of 'r': only group:risk, user:eve may answer"
    assert (refusal.status, refusal.members) == (403, {"approvers": ["group:risk", "user:eve"]})


# The workspace says who by an object id or by a name, and the sign-in has both.
@pytest.mark.parametrize("registered_by", ["Ann", "ann@B.c"])
def test_whoever_registered_the_version_may_reject_it_and_not_approve_it(
    desk: Counter, registered_by: str
) -> None:
    desk.engine.rollouts["r"] = waits(not_by=registered_by)
    refusal = refused(desk, "approve")
    assert refusal.status == 403
    assert "whoever registered the version may not approve it" in str(refusal)
    ask(desk, "reject")
    assert [request.operation for _, request in desk.engine.asked] == [Operation.REJECT]


def test_a_name_gives_no_right(desk: Counter) -> None:
    desk.engine.rollouts["r"] = waits(approvers=("user:ann@b.c", "group:ann@b.c"))
    assert refused(desk, "approve").status == 403


def test_nobody_approves_twice(desk: Counter) -> None:
    desk.engine.rollouts["r"] = waits(quorum=2, approved_by=("ann",))
    refusal = refused(desk, "approve")
    assert (refusal.status, "has approved already" in str(refusal)) == (409, True)
    ask(desk, "approve", "bob")
    assert [request.by for _, request in desk.engine.asked] == ["bob"]


@pytest.mark.parametrize("operation", sorted(ANSWERS))
def test_answer_that_nobody_awaits_is_409(desk: Counter, operation: str) -> None:
    desk.engine.rollouts["r"] = waits(operations=())
    assert refused(desk, operation).status == 409
    desk.engine.rollouts["r"] = {"phase": "waiting", "awaits": None}  # paused
    assert refused(desk, operation).status == 409


def test_what_was_asked_is_logged_without_claims(
    desk: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    desk.engine.rollouts["r"] = waits()
    with caplog.at_level(logging.INFO, logger="rollout"):
        ask(desk, "approve")
    (record,) = caplog.records
    extra = {"rollout_id": "r", "operation": "approve", "by": "ann", "reason": BECAUSE["reason"]}
    assert record.message == "operation asked"
    assert extra.items() <= vars(record).items()
    assert "ml-leads" not in str(vars(record)).lower()


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
