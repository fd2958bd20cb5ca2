"""Batch endpoints, registries, datastores and the region's figures, by plain requests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.azure_ml_lab import Lab, Reply, lab

AAD = {"authMode": "AADToken"}


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("batch")) as emulator:
        emulator.register("m", "1")
        yield emulator


def put(aml: Lab, path: str, **properties: Any) -> Reply:
    return aml.arm("PUT", f"batchEndpoints/{path}", {"properties": properties})


def deployed(aml: Lab, name: str) -> str:
    aml.succeed(put(aml, name, **AAD))
    aml.succeed(put(aml, f"{name}/deployments/blue", compute="cpu", miniBatchSize=3))
    return name


def invoke(aml: Lab, name: str, body: Any, **headers: str) -> Reply:
    uri = aml.arm("GET", f"batchEndpoints/{name}").json["properties"]["scoringUri"]
    return aml.send("POST", uri, body, {"Authorization": "Bearer any", **headers})


# --- batch endpoints


def test_batch_endpoint_and_deployment_go_through_the_usual_states(aml: Lab) -> None:
    aml.admin("PUT", "pace", {"endpoint": 600})
    reply = put(aml, "nightly", **AAD)
    assert (reply.status, reply.json["properties"]["provisioningState"]) == (201, "Creating")
    assert put(aml, "nightly", **AAD).status == 409
    aml.admin("PUT", "pace", {"endpoint": 0})
    aml.admin("PUT", "clock", {"advance": 600})
    aml.succeed(reply)
    aml.succeed(put(aml, "nightly/deployments/blue", compute="cpu", miniBatchSize=3))
    shown = aml.arm("GET", "batchEndpoints/nightly/deployments/BLUE").json["properties"]
    assert (shown["miniBatchSize"], shown["errorThreshold"]) == (3, -1)
    assert shown["provisioningState"] == "Succeeded"
    assert [
        item["name"] for item in aml.arm("GET", "batchEndpoints/nightly/deployments").json["value"]
    ] == ["blue"]


def test_default_deployment_must_exist_and_is_not_deleted(aml: Lab) -> None:
    name = deployed(aml, "defaulted")
    refused = put(aml, name, **AAD, defaults={"deploymentName": "red"})
    assert (refused.status, refused.code) == (400, "UserError")
    aml.succeed(put(aml, name, **AAD, defaults={"deploymentName": "BLUE"}))
    shown = aml.arm("GET", f"batchEndpoints/{name}").json["properties"]
    assert shown["defaults"] == {"deploymentName": "blue"}
    assert aml.arm("DELETE", f"batchEndpoints/{name}/deployments/blue").status == 400
    body = {"properties": {"defaults": {}}, "tags": {"a": "b"}}
    assert aml.arm("PATCH", f"batchEndpoints/{name}", body).json["tags"] == {"a": "b"}
    aml.succeed(aml.arm("DELETE", f"batchEndpoints/{name}/deployments/blue"))
    assert aml.arm("GET", f"batchEndpoints/{name}/deployments/blue").status == 404
    assert aml.arm("DELETE", f"batchEndpoints/{name}/deployments/blue").status == 204


def test_invoked_jobs_are_recorded_and_never_run(aml: Lab) -> None:
    name = deployed(aml, "invoked")
    assert invoke(aml, name, {"properties": {}}).status == 404  # there is no default deployment
    asked = {"properties": {"inputData": {"data": {"uri": "https://x.invalid"}}}}
    job = invoke(aml, name, asked, **{"azureml-model-deployment": "blue"})
    assert (job.status, job.json["properties"]["status"]) == (201, "NotStarted")
    assert job.json["properties"]["inputData"] == asked["properties"]["inputData"]
    for path in (f"{name}/jobs", f"{name}/deployments/Blue/jobs"):
        listed = aml.arm("GET", f"batchEndpoints/{path}").json["value"]
        assert [item["name"] for item in listed] == [job.json["name"]]
    assert aml.arm("GET", f"batchEndpoints/{name}/deployments/red/jobs").json["value"] == []
    unsigned = aml.send("POST", f"/batch/{name}/jobs", {})
    assert unsigned.status == 401


def test_batch_endpoint_goes_with_everything_in_it(aml: Lab) -> None:
    name = deployed(aml, "leaving")
    aml.succeed(aml.arm("DELETE", f"batchEndpoints/{name}"))
    aml.succeed(put(aml, name, **AAD))
    assert aml.arm("GET", f"batchEndpoints/{name}/deployments").json["value"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        pytest.param("PUT", "keyed", {"properties": {"authMode": "Key"}}, 400, id="auth-mode"),
        pytest.param("PUT", "a", {"properties": AAD}, 400, id="name"),
        pytest.param("PUT", "none/deployments/blue", {"properties": {}}, 404, id="no-endpoint"),
        pytest.param("GET", "none", None, 404, id="unknown"),
        pytest.param("DELETE", "none", None, 204, id="delete-unknown"),
    ],
)
def test_batch_requests_that_make_no_sense(
    aml: Lab, method: str, path: str, body: Any, status: int
) -> None:
    assert aml.arm(method, f"batchEndpoints/{path}", body).status == status


def test_online_and_batch_endpoints_of_one_name_do_not_wait_for_each_other(aml: Lab) -> None:
    aml.admin("PUT", "pace", {"endpoint": 600})
    both = [aml.put_endpoint("twin"), put(aml, "twin", **AAD)]
    assert [reply.status for reply in both] == [201, 201]
    aml.admin("PUT", "pace", {"endpoint": 0})
    aml.admin("PUT", "clock", {"advance": 600})
    for reply in both:
        aml.succeed(reply)


# --- registries


def registry(aml: Lab, name: str) -> str:
    group = aml.ready["workspace_id"].rpartition("/workspaces/")[0]
    path = f"{group}/registries/{name}"
    aml.succeed(aml.arm("PUT", path, {"properties": {}, "tags": {"a": "b"}}))
    return path


def share(aml: Lab, path: str, **properties: Any) -> Reply:
    source = f"{aml.ready['workspace_id']}/models/m/versions/1"
    body = {"properties": {"sourceAssetId": source} | properties}
    return aml.arm("POST", f"/mferp/managementfrontend{path}/import", body)


def test_shared_model_is_a_copy_of_its_own_and_can_be_deployed(aml: Lab) -> None:
    path = registry(aml, "teams")
    aml.succeed(share(aml, path, destinationName="kept", destinationVersion="2"))
    model = aml.arm("GET", f"{path}/models/KEPT/versions/2").json
    assert model["id"] == "azureml://registries/teams/models/kept/versions/2"
    assert model["properties"]["modelType"] == "mlflow_model"
    blob = model["properties"]["modelUri"] + "/MLmodel"
    headers = {"Authorization": "Bearer any"}
    assert aml.send("GET", blob, headers=headers).body == b"flavors: {}\n"
    aml.succeed(aml.put_endpoint("shared"))
    aml.succeed(aml.put_deployment("shared/blue", "m:1", model=model["id"]))
    assert aml.pool()[-1]["model"] == "kept:2"
    failed = aml.done(
        aml.put_deployment("shared/blue", "m:1", model=model["id"].replace("kept", "gone"))
    )
    assert failed["error"]["code"] == "ResourceNotFound"
    assert share(aml, path, destinationName="kept", destinationVersion="2").status == 400


@pytest.mark.parametrize(
    ("properties", "status"),
    [
        pytest.param({"sourceAssetId": "azureml://elsewhere"}, 400, id="foreign"),
        pytest.param(
            {"sourceAssetId": "azureml://locations/x/workspaces/local/models/m/versions/9"},
            404,
            id="unknown-version",
        ),
        pytest.param({"destinationName": "a/b"}, 400, id="name"),
    ],
)
def test_what_cannot_be_shared_is_refused(
    aml: Lab, properties: dict[str, Any], status: int
) -> None:
    assert share(aml, registry(aml, "strict"), **properties).status == status


def test_registry_is_discovered_listed_and_goes_with_its_models(aml: Lab) -> None:
    path = registry(aml, "passing")
    aml.succeed(share(aml, path))
    discovery = "/registrymanagement/v1.0/registries/Passing/discovery"
    found = aml.arm("GET", discovery).json
    assert found["registryName"] == "passing"
    assert found["primaryRegionResourceProviderUri"] == f"{aml.ready['url']}/"
    listed = aml.arm("GET", path.rpartition("/")[0]).json["value"]
    assert "passing" in [item["name"] for item in listed]
    aml.succeed(aml.arm("DELETE", path))
    assert aml.arm("GET", discovery).status == 404
    registry(aml, "passing")
    assert aml.arm("GET", f"{path}/models").json["value"] == []


def test_registry_survives_a_restart(tmp_path: Path) -> None:
    with lab(tmp_path) as aml:
        aml.register("m", "1")
        path = registry(aml, "lasting")
        aml.succeed(share(aml, path))
        before = aml.arm("GET", f"{path}/models/m/versions/1").json
        aml.kill9()
        aml.start()
        assert aml.arm("GET", f"{path}/models/m/versions/1").json == before


# --- datastores and the region


def test_datastore_of_ones_own_holds_models(aml: Lab) -> None:
    secrets = {"secretsType": "AccountKey", "key": "c2VjcmV0"}
    body = {
        "properties": {
            "datastoreType": "AzureBlob",
            "accountName": "acct",
            "containerName": "own-models",
            "credentials": {"credentialsType": "AccountKey", "secrets": secrets},
        }
    }
    assert aml.arm("PUT", "datastores/own", body).status == 201
    made = aml.arm("PUT", "datastores/OWN", body)
    assert (made.status, "secrets" in str(made.json)) == (200, False)
    assert aml.arm("POST", "datastores/own/listSecrets", {}).json == secrets
    headers = {"Authorization": "Bearer any", "x-ms-blob-type": "BlockBlob"}
    aml.send("PUT", "/acct/own-models/there/MLmodel", b"flavors: {}\n", headers)
    aml.register("stored", "1", modelUri="azureml://datastores/own/paths/there")
    aml.succeed(aml.put_endpoint("stored"))
    aml.succeed(aml.put_deployment("stored/blue", "stored:1"))
    assert aml.pool()[-1]["model_path"].endswith("own-models/there")
    names = [item["name"] for item in aml.arm("GET", "datastores").json["value"]]
    assert names == ["workspaceblobstore", "workspaceartifactstore", "own"]
    assert aml.arm("DELETE", "datastores/own").status == 200
    assert aml.arm("DELETE", "datastores/own").status == 204
    assert aml.arm("GET", "datastores/own").status == 404


@pytest.mark.parametrize(
    ("name", "properties", "status"),
    [
        pytest.param("files", {"datastoreType": "AzureFile"}, 501, id="kind"),
        pytest.param("bare", {"datastoreType": "AzureBlob"}, 400, id="container"),
        pytest.param(
            "workspaceblobstore",
            {"datastoreType": "AzureBlob", "containerName": "x"},
            400,
            id="the-workspaces-own",
        ),
        pytest.param(
            "out", {"datastoreType": "AzureBlob", "containerName": "../x"}, 400, id="outside"
        ),
    ],
)
def test_datastores_that_cannot_be(
    aml: Lab, name: str, properties: dict[str, Any], status: int
) -> None:
    assert aml.arm("PUT", f"datastores/{name}", {"properties": properties}).status == status


def test_usages_count_what_is_deployed(aml: Lab) -> None:
    base = f"/subscriptions/{aml.ready['subscription']}/providers"
    base += "/Microsoft.MachineLearningServices/locations/localregion"

    def used() -> dict[str, int]:
        listed = aml.arm("GET", f"{base}/usages").json["value"]
        return {item["name"]["value"]: item["currentValue"] for item in listed}

    before = used()
    aml.succeed(aml.put_endpoint("counted"))
    aml.succeed(aml.put_deployment("counted/blue", "m:1"))
    after = used()
    grown = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert grown == {"onlineEndpoints": 1, "onlineDeployments": 1, "standardDSv2Family": 4}
    assert {item["limit"] for item in aml.arm("GET", f"{base}/quotas").json["value"]} == {200}
    sizes = aml.arm("GET", f"{base}/vmSizes").json["value"]
    assert "Standard_DS3_v2" in [item["name"] for item in sizes]
    skus = aml.arm("GET", "onlineEndpoints/counted/deployments/blue/skus").json["value"]
    assert skus[0]["capacity"]["maximum"] == 50
