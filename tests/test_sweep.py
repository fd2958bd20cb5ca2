"""The sweep: what was lost is offered, what is gone is buried, what was changed is noticed."""

from dataclasses import replace
from datetime import timedelta

import pytest

from deploy_logic.errors import WorkspaceError
from deploy_logic.ledger.controls import Control, Turned
from deploy_logic.ledger.record import Kept, Parked
from deploy_logic.ledger.turns import Place, Turns
from deploy_logic.rollout import Operation, Phase
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


# --- what was answered, but not for good


def turned(desk: Counter, control: str) -> None:
    """Turn the control of the policy, as a person does, without telling the ledgers."""
    policy = "" if control in {"stop", "go_on"} else "fraud-prod"
    desk.engine.turn_control(
        Turned(control=Control(control), by="ann", reason="r", at=desk.clock.now, policy=policy)
    )


@pytest.mark.parametrize(("off", "on"), [("suspend", "resume"), ("stop", "go_on")])
def test_what_was_barred_is_offered_again_when_it_is_not_any_more(
    desk: Counter, off: str, on: str
) -> None:
    desk.register("7")
    turned(desk, off)
    desk.handle(an_event_text())
    desk.handle(an_event_text())
    desk.sweep()
    assert desk.offered() == ["7", "7"]  # the events; the sweep has nothing to add
    turned(desk, on)
    desk.sweep()
    assert desk.sweep() == {}
    assert desk.offered() == ["7", "7", "7"]
    assert desk.running.version == "7"


def test_lost_event_of_a_suspended_policy_is_answered_once(desk: Counter) -> None:
    desk.register("7")
    turned(desk, "suspend")
    assert desk.sweep() == {"offered": [an_offer().rollout_id]}
    assert desk.sweep() == {}
    assert desk.said() == ["suspended"]


def test_what_came_while_the_endpoint_was_held_is_offered_when_it_is_released(
    desk: Counter,
) -> None:
    desk.register("7")
    desk.ask("hold")
    desk.handle(an_event_text())
    assert desk.sweep() == {}
    desk.ask("release")
    assert desk.sweep() == {"offered": [an_offer().rollout_id]}
    assert desk.said() == ["hold", "held", "release", "started"]


def test_version_that_was_released_from_quarantine_is_offered_again(desk: Counter) -> None:
    desk.register("7")
    desk.handle(an_event_text())
    desk.end(Phase.FAILED)
    assert desk.sweep() == {}
    desk.ask("release", version="7")
    desk.sweep()
    assert desk.running.attempt == 2


def test_what_the_sweep_offers_needs_a_turn_where_there_is_a_cap() -> None:
    desk = Counter(max_parallel=1)
    desk.register("7")
    desk.sweep()
    assert desk.running.needs_turn


# --- ledgers that have missed something


def test_ledger_that_has_missed_the_stop_switch_is_told(desk: Counter) -> None:
    desk.handle(an_event_text())
    turned(desk, "stop")
    assert desk.sweep() == {"woken": ["fraud"]}
    assert desk.book.stopped is not None
    assert (desk.book.stopped.by, desk.book.stopped.reason) == ("ann", "r")
    assert desk.engine.asked[-1][1].operation is Operation.PAUSE
    turned(desk, "go_on")
    assert desk.sweep() == {"woken": ["fraud"]}
    assert desk.book.stopped is None
    assert desk.engine.asked[-1][1].operation is Operation.RESUME
    assert desk.sweep() == {}


def test_window_that_has_opened_unheard_is_heard(desk: Counter) -> None:
    desk.engine.offer(replace(an_offer(), endpoint="fraud"))
    desk.end(serves="fraud-v7")
    nine = an_offer(version="9")
    desk.change(parked=Parked(offer=nine, opens=desk.clock.now + HOUR))
    assert desk.sweep() == {}
    desk.change(parked=Parked(offer=nine, opens=desk.clock.now - HOUR))
    assert desk.sweep() == {"woken": ["fraud"]}
    assert desk.running == nine


def test_deployment_that_was_kept_long_enough_is_let_go_of(desk: Counter) -> None:
    desk.handle(an_event_text())
    until = desk.clock.now + HOUR
    one = Kept(deployment="blue", model="fraud", version="6", until=until, why="old")
    desk.end(serves="fraud-v7", kept=(one,))
    assert desk.engine.wakes == [until]
    assert desk.sweep() == {}
    desk.change(kept=(replace(one, until=desk.clock.now - HOUR),))
    assert desk.sweep() == {"woken": ["fraud"]}
    assert (desk.running.kind, desk.running.target) == ("let_go", "blue")
    desk.engine.alive.clear()
    desk.change(since=desk.clock.now - HOUR)
    rollout_id = desk.running.rollout_id
    assert desk.sweep()["buried"] == [rollout_id]
    assert desk.book.running is None
    assert desk.book.kept[0].until > desk.clock.now  # it is tried again


def test_rollout_that_is_gone_loses_its_turn(desk: Counter) -> None:
    desk.engine.alive.add("alive")
    places = (
        Place(rollout_id="gone", endpoint="fraud", since=desk.clock.now, has_turn=True),
        Place(rollout_id="alive", endpoint="other", since=desk.clock.now),
    )
    desk.engine.turns = Turns(places=places)
    assert desk.sweep() == {"left": ["gone"]}
    assert desk.engine.left == ["gone"]


# --- weights that were changed by hand


def rolling(desk: Counter, phase: str, **weights: int) -> None:
    """Have version 7 roll out beside blue, and show these weights as read back last."""
    desk.workspace.serve("6")
    if desk.engine.ledgers.get((WORKSPACE, "fraud")) is None:
        desk.handle(an_event_text())
    desk.engine.rollouts[desk.running.rollout_id] = {"phase": phase, "weights": weights}


@pytest.mark.parametrize("phase", [phase for phase in Phase if not phase.is_over])
def test_two_sweeps_freeze_a_rollout_whose_weights_were_changed(
    desk: Counter, phase: Phase
) -> None:
    rolling(desk, phase.value, blue=90, candidate=10)
    told = phase in {Phase.PROGRESSING, Phase.WAITING, Phase.PROMOTING}
    assert desk.sweep() == ({"seen": ["fraud"]} if told else {})
    assert desk.engine.asked == []
    desk.clock.advance(HOUR)
    desk.sweep()
    asked = [(one, request.operation) for one, request in desk.engine.asked]
    assert asked == ([(desk.running.rollout_id, Operation.FREEZE)] if told else [])


@pytest.mark.parametrize(
    "weights", [{"blue": 100, "candidate": 0}, {}], ids=["as they should be", "not read back yet"]
)
def test_weights_that_are_right_or_not_known_are_not_told(
    desk: Counter, weights: dict[str, int]
) -> None:
    rolling(desk, "progressing", **weights)
    assert desk.sweep() == {}


def test_difference_that_is_gone_is_told_and_forgotten(desk: Counter) -> None:
    rolling(desk, "progressing", blue=90, candidate=10)
    desk.sweep()
    assert desk.book.noticed is not None
    rolling(desk, "progressing", blue=100)
    assert desk.sweep() == {"seen": ["fraud"]}
    assert desk.book.noticed is None


def test_endpoint_that_azure_is_at_work_on_is_not_judged(desk: Counter) -> None:
    rolling(desk, "progressing", blue=90, candidate=10)
    desk.workspace.endpoints["fraud"].busy_until = desk.clock.now + HOUR
    assert desk.sweep() == {}


def test_weights_changed_without_a_rollout_are_adopted(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.end(serves="fraud-v7")
    desk.workspace.serve("6")
    assert desk.sweep() == {"seen": ["fraud"]}
    assert desk.said()[-1] == "adopted"
    assert desk.book.stable is not None
    assert (desk.book.stable.model, desk.book.stable.version) == ("fraud", "6")
    assert desk.sweep() == {}
    assert desk.engine.wakes == []


def test_weights_that_were_never_known_are_taken_as_they_are(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.end()
    desk.workspace.serve("6")
    assert desk.sweep() == {"seen": ["fraud"]}
    assert desk.said() == ["started"]
    assert desk.book.serves == {"blue": 100}
    assert "list_deployments" not in desk.workspace.calls


def test_split_weights_are_adopted_without_a_stable(desk: Counter) -> None:
    desk.handle(an_event_text())
    desk.end(serves="fraud-v7")
    desk.workspace.serve("6")
    desk.workspace.endpoints["fraud"].weights = {"blue": 60, "green": 40}
    desk.sweep()
    assert desk.said()[-1] == "adopted"
    assert desk.book.stable is not None
    assert desk.book.stable.version == "7"


def test_endpoint_that_cannot_be_looked_at_harms_no_other(
    desk: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    desk.handle(an_event_text())
    desk.end(serves="fraud-v7")
    desk.workspace.serve("6")

    def fault(method: str, _when: str) -> None:
        if method == "get_endpoint":
            raise out_of_order()

    desk.workspace.fault = fault
    desk.register("9")
    assert desk.sweep() == {"offered": [an_offer(version="9").rollout_id]}
    assert "sweep could not look" in caplog.messages


def test_ledger_of_another_workspace_is_not_looked_at(desk: Counter) -> None:
    desk.engine.offer(replace(an_offer(), workspace=SECOND))
    desk.engine.end(replace(an_offer(), workspace=SECOND), Phase.SUCCEEDED, serves="fraud-v7")
    desk.workspace.serve("6")
    assert desk.sweep() == {}
