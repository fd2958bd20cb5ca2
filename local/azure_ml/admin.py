"""The emulator's own API under /admin: what was asked of it, faults to come, pace, events."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from local.azure_ml.errors import user_error
from local.azure_ml.faults import Faults
from local.azure_ml.request_log import RequestLog
from local.azure_ml.store import Json
from local.azure_ml.web import answer, read


class Admin:
    """The routes under /admin; no token is needed."""

    def __init__(
        self, log: RequestLog, faults: Faults, acts: dict[str, Callable[[Json], Any]]
    ) -> None:
        self._log = log
        self._faults = faults
        self._acts = acts

    def add_to(self, app: web.Application) -> None:
        """Add the routes."""
        app.router.add_get("/admin/requests", self._requests)
        app.router.add_delete("/admin/requests", self._forget_requests)
        app.router.add_put("/admin/pace", self._act("pace"))
        app.router.add_post("/admin/faults", self._add_fault)
        app.router.add_get("/admin/faults", self._list_faults)
        app.router.add_delete("/admin/faults", self._forget_faults)
        app.router.add_post("/admin/events", self._act("events"))
        app.router.add_get("/admin/served", self._act("served"))
        app.router.add_get("/admin/state", self._act("state"))
        app.router.add_get("/admin/routes", self._act("routes"))
        app.router.add_get("/admin/clock", self._act("clock"))
        app.router.add_put("/admin/clock", self._act("clock"))
        app.router.add_put("/admin/throttling", self._act("throttling"))

    async def _requests(self, request: web.Request) -> web.Response:
        last = request.query.get("last", "100")
        if not last.isdecimal():
            raise user_error(f"last {last!r} is not a whole number")
        return answer(self._log.show(request.query.get("area"), int(last)))

    async def _forget_requests(self, _request: web.Request) -> web.Response:
        self._log.clear()
        return answer({})

    async def _add_fault(self, request: web.Request) -> web.Response:
        return answer(self._faults.add((await read(request, {})).body))

    async def _list_faults(self, _request: web.Request) -> web.Response:
        return answer(self._faults.show())

    async def _forget_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return answer({})

    def _act(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def act(request: web.Request) -> web.Response:
            done = self._acts[name]((await read(request, {})).body)
            return answer(await done if isinstance(done, Awaitable) else done)

        return act
