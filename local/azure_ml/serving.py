"""From a deployment's document to a running scoring server, and back."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from local.azure_ml.errors import OperationError
from local.azure_ml.metrics.sampler import Instance
from local.azure_ml.scoring.pool import ServerSpec, StartFailed
from local.azure_ml.scoring.spec import Probe
from local.azure_ml.storage import Storage
from local.azure_ml.store import Json

# ARM ids of the workspace and `azureml://locations/.../workspaces/...` ids end alike.
_ASSET_ID = re.compile(r".*/(?P<kind>\w+)/(?P<name>[^/]+)/versions/(?P<version>[^/]+)")
_REGISTRY = re.compile(r"azureml://registries/", re.IGNORECASE)
_DURATION = re.compile(
    r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)


class Pool(Protocol):
    """What is asked of whatever runs the scoring servers."""

    async def start(self, spec: ServerSpec) -> None:
        """Return when every instance answers; raise StartFailed."""

    async def stop(self, endpoint: str, deployment: str) -> None:
        """Finish what was given to the deployment, then end its servers."""

    async def close(self) -> None:
        """End every server."""

    def logs(self, endpoint: str, deployment: str, *, tail: int, container: str) -> str:
        """Give the last lines of a log."""

    def instances(self) -> Iterable[Instance]:
        """Give what is up."""


class Serving:
    """Starts what a deployment's document describes."""

    def __init__(
        self,
        pool: Pool,
        storage: Storage,
        find: Mapping[str, Callable[[str, str], Json | None]],
        find_shared: Callable[[str], Json | None],
    ) -> None:
        self._find_shared = find_shared  # by its id, in a registry
        self._pool = pool
        self._storage = storage
        self._find = find
        self._up: dict[tuple[str, str], ServerSpec] = {}

    async def start(self, endpoint: str, deployment: str, wanted: Json) -> None:
        """Bring the servers up; an error code as Azure ML words it when that cannot be."""
        key = (endpoint.lower(), deployment.lower())
        spec = self._spec(endpoint, deployment, wanted)
        if self._up.get(key) == spec:
            return  # only tags or the like were changed: nothing to restart
        try:
            await self._pool.start(spec)
        except StartFailed as failed:
            raise OperationError(str(failed.code), failed.message) from failed
        self._up[key] = spec

    async def stop(self, endpoint: str, deployment: str) -> None:
        """Drain and end the servers."""
        self._up.pop((endpoint.lower(), deployment.lower()), None)
        await self._pool.stop(endpoint, deployment)

    def logs(self, endpoint: str, deployment: str, *, tail: int, container: str) -> str:
        """Give the last lines of a log."""
        return self._pool.logs(endpoint, deployment, tail=tail, container=container)

    def _spec(self, endpoint: str, deployment: str, wanted: Json) -> ServerSpec:
        properties = wanted["properties"]
        model = self._asset(properties, "model", "models")
        environment = self._asset(properties, "environmentId", "environments")
        code = properties.get("codeConfiguration") or {}
        snapshot = self._asset(code, "codeId", "codes")
        script = code.get("scoringScript")
        is_mlflow = model is not None and model["properties"]["modelType"] == "mlflow_model"
        if script is None and not is_mlflow:
            raise OperationError(
                "BadArgument",
                "Only scoring scripts and no-code MLflow models can be run here: a deployment"
                " without codeConfiguration needs the container image it was written for",
            )
        settings = properties["requestSettings"]
        return ServerSpec(
            endpoint=endpoint,
            deployment=deployment,
            model_path=None if model is None else self._place(model, "modelUri"),
            model_name="" if model is None else model["name"],
            model_version="" if model is None else model["version"],
            is_mlflow=is_mlflow and script is None,
            code_path=None if snapshot is None else self._place(snapshot, "codeUri"),
            scoring_script=script,
            environment_variables=properties.get("environmentVariables") or {},
            conda=None if environment is None else environment["properties"]["condaFile"],
            instances=wanted["sku"]["capacity"],
            request_timeout=seconds(settings["requestTimeout"]),
            max_concurrent=settings["maxConcurrentRequestsPerInstance"],
            liveness=_probe(properties["livenessProbe"]),
            readiness=_probe(properties["readinessProbe"]),
        )

    def _asset(self, holder: Json, key: str, kind: str) -> Json | None:
        asset_id = holder.get(key)
        if asset_id is None:
            return None
        named = _ASSET_ID.fullmatch(asset_id)
        found = None
        if _REGISTRY.match(asset_id):
            found = self._find_shared(asset_id) if kind == "models" else None
        elif named is not None and named["kind"].lower() == kind:
            found = self._find[kind](named["name"], named["version"])
        if found is None:
            raise OperationError("ResourceNotFound", f"{key} '{asset_id}' was not found")
        return found

    def _place(self, asset: Json, key: str) -> Path:
        uri = asset["properties"][key]
        place = self._storage.path_of(uri) if isinstance(uri, str) else None
        if place is None:
            raise OperationError(
                "BadArgument", f"Unable to download {asset['name']}: nothing is stored at {uri}"
            )
        return place


def _probe(given: Json) -> Probe:
    return Probe(
        initial_delay=seconds(given["initialDelay"]),
        period=seconds(given["period"]),
        timeout=seconds(given["timeout"]),
        failures=given["failureThreshold"],
    )


def seconds(duration: str) -> float:
    """Give the length of an ISO 8601 duration; ValueError where it is not one."""
    found = _DURATION.fullmatch(duration)
    if found is None or not any(found.groups()):
        raise ValueError(f"{duration!r} is not an ISO 8601 duration")
    return sum(
        float(part) * unit
        for part, unit in zip(found.groups(), (86_400, 3_600, 60, 1), strict=True)
        if part is not None
    )
