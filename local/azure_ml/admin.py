"""The emulator's own API under /admin: what was asked of it, faults to come, pace, events."""

import asyncio
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from local.azure_ml.errors import ArmError, user_error
from local.azure_ml.store import Json
from local.azure_ml.web import DOOM, TEMPLATE, answer, read

type Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

_KEPT = 2000
_NUMBER = (int, float)
_FAULT_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "method": str,
    "path_regex": str,
    "count": int,
    "status": int,
    "code": str,
    "message": str,
    "retry_after": _NUMBER,
    "when": str,
    "delay": _NUMBER,
    "drop_connection": bool,
    "operation_error": dict,
}


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that shall go wrong with the next requests that fit."""

    method: str | None  # None fits every method
    path: re.Pattern[str]
    left: int  # how many requests it still hits
    status: int | None  # None lets the real answer pass (after a delay, or with a doomed operation)
    code: str
    message: str
    retry_after: float | None
    after: bool  # the request takes effect, only its answer is lost
    delay: float
    drop: bool
    operation_error: Json | None

    def fits(self, request: web.Request) -> bool:
        """Tell whether this request is hit."""
        wanted = self.method is None or self.method == request.method
        return self.left > 0 and wanted and self.path.search(request.path) is not None


class Faults:
    """The faults to come, oldest first."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, asked: Json) -> Json:
        """Take a fault; what cannot be meant is refused."""
        for key, value in asked.items():
            if key not in _FAULT_KEYS:
                raise user_error(f"{key!r} is not one of {', '.join(_FAULT_KEYS)}")
            if not isinstance(value, _FAULT_KEYS[key]):
                raise user_error(f"{key} {value!r} is of the wrong type")
        if not set(asked) & {"status", "drop_connection", "delay", "operation_error"}:
            raise user_error("a fault needs status, drop_connection, delay or operation_error")
        self._faults.append(_read_fault(asked))
        return {"pending": len(self.pending())}

    def pending(self) -> list[Fault]:
        """Give the faults that have hits left."""
        self._faults = [fault for fault in self._faults if fault.left > 0]
        return self._faults

    def clear(self) -> None:
        """Forget all faults."""
        self._faults.clear()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Next) -> web.StreamResponse:
        """Let the first fault that fits happen to the request."""
        if request.path.startswith("/admin"):
            return await handler(request)
        fault = next((fault for fault in self._faults if fault.fits(request)), None)
        if fault is None:
            return await handler(request)
        fault.left -= 1
        if fault.operation_error is not None:
            request[DOOM] = fault.operation_error
        await asyncio.sleep(fault.delay)
        real: web.StreamResponse | None = None
        spoils = fault.drop or fault.status is not None
        if fault.after or not spoils:
            real = await handler(request)
        if not spoils and real is not None:
            return real
        if fault.drop and request.transport is not None:
            request.transport.abort()
        headers = {} if fault.retry_after is None else {"Retry-After": f"{fault.retry_after:g}"}
        error = ArmError(fault.status or 500, fault.code, fault.message)
        return answer(error.body(), status=error.status, headers=headers)


def _read_fault(asked: Json) -> Fault:
    when = asked.get("when", "before")
    if when not in ("before", "after"):
        raise user_error(f"when {when!r} is not one of before, after")
    try:
        path = re.compile(asked.get("path_regex", ""), re.IGNORECASE)
    except re.error as error:
        raise user_error(f"path_regex {asked['path_regex']!r}: {error}") from error
    doom = asked.get("operation_error")
    if doom is not None and not {"code", "message"} <= set(doom):
        raise user_error("operation_error needs code and message")
    method = asked.get("method")
    return Fault(
        method=None if method is None else method.upper(),
        path=path,
        left=asked.get("count", 1),
        status=asked.get("status"),
        code=asked.get("code", "InjectedFault"),
        message=asked.get("message", "A fault asked for over the admin API"),
        retry_after=asked.get("retry_after"),
        after=when == "after",
        delay=asked.get("delay", 0),
        drop=asked.get("drop_connection", False),
        operation_error=doom,
    )


class RequestLog:
    """Counts every request by area, method and path template; keeps the last ones."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._last: deque[Json] = deque(maxlen=_KEPT)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Next) -> web.StreamResponse:
        """Record the request when it has been answered."""
        if request.path.startswith("/admin"):
            return await handler(request)
        status: int | None = None  # stays None when the connection was dropped
        try:
            response = await handler(request)
            dropped = request.transport is None or request.transport.is_closing()
            status = None if dropped else response.status
        finally:
            self._record(request, status)
        return response

    def _record(self, request: web.Request, status: int | None) -> None:
        resource = request.match_info.route.resource
        route = request.path if resource is None else resource.canonical
        template = request.get(TEMPLATE, route)
        area = _area(request.path)
        self._counts[area, request.method, template] += 1
        self._last.append(
            {
                "time": datetime.now(UTC).isoformat(),
                "area": area,
                "method": request.method,
                "template": template,
                "path": request.path,
                "query": request.rel_url.raw_query_string if area == "arm" else "",
                "status": status,
            }
        )

    def show(self, area: str | None, last: int) -> Json:
        """Give the counts, and the last requests with their status."""
        counts = [
            {"area": found, "method": method, "template": template, "count": count}
            for (found, method, template), count in sorted(self._counts.items())
            if area in (None, found)
        ]
        chosen = [entry for entry in self._last if area in (None, entry["area"])]
        return {
            "total": sum(entry["count"] for entry in counts),
            "counts": counts,
            "last": chosen[len(chosen) - min(last, len(chosen)) :],
        }

    def clear(self) -> None:
        """Begin to count anew."""
        self._counts.clear()
        self._last.clear()


def _area(path: str) -> str:
    first = path.split("/")[1].lower()
    areas = {"subscriptions": "arm", "endpoints": "scoring", "msi": "identity"}
    return "blob" if first.startswith("acct") else areas.get(first, "other")


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
        app.router.add_delete("/admin/faults", self._forget_faults)
        app.router.add_post("/admin/events", self._act("events"))
        app.router.add_get("/admin/served", self._act("served"))
        app.router.add_get("/admin/state", self._act("state"))
        app.router.add_get("/admin/clock", self._act("clock"))
        app.router.add_put("/admin/clock", self._act("clock"))

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

    async def _forget_faults(self, _request: web.Request) -> web.Response:
        self._faults.clear()
        return answer({})

    def _act(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def act(request: web.Request) -> web.Response:
            done = self._acts[name]((await read(request, {})).body)
            return answer(await done if isinstance(done, Awaitable) else done)

        return act
