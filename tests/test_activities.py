"""Activities: each looks before it acts, can be called again, and tells all it knows."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.codec import encode
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.gate import Answer, chart
from deploy_logic.plan.plan import Plan, Sight, Snapshot, make_plan
from deploy_logic.ports import Capacity
from tests.builders import TIMINGS, WORKSPACE, a_policy, an_offer, policy_files
from tests.fakes import Clock, FakeDeployment, FakeEndpoint, FakeWeb, FakeWorkspace, an_outside

MINUTE = timedelta(minutes=1)
WRITES = {"create_endpoint", "create_deployment", "set_traffic", "delete_deployment"}
CANDIDATE = "fraud-v7"
POLICY = a_policy(
    deploy={"endpoint": "fraud", "template": "t.yml", "endpoint_template": "e.yml"},
)


class Stage:
    """A workspace that serves version 6, with version 7 registered, and the activities on it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.workspace = FakeWorkspace(self.clock)
        self.web = FakeWeb()
        self.outside = an_outside(
            self.workspace,
            lambda: [policy_files(POLICY)],
            web=lambda: self.web,
            open_workspace={WORKSPACE: self.workspace}.__getitem__,
        )
        self.workspace.serve("6")
        self.workspace.register("7")

    def call(self, activity: str, payload: Any) -> Any:
        """Call as the engine does: through JSON, there and back."""
        travelled = json.loads(json.dumps(payload))
        return json.loads(json.dumps(ACTIVITIES[activity](self.outside, travelled)))

    def writes(self) -> list[str]:
        return [call for call in self.workspace.calls if call in WRITES]

    def wait(self) -> None:
        self.clock.advance(timedelta(hours=1))

    def plan(self) -> Plan:
        sight = Sight(
            model=self.workspace.models["fraud", "7"],
            snapshot=Snapshot(exists=True, weights={"blue": 100}),
            timings=TIMINGS,
        )
        plan = make_plan(an_offer(POLICY), policy_files(POLICY), sight)
        assert isinstance(plan, Plan)
        return replace(plan, stable="blue")

    @property
    def endpoint(self) -> FakeEndpoint:
        return self.workspace.endpoints["fraud"]

    def put(self, name: str, *, rollout_id: str = "", **changes: Any) -> None:
        made = FakeDeployment(model_id="m", rollout_id=rollout_id, ready_at=self.clock.now)
        self.endpoint.deployments[name] = made
        for key, value in changes.items():
            setattr(made, key, value)


@pytest.fixture
def stage() -> Stage:
    return Stage()


OURS = an_offer(POLICY).rollout_id
BRIEF = {
    "workspace": WORKSPACE,
    "endpoint": "fraud",
    "deployment": CANDIDATE,
    "rollout_id": OURS,
    "must_be_ours": True,
    "probe": {"name": "probe 1", "bodies": ["[]"], "expect": {"status": 200}},
    "weights": {CANDIDATE: 10, "blue": 90},
}


def payload_of(stage: Stage, activity: str) -> Any:
    if activity == "look":
        return encode(an_offer(POLICY))
    return {"plan": encode(stage.plan())} if activity.startswith(("create", "check")) else BRIEF


def ready(stage: Stage, activity: str) -> None:
    """Bring about what the story has brought about when it calls the activity."""
    if activity == "create_endpoint":
        stage.workspace.endpoints.clear()
    if activity in {"watch_candidate", "probe", "shift", "weigh", "look_back", "retire"}:
        stage.put(CANDIDATE, rollout_id=OURS)


# --- twice in a row

# tests/test_activities_gate.py, _call.py and _announce.py, and tests/test_outbox.py
ELSEWHERE = {"measure", "agree", "call", "announce", "archive"}
WRITE_OF = {
    "look": [],
    "check_capacity": [],
    "create_endpoint": ["create_endpoint"],
    "create_candidate": ["create_deployment"],
    "watch_candidate": [],
    "probe": [],
    "weigh": [],
    "look_back": [],
    "shift": ["set_traffic"],
    "retire": ["delete_deployment"],
}


def test_table_of_activities_is_whole() -> None:
    assert {*WRITE_OF, *ELSEWHERE} == set(ACTIVITIES)


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "an hour later"])
@pytest.mark.parametrize("activity", WRITE_OF)
def test_second_call_writes_nothing(stage: Stage, activity: str, *, is_late: bool) -> None:
    ready(stage, activity)
    first = stage.call(activity, payload_of(stage, activity))
    assert stage.writes() == WRITE_OF[activity]
    assert first["state"] == ("working" if WRITE_OF[activity] else "done")
    if is_late:
        stage.wait()
    second = stage.call(activity, payload_of(stage, activity))
    assert stage.writes() == WRITE_OF[activity]
    assert second["state"] == ("done" if is_late or not WRITE_OF[activity] else "working")
    assert stage.workspace.violations == []


# --- when Azure refuses


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (
            TransientError("503", code="Busy", retry_after=timedelta(seconds=7)),
            {"state": "busy", "reason": "503", "code": "Busy", "retry_after": 7.0},
        ),
        (
            WorkspaceError("409", code="Conflict", status=409),
            {"state": "busy", "reason": "409", "code": "Conflict"},
        ),
        (
            WorkspaceError("403", code="AuthorizationFailed", status=403),
            {"state": "broke", "reason": "403", "code": "AuthorizationFailed"},
        ),
        (WorkspaceError("no"), {"state": "broke", "reason": "no", "code": ""}),
    ],
    ids=["transient", "conflict", "forbidden", "hopeless"],
)
@pytest.mark.parametrize("activity", [one for one in WRITE_OF if one != "check_capacity"])
def test_refusal_is_an_answer(
    stage: Stage, activity: str, error: WorkspaceError, answer: dict[str, Any]
) -> None:
    ready(stage, activity)

    def refuse(_method: str, _when: str) -> None:
        raise error

    stage.workspace.fault = refuse
    assert stage.call(activity, payload_of(stage, activity)) == answer


@pytest.mark.parametrize("activity", WRITE_OF)
def test_our_own_mistake_is_left_to_the_engine(stage: Stage, activity: str) -> None:
    def break_down(_method: str, _when: str) -> None:
        raise ZeroDivisionError

    ready(stage, activity)
    stage.workspace.fault = break_down
    with pytest.raises(ZeroDivisionError):
        stage.call(activity, payload_of(stage, activity))


# --- look


def test_look_sees_everything_that_a_plan_depends_on(stage: Stage) -> None:
    seen = stage.call("look", encode(an_offer(POLICY)))
    assert seen["files"] == policy_files(POLICY).model_dump(mode="json")
    assert seen["sight"]["model"]["version"] == "7"
    assert [one["version"] for one in seen["sight"]["registered"]] == ["7", "6"]
    snapshot = seen["sight"]["snapshot"]
    assert (snapshot["exists"], snapshot["weights"]) == (True, {"blue": 100})
    assert [one["name"] for one in snapshot["deployments"]] == ["blue"]
    assert seen["sight"]["timings"] == encode(TIMINGS)


def test_look_sees_that_there_is_nothing(stage: Stage) -> None:
    stage.workspace.endpoints.clear()
    stage.workspace.models.clear()
    seen = stage.call("look", encode(an_offer(POLICY)))
    assert seen["sight"]["model"] is None
    assert seen["sight"]["snapshot"] == {
        "exists": False,
        "region": "",
        "weights": {},
        "deployments": [],
    }


def test_look_asks_nobody_for_a_policy_that_is_gone(stage: Stage) -> None:
    gone = replace(an_offer(POLICY), policy="gone-one")
    assert stage.call("look", encode(gone)) == {"state": "done", "files": None}
    assert stage.workspace.calls == []


# --- create


def test_endpoint_that_is_being_changed_is_waited_for(stage: Stage) -> None:
    stage.endpoint.busy_until = stage.clock.now + MINUTE
    answer = stage.call("create_endpoint", payload_of(stage, "create_endpoint"))
    assert answer == {"state": "working", "reason": "endpoint 'fraud' is Updating"}


def test_endpoint_whose_creation_failed_needs_a_person(stage: Stage) -> None:
    stage.endpoint.state = "Failed"
    answer = stage.call("create_endpoint", payload_of(stage, "create_endpoint"))
    assert answer == {"state": "broke", "reason": "creating endpoint 'fraud': it is Failed"}


@pytest.mark.parametrize(
    ("owner", "says"),
    [("", "somebody else has made"), ("another-rollout", "rollout another-rollout has made")],
)
def test_deployment_of_the_same_name_by_another_is_left_alone(
    stage: Stage, owner: str, says: str
) -> None:
    stage.put(CANDIDATE, rollout_id=owner)
    answer = stage.call("create_candidate", payload_of(stage, "create_candidate"))
    assert answer["state"] == "broke"
    assert says in answer["reason"]
    assert stage.writes() == []


@pytest.mark.parametrize("activity", ["create_candidate", "watch_candidate"])
@pytest.mark.parametrize(
    ("changes", "state", "reason"),
    [
        ({}, "done", None),
        ({"ready_in": MINUTE}, "working", "deployment 'fraud-v7' is Creating"),
        ({"ends": "Failed", "code": "ImageBuildFailure"}, "failed", "ImageBuildFailure: it is bad"),
        ({"ends": "Failed", "code": "ResourceNotReady"}, "failed", "ResourceNotReady: it is bad"),
        ({"ends": "Failed", "code": "BadArgument"}, "failed", "BadArgument: it is bad"),
        ({"ends": "Failed", "code": "OutOfQuota"}, "broke", "OutOfQuota: it is bad"),
        ({"ends": "Failed", "code": ""}, "broke", "Failed: it is bad"),
        ({"ends": "Canceled", "code": ""}, "broke", "Canceled: "),
    ],
    ids=lambda value: str(value)[:40],
)
def test_creation_is_told(
    stage: Stage, activity: str, changes: dict[str, Any], state: str, reason: str | None
) -> None:
    made = {key: value for key, value in changes.items() if key != "ready_in"}
    ready_at = stage.clock.now + changes.get("ready_in", timedelta(0))
    stage.put(CANDIDATE, rollout_id=OURS, ready_at=ready_at, **made)
    answer = stage.call(activity, payload_of(stage, activity))
    assert answer["state"] == state
    assert (reason or "") in answer.get("reason", "")
    if state in {"failed", "broke"}:
        assert answer["log"].startswith("the end of the log of fraud fraud-v7")


@pytest.mark.parametrize("owner", [None, "another-rollout"])
def test_candidate_that_is_not_there_is_asked_for_again(stage: Stage, owner: str | None) -> None:
    if owner is not None:
        stage.put(CANDIDATE, rollout_id=owner)
    answer = stage.call("watch_candidate", BRIEF)
    assert answer == {"state": "busy", "reason": "'fraud-v7' is not there"}


TRACEBACK = """
2026 INFO starting
Traceback (most recent call last):
  File "score.py", line 3, in init
FileNotFoundError: no model.joblib
azureml_inference_server_http.server.exceptions.UserScriptException: it broke
worker exits
"""


@pytest.mark.parametrize(
    ("log", "telling"),
    [
        (TRACEBACK, "; its log says: FileNotFoundError: no model.joblib"),
        ("starting\n\nout of memory\n", "; its log says: out of memory"),
        ("SystemExit: 3\nbye\n", "; its log says: SystemExit: 3"),
        ("a.b.SomeException: no\nbye", "; its log says: a.b.SomeException: no"),
        ("", ""),
    ],
    ids=["traceback", "plain", "exit", "dotted", "empty"],
)
def test_telling_line_of_the_log_is_in_the_reason(stage: Stage, log: str, telling: str) -> None:
    stage.put(CANDIDATE, rollout_id=OURS, ends="Failed", code="ResourceNotReady")
    stage.workspace.logs[CANDIDATE] = log
    answer = stage.call("watch_candidate", BRIEF)
    assert answer["reason"] == f"creating 'fraud-v7': ResourceNotReady: it is bad{telling}"
    assert answer["log"] == log


def test_end_of_a_long_log_is_kept(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS, ends="Failed", code="ResourceNotReady")
    stage.workspace.logs[CANDIDATE] = "x" * 5_000 + "\nValueError: no"
    answer = stage.call("watch_candidate", BRIEF)
    assert len(answer["log"]) == 4_000
    assert answer["reason"].endswith("ValueError: no")


def test_log_that_cannot_be_read_does_not_hide_the_failure(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS, ends="Failed", code="ResourceNotReady")
    fail_at(stage, "get_logs")
    answer = stage.call("watch_candidate", BRIEF)
    assert answer["state"] == "failed"
    assert answer["log"] == "(the log could not be read: 503)"


# --- probe


def test_probe_asks_the_candidate_itself(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS, model_id="x/versions/7")
    stage.workspace.answers["7"] = Answer(status=500, milliseconds=3, body="boom")
    answer = stage.call("probe", BRIEF)
    assert answer["state"] == "done"
    assert answer["judgement"]["verdict"] == "fail"
    figures = answer["judgement"]["figures"]
    assert figures == {
        "status": 500,
        "milliseconds": 3,
        "answer": "boom",
        **chart(3, unit="ms", samples=1),
    }


# --- shift


def test_weights_are_done_when_they_are_read_back(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS)
    assert stage.call("shift", BRIEF)["state"] == "working"
    stage.wait()
    assert stage.call("shift", BRIEF) == {
        "state": "done",
        "weights": {CANDIDATE: 10, "blue": 90},
        "mirror": {},
    }


def test_weights_that_take_effect_at_once_are_done_at_once(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS)
    stage.workspace.traffic_takes = timedelta(0)
    assert stage.call("shift", BRIEF)["state"] == "done"
    assert stage.writes() == ["set_traffic"]


@pytest.mark.parametrize("traffic", [{"BLUE": 100, CANDIDATE: 0}, {"blue": 100, "gone": 0}])
def test_same_weights_in_another_case_or_with_zeros_are_not_set_again(
    stage: Stage, traffic: dict[str, int]
) -> None:
    stage.endpoint.weights = traffic
    answer = stage.call("shift", {**BRIEF, "weights": {"blue": 100}})
    assert answer == {"state": "done", "weights": traffic, "mirror": {}}
    assert stage.writes() == []


def test_weights_of_an_endpoint_whose_last_change_failed_are_set_again(stage: Stage) -> None:
    stage.endpoint.state = "Failed"
    assert stage.call("shift", {**BRIEF, "weights": {"blue": 100}})["state"] == "working"
    assert stage.writes() == ["set_traffic"]


def test_shift_waits_while_another_change_runs(stage: Stage) -> None:
    stage.endpoint.busy_until = stage.clock.now + MINUTE
    answer = stage.call("shift", BRIEF)
    assert answer == {"state": "working", "reason": "endpoint 'fraud' is Updating"}
    assert stage.writes() == []


@pytest.mark.parametrize(
    ("weights", "answer"),
    [
        (
            {"blue": 100},
            {"state": "broke", "reason": "setting weights: endpoint 'fraud' does not exist"},
        ),
        ({}, {"state": "done", "weights": {}, "mirror": {}}),
    ],
    ids=["some", "none"],
)
def test_weights_of_an_endpoint_that_is_gone(
    stage: Stage, weights: dict[str, int], answer: dict[str, Any]
) -> None:
    stage.workspace.endpoints.clear()
    assert stage.call("shift", {**BRIEF, "weights": weights}) == answer


def test_endpoint_that_vanishes_after_the_write_is_looked_at_again(stage: Stage) -> None:
    def vanish(method: str, when: str) -> None:
        if (method, when) == ("set_traffic", "after"):
            stage.workspace.endpoints.clear()

    stage.put(CANDIDATE, rollout_id=OURS)
    stage.workspace.fault = vanish
    assert stage.call("shift", BRIEF)["state"] == "working"
    assert stage.call("shift", BRIEF)["state"] == "broke"


def test_weights_that_were_so_before_are_written_all_the_same(stage: Stage) -> None:
    payload = {**BRIEF, "weights": {"blue": 100}, "must_write": True}
    answer = stage.call("shift", payload)
    assert (answer["state"], stage.writes()) == ("working", ["set_traffic"])
    stage.wait()
    assert stage.call("shift", {**payload, **answer["carry"]})["state"] == "done"
    assert stage.writes() == ["set_traffic"]


def test_reading_that_does_not_name_our_operation_is_believed_after_some_looks(
    stage: Stage,
) -> None:
    stage.endpoint.operation = "oe-1"
    payload = {**BRIEF, "weights": {"blue": 100}, "operation": "oe-2"}
    looks = []
    while (answer := stage.call("shift", payload))["state"] == "working":
        payload |= answer["carry"]
        looks.append(payload["looks"])
    assert (answer["state"], looks) == ("done", [1, 2, 3, 4])


@pytest.mark.parametrize("shown", ["", "oe-2"])
def test_reading_counts_at_once_when_it_names_our_operation_or_none(
    stage: Stage, shown: str
) -> None:
    stage.endpoint.operation = shown
    payload = {**BRIEF, "weights": {"blue": 100}, "operation": "oe-2"}
    assert stage.call("shift", payload)["state"] == "done"


# --- retire


def has_weight(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS)
    stage.endpoint.weights = {CANDIDATE: 1, "blue": 99}


def has_weight_in_another_case(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS)
    stage.endpoint.weights = {CANDIDATE.upper(): 1, "blue": 99}


def is_somebody_elses(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id="another-rollout")


def is_still_created(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS, ready_at=stage.clock.now + MINUTE)


def endpoint_is_changed(stage: Stage) -> None:
    stage.put(CANDIDATE, rollout_id=OURS)
    stage.endpoint.busy_until = stage.clock.now + MINUTE


def endpoint_is_gone(stage: Stage) -> None:
    stage.workspace.endpoints.clear()


def is_gone(_stage: Stage) -> None:
    pass


@pytest.mark.parametrize(
    ("arrange", "state", "reason"),
    [
        (has_weight, "broke", "retiring 'fraud-v7': it has weight 1"),
        (has_weight_in_another_case, "broke", "retiring 'fraud-v7': it has weight 1"),
        (is_somebody_elses, "broke", "retiring 'fraud-v7': this rollout has not made it"),
        (is_still_created, "working", "deployment 'fraud-v7' is Creating"),
        (endpoint_is_changed, "working", "endpoint 'fraud' is Updating"),
        (endpoint_is_gone, "done", None),
        (is_gone, "done", None),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_nothing_is_retired_when(
    stage: Stage, arrange: Callable[[Stage], None], state: str, reason: str | None
) -> None:
    arrange(stage)
    answer = stage.call("retire", BRIEF)
    assert (answer["state"], answer.get("reason")) == (state, reason)
    assert stage.writes() == []


def test_old_stable_is_retired_whoever_made_it(stage: Stage) -> None:
    stage.endpoint.weights = {CANDIDATE: 100}
    payload = {**BRIEF, "deployment": "blue", "must_be_ours": False}
    answer = stage.call("retire", payload)
    assert answer["state"] == "working"
    stage.wait()
    assert stage.call("retire", {**payload, **answer["carry"]}) == {"state": "done"}
    assert "blue" not in stage.endpoint.deployments


def test_candidate_that_is_not_shown_is_gone_only_after_some_looks(stage: Stage) -> None:
    payload = {**BRIEF, "is_made": True}
    looks = []
    while (answer := stage.call("retire", payload))["state"] == "working":
        payload |= answer["carry"]
        looks.append(payload["looks"])
    assert (answer, looks) == ({"state": "done"}, [1, 2, 3, 4])


def test_deletion_that_did_not_happen_is_asked_for_again(stage: Stage) -> None:
    stage.endpoint.weights = {CANDIDATE: 100}
    payload = {**BRIEF, "deployment": "blue", "must_be_ours": False, "is_asked": True}
    assert stage.call("retire", payload)["state"] == "working"
    assert stage.writes() == ["delete_deployment"]


def test_old_stable_that_has_weight_again_is_not_retired(stage: Stage) -> None:
    payload = {**BRIEF, "deployment": "blue", "must_be_ours": False}
    for carried in ({}, {"is_asked": True}):
        answer = stage.call("retire", {**payload, **carried})
        assert answer == {"state": "broke", "reason": "retiring 'blue': it has weight 100"}
    assert stage.writes() == []


def fail_at(stage: Stage, wanted: str) -> None:
    def fault(method: str, _when: str) -> None:
        if method == wanted:
            raise TransientError("503")

    stage.workspace.fault = fault


# --- capacity


@pytest.mark.parametrize(("free", "is_short"), [(9, True), (10, False)])
def test_candidate_without_room_is_short(stage: Stage, free: int, *, is_short: bool) -> None:
    stage.workspace.capacity = Capacity(family="standardDSv2Family", needed=10, free=free)
    answer = stage.call("check_capacity", payload_of(stage, "check_capacity"))
    assert answer["is_short"] is is_short
    assert (
        f"needs 10 cores of standardDSv2Family with what Azure reserves for upgrades, and {free}"
        in (answer["text"])
    )


def test_missing_right_to_look_at_the_quota_is_no_reason_not_to_try(stage: Stage) -> None:
    def refuse(_method: str, _when: str) -> None:
        raise WorkspaceError("reading usages: 403", status=403)

    payload = payload_of(stage, "check_capacity")
    stage.workspace.fault = refuse
    answer = stage.call("check_capacity", payload)
    assert (answer["state"], answer["is_short"]) == ("done", False)
    assert answer["text"] == "capacity is not known: reading usages: 403"
