"""Faults to come: what shall go wrong with the next requests that fit."""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from local.azure_ml.errors import ArmError, user_error
from local.azure_ml.store import Json, Store
from local.azure_ml.web import DOOM, answer

type Next = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NUMBER = (int, float)
_KEYS: Mapping[str, type | tuple[type, ...]] = {
    "method": str,
    "path_regex": str,
    "skip": int,
    "count": int,
    "status": int,
    "code": str,
    "message": str,
    "retry_after": _NUMBER,
    "when": str,
    "delay": _NUMBER,
    "drop_connection": bool,
    "stale": bool,
    "operation_error": dict,
}
_EFFECTS = ("status", "drop_connection", "delay", "stale", "operation_error")


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that shall go wrong with the next requests that fit."""

    asked: Json  # as it was written
    method: str | None  # None fits every method
    path: re.Pattern[str]
    skip: int  # how many requests pass before the first one is hit
    left: int  # how many requests it still hits
    status: int | None  # None lets the real answer pass (after a delay, or with a doomed operation)
    code: str
    message: str
    retry_after: float | None
    after: bool  # the request takes effect, only its answer is lost
    delay: float
    drop: bool
    operation_error: Json | None
    past: sqlite3.Connection | None  # reads are answered from this copy of the state

    def hits(self, request: web.Request) -> bool:
        """Tell whether this request is hit, and count it."""
        wanted = self.method is None or self.method == request.method
        if self.past is not None and request.method not in ("GET", "HEAD"):
            wanted = False
        if self.left <= 0 or not wanted or self.path.search(request.path) is None:
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        self.left -= 1
        return True


class Faults:
    """The faults to come, oldest first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._faults: list[Fault] = []

    def add(self, asked: Json) -> Json:
        """Take a fault; what cannot be meant is refused."""
        for key, value in asked.items():
            if key not in _KEYS:
                raise user_error(f"{key!r} is not one of {', '.join(_KEYS)}")
            if not isinstance(value, _KEYS[key]):
                raise user_error(f"{key} {value!r} is of the wrong type")
        if not set(asked) & set(_EFFECTS):
            raise user_error(f"a fault needs one of {', '.join(_EFFECTS)}")
        self._faults.append(_read(asked, self._store))
        return self.show()

    def show(self) -> Json:
        """Give the faults that have hits left."""
        listed = [{**one.asked, "skip": one.skip, "left": one.left} for one in self.pending()]
        return {"pending": len(listed), "faults": listed}

    def pending(self) -> list[Fault]:
        """Give the faults that have hits left."""
        for fault in self._faults:
            if fault.left <= 0 and fault.past is not None:
                fault.past.close()
        self._faults = [fault for fault in self._faults if fault.left > 0]
        return self._faults

    def clear(self) -> None:
        """Forget all faults."""
        for fault in self._faults:
            fault.left = 0
        self.pending()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Next) -> web.StreamResponse:
        """Let the first fault that fits happen to the request."""
        if request.path.startswith("/admin"):
            return await handler(request)
        fault = next((fault for fault in self._faults if fault.hits(request)), None)
        if fault is None:
            return await handler(request)
        if fault.operation_error is not None:
            request[DOOM] = fault.operation_error
        await asyncio.sleep(fault.delay)
        if fault.past is not None:
            with self._store.looking_at(fault.past):
                return await handler(request)
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


def _read(asked: Json, store: Store) -> Fault:
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
    stale = asked.get("stale", False)
    if stale and set(asked) & {"status", "drop_connection", "operation_error"}:
        raise user_error("a stale read is answered: it has no status, drop_connection or error")
    method = asked.get("method")
    return Fault(
        asked=asked,
        method=None if method is None else method.upper(),
        path=path,
        skip=asked.get("skip", 0),
        left=asked.get("count", 1),
        status=asked.get("status"),
        code=asked.get("code", "InjectedFault"),
        message=asked.get("message", "A fault asked for over the admin API"),
        retry_after=asked.get("retry_after"),
        after=when == "after",
        delay=asked.get("delay", 0),
        drop=asked.get("drop_connection", False),
        operation_error=doom,
        past=store.copy() if stale else None,
    )
