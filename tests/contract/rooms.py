"""A workspace with what is around it, twice: the fake on its clock, and the emulator's process.

Tests bring about with a room what the Workspace port itself cannot: registrations, operations that
do not end, creations that fail, calls that break off.
"""

import contextlib
import itertools
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote

from azure.core.credentials import AccessToken

from deploy_logic.adapters.azure_ml import AzureMl
from deploy_logic.gate.gate import Answer
from deploy_logic.plan.plan import Creation, Plan
from deploy_logic.ports import Workspace
from tests.builders import TIMINGS, WORKSPACE
from tests.fakes import Clock, FakeWorkspace, out_of_order
from tests.local.azure_ml_lab import Lab, until

MODEL = "fraud"
RAISES = "raises"  # a model that answers this raises instead
TEMPLATE = """
code_configuration: {code: code, scoring_script: score.py}
environment: {image: mcr.microsoft.com/azureml/minimal:latest}
instance_type: Standard_DS3_v2
instance_count: 1
tags: {owner: team}
environment_variables: {SERVED_VERSION: "{{MODEL_VERSION}}"}
"""
ENDPOINT_TEMPLATE = "auth_mode: key\ntags: {owner: team}\ndescription: decides about payments\n"
SCORE = f"""
import json, os
from pathlib import Path

def init():
    global answer
    found = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("answer.json"))
    answer = json.loads(found.read_text())
    print("loaded version", os.environ["SERVED_VERSION"])

def run(raw):
    if answer == {RAISES!r}:
        raise RuntimeError("the model cannot answer this")
    return answer
"""
NEVER = 100_000  # seconds; longer than any test

type Write = Literal["create_endpoint", "create_deployment", "set_traffic", "delete_deployment"]
type When = Literal["before", "after"]

_NUMBERS = itertools.count(1)


class AnyToken:
    """A credential that the emulator takes: it looks only for a bearer token."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken("any", int(time.time()) + 3600)


class Room(Protocol):
    """What the tests of the contract need, whatever the workspace is made of."""

    workspace: Workspace
    id: str  # of the workspace
    folder: Path  # from which the paths of TEMPLATE count

    def register(
        self, version: str, *, model: str = ..., answer: str = ..., is_archived: bool = ...
    ) -> None:
        """Register a version, with a tag; it answers every request with that answer."""

    def settle(self, endpoint: str) -> None:
        """Wait until no operation runs on the endpoint."""

    def hold(self) -> AbstractContextManager[None]:
        """Let operations that begin now never end: the endpoint cannot be used any more after."""

    def create_failing(self, plan: Plan, *, code: str) -> None:
        """Create a deployment whose creation ends with that code."""

    def break_off(self, write: Write, *, when: When) -> AbstractContextManager[None]:
        """Let the next such call fail before Azure acts, or let its answer get lost after."""


class FakeRoom:
    """The fake."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.id = folder, WORKSPACE
        self._clock = Clock()
        self.fake = FakeWorkspace(self._clock)
        self.workspace: Workspace = self.fake

    def register(
        self,
        version: str,
        *,
        model: str = MODEL,
        answer: str = "good",
        is_archived: bool = False,
    ) -> None:
        self.fake.register(version, model=model, stage="production")
        key = (model, version)
        self.fake.models[key] = replace(self.fake.models[key], is_archived=is_archived)
        if model != MODEL:
            return  # the fake's answers go by version alone
        bad = Answer(status=424, milliseconds=12, body="the model cannot answer this")
        good = Answer(status=200, milliseconds=12, body=json.dumps(answer))
        self.fake.answers[version] = bad if answer == RAISES else good

    def settle(self, endpoint: str) -> None:
        assert endpoint
        self._clock.advance(timedelta(hours=1))

    def hold(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()  # the clock stands still as it is

    def create_failing(self, plan: Plan, *, code: str) -> None:
        self.fake.broken[plan.version] = code
        self.workspace.create_deployment(plan)
        del self.fake.broken[plan.version]
        self.settle(plan.endpoint)

    @contextmanager
    def break_off(self, write: Write, *, when: When) -> Iterator[None]:
        def fault(method: str, moment: str) -> None:
            if (method, moment) == (write, when):
                raise out_of_order()

        self.fake.fault = fault
        yield
        self.fake.fault = lambda _method, _when: None


class EmulatorRoom:
    """The adapter on the emulator, which runs a real scoring server for each deployment."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        self.id = str(lab.ready["workspace_id"])
        self.workspace: Workspace = self.open(AnyToken())

    def open(self, credential: Any) -> AzureMl:
        return AzureMl(self.id, cloud=self.cloud, credential=credential)

    @property
    def cloud(self) -> Mapping[str, str]:
        url = self.lab.ready["url"]
        return {
            "azure_portal": url,
            "resource_manager": url,
            "active_directory": url,
            "aml_resource_id": url,
            "storage_endpoint": url.removeprefix("https://"),
            "registry_discovery_endpoint": url,
        }

    def register(
        self,
        version: str,
        *,
        model: str = MODEL,
        answer: str = "good",
        is_archived: bool = False,
    ) -> None:
        self.upload(f"{model}-{version}/answer.json", json.dumps(answer).encode())
        properties = {
            "modelUri": f"azureml://datastores/workspaceblobstore/paths/{model}-{version}",
            "modelType": "custom_model",
            "tags": {"stage": "production"},
            "isArchived": is_archived,
        }
        path = f"models/{model}/versions/{quote(version)}"
        assert self.lab.arm("PUT", path, {"properties": properties}).status == 201

    def upload(self, blob: str, content: bytes) -> None:
        headers = {"Authorization": "Bearer any", "x-ms-blob-type": "BlockBlob"}
        assert self.lab.send("PUT", f"/acct/azureml/{blob}", content, headers).status == 201

    def settle(self, endpoint: str) -> None:
        until(lambda: endpoint not in self._busy())

    def _busy(self) -> set[str]:
        running = self.lab.admin("GET", "state")["running_operations"]
        return {one.split()[1].split("/")[0] for one in running}

    @contextmanager
    def hold(self) -> Iterator[None]:
        slow = dict.fromkeys(("endpoint", "traffic", "deployment", "delete"), NEVER)
        self.lab.admin("PUT", "pace", slow)
        try:
            yield
        finally:
            self.lab.admin("PUT", "pace", {"pace": "instant"})

    def create_failing(self, plan: Plan, *, code: str) -> None:
        error = {"code": code, "message": "a reason in words"}
        with self.fault(method="PUT", path_regex="/deployments/", operation_error=error):
            self.workspace.create_deployment(plan)
        self.settle(plan.endpoint)

    def break_off(self, write: Write, *, when: When) -> AbstractContextManager[None]:
        method = "DELETE" if write == "delete_deployment" else "PUT"
        path = "/deployments/[^/]+$" if write.endswith("deployment") else "/onlineEndpoints/[^/]+$"
        return self.fault(method=method, path_regex=path, drop_connection=True, when=when)

    @contextmanager
    def fault(self, **fault: Any) -> Iterator[None]:
        self.lab.admin("POST", "faults", fault)
        try:
            yield
            assert self.lab.admin("GET", "state")["faults"] == 0, "the fault hit nothing"
        finally:
            self.lab.admin("DELETE", "faults")

    @contextmanager
    def requests(self, area: str = "arm") -> Iterator[list[str]]:
        """Collect what is asked in the block, as methods with short paths."""
        self.lab.admin("DELETE", "requests")
        found: list[str] = []
        yield found
        asked = self.lab.admin("GET", f"requests?area={area}&last=2000")["last"]
        found += [f"{one['method']} {one['path'].removeprefix(self.id)}" for one in asked]


def new_name(kind: str) -> str:
    """Return a name that no other test has."""
    return f"{kind}-{next(_NUMBERS)}"


def a_plan(
    room: Room, endpoint: str, candidate: str, *, version: str = "1", template: str = TEMPLATE
) -> Plan:
    """Return the plan of a rollout of that version to a candidate of that name."""
    return Plan(
        rollout_id=f"rollout-of-{candidate}",
        workspace=room.id,
        endpoint=endpoint,
        model=MODEL,
        version=version,
        model_id=f"{room.id}/models/{MODEL}/versions/{version}",
        policy="fraud-prod",
        policy_hash="0",
        creation=Creation(
            template=template, endpoint_template=ENDPOINT_TEMPLATE, folder=str(room.folder)
        ),
        candidate=candidate,
        stable=None,
        steps=(),
        promotion=(),
        deadline=timedelta(hours=8),
        timings=TIMINGS,
    )


def new_endpoint(room: Room) -> str:
    """Create an endpoint and wait until it is there."""
    endpoint = new_name("empty")
    room.workspace.create_endpoint(a_plan(room, endpoint, "none"))
    room.settle(endpoint)
    return endpoint


def weights(room: Room, endpoint: str) -> dict[str, int]:
    """Return the weights that are not zero, as the port shows them; names compare without case."""
    found = room.workspace.get_endpoint(endpoint)
    assert found is not None
    return {name.lower(): weight for name, weight in found.traffic.items() if weight != 0}


def set_weights(room: Room, endpoint: str, **wanted: int) -> None:
    """Set the weights and wait until they hold."""
    room.workspace.set_traffic(endpoint, wanted)
    room.settle(endpoint)
    assert weights(room, endpoint) == {name: one for name, one in wanted.items() if one != 0}
