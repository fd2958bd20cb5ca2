"""What may be asked for from outside: an event, a list, an abort, the sweep."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy_logic import operations
from deploy_logic.errors import OperationError, WorkspaceError
from deploy_logic.plan import ModelVersion
from deploy_logic.policy import Policy
from deploy_logic.rollout import Operation, Phase, Request
from deploy_logic.settings import PUBLIC_CLOUD, Settings
from tests.builders import WORKSPACE, a_policy, an_event_text, an_offer, model_id
from tests.fakes import Clock, FakeEngine, FakeWorkspace, out_of_order

SECOND = WORKSPACE + "-2"
HOUR = timedelta(hours=1)


def a_settings(*workspaces: str) -> Settings:
    return Settings(
        workspaces=workspaces or (WORKSPACE,),
        policies=Path("policies"),
        cloud=PUBLIC_CLOUD,
        poll_interval=timedelta(seconds=15),
        creation_deadline=HOUR,
        shift_deadline=HOUR,
        sweep_look_back=2 * HOUR,
        trust_platform_identity=True,
    )


class Desk:
    """An engine and a workspace, and the operations on them."""

    def __init__(self, *policies: Policy) -> None:
        self.clock = Clock()
        self.clock.now = datetime.now(UTC)  # the sweep looks at the real clock
        self.engine = FakeEngine(self.clock)
        self.workspace = FakeWorkspace(self.clock)
        self.policies: Sequence[Policy] = policies or (a_policy(),)

    def handle(self, text: str) -> list[str]:
        return operations.handle_event(
            text, settings=a_settings(), policies=self.policies, engine=self.engine
        )

    def sweep(self, *workspaces: str) -> Any:
        return operations.sweep(
            settings=a_settings(*workspaces),
            policies=self.policies,
            engine=self.engine,
            open_workspace=lambda _id: self.workspace,
        )

    def register(self, version: str, *, age: timedelta | None = HOUR, **changes: Any) -> None:
        self.workspace.models["fraud", version] = ModelVersion(
            version=version,
            id=model_id(version),
            created=None if age is None else self.clock.now - age,
            **changes,
        )

    def offered(self) -> list[str]:
        return [one.version for one in self.engine.offered]


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- events


def test_registered_version_is_offered_once_per_matching_policy() -> None:
    other = a_policy(policy="other-one", deploy={"endpoint": "other", "template": "t.yml"})
    third = a_policy(policy="third-one", select={"model": "churn"})
    desk = Desk(a_policy(), other, third)
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
    desk: Desk, text: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="rollout"):
        assert desk.handle(text) == []
    assert desk.engine.offered == []
    (record,) = caplog.records
    assert record.message == said
    assert vars(record)["reason"]


def test_engine_that_cannot_be_asked_is_no_bad_event(desk: Desk) -> None:
    desk.engine.is_down = True
    with pytest.raises(ConnectionError):  # Event Grid shall send it again
        desk.handle(an_event_text())


# --- lists


def test_rollouts_are_listed_newest_first_without_timelines_and_no_matches(desk: Desk) -> None:
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


def test_one_rollout_is_shown_whole(desk: Desk) -> None:
    desk.engine.rollouts["a"] = {"phase": "pending", "timeline": [1]}
    assert operations.show_rollout(desk.engine, "a") == {"phase": "pending", "timeline": [1]}


def test_endpoints_are_their_ledgers(desk: Desk) -> None:
    assert operations.list_endpoints(desk.engine) == {"endpoints": []}
    desk.handle(an_event_text())
    (shown,) = operations.list_endpoints(desk.engine)["endpoints"]
    assert (shown["workspace"], shown["endpoint"]) == (WORKSPACE, "fraud")
    assert shown["running"]["version"] == "7"


def test_endpoint_is_shown_from_the_first_workspace_that_has_it(desk: Desk) -> None:
    for workspace in (SECOND, WORKSPACE):
        desk.engine.offer(replace(an_offer(), workspace=workspace))
    settings = a_settings(WORKSPACE + "-0", SECOND, WORKSPACE)
    shown = operations.show_endpoint(desk.engine, settings, "fraud")
    assert shown["workspace"] == SECOND


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda desk: operations.show_rollout(desk.engine, "x"), "there is no rollout 'x'"),
        (
            lambda desk: operations.abort(desk.engine, "x", by="ann", reason="r"),
            "there is no rollout 'x'",
        ),
        (
            lambda desk: operations.show_endpoint(desk.engine, a_settings(), "x"),
            "nothing was ever offered to an endpoint 'x'",
        ),
    ],
    ids=["rollout", "abort", "endpoint"],
)
def test_what_nobody_knows_is_404(desk: Desk, act: Any, says: str) -> None:
    with pytest.raises(OperationError, match=says) as refused:
        act(desk)
    assert refused.value.status == 404


# --- abort


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_over])
def test_abort(desk: Desk, phase: Phase) -> None:
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
def test_what_is_over_cannot_be_aborted(desk: Desk, phase: Phase) -> None:
    desk.engine.rollouts["r"] = {"phase": phase.value}
    with pytest.raises(OperationError, match=f"'r' is {phase}") as refused:
        operations.abort(desk.engine, "r", by="ann", reason="looks wrong")
    assert (refused.value.status, desk.engine.asked) == (409, [])


# --- sweep


def test_registration_whose_event_was_lost_is_offered_once(desk: Desk) -> None:
    desk.register("7")
    assert desk.sweep() == {"offered": [an_offer().rollout_id], "buried": []}
    assert desk.engine.offered == [an_offer(event_id="sweep")]
    assert desk.sweep() == {"offered": [], "buried": []}
    desk.engine.end(an_offer(), Phase.FAILED)
    assert desk.sweep() == {"offered": [], "buried": []}


def test_registration_whose_event_came_is_not_offered_again(desk: Desk) -> None:
    desk.register("7")
    desk.handle(an_event_text())
    assert desk.sweep()["offered"] == []


@pytest.mark.parametrize(
    ("age", "offered"),
    [(HOUR, ["7"]), (2 * HOUR - timedelta(minutes=1), ["7"]), (3 * HOUR, []), (None, [])],
    ids=["young", "just young enough", "old", "unknown"],
)
def test_only_young_registrations_count(
    desk: Desk, age: timedelta | None, offered: list[str]
) -> None:
    desk.register("7", age=age)
    desk.sweep()
    assert desk.offered() == offered


@pytest.mark.parametrize(
    ("way", "offered"),
    [("supersede", ["8"]), ("finish_first", ["8"]), ("queue", ["6", "7", "8"])],
)
def test_several_lost_ones(way: str, offered: list[str]) -> None:
    desk = Desk(a_policy(on_new_version=way))
    for version in "678":
        desk.register(version)
    desk.sweep()
    assert desk.offered() == offered


def test_what_the_policy_does_not_select_is_not_offered() -> None:
    select = {"model": "fraud", "version": "< 9", "tags": {"stage": "production"}}
    desk = Desk(a_policy(select=select))
    desk.register("7", tags={"stage": "production"})
    desk.register("8", tags={"stage": "test"})
    desk.register("9", tags={"stage": "production"})
    desk.register("x", tags={"stage": "production"})
    desk.sweep()
    assert desk.offered() == ["7"]


@pytest.mark.parametrize(("tags", "offered"), [({}, []), ({"stage": "production"}, ["7"])])
def test_no_match_is_offered_again_only_when_tags_can_have_changed(
    tags: dict[str, str], offered: list[str]
) -> None:
    desk = Desk(a_policy(select={"model": "fraud", "tags": tags}))
    desk.register("7", tags=tags)
    offer = an_offer(desk.policies[0])
    desk.engine.offer(offer)
    desk.engine.end(offer, Phase.NO_MATCH, "tag 'stage' is missing")
    desk.engine.offered.clear()
    desk.sweep()
    assert desk.offered() == offered
    if offered:  # the tags hold, and it is no match again: that has another reason
        desk.engine.end(offer, Phase.NO_MATCH, "version 7 is older than 9")
        desk.sweep()
        assert desk.offered() == offered


def test_every_workspace_is_swept(desk: Desk) -> None:
    desk.register("7")
    desk.sweep(WORKSPACE, SECOND)
    assert [one.workspace for one in desk.engine.offered] == [WORKSPACE, SECOND]


@pytest.mark.parametrize("error", [out_of_order(), WorkspaceError("no permission", status=403)])
def test_workspace_that_cannot_be_asked_harms_no_other_policy(
    error: WorkspaceError, caplog: pytest.LogCaptureFixture
) -> None:
    other = a_policy(policy="other-one", deploy={"endpoint": "other", "template": "t.yml"})
    desk = Desk(a_policy(), other)
    desk.register("7")
    refusals = iter([error])

    def fault(_method: str, _when: str) -> None:
        refusal = next(refusals, None)
        if refusal is not None:
            raise refusal

    desk.workspace.fault = fault
    desk.sweep()
    assert [one.policy for one in desk.engine.offered] == ["other-one"]
    assert "sweep could not look" in caplog.messages


def test_lost_orchestration_is_buried_and_the_next_one_starts(desk: Desk) -> None:
    desk.handle(an_event_text())
    desk.engine.offer(an_offer(a_policy(on_new_version="queue"), version="8"))
    desk.engine.alive.clear()
    desk.clock.advance(-HOUR)  # both were an hour ago
    book = desk.engine.ledgers[WORKSPACE, "fraud"]
    hour_ago = tuple(replace(one, at=desk.clock.now) for one in book.answers)
    desk.engine.ledgers[WORKSPACE, "fraud"] = replace(book, answers=hour_ago)
    assert desk.sweep()["buried"] == [an_offer().rollout_id]
    ((_, reason),) = desk.engine.buried
    assert reason == "its orchestration is gone; an operator must look"
    assert desk.engine.ledgers[WORKSPACE, "fraud"].ended[-1].phase is Phase.ERRORED
    assert desk.engine.is_alive(an_offer(version="8").rollout_id)


def test_orchestration_that_has_just_been_asked_for_is_not_lost(desk: Desk) -> None:
    desk.handle(an_event_text())
    desk.engine.alive.clear()
    assert desk.sweep()["buried"] == []


def test_living_and_idle_endpoints_are_left_alone(desk: Desk) -> None:
    desk.handle(an_event_text())
    desk.engine.offer(replace(an_offer(), endpoint="idle", rollout_id="i"))
    desk.engine.end(replace(an_offer(), endpoint="idle", rollout_id="i"), Phase.SUCCEEDED)
    assert desk.sweep()["buried"] == []
