"""HTTP triggers: finds the function for a request and carries request and answer across.

Keys and authorisation levels are not enforced here. The platform's authentication strips incoming
`X-MS-CLIENT-PRINCIPAL*` headers before it sets its own; so does this host, unless it is told to
trust them (`trust_principal`), which is only right behind something that does the same.
"""

import json
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from aiohttp import web

from local.functions_host.protos import RpcHttp, TypedData
from local.functions_host.route import parse_route
from local.functions_host.worker import (
    Answer,
    AppError,
    Function,
    InvocationFailedError,
    Trigger,
    Worker,
)

_PRINCIPAL = "x-ms-client-principal"


class HttpTriggers:
    """The app's HTTP routes."""

    def __init__(self, worker: Worker, *, prefix: str, trust_principal: bool) -> None:
        self._worker = worker
        self._trust_principal = trust_principal
        routes = [
            (parse_route(f"{prefix}/{_route_of(function)}"), _methods_of(function), function)
            for function in worker
            if function.kind is Trigger.HTTP
        ]
        self._routes = sorted(routes, key=lambda entry: entry[0].precedence)

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Run the function whose route and method fit.

        A known route with another method is a 404 too: the real host has no 405
        (https://github.com/Azure/azure-functions-host/issues/10098).
        """
        found = self._find(request)
        if found is None:
            return web.Response(status=404)
        function, parameters = found
        message = RpcHttp(
            method=request.method,
            url=str(request.url),
            headers=self._headers(request),
            query=_query(request),
            params=parameters,
            body=TypedData(bytes=await request.read()),
        )
        try:
            result = await self._worker.invoke(function, TypedData(http=message))
        except InvocationFailedError:
            return web.Response(status=500)  # without a body, as in the cloud; the worker logged it
        return _respond(function, result)

    def _find(self, request: web.BaseRequest) -> tuple[Function, dict[str, str]] | None:
        # An encoded slash stays part of its segment, as in ASP.NET.
        path = request.rel_url.path_safe.strip("/")
        for route, methods, function in self._routes:
            if methods and request.method not in methods:
                continue
            parameters = route.match(path)
            if parameters is not None:
                decoded = {name: text.replace("%25", "%") for name, text in parameters.items()}
                return function, decoded
        return None

    def _headers(self, request: web.BaseRequest) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            lower = name.lower()
            if self._trust_principal or not lower.startswith(_PRINCIPAL):
                headers[lower] = f"{headers[lower]},{value}" if lower in headers else value
        return headers


def _route_of(function: Function) -> str:
    route = function.trigger.get("route")
    return function.name if route is None else str(route)


def _methods_of(function: Function) -> frozenset[str]:
    return frozenset(method.upper() for method in function.trigger.get("methods") or ())


def _query(request: web.BaseRequest) -> dict[str, str]:
    """Join repeated keys by a comma and drop empty values, as the host's message does."""
    joined: dict[str, str] = {}
    for name, value in request.query.items():
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return {name: value for name, value in joined.items() if value}


def _respond(function: Function, result: Answer) -> web.Response:
    output = next((b["name"] for b in function.bindings if b["type"] == "http"), "$return")
    data = result.outputs.get(output, result.value)
    if data is None:
        return web.Response(status=204)
    if data.WhichOneof("data") != "http":
        kind = "application/json" if data.WhichOneof("data") == "json" else "text/plain"
        return web.Response(text=data.text, content_type=kind)
    message: Any = vars(data)["http"]
    response = web.Response(
        status=int(message.status_code), headers=message.headers, body=message.body.bytes
    )
    for cookie in message.cookies or ():
        _set_cookie(response, cookie)
    return response


def _set_cookie(response: web.Response, cookie: Any) -> None:  # noqa: ANN401 - a bag
    def value(name: str) -> Any:  # noqa: ANN401 - a nullable of any type
        nullable = getattr(cookie, name)
        return None if nullable is None else nullable.value

    expires = value("expires")
    age = value("max_age")
    response.set_cookie(
        cookie.name,
        cookie.value,
        expires=expires and formatdate(expires.seconds, usegmt=True),
        domain=value("domain") or None,
        max_age=None if age is None else int(age),
        path=value("path") or "/",
        secure=value("secure"),
        httponly=value("http_only"),
        samesite=cookie.same_site,
    )


def read_prefix(host: Mapping[str, Any]) -> str:
    """Return host.json's routePrefix; `api` when it says nothing."""
    prefix = host.get("extensions", {}).get("http", {}).get("routePrefix", "api")
    if not isinstance(prefix, str):
        raise AppError(f"host.json: routePrefix: {json.dumps(prefix)} is not text")
    return prefix.strip("/")
