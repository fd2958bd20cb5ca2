"""What was asked of the emulator: counts by path template, and the last requests."""

import json
from collections import Counter, deque
from datetime import UTC, datetime

from aiohttp import web

from local.azure_ml.faults import Next
from local.azure_ml.store import Json
from local.azure_ml.web import SHAPE, TEMPLATE

_KEPT = 2000
_LONGEST_READ = 20_000  # characters of an answer that is looked into


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
        state = ""
        try:
            response = await handler(request)
            dropped = request.transport is None or request.transport.is_closing()
            status = None if dropped else response.status
            state = _state(response) if _area(request.path) == "arm" else ""
        finally:
            self._record(request, status, state)
        return response

    def _record(self, request: web.Request, status: int | None, state: str) -> None:
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
                "state": state,
                "body": request.get(SHAPE, []),
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


def _state(response: web.StreamResponse) -> str:
    """Return how far the resource or the operation is, as the answer says; empty: it does not."""
    text = response.text if isinstance(response, web.Response) and response.body else None
    if not text or len(text) > _LONGEST_READ or response.content_type != "application/json":
        return ""
    try:
        body = json.loads(text)
    except ValueError:  # of a fault that was asked for
        return ""
    if not isinstance(body, dict):
        return ""
    properties = body.get("properties")
    found = properties.get("provisioningState") if isinstance(properties, dict) else None
    return str(found or body.get("status") or "")


def _area(path: str) -> str:
    first = path.split("/")[1].lower()
    areas = {
        "subscriptions": "arm",
        "endpoints": "scoring",
        "batch": "scoring",
        "mferp": "arm",
        "msi": "identity",
    }
    return "blob" if first.startswith(("acct", "registry-")) else areas.get(first, "other")
