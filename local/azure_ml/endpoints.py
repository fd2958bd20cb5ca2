"""Online endpoints: create, change, delete. Old values stay visible until a change is done."""

import secrets
import uuid
from dataclasses import replace
from http import HTTPStatus

from aiohttp import web

from local.azure_ml import traffic
from local.azure_ml.control import Control
from local.azure_ml.errors import not_found, user_error
from local.azure_ml.operations import Operation, Status, Verb, Work
from local.azure_ml.store import Documents, Json
from local.azure_ml.web import Call, answer, page, section
from local.azure_ml.workspace import (
    TYPE,
    added,
    check_name,
    identity,
    system_data,
)

ENDPOINT = "endpoint"
DEPLOYMENT = "deployment"  # kept under endpoint/name
_AUTH_MODES = {"key": "Key", "amltoken": "AMLToken", "aadtoken": "AADToken"}
# They come back in every read-modify-write: some by the service, some added by the SDK.
OWNED = frozenset(
    {
        "AzureAsyncOperationUri",
        "azureml.onlineendpointid",
        "createdBy",
        "createdAt",
        "lastModifiedAt",
    }
)


class Endpoints:
    """The online endpoints of the workspace."""

    def __init__(self, control: Control) -> None:
        self._store = control.store
        self._workspace = control.workspace
        self.clock = control.workspace.clock
        self._operations = control.operations
        self._pace = control.pace
        self._quota = control.quotas.endpoints
        self.changes = 0  # grows with every write: what was derived before it is old
        control.operations.register(Verb.PUT_ENDPOINT, Work(do=_no_work, finish=self._finish_put))

    # --- state

    def find(self, name: str) -> Json | None:
        """Give the stored endpoint, or None."""
        return self._store.get(ENDPOINT, name)

    def all(self) -> list[Json]:
        """Give every stored endpoint."""
        return self._store.all(ENDPOINT)

    def existing(self, name: str) -> Json:
        """Give the stored endpoint, or answer 404."""
        found = self.find(name)
        if found is None:
            raise not_found(f"Online endpoint '{name}' was not found")
        return found

    def save(self, document: Json) -> None:
        """Store the endpoint."""
        self.changes += 1
        self._store.put(ENDPOINT, document["name"], document)

    def forget(self, name: str) -> None:
        """Remove the endpoint."""
        self.changes += 1
        self._store.delete(ENDPOINT, name)

    # --- read

    async def get(self, call: Call) -> web.Response:
        """`GET onlineEndpoints/{name}`."""
        return answer(self.describe(self.existing(call.names["endpoint"])))

    async def list_all(self, call: Call) -> web.Response:
        """`GET onlineEndpoints`."""
        found = Documents(self._store, ENDPOINT)
        return page(call, self._workspace.base_url, found, self.describe)

    # --- create and change

    async def put(self, call: Call) -> web.Response:
        """Create or change an endpoint by its full body: 201 either way."""
        name = call.names["endpoint"]
        old = self.find(name)
        if old is None:
            self._check_new(name, call)
        wanted = self._wanted(call, old)
        document = self._new(name, wanted) if old is None else old
        moves = old is not None and _weights(old) != _weights(wanted)
        seconds = self._pace.now.traffic if moves else self._pace.now.endpoint
        operation = self._operations.new(Verb.PUT_ENDPOINT, document["name"], seconds=seconds)
        headers = self._operations.begin(
            replace(operation, wanted=wanted, doom=call.doom),
            lambda url: self.save(
                {**document, "operation": url, "state": "Creating" if old is None else "Updating"}
            ),
            api_version=call.api_version,
        )
        headers["Location"] = self._url(document["name"], call.api_version)
        body = self.describe(self.existing(name))
        return answer(body, status=HTTPStatus.CREATED, headers=headers)

    def _check_new(self, name: str, call: Call) -> None:
        check_name("Endpoint", name)
        traffic.check_new(section(call.body, "properties"))
        if self._store.count(ENDPOINT) >= self._quota:
            message = f"There are {self._quota} endpoints in the region already"
            raise user_error(message, "OutOfQuota")

    def _wanted(self, call: Call, old: Json | None) -> Json:
        given = section(call.body, "properties")
        mode = given.get("authMode")
        if not isinstance(mode, str) or mode.lower() not in _AUTH_MODES:
            raise user_error(f"authMode {mode!r} is not one of {', '.join(_AUTH_MODES.values())}")
        kept = {} if old is None else old["properties"]["properties"]
        live, mirror = traffic.check(
            given,
            () if old is None else self._deployment_names(old["name"]),
            managed=given.get("compute") is None,
        )
        return {
            "location": call.body.get("location") or self._workspace.location,
            "tags": section(call.body, "tags"),
            "identity": call.body.get("identity") or {"type": "SystemAssigned"},
            "properties": {
                "authMode": _AUTH_MODES[mode.lower()],
                "description": given.get("description"),
                "compute": given.get("compute"),
                "publicNetworkAccess": given.get("publicNetworkAccess") or "Enabled",
                "properties": added(kept, section(given, "properties"), OWNED),
                "traffic": live,
                "mirrorTraffic": mirror,
            },
        }

    def _deployment_names(self, endpoint: str) -> list[str]:
        return [item["name"] for item in self._store.all(DEPLOYMENT, endpoint)]

    def _new(self, name: str, wanted: Json) -> Json:
        moment = self._workspace.now()
        return {
            **wanted,
            "name": name,
            "created": moment,
            "modified": moment,
            "new": True,  # until its first operation has succeeded
            "principal": str(uuid.uuid4()),
            "keys": {key: secrets.token_urlsafe(24) for key in ("primaryKey", "secondaryKey")},
        }

    def _finish_put(self, operation: Operation) -> None:
        document = self.existing(operation.endpoint)
        if operation.status is Status.SUCCEEDED:
            wanted = operation.wanted or {}
            document = {**document, **wanted, "new": False, "modified": self._workspace.now()}
        self.save({**document, "state": operation.status})

    async def patch(self, call: Call) -> web.Response:
        """Replace tags or identity: the only things PATCH can change."""
        document = self.existing(call.names["endpoint"])
        wrong = set(call.body) - {"tags", "identity"}
        if wrong:
            names = ", ".join(sorted(wrong))
            raise user_error(f"PATCH of an online endpoint takes tags and identity, not {names}")
        self._operations.check_idle(document["name"])
        changed: Json = {"modified": self._workspace.now()}
        if "tags" in call.body:
            changed["tags"] = section(call.body, "tags")
        if call.body.get("identity") is not None:
            changed["identity"] = section(call.body, "identity")
        self.save({**document, **changed})
        return answer(self.describe(self.existing(document["name"])))

    # --- on the wire

    def describe(self, document: Json) -> Json:
        """Give the endpoint as ARM shows it."""
        properties = document["properties"]
        uri = f"{self._workspace.base_url}/endpoints/{document['name']}"
        served = not document["new"]
        own = {
            "azureml.onlineendpointid": self.arm_id(document["name"]),
            "AzureAsyncOperationUri": document["operation"],
        }
        return {
            "id": self.arm_id(document["name"]),
            "name": document["name"],
            "type": f"{TYPE}/onlineEndpoints",
            "location": document["location"],
            "tags": document["tags"],
            "kind": "Managed" if properties["compute"] is None else "K8S",
            "identity": identity(document["identity"], document["principal"]),
            "systemData": system_data(document),
            "properties": {
                **properties,
                "properties": {**properties["properties"], **own},
                "provisioningState": document["state"],
                "scoringUri": f"{uri}/score" if served else None,
                "swaggerUri": f"{uri}/swagger.json" if served else None,
                "keys": None,
            },
        }

    def arm_id(self, name: str) -> str:
        """Give the endpoint's ARM id."""
        return f"{self._workspace.id}/onlineEndpoints/{name}"

    def _url(self, name: str, api_version: str) -> str:
        return f"{self._workspace.base_url}{self.arm_id(name)}?api-version={api_version}"


async def _no_work(_operation: Operation) -> None:
    """Do nothing: changing an endpoint takes only time."""


def _weights(document: Json) -> tuple[Json, Json]:
    properties = document["properties"]
    return properties["traffic"], properties["mirrorTraffic"]
