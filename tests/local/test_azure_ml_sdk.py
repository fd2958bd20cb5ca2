"""The unmodified azure-ai-ml and azure-identity against the emulator with real scoring servers."""

import base64
import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.azure_ml_lab import REAL, Lab, environment, lab, until
from tests.local.scoring_world import train
from tests.local.test_azure_ml_wire import cloud_of

pytestmark = [
    pytest.mark.e2e,
    # azure-ai-ml warns about its own experimental classes and its dependencies.
    pytest.mark.filterwarnings("ignore"),
]

ROWS = [[1.0], [3.0]]
DOUBLED = [2.0, 6.0]  # what the trained model makes of them
IMAGE = "mcr.microsoft.com/azureml/minimal-ubuntu22.04-py39-cpu-inference"
SCORE = """
    import json, os
    import joblib

    def init():
        global model
        model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "plain", "model.joblib"))

    def run(raw):
        return model.predict(json.loads(raw)["data"]).round(3).tolist()
"""
BROKEN = """
def init():
    raise RuntimeError("no such weights")

def run(raw):
    return raw
"""
CONDA = """
    name: scoring
    channels: [conda-forge]
    dependencies:
      - python=3.13
      - pip
      - pip:
          - azureml-inference-server-http
          - scikit-learn
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    train(folder)
    return folder


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with (
        lab(tmp_path_factory.mktemp("sdk"), program=REAL) as emulator,
        pytest.MonkeyPatch.context() as patch,
    ):
        for key, value in environment(emulator).items():
            patch.setenv(key, value)
        yield emulator


@pytest.fixture(scope="module")
def client(aml: Lab) -> Iterator[Any]:
    from azure.ai.ml import MLClient  # noqa: PLC0415 - takes 1.5 s, and only these tests need it
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - see above

    yield MLClient(
        ManagedIdentityCredential(),
        aml.ready["subscription"],
        aml.ready["resource_group"],
        aml.ready["workspace"],
        **cloud_of(aml),
    )
    # The constructor sets this, and with it set no other process can import the SDK.
    os.environ.pop("AZUREML_CURRENT_CLOUD", None)


@pytest.fixture(scope="module")
def registered(aml: Lab, client: Any, models: Path) -> Lab:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 - see above

    for name, kind in (("mlflow", "mlflow_model"), ("plain", "custom_model")):
        client.models.create_or_update(Model(name=name, path=str(models / name), type=kind))
    return aml


@pytest.fixture
def code(tmp_path: Path) -> Path:
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "score.py").write_text(textwrap.dedent(SCORE))
    (tmp_path / "conda.yml").write_text(textwrap.dedent(CONDA))
    return folder


def no_code(endpoint: str, name: str, model: str) -> Any:
    from azure.ai.ml.entities import ManagedOnlineDeployment  # noqa: PLC0415 - see above

    return ManagedOnlineDeployment(
        name=name,
        endpoint_name=endpoint,
        model=model,
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )


def scripted(endpoint: str, name: str, code: Path) -> Any:
    from azure.ai.ml.entities import (  # noqa: PLC0415 - see above
        CodeConfiguration,
        Environment,
        ManagedOnlineDeployment,
    )

    return ManagedOnlineDeployment(
        name=name,
        endpoint_name=endpoint,
        model="plain:1",
        code_configuration=CodeConfiguration(code=str(code), scoring_script="score.py"),
        environment=Environment(image=IMAGE, conda_file=str(code.parent / "conda.yml")),
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )


def score(aml: Lab, endpoint: str, body: Any, deployment: str | None = None) -> Any:
    key = aml.arm("POST", f"onlineEndpoints/{endpoint}/listKeys").json["primaryKey"]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    if deployment is not None:
        headers["azureml-model-deployment"] = deployment
    return aml.send("POST", f"/endpoints/{endpoint}/score", body, headers)


def calls(aml: Lab) -> list[str]:
    """What ARM was asked since the log was cleared, without the polling."""
    log = aml.admin("GET", "requests?area=arm&last=500")["last"]
    asked = [f"{item['method']} {item['template'].removeprefix('{workspace}')}" for item in log]
    return [call for call in asked if "mfeOperationsStatus" not in call]


def test_sdk_talks_to_the_emulator_and_to_nothing_else(aml: Lab, client: Any) -> None:
    assert client._base_url == aml.ready["url"]
    assert client.workspaces.get(aml.ready["workspace"]).location == aml.ready["location"]


def test_model_is_uploaded_numbered_changed_archived_and_downloaded(
    client: Any, tmp_path: Path
) -> None:
    from azure.ai.ml.entities import Model  # noqa: PLC0415 - see above

    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "weights.txt").write_text("1")
    first = client.models.create_or_update(Model(name="own", path=str(folder), tags={"a": "1"}))
    (folder / "weights.txt").write_text("2")
    second = client.models.create_or_update(Model(name="own", path=str(folder)))
    assert (first.version, second.version) == ("1", "2")
    assert client.models.get("own", label="latest").version == "2"
    first.tags["b"] = "2"
    assert client.models.create_or_update(first).tags == {"a": "1", "b": "2"}
    client.models.archive("own", "1")
    assert [model.version for model in client.models.list("own")] == ["2"]
    client.models.restore("own", "1")
    assert [model.version for model in client.models.list("own")] == ["2", "1"]
    client.models.archive("own")
    assert "own" not in [model.name for model in client.models.list()]
    client.models.restore("own")
    assert "own" in [model.name for model in client.models.list()]
    client.models.download("own", "1", download_path=str(tmp_path / "back"))
    (found,) = (tmp_path / "back").rglob("weights.txt")
    assert found.read_text() == "1"


def test_no_code_model_and_script_serve_side_by_side(
    registered: Lab, client: Any, code: Path
) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint  # noqa: PLC0415 - see above
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - see above

    aml = registered
    endpoint = client.online_endpoints.begin_create_or_update(
        ManagedOnlineEndpoint(name="fraud", auth_mode="key", tags={"team": "a"})
    ).result()
    aml.admin("DELETE", "requests")
    model = f"{aml.ready['workspace_id']}/models/mlflow/versions/1"
    made = client.online_deployments.begin_create_or_update(no_code("fraud", "blue", model))
    assert made.result().provisioning_state == "Succeeded"
    one = "/onlineEndpoints/{endpoint}"
    assert calls(aml) == [
        f"GET {one}",
        "GET ",
        f"PUT {one}/deployments/{{deployment}}",
        f"GET {one}/deployments/{{deployment}}",
    ]
    aml.admin("DELETE", "requests")
    client.online_deployments.begin_create_or_update(scripted("fraud", "green", code)).result()
    asked = calls(aml)
    assert "POST /codes/{name}/versions/{version}/startPendingUpload" in asked
    assert "PUT /environments/{name}/versions/{version}" in asked
    endpoint.traffic = {"blue": 100}
    changed = client.online_endpoints.begin_create_or_update(endpoint).result()
    assert (changed.traffic, changed.tags) == ({"blue": 100}, {"team": "a"})
    assert score(aml, "fraud", {"input_data": ROWS}).json == pytest.approx(DOUBLED)
    assert score(aml, "fraud", {"data": ROWS}, "green").json == pytest.approx(DOUBLED)
    with pytest.raises(HttpResponseError, match="non-zero traffic weight"):
        client.online_deployments.begin_delete("blue", "fraud")
    assert "POST /score 200" in client.online_deployments.get_logs("green", "fraud", lines=50)
    served = aml.admin("GET", "served")["fraud"]
    assert {name: served[name]["requests"] for name in ("blue", "green")} == {
        "blue": {"200": 1},
        "green": {"200": 1},
    }
    split = "metricnames=RequestsPerMinute&$filter=deployment%20eq%20'*'"
    metrics = f"onlineEndpoints/fraud/providers/microsoft.insights/metrics?{split}"
    assert {
        one["metadatavalues"][0]["value"]: [p["average"] for p in one["data"] if "average" in p]
        for one in aml.arm("GET", metrics).json["value"][0]["timeseries"]
    } == {"blue": [1.0], "green": [1.0]}
    client.online_deployments.begin_delete("green", "fraud").result()
    assert [item.name for item in client.online_deployments.list("fraud")] == ["blue"]
    aml.succeed(aml.arm("DELETE", "onlineEndpoints/fraud"))


def test_unchanged_code_is_not_uploaded_again(registered: Lab, client: Any, code: Path) -> None:
    from azure.ai.ml.entities._assets import Code  # noqa: PLC0415 - see above

    (code / "extra.txt").write_text("makes this snapshot a new one")
    aml = registered
    first = client._code.create_or_update(Code(path=str(code)))
    aml.admin("DELETE", "requests")
    second = client._code.create_or_update(Code(path=str(code)))
    assert second.id == first.id
    assert calls(aml) == ["GET /codes/{name}/versions", "GET /codes/{name}/versions/{version}"]


def test_broken_script_ends_failed_with_its_traceback_in_the_logs(
    registered: Lab, client: Any, code: Path
) -> None:
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - see above

    registered.succeed(registered.put_endpoint("broken"))
    (code / "score.py").write_text(BROKEN)
    with pytest.raises(HttpResponseError) as caught:
        client.online_deployments.begin_create_or_update(scripted("broken", "blue", code)).result()
    assert caught.value.error is not None
    assert (caught.value.status_code, caught.value.error.code) == (200, "ResourceNotReady")
    assert client.online_deployments.get("blue", "broken").provisioning_state == "Failed"
    logs = client.online_deployments.get_logs("blue", "broken", lines=200)
    assert "RuntimeError: no such weights" in logs


def test_package_that_cannot_be_had_is_a_failed_image_build(registered: Lab) -> None:
    aml = registered
    conda = textwrap.dedent(CONDA) + "      - no-such-package-anywhere==1.0\n"
    environment_path = "environments/missing/versions/1"
    aml.arm("PUT", environment_path, {"properties": {"image": IMAGE, "condaFile": conda}})
    aml.succeed(aml.put_endpoint("imageless"))
    reply = aml.put_deployment(
        "imageless/blue",
        "mlflow:1",
        environmentId=f"{aml.ready['workspace_id']}/{environment_path}",
    )
    ended = aml.done(reply)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "ImageBuildFailure")
    assert "no-such-package-anywhere" in ended["error"]["message"]


def test_servers_come_back_after_kill_9(registered: Lab) -> None:
    aml = registered
    aml.succeed(aml.put_endpoint("lasting"))
    aml.succeed(aml.put_deployment("lasting/blue", "mlflow:1"))
    aml.succeed(aml.put_endpoint("lasting", traffic={"blue": 100}))
    assert score(aml, "lasting", {"input_data": ROWS}).json == pytest.approx(DOUBLED)
    aml.kill9()
    aml.start()
    until(lambda: not aml.admin("GET", "state")["restoring"])
    assert score(aml, "lasting", {"input_data": ROWS}).json == pytest.approx(DOUBLED)


def test_managed_identity_token_is_for_the_resource_asked_for(aml: Lab) -> None:
    from azure.identity import ManagedIdentityCredential  # noqa: PLC0415 - see above

    assert os.environ["IDENTITY_ENDPOINT"] == aml.ready["identity_endpoint"]
    token = ManagedIdentityCredential().get_token("https://ml.azure.com/.default")
    payload = token.token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert claims["aud"] == "https://ml.azure.com"
    assert token.expires_on == claims["exp"]
