"""What the adapter sends to the emulator, how often, and what of the user's it leaves alone."""

import subprocess
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken

from deploy_logic.adapters.azure_ml import AzureMl
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.gate import Verdict, judge_probe
from deploy_logic.matching import make_offer
from deploy_logic.plan.plan import ModelVersion, Plan, Sight, Snapshot, make_plan
from deploy_logic.plan.step import Probe
from deploy_logic.policy.files import load_policies
from tests.builders import TIMINGS, an_event
from tests.contract.rooms import (
    TEMPLATE,
    AnyToken,
    EmulatorRoom,
    a_plan,
    new_endpoint,
    new_name,
    set_weights,
)
from tests.local.azure_ml_lab import REPOSITORY, SCORING_PYTHON

ENDPOINT = "/onlineEndpoints/"


def mentions(requests: list[str], method: str, part: str) -> list[str]:
    return [one for one in requests if one.startswith(f"{method} ") and part in one]


# --- creating: one PUT, and nobody left behind


@pytest.mark.usefixtures("served_by_emulator")
def test_creating_a_deployment_is_one_put_and_leaves_no_thread(emulator: EmulatorRoom) -> None:
    endpoint = new_endpoint(emulator)
    threads = set(threading.enumerate())
    with emulator.requests() as asked:
        emulator.workspace.create_deployment(a_plan(emulator, endpoint, "green"))
        assert set(threading.enumerate()) <= threads
        emulator.settle(endpoint)  # over the admin API, which is not counted
    assert mentions(asked, "PUT", "/deployments/") == [
        f"PUT {ENDPOINT}{endpoint}/deployments/green"
    ]
    assert mentions(asked, "GET", "mfeOperation") == []
    assert mentions(asked, "GET", "/deployments/") == []
    assert mentions(asked, "POST", "startPendingUpload") == []  # the code is there since the first
    found = emulator.workspace.get_deployment(endpoint, "green")
    assert found is not None
    assert found.provisioning_state == "Succeeded"
    emulator.workspace.delete_deployment(endpoint, "green")


@pytest.mark.usefixtures("served_by_emulator")
def test_azure_ai_ml_asks_nothing_that_is_known(emulator: EmulatorRoom) -> None:
    endpoint = new_endpoint(emulator)
    seen = emulator.workspace.get_endpoint(endpoint)
    assert seen is not None
    plan = replace(a_plan(emulator, endpoint, "green"), region=seen.region)
    with emulator.requests() as asked:
        emulator.workspace.create_deployment(plan)
        emulator.settle(endpoint)
    kinds = [(one.split()[0], one.split("/")[1]) for one in asked]
    assert kinds == [("GET", "codes"), ("PUT", "environments"), ("PUT", "onlineEndpoints")]
    found = emulator.workspace.get_deployment(endpoint, "green")
    assert found is not None
    assert found.provisioning_state == "Succeeded"


def test_creating_an_endpoint_is_one_put_and_leaves_no_thread(emulator: EmulatorRoom) -> None:
    endpoint = new_name("put")
    threads = set(threading.enumerate())
    with emulator.requests() as asked:
        emulator.workspace.create_endpoint(a_plan(emulator, endpoint, "none"))
        assert set(threading.enumerate()) <= threads
        emulator.settle(endpoint)
    assert [one for one in asked if ENDPOINT in one] == [f"PUT {ENDPOINT}{endpoint}"]
    assert mentions(asked, "GET", "mfeOperation") == []


@pytest.mark.parametrize(
    ("method", "arguments", "methods"),
    [
        ("get_model_version", ["fraud", "1"], ["GET"]),
        ("get_endpoint", ["{served}"], ["GET"]),
        ("list_deployments", ["{served}"], ["GET"]),
        ("get_deployment", ["{served}", "green"], ["GET"]),
        ("set_traffic", ["{served}", {"blue": 100}], ["GET", "PUT"]),
        ("get_logs", ["{served}", "blue"], ["POST"]),
    ],
)
def test_each_call_costs_no_more_requests_than_it_needs(
    emulator: EmulatorRoom,
    served_by_emulator: str,
    method: str,
    arguments: list[Any],
    methods: list[str],
) -> None:
    named = [served_by_emulator if one == "{served}" else one for one in arguments]
    with emulator.requests() as asked:
        options = {"lines": 5} if method == "get_logs" else {}
        getattr(emulator.workspace, method)(*named, **options)
        emulator.settle(served_by_emulator)
    assert [one.split()[0] for one in asked] == methods


def test_weights_of_an_endpoint_that_was_just_read_cost_one_request_and_keep_the_rest(
    emulator: EmulatorRoom, served_by_emulator: str
) -> None:
    seen = emulator.workspace.get_endpoint(served_by_emulator)
    assert seen is not None
    with emulator.requests() as asked:
        emulator.workspace.set_traffic(served_by_emulator, {"blue": 100}, seen=seen)
        emulator.settle(served_by_emulator)
    assert [one.split()[0] for one in asked] == ["PUT"]
    found = emulator.workspace.get_endpoint(served_by_emulator)
    assert found is not None
    for key in ("tags", "identity", "kind", "location"):
        assert found.whole.get(key) == seen.whole.get(key)
    told = ("description", "authMode", "publicNetworkAccess")
    assert [found.whole["properties"].get(key) for key in told] == [
        seen.whole["properties"].get(key) for key in told
    ]


# --- the shipped sample


@pytest.fixture(scope="module")
def sample(emulator: EmulatorRoom, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The plan of the policy in policies/, for a model trained as its script expects."""
    model = tmp_path_factory.mktemp("sample") / "model.joblib"
    train(model)
    emulator.upload("sample/model.joblib", model.read_bytes())
    uri = "azureml://datastores/workspaceblobstore/paths/sample"
    properties = {"modelUri": uri, "modelType": "custom_model"}
    path = "models/fraud-detector/versions/1"
    assert emulator.lab.arm("PUT", path, {"properties": properties}).status == 201
    (files,) = load_policies(REPOSITORY / "policies")
    offer = make_offer(an_event(model="fraud-detector", version="1"), files.policy)
    found = ModelVersion(version="1", id=f"{emulator.id}/{path}")
    sight = Sight(model=found, snapshot=Snapshot(exists=False), timings=TIMINGS)
    plan = make_plan(offer, files, sight)
    assert isinstance(plan, Plan)
    return replace(plan, workspace=emulator.id)


def train(model: Path) -> None:
    script = (
        "import sys, joblib\nfrom sklearn.tree import DecisionTreeClassifier\n"
        "tree = DecisionTreeClassifier().fit([[980.0, 3], [12.5, 14]], [1, 0])\n"
        "joblib.dump(tree, sys.argv[1])\n"
    )
    subprocess.run([SCORING_PYTHON, "-c", script, model], check=True, capture_output=True)


def test_shipped_templates_serve_and_pass_their_own_probe(
    emulator: EmulatorRoom, sample: Plan
) -> None:
    workspace = emulator.workspace
    workspace.create_endpoint(sample)
    emulator.settle(sample.endpoint)
    workspace.create_deployment(sample)
    emulator.settle(sample.endpoint)
    found = workspace.get_deployment(sample.endpoint, sample.candidate)
    assert found is not None
    assert (found.provisioning_state, found.message) == ("Succeeded", "")
    (probe,) = [step for step in sample.steps if isinstance(step, Probe)]
    answer = workspace.score(sample.endpoint, sample.candidate, probe.bodies[0])
    expected: dict[str, object] = {**probe.expect, "within": None}  # no duration is asserted here
    assert judge_probe("sample", expected, answer).verdict is Verdict.PASS


def test_template_stays_the_users_and_gets_our_receipt(
    emulator: EmulatorRoom, served_by_emulator: str
) -> None:
    found = emulator.lab.get_deployment(f"{served_by_emulator}/green")
    receipt = {"rollout_id": "rollout-of-green", "rollout_policy": "fraud-prod"}
    assert found["tags"] == {"owner": "team", **receipt}
    properties = found["properties"]
    assert properties["instanceType"] == "Standard_DS3_v2"
    assert properties["environmentVariables"]["SERVED_VERSION"] == "2"
    assert found["sku"]["capacity"] == 1


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("", "nothing is written"),
        ("a: [", "one plain YAML mapping"),
        ("- a\n- b\n", "this is a list"),
        (TEMPLATE + "instance_kount: 2\n", "creating deployment 'green'"),
        (TEMPLATE.replace("instance_count: 1", "instance_count: many"), "instance_count"),
        (TEMPLATE.replace("code: code", "code: no-such-folder"), "no-such-folder"),
        ("instance_type: '{{MODEL_AGE}}'\n", "MODEL_AGE"),
    ],
    ids=["empty", "no-yaml", "list", "unknown-key", "no-number", "no-folder", "placeholder"],
)
def test_template_that_cannot_be_used_is_refused_for_good_and_creates_nothing(
    emulator: EmulatorRoom, template: str, complaint: str
) -> None:
    endpoint = new_endpoint(emulator)
    with emulator.requests() as asked, pytest.raises(WorkspaceError, match=complaint) as caught:
        emulator.workspace.create_deployment(a_plan(emulator, endpoint, "green", template=template))
    assert not isinstance(caught.value, TransientError)
    assert "\x1b" not in str(caught.value)
    assert mentions(asked, "PUT", "/deployments/") == []


# --- weights, and what else an endpoint has


def shown(emulator: EmulatorRoom, endpoint: str) -> dict[str, Any]:
    """What a person may have set on the endpoint."""
    found = emulator.lab.get_endpoint(endpoint)
    properties = dict(found["properties"])
    for ours in ("traffic", "provisioningState"):
        del properties[ours]
    properties["properties"] = {
        key: value
        for key, value in properties["properties"].items()
        if key != "AzureAsyncOperationUri"
    }
    return {key: found[key] for key in ("location", "tags", "kind", "identity")} | {
        "properties": properties
    }


@pytest.fixture
def furnished(emulator: EmulatorRoom) -> str:
    """An endpoint with everything that an endpoint can have."""
    endpoint = new_endpoint(emulator)
    for name in ("blue", "green"):
        emulator.create_failing(a_plan(emulator, endpoint, name), code="ResourceNotReady")
    user = f"{emulator.id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/fraud"
    body = {
        "location": emulator.lab.ready["location"],
        "tags": {"owner": "payments", "cost": "42"},
        "identity": {
            "type": "UserAssigned",
            "userAssignedIdentities": {user: {"clientId": "c", "principalId": "p"}},
        },
        "properties": {
            "authMode": "Key",
            "description": "asked by the till",
            "publicNetworkAccess": "Disabled",
            "properties": {"team": "payments"},
            "traffic": {"blue": 100},
            "mirrorTraffic": {"green": 20},
        },
    }
    emulator.lab.succeed(emulator.lab.arm("PUT", f"onlineEndpoints/{endpoint}", body))
    return endpoint


def test_setting_weights_keeps_tags_description_mirror_and_the_rest(
    emulator: EmulatorRoom, furnished: str
) -> None:
    before = shown(emulator, furnished)
    assert before["properties"]["mirrorTraffic"] == {"green": 20}
    users = before["identity"]["userAssignedIdentities"]
    # Azure adds the ids of an identity itself, and refuses them in what is written
    before["identity"]["userAssignedIdentities"] = {name: {} for name in users}
    set_weights(emulator, furnished)
    set_weights(emulator, furnished, blue=100)
    assert shown(emulator, furnished) == before


def test_mirrored_deployment_is_not_deleted(emulator: EmulatorRoom, furnished: str) -> None:
    with pytest.raises(WorkspaceError, match="mirrorTraffic"):
        emulator.workspace.delete_deployment(furnished, "green")
    assert emulator.workspace.get_deployment(furnished, "green") is not None


# --- lists of many pages, failures whose reason cannot be read


def test_models_are_listed_page_after_page(emulator: EmulatorRoom) -> None:
    names = {f"page-{number}" for number in range(120)}  # a page has 100
    for name in names:
        assert emulator.lab.arm("PUT", f"models/{name}", {"properties": {}}).status == 201
    archived = new_name("gone")
    body = {"properties": {"isArchived": True}}
    assert emulator.lab.arm("PUT", f"models/{archived}", body).status == 201
    found = emulator.workspace.list_models()
    assert names <= set(found)
    assert archived not in found
    assert len(found) == len(set(found))


def test_failed_deployment_is_told_also_when_its_reason_cannot_be_read(
    emulator: EmulatorRoom,
) -> None:
    endpoint = new_endpoint(emulator)
    emulator.create_failing(a_plan(emulator, endpoint, "green"), code="OutOfQuota")
    with emulator.fault(method="GET", path_regex="mfeOperationsStatus", status=503):
        found = emulator.workspace.get_deployment(endpoint, "green")
    assert found is not None
    assert (found.provisioning_state, found.code) == ("Failed", "")
    assert "the reason could not be read" in found.message


# --- keys and tokens


def auth_endpoint(emulator: EmulatorRoom, mode: str) -> str:
    endpoint = new_name("auth")
    emulator.lab.succeed(emulator.lab.put_endpoint(endpoint, authMode=mode))
    return endpoint


@pytest.mark.parametrize("mode", ["Key", "AMLToken", "AADToken"])
def test_every_way_to_authorise_is_let_in(emulator: EmulatorRoom, mode: str) -> None:
    endpoint = auth_endpoint(emulator, mode)
    # whoever is not let in gets 401; who is let in is told that there is no such deployment
    assert emulator.workspace.score(endpoint, "nothing", "{}").status == 404


class Scoped(AnyToken):
    """A credential that remembers what its tokens were for."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        self.scopes += scopes
        return super().get_token(*scopes, **options)


def test_token_for_scoring_is_for_the_data_plane(emulator: EmulatorRoom) -> None:
    credential = Scoped()
    workspace = emulator.open(credential)
    workspace.score(auth_endpoint(emulator, "AADToken"), "nothing", "{}")
    assert credential.scopes[-1] == "https://ml.azure.com/.default"


def test_key_is_asked_for_once_and_again_when_it_was_changed(emulator: EmulatorRoom) -> None:
    endpoint = auth_endpoint(emulator, "Key")
    workspace = emulator.open(AnyToken())
    with emulator.requests() as asked:
        for _ in range(3):
            workspace.score(endpoint, "nothing", "{}")
    assert len(mentions(asked, "POST", "listKeys")) == 1
    body: Mapping[str, str] = {"keyType": "Primary"}
    path = f"onlineEndpoints/{endpoint}/regenerateKeys"
    emulator.lab.succeed(emulator.lab.arm("POST", path, body))
    assert workspace.score(endpoint, "nothing", "{}").status == 401
    assert workspace.score(endpoint, "nothing", "{}").status == 404


def test_clouds_are_kept_apart(emulator: EmulatorRoom) -> None:
    nowhere = dict.fromkeys(emulator.cloud, "https://localhost:1")
    elsewhere = AzureMl(emulator.id, cloud=nowhere, credential=AnyToken())
    endpoint = new_name("here")
    with pytest.raises(TransientError, match="localhost"):
        elsewhere.create_endpoint(a_plan(emulator, endpoint, "none"))
    assert emulator.workspace.get_endpoint(endpoint) is None
    emulator.workspace.create_endpoint(a_plan(emulator, endpoint, "none"))
    emulator.settle(endpoint)
    assert emulator.workspace.get_endpoint(endpoint) is not None
