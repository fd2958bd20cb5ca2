"""What arrives at Azure ML: the template as azure-ai-ml alone would have sent it, and what is ours.

Against the workspace emulator; every PUT body is kept on its way there.
"""

import functools
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy_logic.errors import WorkspaceError
from deploy_logic.plan.plan import Creation, Plan, Timings
from tests.local.azure_ml_lab import Lab, lab
from tests.template_lab import load_entity, load_plainly

pytestmark = pytest.mark.filterwarnings("ignore")  # azure-ai-ml's, about itself

FOLDER = Path(__file__).parent / "data" / "templates"
ANSWERS = yaml.safe_load((FOLDER / "answers.yaml").read_text())
LOADS = {name: one["kind"] for name, one in ANSWERS.items() if "loads" in one}
RECEIPT = {"rollout_id": "r-1", "rollout_policy": "fraud-prod"}
# azure-ai-ml first writes the data assets that are collected into, and the emulator has none
COLLECTOR = "managed-data-collector.yml"
OWNED = {"name", "endpoint_name", "model", "traffic", "mirror_traffic"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """An emulator, and the body of every PUT of an endpoint or deployment on its way there."""

    emulator: Lab
    bodies: list[dict[str, Any]]
    connect: Callable[..., Any]  # MLClient, sending over this wire
    credential: Any

    @property
    def cloud(self) -> dict[str, str]:
        url = self.emulator.ready["url"]
        names = "azure_portal resource_manager active_directory aml_resource_id"
        return {
            **dict.fromkeys(names.split(), url),
            "storage_endpoint": url.removeprefix("https://"),
            "registry_discovery_endpoint": url,
        }

    def client(self) -> Any:
        here = self.emulator.ready
        ids = (here["subscription"], here["resource_group"], here["workspace"])
        return self.connect(self.credential, *ids, cloud="Wire", cloud_metadata=self.cloud)

    def sent(self, create: Callable[[], object]) -> dict[str, Any]:
        self.bodies.clear()
        create()
        (body,) = self.bodies
        return body


@contextmanager
def a_wire(emulator: Lab) -> Iterator[Wire]:
    from azure.ai.ml import MLClient  # noqa: PLC0415 - takes over a second
    from azure.core.credentials import AccessToken  # noqa: PLC0415 - with it
    from azure.core.pipeline.transport import RequestsTransport  # noqa: PLC0415 - with it

    bodies: list[dict[str, Any]] = []

    class Recorder(RequestsTransport):  # type: ignore[misc]  # azure-core is not followed
        def send(self, request: Any, **options: Any) -> Any:
            if request.method == "PUT" and "/onlineendpoints/" in request.url.lower():
                bodies.append(json.loads(request.body))
            return super().send(request, **options)

    class Anybody:
        def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
            return AccessToken("tests", int(time.time()) + 3600)

    connect = functools.partial(MLClient, transport=Recorder(), show_progress=False)
    yield Wire(emulator=emulator, bodies=bodies, connect=connect, credential=Anybody())
    # the constructor sets it, and with it set no other process can import the SDK
    os.environ.pop("AZUREML_CURRENT_CLOUD", None)


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with lab(tmp_path_factory.mktemp("wire")) as emulator, pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", emulator.ready["ca"])
        assert emulator.register("fraud", "7").status in {200, 201}
        environment = {"properties": {"image": "registry.example.org/scoring:1"}}
        reply = emulator.arm("PUT", "environments/scoring/versions/1", environment)
        assert reply.status in {200, 201}, reply.body
        with a_wire(emulator) as made:
            yield made


@pytest.fixture
def create(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> Callable[[Plan], dict[str, Any]]:
    """Create as a rollout does, and return what was sent."""
    from deploy_logic.adapters import azure_ml_template  # noqa: PLC0415 - takes over a second

    monkeypatch.setattr(azure_ml_template, "MLClient", wire.connect)

    def run(plan: Plan) -> dict[str, Any]:
        if plan.creation.endpoint_template:
            return wire.sent(
                lambda: azure_ml_template.create_endpoint(wire.cloud, wire.credential, plan)
            )
        return wire.sent(
            lambda: azure_ml_template.create_deployment(wire.cloud, wire.credential, plan, RECEIPT)
        )

    return run


def a_plan(wire: Wire, template: str, *, kind: str, endpoint: str) -> Plan:
    moment = timedelta(minutes=1)
    creation = Creation(
        template=template if kind == "deployment" else "",
        endpoint_template=template if kind == "endpoint" else "",
        folder=str(FOLDER),
    )
    return Plan(
        rollout_id="r-1",
        workspace=wire.emulator.ready["workspace_id"],
        endpoint=endpoint,
        model="fraud",
        version="7",
        model_id="",
        policy="fraud-prod",
        policy_hash="h",
        creation=creation,
        candidate="fraud-v7",
        stable=None,
        steps=(),
        promotion=(),
        deadline=moment,
        timings=Timings(poll_interval=moment, creation_deadline=moment, shift_deadline=moment),
    )


def alone(wire: Wire, name: str, kind: str, endpoint: str) -> dict[str, Any]:
    """Return what azure-ai-ml sends of the template without us, its keys written in by hand."""
    from azure.ai.ml import load_online_deployment, load_online_endpoint  # noqa: PLC0415 - slow
    from azure.core.exceptions import HttpResponseError  # noqa: PLC0415 - with it

    own = {"name": endpoint}
    if kind == "deployment":
        own = {"name": "fraud-v7", "endpoint_name": endpoint, "model": "azureml:fraud:7"}
    text = by_hand((FOLDER / name).read_text(), wire, endpoint)
    written = {key: value for key, value in yaml.safe_load(text).items() if key not in OWNED}
    path = wire.emulator.data / "by-hand.yml"
    path.write_text(yaml.safe_dump(written | own))
    load = load_online_deployment if kind == "deployment" else load_online_endpoint
    entity = load(path, relative_origin=str(FOLDER / name))
    client = wire.client()
    operations = client.online_deployments if kind == "deployment" else client.online_endpoints

    def create() -> None:
        # what becomes of it does not matter here: the emulator has no registries
        with suppress(HttpResponseError):
            operations.begin_create_or_update(entity).wait()

    return wire.sent(create)


def by_hand(text: str, wire: Wire, endpoint: str) -> str:
    """Fill in as a person with sed would, in quotes where YAML wants them."""
    here = wire.emulator.ready
    text = text.replace("<subscription_id>", here["subscription"])
    text = text.replace("<resource_group_name>", here["resource_group"])
    for mark, value in (
        ("{{SUBSCRIPTION_ID}}", here["subscription"]),
        ("{{RESOURCE_GROUP}}", here["resource_group"]),
        ("{{ENDPOINT_NAME}}", endpoint),
        ("{{deployment_name}}", "fraud-v7"),
        ("{{FILL_THIS_IN}}", "1"),
        ("{{MODEL_NAME}}-{{ MODEL_VERSION }}", "fraud-7"),
        ("{{ model_version }}", "'7'"),
        ("{{MODEL_NAME}}", "fraud"),
        ("{{MODEL_VERSION}}", "7"),
        ('"${{ inputs.MODEL_VERSION }}"', "'7'"),
        ("$(MODEL_VERSION)", "'7'"),
        ("SHELL: ${MODEL_NAME}", "SHELL: fraud"),
        ("$ENDPOINT_NAME", endpoint),
        ("__WORKSPACE_NAME__", here["workspace"]),
        ("#{DEPLOYMENT_NAME}#", "fraud-v7"),
        ("<% workspace %>", here["workspace"]),
        ("\\{{question}}", "{{question}}"),
        ("\\<pad>", "<pad>"),
        ("\\${PORT}", "${PORT}"),
    ):
        text = text.replace(mark, value)
    return text


@pytest.mark.parametrize("name", [name for name in LOADS if name != COLLECTOR])
def test_what_arrives_is_the_template_and_what_is_ours(
    name: str, wire: Wire, create: Callable[[Plan], dict[str, Any]]
) -> None:
    kind, stem = LOADS[name], name.removesuffix(".yml")
    endpoint = f"e-{list(LOADS).index(name)}"
    if kind == "deployment":
        compute = {"compute": "k"} if stem.startswith("kubernetes") else {}
        wire.emulator.succeed(wire.emulator.put_endpoint(endpoint, **compute))
    expected = alone(wire, name, kind, endpoint)
    plan = a_plan(wire, (FOLDER / name).read_text(), kind=kind, endpoint=endpoint)
    sent = create(plan)
    if kind == "deployment":
        expected = {**expected, "tags": {**expected["tags"], **RECEIPT}}
    assert sent == expected


def test_data_collector_is_what_the_sdk_makes_of_it(tmp_path: Path) -> None:
    path = FOLDER / COLLECTOR
    own = "name: fraud-v7\nendpoint_name: fraud-endpoint\nmodel: azureml:fraud:7\n"
    plain = load_plainly(path.read_text() + own, path, "deployment")
    ours = load_entity(path, "deployment")
    plain.dump(tmp_path / "plain.yml")
    ours.dump(tmp_path / "ours.yml")
    assert "sampling_rate: 0.5" in (tmp_path / "ours.yml").read_text()
    assert (tmp_path / "ours.yml").read_text() == (tmp_path / "plain.yml").read_text()


def test_what_is_ours_arrives_whatever_the_template_says(
    wire: Wire, create: Callable[[Plan], dict[str, Any]]
) -> None:
    wire.emulator.succeed(wire.emulator.put_endpoint("ours"))
    text = (
        "name: other\nendpoint_name: <x>\nmodel: {path: nowhere}\ninstance_type: Standard_DS3_v2\n"
    )
    sent = create(a_plan(wire, text, kind="deployment", endpoint="ours"))
    assert sent["tags"] == RECEIPT
    assert sent["properties"]["model"].endswith("/models/fraud/versions/7")
    asked = wire.emulator.admin("GET", "requests?area=arm&last=50")["last"]
    assert any(one["path"].endswith("/ours/deployments/fraud-v7") for one in asked)


def test_traffic_of_an_endpoint_template_is_not_sent(
    wire: Wire, create: Callable[[Plan], dict[str, Any]]
) -> None:
    text = "auth_mode: key\ntraffic: {blue: 100}\nmirror_traffic: {green: 10}\n"
    sent = create(a_plan(wire, text, kind="endpoint", endpoint="no-traffic"))
    assert sent["properties"].get("traffic", {}) == {}
    assert sent["properties"].get("mirrorTraffic", {}) == {}


def test_a_version_that_looks_like_a_number_arrives_as_text(
    wire: Wire, create: Callable[[Plan], dict[str, Any]]
) -> None:
    wire.emulator.register("fraud", "1.10")
    wire.emulator.succeed(wire.emulator.put_endpoint("text"))
    text = "instance_type: S\nenvironment_variables: {V: {{MODEL_VERSION}}}\n"
    plan = a_plan(wire, text, kind="deployment", endpoint="text")
    assert create(replace(plan, version="1.10"))["properties"]["environmentVariables"] == {
        "V": "1.10"
    }


@pytest.mark.parametrize("kind", ["deployment", "endpoint"])
def test_what_the_check_refuses_is_refused_before_anything_is_sent(
    kind: str, wire: Wire, create: Callable[[Plan], dict[str, Any]]
) -> None:
    plan = a_plan(wire, "tags: {a: {{REGION}}}\n", kind=kind, endpoint="none")
    with pytest.raises(WorkspaceError, match=r"1:11: tags\.a: '\{\{REGION\}\}'") as caught:
        create(plan)
    assert caught.value.code == "BadTemplate"
    assert wire.bodies == []
