"""What people ask of endpoints, policies and everything: refused at once, or told to the ledger."""

from dataclasses import replace
from typing import Any

import pytest

from deploy_logic.errors import OperationError
from deploy_logic.ledger.controls import Control
from deploy_logic.ledger.record import Kept
from deploy_logic.operations import endpoints
from deploy_logic.rollout import Operation, Phase
from tests.builders import WORKSPACE, a_policy, an_event_text, an_offer
from tests.desk import BECAUSE, HOUR, SECOND, Counter, a_settings


@pytest.fixture
def desk() -> Counter:
    return Counter()


def refused(act: Any) -> tuple[int, str]:
    with pytest.raises(OperationError) as refusal:
        act()
    return refusal.value.status, str(refusal.value)


def kept(desk: Counter) -> Kept:
    until = desk.clock.now + HOUR
    return Kept(deployment="blue", model="fraud", version="6", until=until, why="old")


# --- lists


def test_endpoints_are_their_ledgers(desk: Counter) -> None:
    assert endpoints.list_endpoints(desk.engine) == {"endpoints": []}
    desk.handle(an_event_text())
    (shown,) = endpoints.list_endpoints(desk.engine)["endpoints"]
    assert (shown["workspace"], shown["endpoint"]) == (WORKSPACE, "fraud")
    assert shown["running"]["version"] == "7"


def test_endpoint_is_shown_from_the_first_workspace_that_has_it(desk: Counter) -> None:
    for workspace in (SECOND, WORKSPACE):
        desk.engine.offer(replace(an_offer(), workspace=workspace))
    desk.settings = a_settings(WORKSPACE + "-0", SECOND, WORKSPACE)
    assert endpoints.show_endpoint(desk.person, "fraud")["workspace"] == SECOND


def test_controls_show_what_is_stopped_and_whose_turn_it_is(desk: Counter) -> None:
    desk.settings = a_settings(max_parallel=3)
    endpoints.turn_control(desk.person, Control.STOP, BECAUSE)
    shown = endpoints.show_controls(desk.person)
    assert (shown["stopped"]["by"], shown["stopped"]["reason"]) == ("ann", "complaints came in")
    assert (shown["suspended"], shown["max_parallel"], shown["turns"]) == ({}, 3, [])
    assert [one["control"] for one in shown["lines"]] == ["stop"]


# --- endpoints


@pytest.mark.parametrize("act", ["release", "retry", "revert"])
def test_endpoint_that_nobody_knows_is_404(desk: Counter, act: str) -> None:
    says = (404, "nothing was ever offered to an endpoint 'x'")
    assert refused(lambda: desk.ask(act, "x")) == says


@pytest.mark.parametrize("act", ["stop", "dance", ""])
def test_act_that_is_none_is_404(desk: Counter, act: str) -> None:
    says = f"{act!r} is none of hold, release, retry, revert"
    assert refused(lambda: desk.ask(act)) == (404, says)


def test_hold_and_release(desk: Counter) -> None:
    answer = desk.ask("hold")  # before anything was ever offered to it
    assert answer == {"endpoint": "fraud", "operation": "hold", "by": "ann"}
    desk.handle(an_event_text())
    assert refused(lambda: desk.ask("release", version="7"))[0] == 409
    desk.ask("release")
    assert desk.said() == ["hold", "held", "release"]
    assert desk.book.answers[0].by == "ann"


def test_what_is_refused_is_not_told(desk: Counter) -> None:
    desk.handle(an_event_text())
    status, says = refused(lambda: desk.ask("revert"))
    assert (status, says) == (
        409, f"revert of 'fraud': {desk.running.rollout_id} runs (abort it first, or let it end)",
    )  # fmt: skip
    assert desk.engine.told == []


def test_revert(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.end(serves="fraud-v7", kept=(kept(desk),))
    assert desk.ask("revert")["operation"] == "revert"
    assert (desk.running.kind, desk.running.target) == ("revert", "blue")
    assert desk.book.held is not None


def test_retry_of_the_endpoint_is_of_the_last_one_that_did_not_succeed(desk: Counter) -> None:
    for version in (7, 8):
        desk.handle(an_event_text(version=version))
        desk.end(Phase.FAILED)
    desk.ask("retry")
    assert (desk.running.version, desk.running.attempt, desk.running.policy) == (
        "8", 2, "fraud-prod",
    )  # fmt: skip


def test_retry_of_a_version(desk: Counter) -> None:
    for version in (7, 8):
        desk.handle(an_event_text(version=version))
        desk.end(Phase.FAILED)
    desk.ask("retry", version="7")
    assert (desk.running.version, desk.running.reason) == ("7", "complaints came in")


def test_retry_of_what_never_was(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.end()
    says = "retry on 'fraud': version '9' was never rolled out here (start it)"
    assert refused(lambda: desk.ask("retry", version="9")) == (409, says)
    says = "retry on 'fraud': no version is in quarantine (name one)"
    assert refused(lambda: desk.ask("retry")) == (409, says)


def test_retry_goes_by_the_policy_as_it_is_now(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.end(Phase.FAILED)
    desk.policies = [a_policy(on_new_version="queue")]
    desk.ask("retry")
    assert desk.running.on_new_version == "queue"


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (a_policy(policy="other-one"), "policy 'fraud-prod' (those that select it: 'other-one')"),
        (a_policy(select={"model": "churn"}), "policy 'fraud-prod' (those that select it: none)"),
        (a_policy(select={"model": "fraud", "version": "> 7"}), "version 7 is not > 7"),
    ],
    ids=["it is gone", "it selects another model", "it selects other versions"],
)
def test_retry_needs_a_policy_that_still_selects_it(desk: Counter, policy: Any, says: str) -> None:
    desk.handle(an_event_text())
    desk.end(Phase.FAILED)
    desk.policies = [policy]
    status, text = refused(lambda: desk.ask("retry"))
    assert (status, says in text) == (409, True)


def test_retry_of_a_rollout(desk: Counter) -> None:
    desk.handle(an_event_text())
    rollout_id = desk.running.rollout_id
    desk.engine.rollouts[rollout_id] = {
        "workspace": WORKSPACE, "endpoint": "fraud", "model": "fraud", "version": "7",
    }  # fmt: skip
    assert refused(lambda: endpoints.retry_rollout(desk.person, rollout_id, BECAUSE))[0] == 409
    desk.end(Phase.FAILED)
    endpoints.retry_rollout(desk.person, rollout_id, BECAUSE)
    assert desk.running.rollout_id == f"{rollout_id}-2"
    assert refused(lambda: endpoints.retry_rollout(desk.person, "x", BECAUSE))[0] == 404


# --- start


def test_start_by_hand_passes_a_hold_and_says_who(desk: Counter) -> None:
    desk.ask("hold")
    answer = desk.start(model="fraud", version="7")
    assert answer == {"endpoint": "fraud", "operation": "start", "by": "ann"}
    assert (desk.running.requested_by, desk.running.reason) == ("ann", "complaints came in")
    assert desk.book.answers[-1].by == "ann"


def test_start_that_would_start_nothing_is_refused_with_the_ledger_s_answer(
    desk: Counter,
) -> None:
    desk.start(model="fraud", version="7")
    status, says = refused(lambda: desk.start(model="fraud", version="7"))
    assert (status, says.startswith("duplicate: ")) == (409, True)
    desk.end(Phase.FAILED)
    assert refused(lambda: desk.start(model="fraud", version="7"))[1].startswith("quarantined: ")
    endpoints.turn_control(desk.person, Control.STOP, BECAUSE)
    assert refused(lambda: desk.start(model="fraud", version="8"))[1].startswith("stopped: ")


def test_start_needs_one_policy(desk: Counter) -> None:
    other = a_policy(policy="other-one", deploy={"endpoint": "other", "template": "t.yml"})
    desk.policies = [a_policy(), other]
    named = {"model": "fraud", "version": "7"}
    status, says = refused(lambda: desk.start(**named))
    those = "(those that select it: 'fraud-prod', 'other-one')"
    assert (status, says) == (409, f"version '7' of model 'fraud': 2 policies {those}")
    assert desk.start(**named, policy="other-one")["endpoint"] == "other"
    assert refused(lambda: desk.start(model="fraud", version="x", policy="other-one"))[0] == 409


@pytest.mark.parametrize(
    "said",
    [{}, {"model": "fraud"}, {"version": "7"}, {"model": "fraud", "version": "../7"}],
    ids=repr,
)
def test_start_needs_a_model_and_a_version(desk: Counter, said: dict[str, str]) -> None:
    assert refused(lambda: desk.start(**said))[0] == 400


# --- everything


def test_stop_comes_to_every_endpoint_and_going_on_too(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.engine.offer(replace(an_offer(), endpoint="idle", rollout_id="i"))
    answer = endpoints.turn_control(desk.person, Control.STOP, BECAUSE)
    assert answer == {"operation": "stop", "by": "ann"}
    assert desk.engine.controls.stopped is not None
    assert [book.stopped is not None for book in desk.engine.ledgers.values()] == [True, True]
    asked = [(one, request.operation) for one, request in desk.engine.asked]
    assert asked == [(desk.running.rollout_id, Operation.PAUSE), ("i", Operation.PAUSE)]
    endpoints.turn_control(desk.person, Control.GO_ON, BECAUSE)
    assert [book.stopped for book in desk.engine.ledgers.values()] == [None, None]
    assert [request.operation for _, request in desk.engine.asked[2:]] == [Operation.RESUME] * 2


def test_what_is_stopped_cannot_be_stopped(desk: Counter) -> None:
    endpoints.turn_control(desk.person, Control.STOP, BECAUSE)
    stop = (desk.person, Control.STOP, BECAUSE)
    assert refused(lambda: endpoints.turn_control(*stop))[0] == 409


def test_policy_is_suspended_and_resumed(desk: Counter) -> None:
    answer = endpoints.turn_policy(desk.person, "fraud-prod", "suspend", BECAUSE)
    assert answer == {"operation": "suspend", "by": "ann", "policy": "fraud-prod"}
    desk.handle(an_event_text())
    assert desk.said() == ["suspended"]
    desk.policies = []  # one that is gone can still be resumed
    endpoints.turn_policy(desk.person, "fraud-prod", "resume", BECAUSE)
    assert desk.engine.controls.suspended == {}
    assert desk.engine.told == []


@pytest.mark.parametrize(
    ("policy", "control", "says"),
    [
        ("x", "suspend", (404, "there is no policy 'x'")),
        ("fraud-prod", "stop", (404, "'stop' is none of suspend, resume")),
        ("fraud-prod", "resume", (409, "policy 'fraud-prod' is not suspended")),
    ],
)
def test_refused_of_policies(
    desk: Counter, policy: str, control: str, says: tuple[int, str]
) -> None:
    turn = (desk.person, policy, control, BECAUSE)
    assert refused(lambda: endpoints.turn_policy(*turn)) == says
