"""The three kinds of assets a deployment is made of: models, codes, environments."""

from collections.abc import Callable

from aiohttp import web

from local.azure_ml.assets import Assets, Kind
from local.azure_ml.errors import user_error
from local.azure_ml.storage import Storage
from local.azure_ml.store import Json
from local.azure_ml.web import Call, answer, page, section
from local.azure_ml.workspace import Workspace

_COMMON: Json = {
    "description": None,
    "tags": {},
    "properties": {},
    "isArchived": False,
    "isAnonymous": False,
}
_MODEL_TYPES = ("custom_model", "mlflow_model", "triton_model")


def model_kind(storage: Storage, created: Callable[[Json], None]) -> Kind:
    """Describe models: where they lie cannot be changed, everything else can."""

    def clean(given: Json) -> Json:
        cleaned = _clean(given)
        kind = cleaned.get("modelType") or "custom_model"
        if kind.lower() not in _MODEL_TYPES:
            raise user_error(f"modelType {kind!r} is not one of {', '.join(_MODEL_TYPES)}")
        cleaned["modelType"] = kind
        if isinstance(cleaned.get("modelUri"), str):
            cleaned["modelUri"] = storage.long_uri(cleaned["modelUri"])
        # The SDK walks the flavors of every model it reads: there must be an object.
        cleaned["flavors"] = section(cleaned, "flavors")
        return cleaned

    return Kind(
        plural="models",
        word="Model",
        defaults={
            **_COMMON,
            "modelUri": None,
            "stage": None,
            "jobName": None,
            "provisioningState": "Succeeded",
        },
        immutable=("modelUri", "modelType"),
        refusal="Asset paths cannot be updated.",
        clean=clean,
        created=created,
    )


def code_kind() -> Kind:
    """Describe codes: snapshots, found again by their hash."""
    return Kind(
        plural="codes",
        word="Code",
        defaults={**_COMMON, "codeUri": None, "provisioningState": "Succeeded"},
        immutable=("codeUri",),
        refusal="Asset paths cannot be updated.",
        clean=_clean,
        created=nobody_listens,
    )


def environment_kind() -> Kind:
    """Describe environments: image and conda file of a version stay as they are."""
    return Kind(
        plural="environments",
        word="Environment",
        defaults={
            **_COMMON,
            "image": None,
            "condaFile": None,
            "build": None,
            "inferenceConfig": None,
            "osType": "Linux",
            "environmentType": "UserCreated",
            "provisioningState": "Succeeded",
        },
        immutable=("image", "condaFile", "build"),
        refusal="An environment version cannot be changed: register a new version.",
        clean=_clean,
        created=nobody_listens,
    )


def nobody_listens(_document: Json) -> None:
    """Only models raise events."""


def _clean(given: Json) -> Json:
    cleaned = {key: value for key, value in given.items() if value is not None}
    for key in ("tags", "properties"):
        cleaned[key] = {name: str(value) for name, value in section(given, key).items()}
    return cleaned


class Codes:
    """What only code assets have: the look-up by hash and the upload before the creation."""

    def __init__(self, assets: Assets, storage: Storage, workspace: Workspace) -> None:
        self._assets = assets
        self._storage = storage
        self._workspace = workspace

    async def list_versions(self, call: Call) -> web.Response:
        """`GET codes/{name}/versions[?hash=...&hashVersion=...]`.

        The client asks under a new random name, so a hash is looked for in all names.
        """
        wanted = call.query.get("hash")
        if wanted is None:
            return await self._assets.list_versions(call)
        found = []
        for document in self._assets.all_versions():
            kept = document["properties"]["properties"]
            version = call.query.get("hashversion", kept.get("hash_version"))
            if kept.get("hash_sha256") == wanted and kept.get("hash_version") == version:
                found.append(document)
        return page(call, self._workspace.base_url, found, self._assets.describe)

    async def start_pending_upload(self, call: Call) -> web.Response:
        """`POST codes/{name}/versions/{version}/startPendingUpload`."""
        # One container per code asset: the client uploads to the container's root.
        container = f"code-{call.names['name']}-{call.names['version']}".lower()
        return answer(self._storage.pending_upload(container))
