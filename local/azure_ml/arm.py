"""Azure Resource Manager: which path is whose, the token, the scope, the headers of each answer."""

import re
import uuid
from dataclasses import dataclass

from aiohttp import web

from local.azure_ml.assets import Assets
from local.azure_ml.autoscale import Autoscale
from local.azure_ml.batch import Batch
from local.azure_ml.catalogue import Codes
from local.azure_ml.deletion import Deletion
from local.azure_ml.deployments import Deployments
from local.azure_ml.endpoints import Endpoints
from local.azure_ml.errors import ArmError
from local.azure_ml.events import Events
from local.azure_ml.identity import require_bearer
from local.azure_ml.keys import Keys
from local.azure_ml.metrics.api import Metrics
from local.azure_ml.operations import Operations, Status, describe
from local.azure_ml.region import Region
from local.azure_ml.registries import DATA_PLANE, Registries
from local.azure_ml.storage import Storage
from local.azure_ml.subscription import Subscription
from local.azure_ml.throttling import Throttling
from local.azure_ml.web import TEMPLATE, Call, Router, answer, nothing, page, read
from local.azure_ml.workspace import PROVIDER, Workspace

_ENDPOINT = "{workspace}/onlineEndpoints/{endpoint}"
_DEPLOYMENT = _ENDPOINT + "/deployments/{deployment}"
# What belongs to one of them is not emulated yet; what belongs to none does not exist here.
_PROVIDERS = frozenset(
    name.lower()
    for name in (
        PROVIDER,
        "Microsoft.EventGrid",
        "Microsoft.Insights",
        "Microsoft.OperationalInsights",
    )
)
_NAMED = re.compile(r"/providers/([^/]+)/", re.IGNORECASE)
_SUBSCRIPTION = f"/subscriptions/{{subscription}}/providers/{PROVIDER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What answers on ARM."""

    workspace: Workspace
    operations: Operations
    models: Assets
    code_assets: Assets
    codes: Codes
    environments: Assets
    storage: Storage
    endpoints: Endpoints
    keys: Keys
    deployments: Deployments
    deletion: Deletion
    events: Events
    metrics: Metrics
    throttling: Throttling
    batch: Batch
    registries: Registries
    region: Region
    autoscale: Autoscale


class Arm:
    """Answers every ARM request."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._workspace = parts.workspace
        self._router = Router()
        self._add_workspace()
        for plural, assets in (
            ("models", parts.models),
            ("codes", parts.code_assets),
            ("environments", parts.environments),
        ):
            self._add_assets(plural, assets)
        self._add_endpoints()
        self._add_deployments()
        Subscription(parts.workspace).add_to(self._router)
        for part in (parts.metrics, parts.batch, parts.registries, parts.region, parts.autoscale):
            part.add_to(self._router)

    def routes(self) -> list[str]:
        """Give every request that is answered."""
        return self._router.list_all()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request; refusals too carry the ids and what the bucket has left."""
        require_bearer(request)
        headers = {**_ids(request), **self._parts.throttling.take(request.method)}
        try:
            response = await self._route(request)
        except ArmError as error:
            response = answer(error.body(), status=error.status, headers=error.headers)
        response.headers.update(headers)
        return response

    async def _route(self, request: web.Request) -> web.StreamResponse:
        # Registries are reached under a prefix; and a resource's id with its leading slash, where a
        # client adds one of its own, makes two.
        path = "/" + request.rel_url.raw_path.lstrip("/")
        path = path.removeprefix(DATA_PLANE)
        found = self._router.find(request.method, path)
        if found is None:
            raise self._unknown(request.method, request.path)
        route, names = found
        request[TEMPLATE] = route.template
        self._check_scope(names)
        call = await read(request, names)
        if "api-version" not in call.query:
            message = "The api-version query parameter (?api-version=) is required."
            raise ArmError(400, "MissingApiVersionParameter", message)
        return await route.handler(call)

    def _check_scope(self, names: dict[str, str]) -> None:
        ours = self._workspace
        scopes = (
            ("subscription", ours.subscription, "SubscriptionNotFound", "subscription"),
            ("group", ours.resource_group, "ResourceGroupNotFound", "resource group"),
            ("workspace", ours.name, "ResourceNotFound", "workspace"),
        )
        for key, own, code, word in scopes:
            if names.get(key, own).lower() != own.lower():
                raise ArmError(404, code, f"The {word} '{names[key]}' could not be found.")

    def _unknown(self, method: str, path: str) -> ArmError:
        if any(name.lower() in _PROVIDERS for name in _NAMED.findall(path)):
            message = f"{method} {path} is not emulated; docs/emulator.md lists what is"
            return ArmError(501, "NotImplemented", message)
        return ArmError(404, "InvalidResourceType", f"There is nothing at {path}")

    # --- routes

    def _add_workspace(self) -> None:
        parts, add = self._parts, self._router.add
        in_group = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{PROVIDER}"
        add("GET", f"{_SUBSCRIPTION}/workspaces", self._list_workspaces)
        add("GET", f"{in_group}/workspaces", self._list_workspaces)
        add("GET", "{workspace}", self._get_workspace)
        operations = f"{_SUBSCRIPTION}/locations/{{location}}"
        add("GET", f"{operations}/mfeOperationsStatus/{{operation}}", self._status)
        add("GET", f"{operations}/mfeOperationResults/{{operation}}", self._result)
        add("GET", "{workspace}/datastores", parts.storage.list_datastores)
        add("GET", "{workspace}/datastores/{name}", parts.storage.get_datastore)
        add("PUT", "{workspace}/datastores/{name}", parts.storage.put_datastore)
        add("DELETE", "{workspace}/datastores/{name}", parts.storage.delete_datastore)
        add("POST", "{workspace}/datastores/{name}/listSecrets", parts.storage.list_secrets)
        subscriptions = "{workspace}/providers/Microsoft.EventGrid/eventSubscriptions"
        add("GET", subscriptions, parts.events.list_all)
        add("GET", f"{subscriptions}/{{name}}", parts.events.get)
        add("PUT", f"{subscriptions}/{{name}}", parts.events.put)
        add("DELETE", f"{subscriptions}/{{name}}", parts.events.delete)

    def _add_assets(self, plural: str, assets: Assets) -> None:
        add = self._router.add
        container = f"{{workspace}}/{plural}/{{name}}"
        version = f"{container}/versions/{{version}}"
        lister = assets.list_versions
        if plural == "codes":
            lister = self._parts.codes.list_versions
            add("POST", f"{version}/startPendingUpload", self._parts.codes.start_pending_upload)
        add("GET", f"{{workspace}}/{plural}", assets.list_containers)
        add("GET", container, assets.get_container)
        add("PUT", container, assets.put_container)
        add("GET", f"{container}/versions", lister)
        add("GET", version, assets.get_version)
        add("PUT", version, assets.put_version)
        add("DELETE", version, assets.delete_version)

    def _add_endpoints(self) -> None:
        parts, add = self._parts, self._router.add
        add("GET", "{workspace}/onlineEndpoints", parts.endpoints.list_all)
        add("GET", _ENDPOINT, parts.endpoints.get)
        add("PUT", _ENDPOINT, parts.endpoints.put)
        add("PATCH", _ENDPOINT, parts.endpoints.patch)
        add("DELETE", _ENDPOINT, parts.deletion.delete_endpoint)
        add("POST", f"{_ENDPOINT}/listKeys", parts.keys.list_keys)
        add("POST", f"{_ENDPOINT}/regenerateKeys", parts.keys.regenerate)
        add("POST", f"{_ENDPOINT}/token", parts.keys.token)

    def _add_deployments(self) -> None:
        deployments, add = self._parts.deployments, self._router.add
        add("GET", f"{_ENDPOINT}/deployments", deployments.list_all)
        add("GET", _DEPLOYMENT, deployments.get)
        add("PUT", _DEPLOYMENT, deployments.put)
        add("PATCH", _DEPLOYMENT, deployments.patch)
        add("DELETE", _DEPLOYMENT, self._parts.deletion.delete)
        add("POST", f"{_DEPLOYMENT}/getLogs", deployments.logs)

    # --- the workspace and its operations

    async def _get_workspace(self, _call: Call) -> web.Response:
        return answer(self._workspace.describe())

    async def _list_workspaces(self, call: Call) -> web.Response:
        return page(call, self._workspace.base_url, [self._workspace], Workspace.describe)

    async def _status(self, call: Call) -> web.Response:
        operation = self._parts.operations.get(call.names["operation"])
        return answer(describe(operation))

    async def _result(self, call: Call) -> web.Response:
        operation = self._parts.operations.get(call.names["operation"])
        if operation.status is Status.UPDATING:
            return answer(None, status=202, headers={"Location": str(call.request.url)})
        if operation.status is Status.SUCCEEDED:
            return nothing()
        return answer({"error": operation.error}, status=400)


def _ids(request: web.Request) -> dict[str, str]:
    request_id = str(uuid.uuid4())
    given = request.headers.get("x-ms-correlation-request-id", request_id)
    return {"x-ms-request-id": request_id, "x-ms-correlation-request-id": given}
