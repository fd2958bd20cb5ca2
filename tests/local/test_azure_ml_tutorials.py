"""Three tutorials of Azure ML's documentation, replayed with the calls they make, end to end.

The models and scripts are our own small ones; what is called, and in which order, is theirs:
deploying an MLflow model, the safe rollout with its mirror, and code with an environment from the
YAML files that `az ml` takes.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.azure_ml_lab import REAL, Lab, environment, lab, until
from tests.local.scoring_world import train
from tests.local.test_azure_ml_wire import Token, cloud_of, forget_named_deployment

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore"),  # azure-ai-ml warns about its own classes
]
IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04:latest"
SCORE = """
import json, os
import joblib


def init():
    global model
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "plain", "model.joblib")
    model = joblib.load(path)
    print("init complete")


def run(raw_data):
    data = json.loads(raw_data)["data"]
    factor = float(os.environ.get("FACTOR", "1"))
    return [round(value * factor, 3) for value in model.predict(data).tolist()]
"""
CONDA = """
name: model-env
channels: [conda-forge]
dependencies:
  - python=3.13
  - pip
  - pip:
      - azureml-inference-server-http
      - scikit-learn
      - joblib
"""
ENDPOINT_YAML = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineEndpoint.schema.json
name: from-yaml
auth_mode: key
"""
DEPLOYMENT_YAML = """
$schema: https://azuremlschemas.azureedge.net/latest/managedOnlineDeployment.schema.json
name: blue
endpoint_name: from-yaml
model:
  path: ./plain
code_configuration:
  code: ./onlinescoring
  scoring_script: score.py
environment:
  conda_file: ./conda.yaml
  image: IMAGE
instance_type: Standard_DS3_v2
instance_count: 1
environment_variables:
  FACTOR: "10"
request_settings:
  request_timeout_ms: 10000
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tutorials")
    train(folder)
    (folder / "onlinescoring").mkdir()
    (folder / "onlinescoring" / "score.py").write_text(SCORE)
    (folder / "conda.yaml").write_text(CONDA)
    (folder / "mlflow-request.json").write_text(json.dumps({"input_data": [[1.0], [3.0]]}))
    (folder / "request.json").write_text(json.dumps({"data": [[1.0], [3.0]]}))
    (folder / "endpoint.yml").write_text(ENDPOINT_YAML)
    (folder / "deployment.yml").write_text(DEPLOYMENT_YAML.replace("IMAGE", IMAGE))
    return folder


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with (
        lab(tmp_path_factory.mktemp("aml"), program=REAL) as emulator,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("REQUESTS_CA_BUNDLE", environment(emulator)["REQUESTS_CA_BUNDLE"])
        yield emulator


@pytest.fixture(scope="module")
def ml_client(aml: Lab) -> Iterator[Any]:
    from azure.ai.ml import MLClient  # noqa: PLC0415 - takes 1.5 s, and only these tests need it

    scope = [aml.ready[key] for key in ("subscription", "resource_group", "workspace")]
    yield MLClient(Token(), *scope, **cloud_of(aml))
    os.environ.pop("AZUREML_CURRENT_CLOUD", None)


def test_deploy_an_mlflow_model(ml_client: Any, files: Path) -> None:
    from azure.ai.ml.constants import AssetTypes  # noqa: PLC0415 - see above
    from azure.ai.ml.entities import (  # noqa: PLC0415 - see above
        ManagedOnlineDeployment,
        ManagedOnlineEndpoint,
        Model,
    )

    model = ml_client.models.create_or_update(
        Model(name="doubler", path=str(files / "mlflow"), type=AssetTypes.MLFLOW_MODEL)
    )
    endpoint = ManagedOnlineEndpoint(name="doubler-endpoint", auth_mode="key")
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    blue = ManagedOnlineDeployment(
        name="sklearn-deployment",
        endpoint_name=endpoint.name,
        model=model,
        instance_type="Standard_F4s_v2",
        instance_count=1,
    )
    ml_client.online_deployments.begin_create_or_update(blue).result()
    endpoint.traffic = {"sklearn-deployment": 100}
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    answer = ml_client.online_endpoints.invoke(
        endpoint_name=endpoint.name, request_file=str(files / "mlflow-request.json")
    )
    assert json.loads(answer) == pytest.approx([2.0, 6.0])
    ml_client.online_endpoints.begin_delete(endpoint.name).result()
    assert [item.name for item in ml_client.online_endpoints.list()] == []


def scripted(name: str, endpoint: str, files: Path, factor: int) -> Any:
    from azure.ai.ml.entities import (  # noqa: PLC0415 - see above
        CodeConfiguration,
        Environment,
        ManagedOnlineDeployment,
        Model,
    )

    return ManagedOnlineDeployment(
        name=name,
        endpoint_name=endpoint,
        model=Model(path=str(files / "plain")),
        environment=Environment(conda_file=str(files / "conda.yaml"), image=IMAGE),
        code_configuration=CodeConfiguration(
            code=str(files / "onlinescoring"), scoring_script="score.py"
        ),
        environment_variables={"FACTOR": str(factor)},
        instance_type="Standard_DS3_v2",
        instance_count=1,
    )


def test_safe_rollout_with_a_mirror(aml: Lab, ml_client: Any, files: Path) -> None:
    from azure.ai.ml.entities import ManagedOnlineEndpoint  # noqa: PLC0415 - see above

    name, request = "safe-rollout", str(files / "request.json")
    endpoint = ManagedOnlineEndpoint(
        name=name, description="safe rollout", auth_mode="key", tags={"foo": "bar"}
    )
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    blue = scripted("blue", name, files, factor=1)
    ml_client.online_deployments.begin_create_or_update(blue).result()
    endpoint.traffic = {"blue": 100}
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    assert ml_client.online_endpoints.get(name).traffic == {"blue": 100}
    assert json.loads(invoke(ml_client, name, request)) == [2.0, 6.0]
    assert "init complete" in ml_client.online_deployments.get_logs("blue", name, lines=500)

    # Scale the existing deployment, then deploy the new one beside it, without traffic.
    blue = ml_client.online_deployments.get("blue", name)
    blue.instance_count = 2
    ml_client.online_deployments.begin_create_or_update(blue).result()
    ml_client.online_deployments.begin_create_or_update(scripted("green", name, files, 2)).result()
    assert json.loads(invoke(ml_client, name, request, "green")) == [4.0, 12.0]

    # Mirror a part of live traffic: callers see blue only.
    endpoint.mirror_traffic = {"green": 50}
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    answers = Counter(invoke(ml_client, name, request) for _ in range(20))
    assert list(answers) == ["[2.0, 6.0]"]
    until(lambda: aml.admin("GET", "served")[name]["green"]["mirrored"] > 0)
    endpoint.mirror_traffic = {"green": 0}
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()

    # A small share of live traffic, then all of it; then the old one goes.
    endpoint.traffic = {"blue": 50, "green": 50}
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    shared = Counter(invoke(ml_client, name, request) for _ in range(40))
    assert set(shared) == {"[2.0, 6.0]", "[4.0, 12.0]"}
    endpoint.traffic = {"blue": 0, "green": 100}
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    ml_client.online_deployments.begin_delete(name="blue", endpoint_name=name).result()
    assert {invoke(ml_client, name, request) for _ in range(5)} == {"[4.0, 12.0]"}
    ml_client.online_endpoints.begin_delete(name).result()


def test_code_and_environment_from_the_yaml_of_az_ml(ml_client: Any, files: Path) -> None:
    from azure.ai.ml import load_online_deployment, load_online_endpoint  # noqa: PLC0415 - above

    endpoint = load_online_endpoint(str(files / "endpoint.yml"))
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    deployment = load_online_deployment(str(files / "deployment.yml"))
    ml_client.online_deployments.begin_create_or_update(deployment).result()
    endpoint = ml_client.online_endpoints.get("from-yaml")
    endpoint.traffic = {"blue": 100}
    ml_client.online_endpoints.begin_create_or_update(endpoint).result()
    assert json.loads(invoke(ml_client, "from-yaml", str(files / "request.json"))) == [20.0, 60.0]
    shown = ml_client.online_deployments.get("blue", "from-yaml")
    assert (shown.request_settings.request_timeout_ms, shown.instance_count) == (10_000, 1)

    # A change in place: the new settings take over, and the endpoint goes on answering.
    deployment.environment_variables = {"FACTOR": "100"}
    ml_client.online_deployments.begin_create_or_update(deployment).result()
    answer = invoke(ml_client, "from-yaml", str(files / "request.json"))
    assert json.loads(answer) == [200.0, 600.0]
    ml_client.online_endpoints.begin_delete("from-yaml").result()


def invoke(ml_client: Any, name: str, request: str, deployment: str | None = None) -> str:
    forget_named_deployment()
    answer = ml_client.online_endpoints.invoke(
        endpoint_name=name, deployment_name=deployment, request_file=request
    )
    return str(answer)
