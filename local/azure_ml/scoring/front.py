"""The front door of the endpoints: authorises, picks a deployment, mirrors, forwards and counts.

A request is admitted to its deployment in the same instant in which the weights are read, so what
is shifted, replaced or retired afterwards still finishes it.
"""

import asyncio
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import aiohttp
from aiohttp import web
from multidict import CIMultiDict

from local.azure_ml.scoring.counters import UNROUTED, Counters, DeploymentCount, Outcome
from local.azure_ml.scoring.deployment import Deployment, NoContainer, TooManyPending
from local.azure_ml.scoring.slot import Slot

DEPLOYMENT_HEADER = "azureml-model-deployment"
_REASON = "ms-azureml-model-error-reason"
_MODEL_STATUS = "ms-azureml-model-error-statuscode"
# The service adds this to what it answers in place of, or on top of, a model's error.
_GUIDE = (
    "\nPlease check this guide to understand why this error code might have been returned \n"
    "https://docs.microsoft.com/en-us/azure/machine-learning/how-to-troubleshoot-online-endpoints"
    "#http-status-codes\n"
)
# Belong to one connection, or are written anew for the next one.
_HOP = frozenset(
    {
        *("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
        *("proxy-authenticate", "proxy-authorization", "host", "content-length", "server", "date"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """What the front needs to know of an endpoint, as it is now."""

    name: str
    traffic: Mapping[str, int]
    mirror: Mapping[str, int]
    accepts: Callable[[str | None], bool]  # given the Authorization header's value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One request, read completely, ready to be sent to any number of containers."""

    method: str
    path: str
    headers: CIMultiDict[str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    headers: CIMultiDict[str]
    body: bytes
    model_status: int | None = None


class Servers(Protocol):
    """Where deployments are found, and how their servers are reached."""

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections to all servers."""

    def find(self, endpoint: str, deployment: str) -> Deployment | None:
        """Give the deployment that takes requests under this name, if there is one."""


class DataPlane:
    """Serves the scoring addresses of all endpoints."""

    def __init__(
        self,
        pool: Servers,
        lookup: Callable[[str], EndpointView | None],
        *,
        observe: Callable[[str, str, Outcome], None] | None = None,
        chance: random.Random | None = None,  # seeded by tests
    ) -> None:
        self._pool = pool
        self._lookup = lookup
        self._chance = chance or random.Random()  # noqa: S311 - a share of traffic, not a secret
        self._counters = Counters()
        self._observe = observe
        self._mirrored: set[asyncio.Task[None]] = set()

    def counters(self) -> dict[str, dict[str, DeploymentCount]]:
        """Give what was served, by endpoint and deployment."""
        return self._counters.snapshot()

    async def handle(self, request: web.Request, endpoint: str) -> web.StreamResponse:
        """Answer one scoring request; `/swagger.json` at the path's end asks for that page."""
        began = time.perf_counter()
        request_id = request.headers.get("x-request-id", str(uuid.uuid4()))
        view = self._lookup(endpoint)
        if view is None:
            # Not counted: whoever guesses names must not fill the memory with them.
            return _respond(_text(HTTPStatus.NOT_FOUND, f"there is no endpoint {endpoint!r}"))
        if not view.accepts(request.headers.get("Authorization")):
            return self._refuse(endpoint, HTTPStatus.UNAUTHORIZED, "key_auth_access_denied", began)
        call = await _read(request, request_id)
        # Looked up again: while the body came in, the weights may have changed.
        view = self._lookup(endpoint) or view
        named = request.headers.get(DEPLOYMENT_HEADER)
        name = self._draw(view) if named is None else named
        deployment = None if name is None else self._pool.find(endpoint, name)
        if deployment is None:
            return self._refuse(endpoint, *_explain(name, named), began)
        if named is None:
            self._mirror(view, call)
        answer = await self._forward(deployment, call)
        spec = deployment.spec
        self._count(endpoint, spec.deployment, answer, began, asked=len(call.body))
        answer.headers[DEPLOYMENT_HEADER] = spec.deployment
        answer.headers.setdefault("x-request-id", request_id)
        return _respond(answer)

    def _draw(self, view: EndpointView) -> str | None:
        names = [name for name, weight in view.traffic.items() if weight > 0]
        if not names:
            return None
        return self._chance.choices(names, [view.traffic[name] for name in names])[0]

    def _mirror(self, view: EndpointView, call: _Call) -> None:
        for name, percent in view.mirror.items():
            if self._chance.random() * 100 >= percent:
                continue
            deployment = self._pool.find(view.name, name)
            if deployment is not None:
                # Eager: admitted at once, so that a stop waits for the copy as for any request.
                copy = self._send_copy(view.name, deployment, call)
                task = asyncio.eager_task_factory(asyncio.get_running_loop(), copy)
                self._mirrored.add(task)  # the loop itself holds tasks only weakly
                task.add_done_callback(self._mirrored.discard)

    async def _send_copy(self, endpoint: str, deployment: Deployment, call: _Call) -> None:
        began = time.perf_counter()
        answer = await self._forward(deployment, call)
        name = deployment.spec.deployment
        self._count(endpoint, name, answer, began, asked=len(call.body), mirrored=True)

    async def _forward(self, deployment: Deployment, call: _Call) -> _Answer:
        try:
            with deployment.admitted():
                async with asyncio.timeout(deployment.spec.request_timeout):
                    return await self._try_containers(deployment, call)
        except TooManyPending:
            return _empty(HTTPStatus.TOO_MANY_REQUESTS, "too_many_pending_request")
        except TimeoutError:
            return _text(HTTPStatus.REQUEST_TIMEOUT, "upstream request timeout")
        except NoContainer:
            return _text(HTTPStatus.BAD_GATEWAY, "no healthy upstream", reason="model_not_ready")
        except aiohttp.ClientError:
            # It had the request and may have worked on it: sending it again is the caller's choice.
            lost = "upstream connect error or disconnect/reset before headers"
            return _text(HTTPStatus.BAD_GATEWAY, lost)

    async def _try_containers(self, deployment: Deployment, call: _Call) -> _Answer:
        while True:
            async with deployment.container() as container:
                try:
                    return await self._send(container, call)
                except aiohttp.ClientConnectorError:
                    # It never had the request. It is dead, and so it leaves the list: this ends.
                    deployment.lose(container)

    async def _send(self, container: Slot, call: _Call) -> _Answer:
        began = time.perf_counter()
        url = container.url + call.path
        async with self._pool.session.request(
            call.method, url, data=call.body, headers=call.headers, allow_redirects=False
        ) as response:
            body = await response.read()
        headers = CIMultiDict(
            (name, value) for name, value in response.headers.items() if name.lower() not in _HOP
        )
        headers["ms-azureml-model-time"] = str(round((time.perf_counter() - began) * 1000))
        if response.status == HTTPStatus.OK:
            return _Answer(status=200, headers=headers, body=body, model_status=200)
        headers[_REASON] = "model_error"
        headers[_MODEL_STATUS] = str(response.status)
        return _Answer(
            status=HTTPStatus.FAILED_DEPENDENCY.value,
            headers=headers,
            body=body + _GUIDE.encode(),
            model_status=response.status,
        )

    def _refuse(
        self, endpoint: str, status: HTTPStatus, text: str, began: float
    ) -> web.StreamResponse:
        answer = _text(status, text)
        self._count(endpoint, UNROUTED, answer, began)
        return _respond(answer)

    def _count(
        self,
        endpoint: str,
        deployment: str,
        answer: _Answer,
        began: float,
        *,
        asked: int = 0,
        mirrored: bool = False,
    ) -> None:
        outcome = Outcome(
            status=answer.status,
            model_status=answer.model_status,
            latency=(time.perf_counter() - began) * 1000,
            mirrored=mirrored,
            size=asked + len(answer.body),
        )
        self._counters.record(endpoint, deployment, outcome)
        if self._observe is not None:
            self._observe(endpoint, deployment, outcome)


def _explain(name: str | None, named: str | None) -> tuple[HTTPStatus, str]:
    """Say why no deployment can take a request."""
    if name is None:
        return HTTPStatus.NOT_FOUND, "no deployment has a positive weight"
    if named is not None:
        return HTTPStatus.NOT_FOUND, f"there is no deployment {named!r}"
    return HTTPStatus.BAD_GATEWAY, f"no healthy upstream: deployment {name!r} is not up"


def _respond(answer: _Answer) -> web.Response:
    answer.headers["Server"] = "azureml-frontdoor"
    return web.Response(status=answer.status, headers=answer.headers, body=answer.body)


async def _read(request: web.Request, request_id: str) -> _Call:
    headers = CIMultiDict(
        (name, value)
        for name, value in request.headers.items()
        if name.lower() not in _HOP and name.lower() != "authorization"  # not the model's business
    )
    headers["x-request-id"] = request_id
    page = "/swagger.json" if request.path.endswith("/swagger.json") else "/score"
    query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
    body = await request.read()
    return _Call(method=request.method, path=page + query, headers=headers, body=body)


def _text(status: HTTPStatus, text: str, *, reason: str | None = None) -> _Answer:
    headers = CIMultiDict({"Content-Type": "text/plain"})
    if reason is not None:
        headers[_REASON] = reason
    return _Answer(status=status.value, headers=headers, body=(text + _GUIDE).encode())


def _empty(status: HTTPStatus, reason: str) -> _Answer:
    headers = CIMultiDict({"Content-Type": "text/plain", _REASON: reason})
    return _Answer(status=status.value, headers=headers, body=b"")
