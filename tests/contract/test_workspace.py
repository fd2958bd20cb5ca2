"""The Workspace port's contract: the same claims about the fake and about the emulator."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from deploy_logic.errors import TransientError, WorkspaceError
from tests.contract.rooms import Room, a_plan, new_endpoint, new_name, set_weights, weights

CONFLICT = 409


# --- models


def test_version_is_read_with_its_tags_and_id(room: Room) -> None:
    found = room.workspace.get_model_version("fraud", "1")
    assert found is not None
    assert (found.version, found.is_archived) == ("1", False)
    assert dict(found.tags) == {"stage": "production"}
    assert found.id.lower() == f"{room.id}/models/fraud/versions/1".lower()
    assert found.created is None or found.created.tzinfo is not None


@pytest.mark.parametrize("version", ["1.2.0-rc.1", "2026-11-23", "007", "v_1"])
def test_version_is_text_and_comes_back_as_written(room: Room, version: str) -> None:
    model = new_name("texts")
    room.register(version, model=model)
    found = room.workspace.get_model_version(model, version)
    assert found is not None
    assert found.version == version
    assert [one.version for one in room.workspace.list_model_versions(model, newest=5)] == [version]


@pytest.mark.parametrize(("model", "version"), [("fraud", "99"), ("nobody", "1")])
def test_version_that_is_not_registered_is_none(room: Room, model: str, version: str) -> None:
    assert room.workspace.get_model_version(model, version) is None


def test_archived_version_is_read_but_not_listed(room: Room) -> None:
    model = new_name("archived")
    room.register("1", model=model)
    room.register("2", model=model, is_archived=True)
    found = room.workspace.get_model_version(model, "2")
    assert found is not None
    assert found.is_archived
    assert [one.version for one in room.workspace.list_model_versions(model, newest=5)] == ["1"]


def test_versions_are_listed_newest_first_and_no_more_than_asked_for(room: Room) -> None:
    model = new_name("many")
    for version in ("10", "9", "a", "2"):  # the time counts, not the name
        room.register(version, model=model)
    listed = room.workspace.list_model_versions(model, newest=3)
    assert [one.version for one in listed] == ["2", "a", "9"]
    assert all(one.tags == {"stage": "production"} for one in listed)
    assert listed[0] == room.workspace.get_model_version(model, "2")


def test_model_that_nobody_registered_has_no_versions(room: Room) -> None:
    assert room.workspace.list_model_versions("nobody", newest=5) == ()


def test_every_model_is_named_once(room: Room) -> None:
    model = new_name("named")
    for version in ("1", "2"):
        room.register(version, model=model)
    names = room.workspace.list_models()
    assert {model, "fraud"} <= set(names)
    assert len(names) == len(set(names))


# --- what is not there


def test_endpoint_that_is_not_there_is_none_and_has_no_deployments(room: Room) -> None:
    assert room.workspace.get_endpoint("nowhere") is None
    assert room.workspace.list_deployments("nowhere") == ()
    assert room.workspace.get_deployment("nowhere", "blue") is None


def test_deployment_that_is_not_there_is_none_and_has_no_log(room: Room, served: str) -> None:
    assert room.workspace.get_deployment(served, "nothing") is None
    assert room.workspace.get_logs(served, "nothing", lines=5) == ""


def test_setting_weights_of_no_endpoint_is_refused_for_good(room: Room) -> None:
    with pytest.raises(WorkspaceError, match="nowhere") as caught:
        room.workspace.set_traffic("nowhere", {})
    assert not isinstance(caught.value, TransientError)
    assert caught.value.status == 404


def test_creating_in_no_endpoint_is_refused_for_good(room: Room) -> None:
    with pytest.raises(WorkspaceError) as caught:
        room.workspace.create_deployment(a_plan(room, "nowhere", "blue"))
    assert not isinstance(caught.value, TransientError)
    assert caught.value.status == 404


def test_deleting_what_is_not_there_is_done(room: Room, served: str) -> None:
    room.workspace.delete_deployment("nowhere", "blue")
    room.workspace.delete_deployment(served, "nothing")
    found = room.workspace.get_endpoint(served)
    assert found is not None
    assert found.provisioning_state == "Succeeded"


# --- creating


def test_endpoint_is_created_empty(room: Room) -> None:
    endpoint = new_name("created")
    room.workspace.create_endpoint(a_plan(room, endpoint, "none"))
    assert room.workspace.get_endpoint(endpoint) is not None  # at once, whatever its state
    room.settle(endpoint)
    found = room.workspace.get_endpoint(endpoint)
    assert found is not None
    assert (found.provisioning_state, dict(found.traffic)) == ("Succeeded", {})
    assert room.workspace.list_deployments(endpoint) == ()


def test_endpoint_under_creation_says_so(room: Room) -> None:
    endpoint = new_name("slow")
    with room.hold():
        room.workspace.create_endpoint(a_plan(room, endpoint, "none"))
    found = room.workspace.get_endpoint(endpoint)
    assert found is not None
    assert found.provisioning_state in {"Creating", "Updating"}


def test_deployment_is_there_at_once_with_our_receipt_and_no_weight(room: Room) -> None:
    endpoint = new_endpoint(room)
    plan = a_plan(room, endpoint, "green", version="2")
    with room.hold():
        room.workspace.create_deployment(plan)
    (listed,) = room.workspace.list_deployments(endpoint)
    assert (listed.name, listed.rollout_id) == ("green", plan.rollout_id)
    assert listed.model_id.lower() == plan.model_id.lower()
    found = room.workspace.get_deployment(endpoint, "green")
    assert found is not None
    assert found.provisioning_state in {"Creating", "Updating"}
    assert (found.rollout_id, found.code, found.message) == (plan.rollout_id, "", "")
    assert weights(room, endpoint) == {}
    assert room.workspace.score(endpoint, "green", "{}").status == 404  # no server of it is up yet


def test_created_deployment_succeeds_beside_the_weights(room: Room, served: str) -> None:
    found = room.workspace.get_deployment(served, "green")
    assert found is not None
    assert (found.provisioning_state, found.rollout_id) == ("Succeeded", "rollout-of-green")
    assert (found.code, found.message) == ("", "")
    assert weights(room, served) == {"blue": 100}


def test_deployments_are_listed_with_their_models(room: Room, served: str) -> None:
    listed = {one.name: one for one in room.workspace.list_deployments(served)}
    assert set(listed) == {"blue", "green", "red"}
    assert listed["green"].model_id.lower() == f"{room.id}/models/fraud/versions/2".lower()
    assert listed["green"].rollout_id == "rollout-of-green"


@pytest.mark.parametrize("code", ["ImageBuildFailure", "OutOfQuota"])
def test_failed_deployment_tells_code_and_message(room: Room, code: str) -> None:
    endpoint = new_endpoint(room)
    room.create_failing(a_plan(room, endpoint, "green"), code=code)
    found = room.workspace.get_deployment(endpoint, "green")
    assert found is not None
    assert (found.provisioning_state, found.code) == ("Failed", code)
    assert found.message
    assert found.rollout_id == "rollout-of-green"


# --- weights


@pytest.mark.parametrize(
    "wanted",
    [{"blue": 90, "green": 10}, {"blue": 50, "green": 50}, {"blue": 0, "green": 100}, {}],
    ids=str,
)
def test_weights_are_read_back_and_nothing_else_changes(
    room: Room, served: str, wanted: dict[str, int]
) -> None:
    deployments = room.workspace.list_deployments(served)
    set_weights(room, served, **wanted)
    found = room.workspace.get_endpoint(served)
    assert found is not None
    assert found.provisioning_state == "Succeeded"
    assert room.workspace.list_deployments(served) == deployments


def test_deployment_that_is_not_named_gets_no_weight(room: Room, served: str) -> None:
    set_weights(room, served, blue=30, green=70)
    set_weights(room, served, green=100)
    assert weights(room, served) == {"green": 100}


def test_names_compare_without_case(room: Room, served: str) -> None:
    assert room.workspace.get_endpoint(served.upper()) is not None
    assert room.workspace.get_deployment(served.upper(), "GREEN") is not None
    assert len(room.workspace.list_deployments(served.upper())) == 3
    room.workspace.set_traffic(served.upper(), {"GREEN": 100})
    room.settle(served)
    assert weights(room, served) == {"green": 100}
    assert room.workspace.score(served, "GREEN", "{}").status == 200
    with pytest.raises(WorkspaceError):
        room.workspace.delete_deployment(served, "Green")


@pytest.mark.parametrize(
    "wanted", [{"blue": 90}, {"blue": 90, "green": 20}, {"nothing": 100}], ids=str
)
def test_weights_that_cannot_be_are_refused_and_change_nothing(
    room: Room, served: str, wanted: dict[str, int]
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        room.workspace.set_traffic(served, wanted)
    assert not isinstance(caught.value, TransientError)
    assert caught.value.status == 400
    room.settle(served)
    assert weights(room, served) == {"blue": 100}


# --- one operation at a time


def test_old_weights_are_seen_while_new_ones_are_being_set(room: Room) -> None:
    endpoint = new_endpoint(room)
    for name in ("blue", "green"):
        room.create_failing(a_plan(room, endpoint, name), code="ResourceNotReady")
    set_weights(room, endpoint, blue=100)
    with room.hold():
        room.workspace.set_traffic(endpoint, {"green": 100})
        found = room.workspace.get_endpoint(endpoint)
    assert found is not None
    assert (found.provisioning_state, weights(room, endpoint)) == ("Updating", {"blue": 100})


def test_second_operation_is_a_conflict_and_not_a_failure_for_good(room: Room) -> None:
    endpoint = new_endpoint(room)
    room.create_failing(a_plan(room, endpoint, "green"), code="ResourceNotReady")
    plan = a_plan(room, endpoint, "red")
    with room.hold():
        room.workspace.set_traffic(endpoint, {})
        asks: tuple[Callable[[], object], ...] = (
            lambda: room.workspace.set_traffic(endpoint, {}),
            lambda: room.workspace.create_deployment(plan),
            lambda: room.workspace.delete_deployment(endpoint, "green"),
            lambda: room.workspace.create_endpoint(plan),
        )
        for ask in asks:
            with pytest.raises(WorkspaceError) as caught:
                ask()
            assert (caught.value.code, caught.value.status) == ("Conflict", CONFLICT)
    assert [one.name for one in room.workspace.list_deployments(endpoint)] == ["green"]


def test_endpoint_names_the_operation_that_has_set_its_weights(room: Room, served: str) -> None:
    operation = room.workspace.set_traffic(served, weights(room, served))
    room.settle(served)
    found = room.workspace.get_endpoint(served)
    assert found is not None
    assert found.operation == operation != ""


# --- deleting


def test_deployment_without_weight_is_deleted(room: Room) -> None:
    endpoint = new_endpoint(room)
    for name in ("blue", "green"):
        room.create_failing(a_plan(room, endpoint, name), code="ResourceNotReady")
    set_weights(room, endpoint, blue=100, green=0)
    room.workspace.delete_deployment(endpoint, "green")
    room.settle(endpoint)
    assert room.workspace.get_deployment(endpoint, "green") is None
    assert [one.name for one in room.workspace.list_deployments(endpoint)] == ["blue"]
    assert weights(room, endpoint) == {"blue": 100}


def test_deployment_under_deletion_says_so(room: Room) -> None:
    endpoint = new_endpoint(room)
    room.create_failing(a_plan(room, endpoint, "green"), code="ResourceNotReady")
    with room.hold():
        room.workspace.delete_deployment(endpoint, "green")
    found = room.workspace.get_deployment(endpoint, "green")
    assert found is not None
    assert found.provisioning_state == "Deleting"


@pytest.mark.parametrize("weight", [1, 100])
def test_deployment_with_weight_is_not_deleted(room: Room, served: str, weight: int) -> None:
    set_weights(room, served, blue=100 - weight, green=weight)
    with pytest.raises(WorkspaceError) as caught:
        room.workspace.delete_deployment(served, "green")
    assert not isinstance(caught.value, TransientError)
    assert caught.value.status == 400
    room.settle(served)
    found = room.workspace.get_deployment(served, "green")
    assert found is not None
    assert found.provisioning_state == "Succeeded"
    assert weights(room, served).get("green") == weight


# --- logs and scores


def test_fewer_lines_of_a_log_are_its_end(room: Room, served: str) -> None:
    # Azure puts a heading above the lines, whatever their number
    more = room.workspace.get_logs(served, "blue", lines=30).splitlines()
    fewer = room.workspace.get_logs(served, "blue", lines=1).splitlines()
    assert len(fewer) < len(more)
    assert fewer[-1] == more[-1] != ""


@pytest.mark.parametrize(("deployment", "answer"), [("blue", '"one"'), ("green", '"two"')])
def test_score_asks_the_deployment_that_is_named_whatever_the_weights(
    room: Room, served: str, deployment: str, answer: str
) -> None:
    found = room.workspace.score(served, deployment, '{"data": [1]}')
    assert (found.status, found.body, found.error) == (200, answer, "")
    assert found.milliseconds >= 0


def test_model_that_raises_is_an_answer(room: Room, served: str) -> None:
    found = room.workspace.score(served, "red", "{}")
    assert (found.status, found.error) == (424, "")
    assert found.body


def test_score_of_no_deployment_is_an_answer(room: Room, served: str) -> None:
    assert room.workspace.score(served, "nothing", "{}").status == 404


def test_score_of_no_endpoint_is_refused_for_good(room: Room) -> None:
    with pytest.raises(WorkspaceError, match="nowhere") as caught:
        room.workspace.score("nowhere", "blue", "{}")
    assert not isinstance(caught.value, TransientError)


# --- calls that break off


def test_write_that_broke_off_before_azure_acted_changed_nothing(room: Room) -> None:
    endpoint = new_endpoint(room)
    for name in ("blue", "green"):
        room.create_failing(a_plan(room, endpoint, name), code="ResourceNotReady")
    set_weights(room, endpoint, blue=100)
    other = new_name("lost")
    with room.break_off("create_endpoint", when="before"), pytest.raises(TransientError):
        room.workspace.create_endpoint(a_plan(room, other, "none"))
    with room.break_off("create_deployment", when="before"), pytest.raises(TransientError):
        room.workspace.create_deployment(a_plan(room, endpoint, "red"))
    with room.break_off("set_traffic", when="before"), pytest.raises(TransientError):
        room.workspace.set_traffic(endpoint, {"green": 100})
    with room.break_off("delete_deployment", when="before"), pytest.raises(TransientError):
        room.workspace.delete_deployment(endpoint, "green")
    room.settle(endpoint)
    assert room.workspace.get_endpoint(other) is None
    assert [one.name for one in room.workspace.list_deployments(endpoint)] == ["blue", "green"]
    assert weights(room, endpoint) == {"blue": 100}


def test_write_whose_answer_was_lost_has_landed(room: Room) -> None:
    endpoint = new_name("landed")
    with room.break_off("create_endpoint", when="after"), pytest.raises(TransientError):
        room.workspace.create_endpoint(a_plan(room, endpoint, "none"))
    room.settle(endpoint)
    assert room.workspace.get_endpoint(endpoint) is not None
    for name in ("blue", "green"):
        room.create_failing(a_plan(room, endpoint, name), code="ResourceNotReady")
    with room.break_off("set_traffic", when="after"), pytest.raises(TransientError):
        room.workspace.set_traffic(endpoint, {"green": 100})
    room.settle(endpoint)
    assert weights(room, endpoint) == {"green": 100}
    with room.break_off("delete_deployment", when="after"), pytest.raises(TransientError):
        room.workspace.delete_deployment(endpoint, "blue")
    room.settle(endpoint)
    assert room.workspace.get_deployment(endpoint, "blue") is None
    plan = replace(a_plan(room, endpoint, "red"), rollout_id="landed")
    with (
        room.hold(),
        room.break_off("create_deployment", when="after"),
        pytest.raises(TransientError),
    ):
        room.workspace.create_deployment(plan)
    found = room.workspace.get_deployment(endpoint, "red")
    assert found is not None
    assert found.rollout_id == "landed"
