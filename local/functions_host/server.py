"""The host's HTTP front: webhooks, the admin routes, and the app's own routes."""

import asyncio
import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict

from aiohttp import web

from local.functions_host import eventgrid
from local.functions_host.http import HttpTriggers
from local.functions_host.protos import TypedData
from local.functions_host.timers import Timers
from local.functions_host.worker import Function, InvocationFailedError, Trigger, Worker

logger = logging.getLogger(__name__)

_BODY_LIMIT = 100 * 1024 * 1024  # the real host's default
_PATIENCE = 10.0  # seconds for requests that run when the host is told to stop
_FUNCTIONS = "/admin/functions"


class Server:
    """Dispatches requests; `is_ready` tells whether the host can do all it is meant to."""

    def __init__(self, worker: Worker, *, is_ready: Callable[[], bool]) -> None:
        self._worker = worker
        self._is_ready = is_ready
        self._started = time.monotonic()
        self._http: HttpTriggers | None = None
        self._timers: Timers | None = None
        self._runner: web.ServerRunner | None = None

    async def listen(self, port: int) -> int:
        """Bind the loopback interface; until `serve`, requests get a 503. Returns the port."""
        loop = asyncio.get_running_loop()

        # The low-level server: no router, no middlewares on the way to a function.
        server = web.Server(
            self._answer,
            request_factory=lambda message, payload, protocol, writer, task: web.BaseRequest(
                message, payload, protocol, writer, task, loop, client_max_size=_BODY_LIMIT
            ),
            access_log=None,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_PATIENCE)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        return int(self._runner.addresses[0][1])

    def serve(self, http: HttpTriggers, timers: Timers) -> None:
        """Begin to answer with the loaded app."""
        self._http, self._timers = http, timers

    async def stop(self) -> None:
        """Take no more requests and end the connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._http is None or self._timers is None:
            return web.Response(status=503, text="the app is being loaded")
        path = request.path.lower().rstrip("/")
        if path == eventgrid.PATH:
            return await eventgrid.answer(self._worker, request)
        if path.startswith("/admin/"):
            return await self._admin(request, path, self._timers)
        return await self._http.answer(request)

    async def _admin(self, request: web.BaseRequest, path: str, timers: Timers) -> web.Response:
        if request.method == "GET" and path == "/admin/host/status":
            return web.json_response(
                {
                    "id": "local",
                    "state": "Running" if self._is_ready() else "Starting",
                    "processUptime": int((time.monotonic() - self._started) * 1000),
                }
            )
        if request.method == "GET" and path == _FUNCTIONS:
            return web.json_response([_describe(function) for function in self._worker])
        if request.method == "GET" and path == "/admin/executions":
            spent = {name: asdict(one) for name, one in self._worker.spent.items()}
            return web.json_response(spent)
        name = path.removeprefix(f"{_FUNCTIONS}/")
        if request.method == "POST" and name != path:
            return await self._fire(request, name, timers)
        return web.Response(status=404)

    async def _fire(self, request: web.BaseRequest, name: str, timers: Timers) -> web.Response:
        """Run a timer or a queue's function; unlike the real host, answer when it has ended."""
        queue = self._worker.find(Trigger.QUEUE, name)
        if queue is None and self._worker.find(Trigger.TIMER, name) is None:
            return web.Response(status=404, text=f"no timer and no queue's function is {name!r}")
        body = await request.read()
        try:
            content = json.loads(body or b"{}")
        except ValueError as error:
            return web.Response(status=400, text=f"body: not JSON: {error}")
        if queue is None:
            return web.Response(status=202 if await timers.fire(name) else 500)
        if not isinstance(content, dict) or not isinstance(content.get("input"), str):
            return web.Response(status=400, text='body: no {"input": text}')
        try:
            await self._worker.invoke(queue, TypedData(string=content["input"]))
        except InvocationFailedError:
            return web.Response(status=500)  # the worker has logged it
        return web.Response(status=202)


def _describe(function: Function) -> dict[str, object]:
    return {
        "name": function.name,
        "language": "python",
        "isDisabled": False,
        "config": {"bindings": list(function.bindings)},
    }
