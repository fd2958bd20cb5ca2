"""Online deployments: states, failures, limits, changes, deletion; over plain HTTPS."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.azure_ml_lab import Lab, lab

_numbers = itertools.count()
GONE = 404


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("endpoints")) as emulator:
        emulator.register("m", "1")
        yield emulator


@pytest.fixture
def name(aml: Lab) -> str:
    """An endpoint of its own for the test."""
    name = f"endpoint-{next(_numbers)}"
    aml.succeed(aml.put_endpoint(name))
    return name


@pytest.fixture
def two(aml: Lab, name: str) -> str:
    """An endpoint with two deployments, blue serving everything."""
    for deployment in ("blue", "green"):
        aml.succeed(aml.put_deployment(f"{name}/{deployment}", "m:1"))
    aml.succeed(aml.put_endpoint(name, traffic={"blue": 100}))
    return name


# --- deployments


def test_new_deployment_shows_its_defaults_only_when_done(
    aml: Lab, name: str, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    held = aml.put_deployment(f"{name}/blue", "m:1", environmentVariables={"HOLD": str(go_on)})
    assert held.status == 201
    assert "/mfeOperationsStatus/od:" in held.headers["azure-asyncoperation"]
    assert held.headers["x-ms-ratelimit-remaining-subscription-resource-requests"] == "24"
    shown = held.json["properties"]
    assert shown["provisioningState"] == "Updating"
    assert shown["livenessProbe"] is None
    assert shown["requestSettings"]["requestTimeout"] == "PT0S"
    go_on.touch()
    aml.succeed(held)
    done = aml.get_deployment(f"{name}/blue")["properties"]
    assert done["provisioningState"] == "Succeeded"
    assert done["requestSettings"]["requestTimeout"] == "PT5S"
    assert done["livenessProbe"]["failureThreshold"] == 30
    assert done["scaleSettings"] == {"scaleType": "Default"}
    assert done["properties"]["AzureAsyncOperationUri"] == held.headers["azure-asyncoperation"]


def test_deployment_starts_a_server_with_the_models_files(aml: Lab, name: str) -> None:
    body = aml.deployment_body("m:1", requestSettings={"requestTimeout": "PT1M30S"})
    body["sku"] = {"name": "Default", "capacity": 3}
    reply = aml.arm("PUT", f"onlineEndpoints/{name}/deployments/blue", body)
    aml.succeed(reply)
    (started,) = [item for item in aml.pool() if item.get("deployment") == f"{name}/blue"]
    assert started["model"] == "m:1"
    assert (Path(started["model_path"]) / "MLmodel").read_bytes() == b"flavors: {}\n"
    assert (started["instances"], started["request_timeout"]) == (3, 90.0)


def test_failed_deployment_stays_with_its_reason_and_logs(aml: Lab, name: str) -> None:
    reply = aml.put_deployment(f"{name}/blue", "m:1", environmentVariables={"FAIL": "no luck"})
    ended = aml.done(reply)
    assert ended["status"] == "Failed"
    assert (ended["error"]["code"], ended["error"]["message"]) == ("ResourceNotReady", "no luck")
    deployment = aml.get_deployment(f"{name}/blue")
    assert deployment["properties"]["provisioningState"] == "Failed"
    reason = aml.arm("GET", deployment["properties"]["properties"]["AzureAsyncOperationUri"])
    assert reason.json["error"]["message"] == "no luck"
    logs = f"onlineEndpoints/{name}/deployments/blue/getLogs"
    assert aml.arm("POST", logs, {"tail": 7}).json["content"] == (
        f"7 lines of inference-server of {name}/blue"
    )
    body = {"containerType": "StorageInitializer", "tail": 1}
    assert "storage-initializer" in aml.arm("POST", logs, body).json["content"]
    assert aml.arm("POST", logs, {"containerType": "Other"}).status == 400


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"model": "/x/models/none/versions/1"}, "ResourceNotFound"),
        ({"model": "azureml://registries/r/models/m/versions/1"}, "ResourceNotFound"),
        ({"environmentId": "/x/environments/none/versions/1"}, "ResourceNotFound"),
        (
            {"codeConfiguration": {"codeId": "/x/codes/no/versions/1", "scoringScript": "s.py"}},
            "ResourceNotFound",
        ),
        ({"model": None}, "BadArgument"),
    ],
    ids=str,
)
def test_deployment_of_what_is_not_there_fails_in_its_operation(
    aml: Lab, name: str, changed: dict[str, Any], code: str
) -> None:
    ended = aml.done(aml.put_deployment(f"{name}/blue", "m:1", **changed))
    assert (ended["status"], ended["error"]["code"]) == ("Failed", code)


def test_model_without_files_cannot_be_downloaded(aml: Lab, name: str) -> None:
    aml.register("hollow", "1", modelUri="azureml://datastores/workspaceblobstore/paths/none")
    ended = aml.done(aml.put_deployment(f"{name}/blue", "hollow:1"))
    assert ended["error"]["code"] == "BadArgument"


@pytest.mark.parametrize(
    "changed",
    [
        {"endpointComputeType": "Kubernetes"},
        {"endpointComputeType": None},
        {"requestSettings": {"requestTimeout": "PT181S"}},
        {"requestSettings": {"requestTimeout": "PT0S"}},
        {"requestSettings": {"requestTimeout": "5 seconds"}},
        {"requestSettings": {"maxConcurrentRequestsPerInstance": 0}},
        {"livenessProbe": {"period": "soon"}},
        {"scaleSettings": {"scaleType": "TargetUtilization"}},
        {"codeConfiguration": {"scoringScript": "score.py"}},
    ],
    ids=str,
)
def test_deployment_bodies_that_cannot_be_right_are_400(
    aml: Lab, name: str, changed: dict[str, Any]
) -> None:
    assert aml.put_deployment(f"{name}/blue", "m:1", **changed).status == 400
    assert aml.arm("GET", f"onlineEndpoints/{name}/deployments/blue").status == GONE


@pytest.mark.parametrize("capacity", [0, -1, 51, "2", True])
def test_capacity_has_limits(aml: Lab, name: str, capacity: object) -> None:
    body = {**aml.deployment_body("m:1"), "sku": {"name": "Default", "capacity": capacity}}
    assert aml.arm("PUT", f"onlineEndpoints/{name}/deployments/blue", body).status == 400


def test_deployment_needs_its_endpoint(aml: Lab) -> None:
    assert aml.put_deployment("none/blue", "m:1").status == GONE


def test_twentieth_deployment_is_the_last(aml: Lab, name: str) -> None:
    for number in range(20):
        aml.succeed(aml.put_deployment(f"{name}/number-{number}", "m:1"))
    reply = aml.put_deployment(f"{name}/number-20", "m:1")
    assert reply.status == 400
    assert "20 deployments" in reply.message


def test_failed_change_leaves_the_old_servers_serving(aml: Lab, two: str) -> None:
    reply = aml.put_deployment(f"{two}/blue", "m:1", environmentVariables={"FAIL": "x"})
    assert aml.done(reply)["status"] == "Failed"
    assert aml.state(f"{two}/blue") == "Failed"
    stopped = {"act": "stop", "deployment": f"{two}/blue"}
    assert stopped not in aml.pool()
    assert aml.seen_by_callers(two)["traffic"] == {"blue": 100}


def test_old_values_of_a_deployment_hold_until_the_change_is_done(
    aml: Lab, two: str, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    variables = {"HOLD": str(go_on)}
    held = aml.put_deployment(f"{two}/blue", "m:1", environmentVariables=variables)
    shown = aml.get_deployment(f"{two}/blue")["properties"]
    assert (shown["provisioningState"], shown["environmentVariables"]) == ("Updating", {})
    assert shown["requestSettings"]["requestTimeout"] == "PT5S"
    go_on.touch()
    aml.succeed(held)
    shown = aml.get_deployment(f"{two}/blue")["properties"]
    assert shown["environmentVariables"] == variables


def test_tags_are_patched_at_once_and_restart_nothing(aml: Lab, two: str) -> None:
    starts = len(aml.pool())
    path = f"onlineEndpoints/{two}/deployments/blue"
    reply = aml.arm("PATCH", path, {"tags": {"receipt": "1"}})
    assert (reply.status, reply.json["tags"]) == (200, {"receipt": "1"})
    reply = aml.arm("PATCH", f"onlineEndpoints/{two}", {"tags": {"team": "b"}})
    assert (reply.status, reply.json["tags"]) == (200, {"team": "b"})
    assert reply.json["properties"]["traffic"] == {"blue": 100}
    assert len(aml.pool()) == starts


def test_capacity_is_patched_by_an_operation(aml: Lab, two: str) -> None:
    path = f"onlineEndpoints/{two}/deployments/blue"
    reply = aml.arm("PATCH", path, {"sku": {"capacity": 2}})
    assert reply.status == 202
    aml.succeed(reply)
    assert aml.get_deployment(f"{two}/blue")["sku"]["capacity"] == 2
    assert aml.pool()[-1]["instances"] == 2


def test_patch_never_takes_traffic_or_a_model(aml: Lab, two: str) -> None:
    body = {"properties": {"traffic": {"green": 100}}}
    assert aml.arm("PATCH", f"onlineEndpoints/{two}", body).status == 400
    assert aml.arm("PATCH", f"onlineEndpoints/{two}/deployments/blue", body).status == 400


# --- deletion


@pytest.mark.parametrize(
    "weights",
    [
        {"traffic": {"blue": 99, "green": 1}},
        {"traffic": {"blue": 100}, "mirrorTraffic": {"green": 1}},
    ],
    ids=str,
)
def test_deployment_with_weight_cannot_be_deleted(
    aml: Lab, two: str, weights: dict[str, Any]
) -> None:
    aml.succeed(aml.put_endpoint(two, **weights))
    reply = aml.arm("DELETE", f"onlineEndpoints/{two}/deployments/green")
    assert reply.status == 400
    assert reply.message.startswith("Can't delete deployment [green] with non-zero")
    assert aml.state(f"{two}/green") == "Succeeded"


def test_deployment_without_weight_is_deleted_with_its_servers(aml: Lab, two: str) -> None:
    aml.succeed(aml.put_endpoint(two, traffic={"blue": 100, "green": 0}))
    reply = aml.arm("DELETE", f"onlineEndpoints/{two}/deployments/green")
    assert (reply.status, reply.body) == (202, b"null")
    assert "/mfeOperationResults/od:" in reply.headers["location"]
    aml.succeed(reply)
    assert aml.arm("GET", reply.headers["location"]).status == 204
    assert aml.arm("GET", f"onlineEndpoints/{two}/deployments/green").status == GONE
    assert aml.get_endpoint(two)["properties"]["traffic"] == {"blue": 100}
    assert {"act": "stop", "deployment": f"{two}/green"} in aml.pool()


def test_deployment_is_deleting_until_it_is_gone(aml: Lab, two: str) -> None:
    aml.admin("PUT", "pace", {"delete": 3600})
    reply = aml.arm("DELETE", f"onlineEndpoints/{two}/deployments/green")
    aml.admin("PUT", "pace", {"pace": "instant"})
    assert aml.state(f"{two}/green") == "Deleting"
    assert aml.arm("GET", reply.headers["location"]).status == 202


def test_deleting_what_is_not_there_is_204(aml: Lab, name: str) -> None:
    assert aml.arm("DELETE", f"onlineEndpoints/{name}/deployments/none").status == 204
    assert aml.arm("DELETE", "onlineEndpoints/none").status == 204
    assert aml.arm("DELETE", "onlineEndpoints/none/deployments/none").status == 204


def test_endpoint_is_deleted_with_its_deployments(aml: Lab, two: str) -> None:
    reply = aml.arm("DELETE", f"onlineEndpoints/{two}")
    aml.succeed(reply)
    assert aml.arm("GET", f"onlineEndpoints/{two}").status == GONE
    assert aml.arm("GET", f"onlineEndpoints/{two}/deployments").status == GONE
    stopped = [item["deployment"] for item in aml.pool() if item["act"] == "stop"]
    assert {f"{two}/blue", f"{two}/green"} <= set(stopped)
    aml.succeed(aml.put_endpoint(two))
    assert aml.arm("GET", f"onlineEndpoints/{two}/deployments").json["value"] == []


def test_lists_show_everything(aml: Lab, two: str) -> None:
    endpoints = aml.arm("GET", "onlineEndpoints").json["value"]
    assert two in [item["name"] for item in endpoints]
    deployments = aml.arm("GET", f"onlineEndpoints/{two}/deployments").json["value"]
    assert [item["name"] for item in deployments] == ["blue", "green"]
