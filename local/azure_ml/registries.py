"""Registries: how clients find them, the models in them, and sharing a model from the workspace.

Clients reach a registry under the address that discovery gives, by paths like those of ARM.
"""

import re
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from local.azure_ml.assets import Assets, Home, Kind
from local.azure_ml.control import Control
from local.azure_ml.errors import OperationError, not_found, user_error
from local.azure_ml.identity import require_bearer
from local.azure_ml.operations import Operation, Status, Verb, Work
from local.azure_ml.storage import REGISTRY, Storage
from local.azure_ml.store import Json
from local.azure_ml.web import Call, Handler, Router, answer, nothing, page, section
from local.azure_ml.workspace import PROVIDER, TENANT, check_asset, identity, system_data

DATA_PLANE = "/mferp/managementfrontend"
_KIND = "registry"
_GROUP = f"/subscriptions/{{subscription}}/resourceGroups/{{group}}/providers/{PROVIDER}"
_REGISTRY = f"{_GROUP}/registries/{{registry}}"
# `azureml://locations/{region}/workspaces/{guid}/models/...` or an ARM id.
_SOURCE = re.compile(
    r"(?:azureml:/)?/.*/workspaces/(?P<workspace>[^/]+)/models/(?P<name>[^/]+)"
    r"/versions/(?P<version>[^/]+)",
    re.IGNORECASE,
)
_IN_REGISTRY = re.compile(
    r"azureml://registries/(?P<registry>[^/]+)/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)",
    re.IGNORECASE,
)


class Registries:
    """All registries, in the resource group of the workspace."""

    def __init__(self, control: Control, storage: Storage, models: Assets, kind: Kind) -> None:
        self._control = control
        self._store = control.store
        self._workspace = control.workspace
        self._storage = storage
        self._of_workspace = models
        self._model_kind = kind
        self._models: dict[str, Assets] = {}
        works = {
            Verb.PUT_REGISTRY: Work(do=_no_work, finish=self._finish_put),
            Verb.DELETE_REGISTRY: Work(do=_no_work, finish=self._finish_delete),
            Verb.IMPORT_ASSET: Work(do=self._do_import, finish=self._finish_import),
        }
        for verb, work in works.items():
            control.operations.register(verb, work)

    def add_to(self, router: Router) -> None:
        """Add the routes."""
        listed = f"/subscriptions/{{subscription}}/providers/{PROVIDER}/registries"
        router.add("GET", listed, self._list)
        router.add("GET", f"{_GROUP}/registries", self._list)
        router.add("GET", _REGISTRY, self._get)
        router.add("PUT", _REGISTRY, self._put)
        router.add("DELETE", _REGISTRY, self._delete)
        models = f"{_REGISTRY}/models"
        version = f"{models}/{{name}}/versions/{{version}}"
        router.add("GET", models, self._in(Assets.list_containers))
        router.add("GET", f"{models}/{{name}}", self._in(Assets.get_container))
        router.add("GET", f"{models}/{{name}}/versions", self._in(Assets.list_versions))
        router.add("GET", version, self._in(Assets.get_version))
        router.add("PUT", version, self._in(Assets.put_version))
        router.add("PUT", f"{_REGISTRY}/tempdatarefs/{{name}}/versions/{{version}}", self._upload)
        router.add("POST", f"{_REGISTRY}/datarefs/{{name}}/versions/{{version}}", self._download)
        router.add("POST", f"{_REGISTRY}/import", self._import)

    async def discover(self, request: web.Request) -> web.Response:
        """`GET /registrymanagement/v1.0/registries/{name}/discovery`."""
        require_bearer(request)
        found = self._existing(request.match_info["registry"])
        return answer(
            {
                "registryName": found["name"],
                "tenantId": TENANT,
                "primaryRegion": self._workspace.location,
                "regions": [self._workspace.location],
                "subscriptionId": self._workspace.subscription,
                "resourceGroup": self._workspace.resource_group,
                "primaryRegionResourceProviderUri": f"{self._workspace.base_url}/",
            }
        )

    def find_model(self, asset_id: str) -> Json | None:
        """Give the model that an `azureml://registries/...` id means, or None."""
        named = _IN_REGISTRY.fullmatch(asset_id)
        if named is None or self._store.get(_KIND, named["registry"]) is None:
            return None
        return self._assets(named["registry"]).find(named["name"], named["version"])

    def _assets(self, registry: str) -> Assets:
        key = registry.lower()
        if key not in self._models:
            name = self._existing(registry)["name"]
            home = Home(
                id=f"azureml://registries/{name}",
                type=f"{PROVIDER}/registries",
                shelf=f"registry/{key}/",
                # azure-ai-ml asks before the first version is there, and takes no 404.
                knows_names=False,
            )
            self._models[key] = Assets(self._store, self._workspace, self._model_kind, home)
        return self._models[key]

    def _in(self, act: Callable[[Assets, Call], Awaitable[web.Response]]) -> Handler:
        async def handle(call: Call) -> web.StreamResponse:
            self._existing(call.names["registry"])
            return await act(self._assets(call.names["registry"]), call)

        return handle

    # --- registries themselves

    async def _list(self, call: Call) -> web.Response:
        found = self._store.all(_KIND)
        return page(call, self._workspace.base_url, found, self._describe)

    async def _get(self, call: Call) -> web.Response:
        return answer(self._describe(self._existing(call.names["registry"])))

    async def _put(self, call: Call) -> web.Response:
        name = call.names["registry"]
        check_asset("Registry name", name)
        old = self._store.get(_KIND, name)
        moment = self._workspace.now()
        document: Json = {
            "name": name if old is None else old["name"],
            "created": moment if old is None else old["created"],
            "modified": moment,
            "tags": section(call.body, "tags"),
            "identity": call.body.get("identity") or {"type": "SystemAssigned"},
            "properties": section(call.body, "properties"),
        }
        seconds = self._control.pace.now.endpoint
        operation = self._control.operations.new(
            Verb.PUT_REGISTRY, f"registry/{name}", seconds=seconds
        )
        state = "Creating" if old is None else "Updating"
        headers = self._control.begin(
            operation,
            lambda _url: self._store.put(_KIND, name, {**document, "state": state}),
            call=call,
            location=self._arm_id(document["name"]),
        )
        shown = self._describe({**document, "state": state})
        return answer(shown, status=HTTPStatus.CREATED, headers=headers)

    async def _delete(self, call: Call) -> web.Response:
        document = self._store.get(_KIND, call.names["registry"])
        if document is None:
            return nothing()
        seconds = self._control.pace.now.delete
        name = document["name"]
        operation = self._control.operations.new(
            Verb.DELETE_REGISTRY, f"registry/{name}", seconds=seconds
        )
        return self._control.begin_end(
            operation,
            lambda _url: self._store.put(_KIND, name, {**document, "state": "Deleting"}),
            call=call,
        )

    def _finish_put(self, operation: Operation) -> None:
        name = operation.endpoint.removeprefix("registry/")
        self._store.put(_KIND, name, {**self._existing(name), "state": operation.status})

    def _finish_delete(self, operation: Operation) -> None:
        name = operation.endpoint.removeprefix("registry/")
        if operation.status is not Status.SUCCEEDED:
            self._store.put(_KIND, name, {**self._existing(name), "state": "Failed"})
            return
        self._assets(name).forget_all()
        self._models.pop(name.lower(), None)
        self._store.delete(_KIND, name)

    def _existing(self, name: str) -> Json:
        found = self._store.get(_KIND, name)
        if found is None:
            raise not_found(f"Registry '{name}' was not found")
        return found

    def _arm_id(self, name: str) -> str:
        return f"{self._workspace.group_id}/providers/{PROVIDER}/registries/{name}"

    def _describe(self, document: Json) -> Json:
        base, name = self._workspace.base_url, document["name"]
        details = document["properties"].get("regionDetails")
        return {
            "id": self._arm_id(name),
            "name": name,
            "type": f"{PROVIDER}/registries",
            "location": self._workspace.location,
            "tags": document["tags"],
            "identity": identity(document["identity"], self._workspace.guid),
            "systemData": system_data(document),
            "properties": {
                "publicNetworkAccess": "Enabled",
                **document["properties"],
                "discoveryUrl": f"{base}/registrymanagement/v1.0/registries/{name}/discovery",
                "mlFlowRegistryUri": f"azureml://{base.removeprefix('https://')}/mlflow/{name}",
                "regionDetails": details or [{"location": self._workspace.location}],
                "provisioningState": document["state"],
            },
        }

    # --- files

    async def _upload(self, call: Call) -> web.Response:
        """Say where a new version's files go."""
        container = self._container(call)
        given = self._storage.pending_upload(container)["blobReferenceForConsumption"]
        return answer({"blobReferenceForConsumption": given})

    async def _download(self, call: Call) -> web.Response:
        """Say where a version's files are."""
        uri = call.body.get("blobUri")
        if not isinstance(uri, str) or self._storage.path_of(uri) is None:
            raise not_found(f"Nothing is stored at {uri!r}")
        container = self._storage.container_of(uri)
        # The container's address: a client lists in it what the version has.
        signed = f"{self._storage.url(container)}?{self._storage.sas(container, 3600)}"
        credential = {"credentialType": "SAS", "sasUri": signed}
        return answer({"blobReferenceForConsumption": {"blobUri": uri, "credential": credential}})

    def _container(self, call: Call) -> str:
        registry = self._existing(call.names["registry"])["name"]
        check_asset("Model name", call.names["name"])
        return _container(registry, call.names["name"], call.names["version"])

    # --- sharing

    async def _import(self, call: Call) -> web.Response:
        """Copy a model of the workspace into the registry."""
        registry = self._existing(call.names["registry"])["name"]
        given = section(call.body, "properties")
        source = _SOURCE.fullmatch(str(given.get("sourceAssetId")))
        ours = (self._workspace.guid.lower(), self._workspace.name.lower())
        if source is None or source["workspace"].lower() not in ours:
            raise user_error(f"sourceAssetId {given.get('sourceAssetId')!r} is no model of ours")
        if self._of_workspace.find(source["name"], source["version"]) is None:
            raise not_found(f"Model '{source['name']}:{source['version']}' was not found")
        name = given.get("destinationName") or source["name"]
        version = str(given.get("destinationVersion") or source["version"])
        check_asset("Model name", name)
        check_asset("Model version", version)
        if self._assets(registry).find(name, version) is not None:
            raise user_error(f"Model '{name}:{version}' is in registry '{registry}' already")
        operation = self._control.operations.new(
            Verb.IMPORT_ASSET, f"registry/{registry}", seconds=self._control.pace.now.traffic
        )
        wanted = {"from": [source["name"], source["version"]], "to": [name, version]}
        return self._control.begin_end(
            replace(operation, wanted=wanted), lambda _url: None, call=call
        )

    async def _do_import(self, operation: Operation) -> None:
        wanted = operation.wanted or {}
        source = self._of_workspace.find(*wanted["from"])
        place = None if source is None else self._place(source)
        if place is None:
            message = "Unable to copy the model: its files are not stored here"
            raise OperationError("BadArgument", message)
        target = self._target(operation)
        shutil.rmtree(target.parent, ignore_errors=True)  # what an earlier try left behind
        if place.is_dir():
            shutil.copytree(place, target)
        else:
            target.parent.mkdir(parents=True)
            shutil.copyfile(place, target)

    def _place(self, model: Json) -> Path | None:
        return self._storage.path_of(str(model["properties"]["modelUri"]))

    def _target(self, operation: Operation) -> Path:
        wanted = operation.wanted or {}
        registry = operation.endpoint.removeprefix("registry/")
        source = self._of_workspace.find(*wanted["from"])
        place = None if source is None else self._place(source)
        name = "model" if place is None else place.name
        return self._storage.file(_container(registry, *wanted["to"]), name)

    def _finish_import(self, operation: Operation) -> None:
        wanted = operation.wanted or {}
        registry = operation.endpoint.removeprefix("registry/")
        source = self._of_workspace.find(*wanted["from"])
        if operation.status is not Status.SUCCEEDED or source is None:
            return
        name, version = wanted["to"]
        uri = self._storage.url(_container(registry, name, version), self._target(operation).name)
        given = {**source["properties"], "modelUri": uri, "stage": None, "isArchived": False}
        self._assets(registry).create(name, version, given)


def _container(registry: str, name: str, version: str) -> str:
    return f"{REGISTRY}{registry}-{name}-{version}".lower()


async def _no_work(_operation: Operation) -> None:
    """Do nothing: a registry is only a name."""
