"""Every method of the port turns each of Azure's failures into ours, and asks only once."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.ports import Workspace
from tests.contract.rooms import AnyToken, EmulatorRoom, a_plan, new_endpoint, weights

type Ask = Callable[[EmulatorRoom, str], object]

ASKS: Mapping[str, Ask] = {
    "get_model_version": lambda room, _: room.workspace.get_model_version("fraud", "1"),
    "list_models": lambda room, _: room.workspace.list_models(),
    "list_model_versions": lambda room, _: room.workspace.list_model_versions("fraud", newest=5),
    "get_endpoint": lambda room, name: room.workspace.get_endpoint(name),
    "list_deployments": lambda room, name: room.workspace.list_deployments(name),
    "get_deployment": lambda room, name: room.workspace.get_deployment(name, "green"),
    # a new adapter: one that has asked before remembers the machines
    "find_capacity": lambda room, name: room.open(AnyToken()).find_capacity(
        replace(a_plan(room, name, "red"), region="westeurope")
    ),
    "create_endpoint": lambda room, _: room.workspace.create_endpoint(a_plan(room, "odd", "none")),
    "create_deployment": lambda room, name: room.workspace.create_deployment(
        a_plan(room, name, "red")
    ),
    "set_traffic": lambda room, name: room.workspace.set_traffic(name, {}),
    "delete_deployment": lambda room, name: room.workspace.delete_deployment(name, "green"),
    "get_logs": lambda room, name: room.workspace.get_logs(name, "green", lines=5),
    # a new adapter: one that has scored before remembers the key
    "score": lambda room, name: room.open(AnyToken()).score(name, "green", "{}"),
}
WRITES = {
    "create_endpoint": "PUT",
    "create_deployment": "PUT",
    "set_traffic": "PUT",
    "delete_deployment": "DELETE",
}


@pytest.fixture(scope="module")
def endpoint(emulator: EmulatorRoom) -> str:
    """An endpoint with one deployment, which failed."""
    made = new_endpoint(emulator)
    emulator.create_failing(a_plan(emulator, made, "green"), code="ResourceNotReady")
    return made


def test_table_has_every_method_of_the_port() -> None:
    assert set(ASKS) == {name for name in vars(Workspace) if not name.startswith("_")}


def provoke(emulator: EmulatorRoom, endpoint: str, method: str, **fault: Any) -> WorkspaceError:
    """Let the method's first request fail, or its write; return what it raises."""
    if method in WRITES:
        fault["method"] = WRITES[method]
    path = "/(onlineEndpoints|models|vmSizes)"
    with (
        emulator.requests() as requests,
        emulator.fault(path_regex=path, **fault),
        pytest.raises(WorkspaceError) as caught,
    ):
        ASKS[method](emulator, endpoint)
    asked = list(requests)
    if method in WRITES:  # what comes before the write was let through
        asked = [one for one in asked if one.startswith(f"{WRITES[method]} /onlineEndpoints")]
    assert len(asked) == 1
    assert [one.name for one in emulator.workspace.list_deployments(endpoint)] == ["green"]
    assert weights(emulator, endpoint) == {}
    return caught.value


@pytest.mark.parametrize("method", ASKS)
def test_throttling_is_transient_and_says_for_how_long(
    emulator: EmulatorRoom, endpoint: str, method: str
) -> None:
    fault = {"status": 429, "code": "TooManyRequests", "retry_after": 17}
    error = provoke(emulator, endpoint, method, **fault)
    assert isinstance(error, TransientError)
    assert (error.code, error.retry_after) == ("TooManyRequests", timedelta(seconds=17))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("method", ASKS)
def test_outage_is_transient(
    emulator: EmulatorRoom, endpoint: str, method: str, status: int
) -> None:
    error = provoke(emulator, endpoint, method, status=status, code="ServerBusy")
    assert isinstance(error, TransientError)
    assert (error.code, error.retry_after) == ("ServerBusy", timedelta(0))
    assert str(status) in str(error)


@pytest.mark.parametrize("method", ASKS)
def test_dropped_connection_is_transient(
    emulator: EmulatorRoom, endpoint: str, method: str
) -> None:
    assert isinstance(provoke(emulator, endpoint, method, drop_connection=True), TransientError)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "UserError"), (403, "AuthorizationFailed"), (409, "Conflict")],
    ids=str,
)
@pytest.mark.parametrize("method", ASKS)
def test_refusal_is_for_good_and_keeps_its_code_and_text(
    emulator: EmulatorRoom, endpoint: str, method: str, status: int, code: str
) -> None:
    text = "does not have authorization to perform action"
    error = provoke(emulator, endpoint, method, status=status, code=code, message=text)
    assert not isinstance(error, TransientError)
    assert (error.status, error.code) == (status, code)
    assert text in str(error)


@pytest.mark.parametrize(
    ("fault", "status"),
    [({"drop_connection": True}, None), ({"status": 503}, 503), ({"status": 429}, 429)],
    ids=str,
)
def test_failure_of_the_scoring_front_is_an_answer(
    emulator: EmulatorRoom, endpoint: str, fault: dict[str, Any], status: int | None
) -> None:
    with emulator.requests("scoring") as asked, emulator.fault(path_regex="^/endpoints/", **fault):
        answer = emulator.workspace.score(endpoint, "green", "{}")
    assert answer.status == status
    assert bool(answer.error) == (status is None)
    assert len(asked) == 1
