"""The sweep: what was lost is offered, what is gone is buried, what was changed is noticed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deploy_logic.errors import WorkspaceError
from deploy_logic.rollout import Phase
from tests.builders import WORKSPACE, a_policy, an_event_text, an_offer
from tests.desk import HOUR, SECOND, Counter
from tests.fakes import out_of_order


@pytest.fixture
def desk() -> Counter:
    return Counter()


def test_registration_whose_event_was_lost_is_offered_once(desk: Counter) -> None:
    desk.register("7")
    assert desk.sweep() == {"offered": [an_offer().rollout_id]}
    assert desk.engine.offered == [an_offer(event_id="sweep")]
    assert desk.sweep() == {}
    desk.engine.end(an_offer(), Phase.FAILED)
    assert desk.sweep() == {}


def test_registration_whose_event_came_is_not_offered_again(desk: Counter) -> None:
    desk.register("7")
    desk.handle(an_event_text())
    assert desk.sweep() == {}


@pytest.mark.parametrize(
    ("age", "offered"),
    [(HOUR, ["7"]), (2 * HOUR - timedelta(minutes=1), ["7"]), (3 * HOUR, []), (None, [])],
    ids=["young", "just young enough", "old", "unknown"],
)
def test_only_young_registrations_count(
    desk: Counter, age: timedelta | None, offered: list[str]
) -> None:
    desk.register("7", age=age)
    desk.sweep()
    assert desk.offered() == offered


@pytest.mark.parametrize(
    ("way", "offered"),
    [("supersede", ["8"]), ("finish_first", ["8"]), ("queue", ["6", "7", "8"])],
)
def test_several_lost_ones(way: str, offered: list[str]) -> None:
    desk = Counter(a_policy(on_new_version=way))
    for version in "678":
        desk.register(version)
    desk.sweep()
    assert desk.offered() == offered


def test_what_the_policy_does_not_select_is_not_offered() -> None:
    select = {"model": "fraud", "version": "< 9", "tags": {"stage": "production"}}
    desk = Counter(a_policy(select=select))
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
    desk = Counter(a_policy(select={"model": "fraud", "tags": tags}))
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


def test_every_workspace_is_swept(desk: Counter) -> None:
    desk.register("7")
    desk.sweep(WORKSPACE, SECOND)
    assert [one.workspace for one in desk.engine.offered] == [WORKSPACE, SECOND]


@pytest.mark.parametrize("error", [out_of_order(), WorkspaceError("no permission", status=403)])
def test_workspace_that_cannot_be_asked_harms_no_other_policy(
    error: WorkspaceError, caplog: pytest.LogCaptureFixture
) -> None:
    other = a_policy(policy="other-one", deploy={"endpoint": "other", "template": "t.yml"})
    desk = Counter(a_policy(), other)
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


def test_lost_orchestration_is_buried_and_the_next_one_starts(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.engine.offer(an_offer(a_policy(on_new_version="queue"), version="8"))
    desk.engine.alive.clear()
    desk.change(since=desk.clock.now - HOUR)
    assert desk.sweep()["buried"] == [an_offer().rollout_id]
    ((_, reason),) = desk.engine.buried
    assert reason == "its orchestration is gone; an operator must look"
    assert desk.book.ended[-1].phase is Phase.ERRORED
    assert desk.engine.is_alive(an_offer(version="8").rollout_id)


def test_orchestration_that_has_just_been_asked_for_is_not_lost(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.engine.alive.clear()
    assert desk.sweep() == {}


def test_living_and_idle_endpoints_are_left_alone(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.engine.offer(replace(an_offer(), endpoint="idle", rollout_id="i"))
    desk.engine.end(replace(an_offer(), endpoint="idle", rollout_id="i"), Phase.SUCCEEDED)
    assert desk.sweep() == {}
