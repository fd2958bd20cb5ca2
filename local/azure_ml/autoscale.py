"""Azure Monitor's autoscale settings: kept, and carried out on the capacity of deployments.

Only the first profile counts, and only metrics of the emulator's own can be triggers.
"""

import asyncio
import contextlib
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from aiohttp import web

from local.azure_ml.clock import Clock
from local.azure_ml.control import Control
from local.azure_ml.deployments import Deployments
from local.azure_ml.errors import ArmError, not_found, user_error
from local.azure_ml.metrics.api import Metrics
from local.azure_ml.serving import seconds
from local.azure_ml.store import Json
from local.azure_ml.web import Call, Router, answer, nothing, page, section

_KIND = "autoscale"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Insights"
_TARGET = re.compile(
    r"(?P<workspace>.+)/onlineEndpoints/(?P<endpoint>[^/]+)/deployments/(?P<deployment>[^/]+)",
    re.IGNORECASE,
)
_OPERATORS: Mapping[str, Callable[[float, float], bool]] = {
    "greaterthan": lambda found, limit: found > limit,
    "greaterthanorequal": lambda found, limit: found >= limit,
    "lessthan": lambda found, limit: found < limit,
    "lessthanorequal": lambda found, limit: found <= limit,
    "equals": lambda found, limit: found == limit,
    "notequals": lambda found, limit: found != limit,
}
_OVER_TIME: Mapping[str, Callable[[Sequence[float]], float]] = {
    "average": lambda values: sum(values) / len(values),
    "minimum": min,
    "maximum": max,
    "total": sum,
    "count": len,
    "last": lambda values: values[-1],
}
_LOOK_EVERY = 60.0  # seconds


class Autoscale:
    """The settings of the resource group."""

    def __init__(
        self, control: Control, deployments: Deployments, metrics: Metrics, clock: Clock
    ) -> None:
        self._store = control.store
        self._workspace = control.workspace
        self._deployments = deployments
        self._metrics = metrics
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def add_to(self, router: Router) -> None:
        """Add the routes."""
        settings = f"{_GROUP}/autoscalesettings"
        router.add("GET", settings, self._list)
        router.add("GET", f"{settings}/{{name}}", self._get)
        router.add("PUT", f"{settings}/{{name}}", self._put)
        router.add("DELETE", f"{settings}/{{name}}", self._delete)

    # --- life

    def start(self) -> None:
        """Begin to look at the metrics."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.time() + _LOOK_EVERY)
            for document in self._store.all(_KIND):
                try:
                    self._apply(document)
                except Exception:  # noqa: BLE001 - one setting must not stop the others
                    print(f"autoscale setting {document['name']}:", file=sys.stderr)
                    traceback.print_exc()

    # --- routes

    async def _list(self, call: Call) -> web.Response:
        found = self._store.all(_KIND)
        return page(call, self._workspace.base_url, found, self._describe)

    async def _get(self, call: Call) -> web.Response:
        found = self._store.get(_KIND, call.names["name"])
        if found is None:
            raise not_found(f"Autoscale setting '{call.names['name']}' was not found")
        return answer(self._describe(found))

    async def _put(self, call: Call) -> web.Response:
        name = call.names["name"]
        properties = section(call.body, "properties")
        old = self._store.get(_KIND, name)
        target = str(properties.get("targetResourceUri"))
        self._target(target)
        _check(properties)
        document = {
            "name": name,
            "tags": section(call.body, "tags"),
            "properties": {"enabled": True, **properties, "name": name},
            "scaled": {} if old is None else old["scaled"],
        }
        self._store.put(_KIND, name, document)
        self._apply(document)
        status = HTTPStatus.CREATED if old is None else HTTPStatus.OK
        return answer(self._describe(document), status=status)

    async def _delete(self, call: Call) -> web.Response:
        if self._store.get(_KIND, call.names["name"]) is None:
            return nothing()
        self._store.delete(_KIND, call.names["name"])
        return web.Response()

    def _describe(self, document: Json) -> Json:
        kind = "Microsoft.Insights/autoscaleSettings"
        return {
            "id": f"{self._workspace.group_id}/providers/{kind}/{document['name']}",
            "name": document["name"],
            "type": kind,
            "location": self._workspace.location,
            "tags": document["tags"],
            "properties": document["properties"],
        }

    def _target(self, uri: str) -> Json:
        found = _TARGET.fullmatch(uri)
        document = None
        if found is not None and found["workspace"].lower() == self._workspace.id.lower():
            document = self._deployments.find(found["endpoint"], found["deployment"])
        if document is None:
            raise user_error(f"targetResourceUri {uri!r} is no online deployment of the workspace")
        return document

    # --- scaling

    def _apply(self, document: Json) -> None:
        """Bring the capacity where the setting wants it, unless something else is under way."""
        properties = document["properties"]
        found = _TARGET.fullmatch(properties["targetResourceUri"])
        deployment = found and self._deployments.find(found["endpoint"], found["deployment"])
        if not deployment or not properties["enabled"] or deployment["new"]:
            return
        profile = properties["profiles"][0]
        now = deployment["sku"]["capacity"]
        bounds = {key: int(value) for key, value in profile["capacity"].items()}
        wanted, rule = self._wanted(document, profile, now)
        wanted = max(bounds["minimum"], min(bounds["maximum"], wanted))
        if wanted == now:
            return
        try:
            self._deployments.scale(deployment, wanted)
        except ArmError:
            return  # something runs on the endpoint: looked at again in a minute
        if rule is not None:
            document = {**document, "scaled": {**document["scaled"], rule: self._clock.time()}}
            self._store.put(_KIND, document["name"], document)

    def _wanted(self, document: Json, profile: Json, now: int) -> tuple[int, str | None]:
        """Give the capacity that the rules ask for, and which one did."""
        values = list(self._decisions(document, profile, now))
        ups = [item for item in values if item[0] > now]
        # Where rules disagree, the larger capacity wins, as Azure Monitor prefers to scale out.
        chosen = max(ups, default=None) or max(values, default=None)
        return chosen if chosen is not None else (now, None)

    def _decisions(self, document: Json, profile: Json, now: int) -> Iterator[tuple[int, str]]:
        for number, rule in enumerate(profile.get("rules") or []):
            trigger, action = rule["metricTrigger"], rule["scaleAction"]
            last = document["scaled"].values()
            rest = seconds(action.get("cooldown", "PT5M"))
            if last and self._clock.time() - max(last) < rest:
                continue
            value = self._measured(trigger)
            compare = _OPERATORS[trigger["operator"].lower()]
            if value is not None and compare(value, float(trigger["threshold"])):
                yield _changed(now, action), str(number)

    def _measured(self, trigger: Json) -> float | None:
        statistic = str(trigger.get("statistic", "Average")).lower()
        statistic = {"min": "minimum", "max": "maximum", "sum": "total"}.get(statistic, statistic)
        values = self._metrics.values(
            trigger["metricResourceUri"],
            trigger["metricName"],
            statistic,
            seconds(trigger.get("timeWindow", "PT10M")),
        )
        over = str(trigger.get("timeAggregation", "Average")).lower()
        return float(_OVER_TIME[over](values)) if values else None


def _changed(now: int, action: Json) -> int:
    value = int(action.get("value") or 1)
    kind = str(action["type"]).lower()
    if kind == "exactcount":
        return value
    if kind == "percentchangecount":
        value = max(1, round(now * value / 100))
    return now + value if str(action["direction"]).lower() == "increase" else now - value


def _check(properties: Json) -> None:
    profiles = properties.get("profiles")
    if not isinstance(profiles, list) or not profiles:
        raise user_error("profiles must have at least one profile")
    capacity = section(profiles[0], "capacity")
    numbers = [str(capacity.get(key)) for key in ("minimum", "default", "maximum")]
    if not all(number.isdecimal() for number in numbers):
        raise user_error(f"capacity {capacity!r} needs minimum, maximum and default")
    least, usual, most = (int(number) for number in numbers)
    if not 1 <= least <= usual <= most:
        raise user_error(f"capacity: not 1 <= minimum {least} <= default {usual} <= maximum {most}")
    for rule in profiles[0].get("rules") or []:
        _check_rule(section(rule, "metricTrigger"), section(rule, "scaleAction"))


def _check_rule(trigger: Json, action: Json) -> None:
    wanted: dict[str, tuple[Json, Any]] = {
        "operator": (trigger, _OPERATORS),
        "timeAggregation": (trigger, _OVER_TIME),
        "direction": (action, ("increase", "decrease", "none")),
        "type": (action, ("changecount", "percentchangecount", "exactcount")),
    }
    for key, (holder, accepted) in wanted.items():
        if str(holder.get(key)).lower() not in accepted:
            raise user_error(f"{key} {holder.get(key)!r} is not one of {', '.join(accepted)}")
    for key in ("metricName", "metricResourceUri", "threshold"):
        if key not in trigger:
            raise user_error(f"metricTrigger.{key} is missing")
