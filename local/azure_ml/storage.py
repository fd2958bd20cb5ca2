"""The workspace's storage account: datastores, their secrets, and block blobs kept as files.

The SDK builds `https://{accountName}.blob.{suffix}`; naming the account `localhost:PORT/acct`
with a storage suffix of `localhost:PORT` turns that into a path on this server.
"""

import hashlib
import hmac
import re
import secrets
import time
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from aiohttp import web

from local.azure_ml.errors import ArmError, not_found, user_error
from local.azure_ml.identity import bearer
from local.azure_ml.store import Json, Store
from local.azure_ml.web import Call, answer, nothing, page, section
from local.azure_ml.workspace import TYPE, Workspace, check_asset, system_data

ACCOUNT = "acct"
REGISTRY = "registry-"  # what a registry's containers begin with
_IN_ACCOUNT = re.compile(rf"/(?:{ACCOUNT}/|{REGISTRY})")
_CONTAINER = "azureml"
_DATASTORES = {"workspaceblobstore": _CONTAINER, "workspaceartifactstore": "azureml-artifacts"}
_KIND = "datastore"
_HOUR = 3600
_SAS_VERSION = "2021-08-06"

_LONG_URI = re.compile(
    r"azureml://subscriptions/[^/]+/resourcegroups/[^/]+/(?:providers/[^/]+/)?workspaces/[^/]+"
    r"/datastores/(?P<store>[^/]+)/paths/(?P<path>.+)",
    re.IGNORECASE,
)
_SHORT_URI = re.compile(r"azureml://datastores/(?P<store>[^/]+)/paths/(?P<path>.+)", re.IGNORECASE)


class Storage:
    """Datastores and the files behind them."""

    def __init__(self, store: Store, workspace: Workspace, root: Path) -> None:
        self._store = store
        self._workspace = workspace
        self.root = root
        kept = store.get("secrets", "storage")
        if kept is None:
            kept = {"key": secrets.token_hex(32)}
            store.put("secrets", "storage", kept)
        self._key = bytes.fromhex(kept["key"])

    # --- datastores on ARM

    async def get_datastore(self, call: Call) -> web.Response:
        """`GET datastores/{name}`."""
        return answer(self._datastore(call.names["name"]))

    async def list_datastores(self, call: Call) -> web.Response:
        """`GET datastores[?isDefault=true]`."""
        items = [self._datastore(name) for name in _DATASTORES]
        items += [self._describe(item) for item in self._store.all(_KIND)]
        if call.query.get("isdefault", "").lower() == "true":
            items = [item for item in items if item["properties"]["isDefault"]]
        return page(call, self._workspace.base_url, items, dict)

    async def list_secrets(self, call: Call) -> web.Response:
        """`POST datastores/{name}/listSecrets`: a SAS, which is what an expirable secret is."""
        self._datastore(call.names["name"])
        kept = self._store.get(_KIND, call.names["name"])
        if kept is not None:
            return answer(kept["secrets"])
        hours = call.body.get("expireAfterHours") or 1
        return answer({"secretsType": "Sas", "sasToken": self.sas("*", hours * _HOUR)})

    async def put_datastore(self, call: Call) -> web.Response:
        """Keep a datastore of the blob kind; its container is one of this account."""
        name = call.names["name"].lower()
        check_asset("Datastore name", name)
        given = section(call.body, "properties")
        kind = given.get("datastoreType")
        if kind != "AzureBlob":
            raise ArmError(501, "NotImplemented", f"datastoreType {kind!r} is not emulated")
        if name in _DATASTORES:
            raise user_error(f"Datastore {name} is the workspace's own and cannot be changed")
        container = given.get("containerName")
        if not isinstance(container, str) or not container:
            raise user_error("containerName is missing")
        self.file(container, "").mkdir(parents=True, exist_ok=True)
        old = self._store.get(_KIND, name)
        credentials = section(given, "credentials")
        kept = {
            "name": name,
            "created": self._workspace.now() if old is None else old["created"],
            "modified": self._workspace.now(),
            "secrets": credentials.get("secrets") or {"secretsType": "None"},
            "properties": {
                **given,
                "credentials": {"credentialsType": credentials.get("credentialsType", "None")},
                "tags": section(given, "tags"),
                "properties": section(given, "properties"),
                "isDefault": False,
            },
        }
        self._store.put(_KIND, name, kept)
        return answer(self._describe(kept), status=HTTPStatus.CREATED if old is None else 200)

    async def delete_datastore(self, call: Call) -> web.Response:
        """Forget a datastore; what it held stays in its container."""
        name = call.names["name"].lower()
        if name in _DATASTORES:
            raise user_error(f"Datastore {name} is the workspace's own and cannot be deleted")
        if self._store.get(_KIND, name) is None:
            return nothing()
        self._store.delete(_KIND, name)
        return web.Response()

    def _describe(self, kept: Json) -> Json:
        return {
            "id": f"{self._workspace.id}/datastores/{kept['name']}",
            "name": kept["name"],
            "type": f"{TYPE}/datastores",
            "properties": kept["properties"],
            "systemData": system_data(kept),
        }

    def _container_of_datastore(self, name: str) -> str | None:
        if name.lower() in _DATASTORES:
            return _DATASTORES[name.lower()]
        kept = self._store.get(_KIND, name)
        return None if kept is None else str(kept["properties"]["containerName"])

    def _datastore(self, name: str) -> Json:
        name = name.lower()
        kept = self._store.get(_KIND, name)
        if kept is not None:
            return self._describe(kept)
        if name not in _DATASTORES:
            raise not_found(f"Could not find datastore: {name}")
        host = self._workspace.base_url.removeprefix("https://")
        return {
            "id": f"{self._workspace.id}/datastores/{name}",
            "name": name,
            "type": f"{TYPE}/datastores",
            "properties": {
                "datastoreType": "AzureBlob",
                "accountName": f"{host}/{ACCOUNT}",
                "containerName": _DATASTORES[name],
                "endpoint": host,
                "protocol": "https",
                "credentials": {"credentialsType": "AccountKey"},
                "isDefault": name == "workspaceblobstore",
                "serviceDataAccessAuthIdentity": "None",
                "description": None,
                "tags": {},
                "properties": {},
            },
        }

    # --- names of files

    def pending_upload(self, container: str) -> Json:
        """Give a container of its own to upload to, and the SAS for it."""
        url = self.url(container)
        account = f"{self._workspace.group_id}/providers/Microsoft.Storage/storageAccounts"
        return {
            "pendingUploadId": None,
            "pendingUploadType": "TemporaryBlobReference",
            "blobReferenceForConsumption": {
                "blobUri": url,
                "storageAccountArmId": f"{account}/{self._workspace.name}",
                "credential": {
                    "credentialType": "SAS",
                    "sasUri": f"{url}?{self.sas(container, _HOUR)}",
                },
            },
        }

    def long_uri(self, uri: str) -> str:
        """Write a datastore URI the way the service answers it; others stay as they are."""
        found = _LONG_URI.fullmatch(uri) or _SHORT_URI.fullmatch(uri)
        if found is None:
            return uri
        ours = self._workspace
        return (
            f"azureml://subscriptions/{ours.subscription}/resourceGroups/{ours.resource_group}"
            f"/workspaces/{ours.name}/datastores/{found['store']}/paths/{found['path']}"
        )

    def url(self, container: str, path: str = "") -> str:
        """Give the address of what is stored, or of a container."""
        # A client takes the first part of the path for a registry's container.
        account = "" if container.startswith(REGISTRY) else f"/{ACCOUNT}"
        return f"{self._workspace.base_url}{account}/{container}/{path}".rstrip("/")

    def container_of(self, uri: str) -> str:
        """Give the container that an address of ours lies in."""
        return _path(uri).partition("/")[0]

    def path_of(self, uri: str) -> Path | None:
        """Give the file or folder an asset's URI means, or None when it is not kept here."""
        found = _LONG_URI.fullmatch(uri) or _SHORT_URI.fullmatch(uri)
        if found is not None:
            container = self._container_of_datastore(found["store"])
            path = found["path"]
        else:
            parts = urlsplit(uri)
            # The port may have been another one when the asset was made.
            if parts.hostname != "localhost" or not _IN_ACCOUNT.match(parts.path):
                return None
            container, _, path = _path(uri).partition("/")
        if container is None:
            return None
        place = self.file(container, path)
        return place if place.exists() else None

    def file(self, container: str, blob: str) -> Path:
        """Give the place of a blob; names that would leave the container are refused."""
        folder = (self.root / container).resolve()
        place = (folder / blob).resolve()
        if folder.parent != self.root.resolve() or not place.is_relative_to(folder):
            raise user_error(f"Blob name {container}/{blob} is not valid")
        return place

    # --- shared access signatures

    def sas(self, container: str, seconds: float) -> str:
        """Make a token for one container, or for all of them (`*`)."""
        expiry = f"{datetime.fromtimestamp(time.time() + seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
        kind = {"ss": "b", "srt": "sco"} if container == "*" else {"sr": "c"}
        fields = {"sv": _SAS_VERSION, **kind, "sp": "rwdlac", "se": expiry}
        return urlencode({**fields, "sig": self._signature(container, expiry)})

    def check_access(self, request: web.Request) -> None:
        """Refuse who shows neither a valid signature nor a bearer token."""
        if bearer(request.headers.get("Authorization")) is not None:
            return
        query = parse_qs(request.rel_url.raw_query_string)
        expiry, signature = (query.get(key, [""])[0] for key in ("se", "sig"))
        for scope in ("*", request.match_info["container"]):
            known = self._signature(scope, expiry)
            if hmac.compare_digest(known.encode(), signature.encode()) and expiry > _iso_now():
                return
        raise ArmError(403, "AuthenticationFailed", "The shared access signature is not valid")

    def _signature(self, container: str, expiry: str) -> str:
        return hmac.digest(self._key, f"{container}|{expiry}".encode(), hashlib.sha256).hex()


def _path(uri: str) -> str:
    """Give container and name of an address of ours."""
    path = unquote(urlsplit(uri).path).removeprefix("/")
    return path.removeprefix(f"{ACCOUNT}/")


def _iso_now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
