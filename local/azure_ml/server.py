"""The emulator put together: one HTTPS server on loopback with everything behind it."""

import socket
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aiohttp import web

from local.azure_ml import catalogue
from local.azure_ml.admin import Admin
from local.azure_ml.arm import Arm, Parts
from local.azure_ml.assets import Assets, Home
from local.azure_ml.autoscale import Autoscale
from local.azure_ml.batch import Batch
from local.azure_ml.blobs import Blobs
from local.azure_ml.certificates import server_context
from local.azure_ml.clock import Clock
from local.azure_ml.control import Control, Quotas
from local.azure_ml.deletion import Deletion
from local.azure_ml.deployments import Deployments
from local.azure_ml.endpoints import Endpoints
from local.azure_ml.errors import ArmError, user_error
from local.azure_ml.event_types import Dialect
from local.azure_ml.events import Events
from local.azure_ml.faults import Faults, Next
from local.azure_ml.identity import Identity
from local.azure_ml.keys import Keys
from local.azure_ml.logs.api import Logs
from local.azure_ml.metrics.api import Metrics
from local.azure_ml.metrics.minute import Request
from local.azure_ml.metrics.record import Record
from local.azure_ml.metrics.sampler import Sampler
from local.azure_ml.operations import Operations
from local.azure_ml.pace import Durations, Pace
from local.azure_ml.region import Region
from local.azure_ml.registries import Registries
from local.azure_ml.request_log import RequestLog
from local.azure_ml.scoring.counters import Outcome
from local.azure_ml.scoring.front import EndpointView
from local.azure_ml.serving import Pool, Serving
from local.azure_ml.storage import ACCOUNT, REGISTRY, Storage
from local.azure_ml.store import Json, Store
from local.azure_ml.throttling import Throttling
from local.azure_ml.web import answer, section
from local.azure_ml.workspace import TYPE, Workspace
from local.event_grid import EventGrid

_HOST = "127.0.0.1"
_LAST_ANSWERS = 5.0  # seconds for requests in flight when the server stops
_LOG_LINES = 5000  # of each instance, for queries
_ONE_CLOUD = "2022"
_BODY_LIMIT = 64 * 1024 * 1024  # of JSON and scoring bodies; blobs are streamed


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What can be chosen when the emulator starts."""

    data: Path
    port: int = 0  # 0: the one of the last start, or any free one
    pace: Durations | None = None  # None: the one of the last start, or instant
    subscription: str = "00000000-0000-0000-0000-000000000001"
    resource_group: str = "local"
    workspace: str = "local"
    location: str = "localregion"
    dialect: Dialect = Dialect.PASCAL_INT
    event_scale: float = 1.0  # of Event Grid's retry schedule
    raises_deployed: bool = False  # ModelDeployed, for every deployment that comes up
    quotas: Quotas = field(default_factory=Quotas)


class Front(Protocol):
    """What answers scoring requests."""

    async def handle(self, request: web.Request, endpoint: str) -> web.StreamResponse:
        """Answer one scoring request."""

    def counters(self) -> Mapping[str, Any]:
        """Give what was served."""


type Lookup = Callable[[str], EndpointView | None]
type Observe = Callable[[str, str, Outcome], None]
type MakeFront = Callable[[Lookup, Observe], Front]


class Emulator:
    """The whole emulator."""

    def __init__(self, settings: Settings, *, pool: Pool, make_front: MakeFront) -> None:
        self._settings = settings
        self._pool = pool
        settings.data.mkdir(parents=True, exist_ok=True)
        self._store = Store(settings.data / "state.db")
        self._clock = Clock(self._store)
        self._throttling = Throttling()
        self._socket = self._listen()
        self.workspace = self._workspace()
        context, self.ca = server_context(settings.data / "certificates")
        self._context = context
        self._log, self._faults = RequestLog(), Faults(self._store)
        self.identity = Identity(self._store, self._clock)
        self._pace = Pace(self._store, settings.pace)
        lag = lambda: self._pace.now.metrics  # noqa: E731 - the pace may change
        self._record = Record(settings.data / "metrics.db", self._clock, lag)
        self._sampler = Sampler(self._record, pool.instances)
        self._operations = Operations(self._store, self.workspace)
        self._storage = Storage(self._store, self.workspace, settings.data / "blobs")
        self._grid = EventGrid(
            store=settings.data / "event-grid.db",
            dead_letters=settings.data / "dead-letters",
            scale=settings.event_scale,
        )
        self._events = Events(
            self._store,
            self.workspace,
            self._grid,
            settings.dialect,
            raises_deployed=settings.raises_deployed,
        )
        self._parts = self._make_parts()
        self._arm = Arm(self._parts)
        self._logs = Logs(
            self.workspace, self._store, self._parts.endpoints, self._record, self._console
        )
        self._front = make_front(self._parts.keys.view, self._observe)
        self._runner: web.AppRunner | None = None

    def _listen(self) -> socket.socket:
        """Take the port before anything else: it is part of every URL that is stored."""
        kept = self._store.get("settings", "port")
        port = self._settings.port or (0 if kept is None else kept["port"])
        listener = socket.create_server((_HOST, port))
        self._store.put("settings", "port", {"port": listener.getsockname()[1]})
        return listener

    def _workspace(self) -> Workspace:
        kept = self._store.get("settings", "workspace")
        if kept is None:
            kept = {"guid": str(uuid.uuid4())}
            self._store.put("settings", "workspace", kept)
        return Workspace(
            subscription=self._settings.subscription,
            resource_group=self._settings.resource_group,
            name=self._settings.workspace,
            location=self._settings.location,
            guid=kept["guid"],
            clock=self._clock,
            base_url=f"https://localhost:{self._socket.getsockname()[1]}",
        )

    def _make_parts(self) -> Parts:
        workspace, operations = self.workspace, self._operations
        models, codes, environments = self._make_assets()
        control = Control(
            store=self._store,
            workspace=workspace,
            operations=operations,
            pace=self._pace,
            quotas=self._settings.quotas,
        )
        endpoints = Endpoints(control)
        finders = {"models": models.find, "codes": codes.find, "environments": environments.find}
        kind = catalogue.model_kind(self._storage, catalogue.nobody_listens)
        registries = Registries(control, self._storage, models, kind)
        serving = Serving(self._pool, self._storage, finders, registries.find_model)
        deployments = Deployments(control, endpoints, serving, self._events.deployed)
        metrics = Metrics(workspace, self._record, endpoints, deployments)
        return Parts(
            workspace=workspace,
            operations=operations,
            models=models,
            code_assets=codes,
            codes=catalogue.Codes(codes, self._storage, workspace),
            environments=environments,
            storage=self._storage,
            endpoints=endpoints,
            keys=Keys(endpoints, operations, self.identity),
            deployments=deployments,
            deletion=Deletion(control, endpoints, deployments, serving),
            events=self._events,
            metrics=metrics,
            autoscale=Autoscale(control, deployments, metrics, self._clock),
            throttling=self._throttling,
            batch=Batch(control),
            registries=registries,
            region=Region(control),
        )

    def _make_assets(self) -> tuple[Assets, Assets, Assets]:
        home = Home(id=self.workspace.id, type=TYPE, shelf="", knows_names=True)
        models, codes, environments = (
            Assets(self._store, self.workspace, kind, home)
            for kind in (
                catalogue.model_kind(self._storage, self._events.registered),
                catalogue.code_kind(),
                catalogue.environment_kind(),
            )
        )
        return models, codes, environments

    # --- life

    async def start(self) -> None:
        """Serve, and go on with what an earlier process left unfinished."""
        self._runner = web.AppRunner(self._app(), access_log=None, shutdown_timeout=_LAST_ANSWERS)
        await self._runner.setup()
        await self._events.start()
        self._parts.deployments.restore()
        self._operations.resume()
        self._sampler.start()
        self._parts.autoscale.start()
        site = web.SockSite(self._runner, self._socket, ssl_context=self._context)
        await site.start()

    async def stop(self) -> None:
        """Stop serving; what is unfinished stays so, and goes on at the next start."""
        # First the work, then the servers: a start broken off now is not a failed one.
        await self._parts.autoscale.stop()
        await self._operations.stop()
        await self._parts.deployments.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._pool.close()
        await self._events.stop()
        await self._sampler.stop()
        self._record.close()
        self._store.close()

    def _app(self) -> web.Application:
        app = web.Application(
            client_max_size=_BODY_LIMIT,
            middlewares=[self._log.middleware, _refuse, self._faults.middleware],
        )
        blobs = Blobs(self._store, self._storage)
        acts = {
            "pace": self._pace.set,
            "events": self._act_on_events,
            "served": lambda _: self._front.counters(),
            "state": self._state,
            "clock": self._clock.set,
            "routes": lambda _: self._arm.routes(),
            "throttling": self._throttling.set,
        }
        Admin(self._log, self._faults, acts).add_to(app)
        add = app.router.add_route
        add("GET", "/metadata/endpoints", self._clouds)
        add("GET", "/msi/token", self.identity.token)
        add("*", "/endpoints/{endpoint}/{tail:.*}", self._score)
        add("POST", "/batch/{endpoint}/jobs", self._parts.batch.invoke)
        add("GET", "/discovery", self._discover)
        add("POST", "/v1/{scope:.+}/query", self._logs.handle)
        discovery = "/registrymanagement/v1.0/registries/{registry}/discovery"
        add("GET", discovery, self._parts.registries.discover)
        # The SDK makes `/acct.blob.localhost:PORT/...` of a datastore, a SAS has `/acct/...`.
        account = f"/{ACCOUNT}{{suffix:[^/]*}}"
        registry = f"/{{container:{REGISTRY}[^/]*}}"
        for path in (registry, f"{registry}/{{blob:.*}}"):
            add("*", path, blobs.handle)
        add("*", f"{account}/{{container}}", blobs.handle)
        add("*", f"{account}/{{container}}/{{blob:.*}}", blobs.handle)
        add("*", "/{tail:.*}", self._arm.handle)
        return app

    def _observe(self, endpoint: str, deployment: str, outcome: Outcome) -> None:
        request = Request(
            status=outcome.status,
            model_status=outcome.model_status,
            latency=outcome.latency,
            size=outcome.size,
        )
        self._record.add(endpoint, deployment, request)

    # --- what is neither ARM nor storage

    async def _score(self, request: web.Request) -> web.StreamResponse:
        return await self._front.handle(request, request.match_info["endpoint"])

    async def _clouds(self, request: web.Request) -> web.Response:
        base = self.workspace.base_url
        cloud: Json = {
            "name": "LocalAzureML",
            "portal": base,
            "resourceManager": base,
            "authentication": {
                "loginEndpoint": base,
                "audiences": [base],
                "tenant": "common",
                "identityProvider": "AAD",
            },
            "suffixes": {"storage": base.removeprefix("https://")},
        }
        # `az` asks a newer version, which describes the one cloud it was asked of.
        is_new = request.query.get("api-version", "") >= _ONE_CLOUD
        return answer(cloud if is_new else [cloud])

    def _console(self, endpoint: str, deployment: str) -> str:
        """Read what a deployment's servers wrote."""
        return self._pool.logs(endpoint, deployment, tail=_LOG_LINES, container="inference-server")

    async def _discover(self, _request: web.Request) -> web.Response:
        """Name the data planes of the workspace; all of them are here."""
        return answer({"api": self.workspace.base_url})

    async def _act_on_events(self, asked: Json) -> Json:
        """Take `copies`, `shuffle`, `hold`, `release`, or `raise`, an event."""
        asked = dict(asked)
        if "raise" in asked:
            self._events.raise_any(section(asked, "raise"))
            del asked["raise"]
        release = asked.pop("release", False)
        unknown = set(asked) - {"copies", "shuffle", "hold"}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise user_error(f"{names} is not one of copies, shuffle, hold, release, raise")
        if asked:
            _check_misbehaviour(asked)
            self._grid.misbehave(**asked)
        if release:
            await self._grid.release()
        return {}

    def _state(self, _asked: Json) -> Json:
        return {
            "restoring": self._parts.deployments.restoring(),
            "running_operations": self._operations.running(),
            "pace": self._pace.show(),
            "faults": len(self._faults.pending()),
        }


def _check_misbehaviour(asked: Json) -> None:
    copies = asked.get("copies", 1)
    if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
        raise user_error(f"copies {copies!r} is not a whole number from 1")
    for key in ("shuffle", "hold"):
        if not isinstance(asked.get(key, False), bool):
            raise user_error(f"{key} {asked[key]!r} is not true or false")


@web.middleware
async def _refuse(request: web.Request, handler: Next) -> web.StreamResponse:
    """Turn refusals into the service's error bodies, and own faults into its 500."""
    try:
        return await handler(request)
    except ArmError as error:
        return answer(error.body(), status=error.status, headers=error.headers)
    except web.HTTPException:
        raise
    except Exception as error:  # noqa: BLE001 - the service answers its own faults as a 500 too
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        return answer(ArmError(500, "InternalServerError", message).body(), status=500)
