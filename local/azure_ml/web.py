"""How a request is understood and answered: the call, the routes of ARM, JSON answers."""

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlencode

from aiohttp import web

from local.azure_ml.errors import ArmError, user_error
from local.azure_ml.store import Json

type Handler = Callable[[Call], Awaitable[web.StreamResponse]]

PAGE = 100
TEMPLATE: web.RequestKey[str] = web.RequestKey("template", str)
# The keys of the request's body, for the log of requests.
SHAPE: web.RequestKey[list[str]] = web.RequestKey("shape", list)
# Set by a fault: the long operation this request starts shall end with this error.
DOOM: web.RequestKey[Json] = web.RequestKey("doom", dict)

# Templates write `{workspace}` for this.
_WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/workspaces/{workspace}"
)
_PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, understood: the names in its path, its query, its JSON body."""

    request: web.Request
    names: Mapping[str, str]
    query: Mapping[str, str]  # keys in lower case
    body: Json

    @property
    def api_version(self) -> str:
        """Every version is accepted; the URLs in the answer carry the caller's."""
        return self.query["api-version"]

    @property
    def doom(self) -> Json | None:
        """The error with which a fault lets the started operation end."""
        return self.request.get(DOOM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A method and a path with `{names}`."""

    method: str
    template: str
    pattern: re.Pattern[str]
    handler: Handler


class Router:
    """Finds the handler of an ARM path. Letter case is ignored, as ARM does."""

    def __init__(self) -> None:
        self._routes: dict[int, list[Route]] = {}

    def add(self, method: str, template: str, handler: Handler) -> None:
        """Serve `method template` by the handler."""
        # Even parts are literal text, odd ones the names between the braces.
        path = template.replace("{workspace}", _WORKSPACE)
        parts = _PARAMETER.split(path)
        expression = "".join(
            f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
        pattern = re.compile(expression, re.IGNORECASE)
        route = Route(method=method, template=template, pattern=pattern, handler=handler)
        self._routes.setdefault(path.count("/"), []).append(route)

    def list_all(self) -> list[str]:
        """Give every method and path that is served."""
        found = [route for routes in self._routes.values() for route in routes]
        return sorted(f"{route.method} {route.template}" for route in found)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """Give the route and the names in the path; 405 where only the method is wrong."""
        path = path.rstrip("/")
        other_method = False
        for route in self._routes.get(path.count("/"), []):
            found = route.pattern.fullmatch(path)
            if found is None:
                continue
            if route.method == method:
                names = {key: unquote(value) for key, value in found.groupdict().items()}
                return route, names
            other_method = True
        if other_method:
            message = f"The resource does not support http method '{method}'."
            raise ArmError(405, "MethodNotAllowed", message)
        return None


async def read(request: web.Request, names: Mapping[str, str]) -> Call:
    """Read the body and the query of a request."""
    raw = await request.read()
    body: Any = {}
    if raw:
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise user_error(f"The request body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise user_error("The request body must be a JSON object")
    request[SHAPE] = sorted(_keys(body, ""))
    query = {key.lower(): value for key, value in request.query.items()}
    return Call(request=request, names=names, query=query, body=body)


def _keys(value: object, above: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _keys(inner, f"{above}.{key}" if above else key)
    elif above:
        yield above


def answer(
    body: object, *, status: int = HTTPStatus.OK, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Answer JSON; `None` is the literal `null`, which DELETE really answers."""
    return web.json_response(body, status=status, headers=headers)


def nothing() -> web.Response:
    """Answer 204."""
    return web.Response(status=HTTPStatus.NO_CONTENT)


def page[T](
    call: Call, base_url: str, items: Sequence[T], describe: Callable[[T], Json]
) -> web.Response:
    """Answer one page of a list; only what stands on it is described.

    The SDK sends only the query of `nextLink`, so the filters must stand in it.
    """
    skip = _count(call, "$skip", 0)
    size = min(_count(call, "$top", PAGE), PAGE)
    body: Json = {"value": [describe(item) for item in items[skip : skip + size]]}
    if skip + size < len(items):
        query = dict(call.request.query)
        query["$skip"] = str(skip + size)
        body["nextLink"] = f"{base_url}{call.request.path}?{urlencode(query)}"
    return answer(body)


def _count(call: Call, key: str, default: int) -> int:
    given = call.query.get(key)
    if given is None:
        return default
    if not given.isdecimal():
        raise user_error(f"{key} {given!r} is not a whole number")
    return int(given)


def section(body: Mapping[str, Any], key: str) -> Json:
    """Give an object inside a body; absent and null are the empty object."""
    value = body.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise user_error(f"{key!r} must be a JSON object, not {value!r}")
    return value
