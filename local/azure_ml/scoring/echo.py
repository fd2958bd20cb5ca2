"""Light servers: every deployment answers what it was asked, and no model is ever loaded.

For tests and figures of everything but models: all instances are one small server inside the
emulator. Environment variables of a deployment say how it behaves.
"""

import asyncio
from collections import deque
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp
from aiohttp import web

from local.azure_ml.metrics.sampler import Instance
from local.azure_ml.scoring.deployment import Deployment, list_instances, open_session
from local.azure_ml.scoring.slot import Slot
from local.azure_ml.scoring.spec import ServerSpec, StartCode, StartFailed, deployment_key

_LOG_LINES = 1000
DELAY = "ECHO_DELAY"  # seconds until it answers
STATUS = "ECHO_STATUS"  # what it answers with
ANSWER = "ECHO_ANSWER"  # the body, instead of the echo
FAIL = "ECHO_FAIL"  # the message with which it does not even start

type _Key = tuple[str, str]


class EchoPool:
    """Stands in for the pool of scoring servers."""

    def __init__(self) -> None:
        self._deployments: dict[_Key, Deployment] = {}
        self._logs: dict[_Key, deque[str]] = {}
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._url = ""
        self._starting = asyncio.Lock()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections to the one server."""
        if self._session is None:
            self._session = open_session()
        return self._session

    def find(self, endpoint: str, deployment: str) -> Deployment | None:
        """Give the deployment that takes requests under this name, if there is one."""
        return self._deployments.get(deployment_key(endpoint, deployment))

    def instances(self) -> list[Instance]:
        """Give what is up."""
        return list_instances(self._deployments.values())

    async def start(self, spec: ServerSpec) -> None:
        """Let a deployment answer, or let it answer as the new spec says."""
        log = self._logs.setdefault(spec.key, deque(maxlen=_LOG_LINES))
        if FAIL in spec.environment_variables:
            message = spec.environment_variables[FAIL]
            _note(log, message)
            raise StartFailed(StartCode.RESOURCE_NOT_READY, message)
        _check(spec)
        async with self._starting:
            await self._serve()
        slots = [Slot(f"echo-{number}") for number in range(spec.instances)]
        for slot in slots:
            slot.url = f"{self._url}/{spec.endpoint}/{spec.deployment}/{slot.name}"
        deployment = self._deployments.setdefault(spec.key, Deployment(spec))
        deployment.switch(spec, slots)
        _note(log, f"{len(slots)} echo instances of {spec.model_name}:{spec.model_version} are up")

    async def stop(self, endpoint: str, deployment: str) -> None:
        """Finish what was given to the deployment, then let it go."""
        gone = self._deployments.pop(deployment_key(endpoint, deployment), None)
        if gone is not None:
            await gone.idle()

    async def close(self) -> None:
        """End the server."""
        self._deployments.clear()
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def logs(self, endpoint: str, deployment: str, *, tail: int, container: str) -> str:
        """Give the last lines; there is no storage initializer."""
        if container == "storage-initializer":
            return "echo servers download nothing\n"
        found = self._logs.get(deployment_key(endpoint, deployment), deque())
        return "".join(list(found)[len(found) - min(tail, len(found)) :])

    async def _serve(self) -> None:
        if self._runner is not None:
            return
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{endpoint}/{deployment}/{instance}/{page:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    async def _answer(self, request: web.Request) -> web.Response:
        names = request.match_info
        key = deployment_key(names["endpoint"], names["deployment"])
        found = self._deployments.get(key)
        if found is None:
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)
        variables = found.spec.environment_variables
        await asyncio.sleep(float(variables.get(DELAY, "0")))
        status = int(variables.get(STATUS, "200"))
        _note(self._logs[key], f"{request.method} /{names['page']} {status}")
        headers = {"x-ms-run-function-failed": str(status != HTTPStatus.OK)}
        if ANSWER in variables:
            answer = variables[ANSWER]
            return web.Response(
                status=status, text=answer, headers=headers, content_type="application/json"
            )
        body = {
            "deployment": found.spec.deployment,
            "instance": names["instance"],
            "model": f"{found.spec.model_name}:{found.spec.model_version}",
            "asked": (await request.read()).decode(errors="replace"),
        }
        return web.json_response(body, status=status, headers=headers)


def _note(log: deque[str], text: str) -> None:
    log.append(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {text}\n")


def _check(spec: ServerSpec) -> None:
    variables = spec.environment_variables
    for name, read in ((DELAY, float), (STATUS, int)):
        if name in variables:
            try:
                read(variables[name])
            except ValueError as error:
                message = f"{name} {variables[name]!r} is not a number"
                raise StartFailed(StartCode.BAD_ARGUMENT, message) from error
