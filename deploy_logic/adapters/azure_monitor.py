"""What Azure Monitor measured of an endpoint's deployments: the Monitor port on ARM's metrics API.

https://learn.microsoft.com/rest/api/monitor/metrics/list
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from azure.core.credentials import TokenCredential

from deploy_logic.adapters.arm import Arm, Body
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.metric import Measured, Reading

API_VERSION = "2024-02-01"
_ENDPOINTS = "Microsoft.MachineLearningServices/workspaces/onlineEndpoints"
_DEPLOYMENTS = f"{_ENDPOINTS}/deployments"
_REQUESTS = "RequestsPerMinute"
# All of its dimensions: what a filter leaves out is averaged over, and two statuses of one minute
# would count half.
_OUTCOME = ("statusCode", "statusCodeClass", "modelStatusCode")
_UTILISATION: Mapping[str, str] = {
    "cpu": "CpuUtilizationPercentage",
    "memory": "CpuMemoryUtilizationPercentage",
    "gpu": "GpuUtilizationPercentage",
}
_MOST_SERIES = "1000"  # unasked it is 10, and the rest would be left out without a word
_GOOD = "2xx"
# What callers get when the model answers anything but 200.
# https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
_MODEL_ERROR = "424"

type Outcome = Mapping[str, str]  # value by dimension, in lower case
type Minutes = Mapping[str, float]  # value by the time it begins


@dataclass(frozen=True, slots=True, kw_only=True)
class _Series:
    """The minutes of one combination of dimensions."""

    outcome: Outcome
    minutes: Minutes


class AzureMonitor:
    """The Monitor port, for the endpoints of one workspace."""

    def __init__(
        self, workspace: str, *, cloud: Mapping[str, str], credential: TokenCredential
    ) -> None:
        """Take the workspace's ARM id; nothing is asked yet."""
        self._arm = Arm(
            resource_manager=cloud["resource_manager"], credential=credential, root=workspace
        )

    def read(  # the port's: what, of whom, and when
        self,
        metric: str,
        *,
        endpoint: str,
        candidate: str,
        stable: str | None,
        since: datetime,
        until: datetime,
    ) -> Measured:
        """Return what was measured in full minutes from since on; nothing is no reading."""
        empty = Reading()
        if until <= since:
            there = empty if stable is not None else None
            return Measured(candidate=empty, stable=there, since=since, until=until)
        begin = since.replace(second=0, microsecond=0)  # the grain is a minute
        asked = _Asked(self._arm, endpoint, f"{_iso(begin)}/{_iso(until)}")
        names = [candidate] if stable is None else [candidate, stable]
        if metric in _UTILISATION:
            found = {name: asked.utilisation(metric, name) for name in names}
        elif metric.startswith("latency_"):
            found = asked.latencies(metric, names)
        else:
            found = asked.requests(metric, names)
        of_stable = None if stable is None else found[stable]
        return Measured(candidate=found[candidate], stable=of_stable, since=begin, until=until)


@dataclass(frozen=True, slots=True)
class _Asked:
    """The questions about one endpoint in one window; each asks for all deployments at once."""

    arm: Arm
    endpoint: str
    timespan: str

    def requests(self, metric: str, names: list[str]) -> dict[str, Reading]:
        """Return the requests, or the share of them that went wrong, with one call."""
        counts = self._count(names)
        return {name: _read_counts(metric, counts[name.lower()]) for name in names}

    def latencies(self, metric: str, names: list[str]) -> dict[str, Reading]:
        """Return the mean of a percentile, each minute weighted by its requests, with two calls.

        Percentiles of many minutes cannot be computed from those of single ones; the mean is what
        Azure Monitor itself shows, and the weights keep a quiet minute from counting like a busy
        one. The two metrics differ in their dimensions, so one call cannot ask for both.
        """
        percentile = metric.removeprefix("latency_").upper()
        asked = self._ask(f"RequestLatency_{percentile}", filters=_any_of(names))
        shown = {one.outcome.get("deployment", ""): one.minutes for one in asked}
        counts = self._count(names)
        return {name: _weigh(shown.get(name.lower(), {}), counts[name.lower()]) for name in names}

    def utilisation(self, metric: str, name: str) -> Reading:
        """Return the mean of all minutes, as a share; only the deployment itself has it."""
        path = f"/deployments/{quote(name)}"
        values = [
            value
            for one in self._ask(_UTILISATION[metric], path=path)
            for value in one.minutes.values()
        ]
        if not values:
            return Reading()
        return Reading(samples=len(values), value=sum(values) / len(values) / 100)

    def _count(self, names: list[str]) -> Mapping[str, list[_Series]]:
        """Return how many requests there were, by deployment; one series for each outcome."""
        every = " and ".join(f"{name} eq '*'" for name in _OUTCOME)
        found: defaultdict[str, list[_Series]] = defaultdict(list)
        for one in self._ask(_REQUESTS, filters=f"{_any_of(names)} and {every}"):
            found[one.outcome.get("deployment", "")].append(one)
        return found

    def _ask(self, metric: str, *, filters: str = "", path: str = "") -> list[_Series]:
        query = {
            "api-version": API_VERSION,
            "metricnames": metric,
            "metricnamespace": _DEPLOYMENTS if path else _ENDPOINTS,
            "timespan": self.timespan,
            "interval": "PT1M",
            "aggregation": "Average",
        }
        if filters:
            query |= {"$filter": filters, "top": _MOST_SERIES}
        resource = f"/onlineEndpoints/{quote(self.endpoint)}{path}"
        found = self.arm.get(f"{resource}/providers/Microsoft.Insights/metrics", **query)
        what = f"reading {metric} of {resource}"
        if found is None:
            raise WorkspaceError(f"{what}: there is no such resource", status=404)
        return _well_formed(what, lambda: list(_read_series(what, found)))


def _well_formed[T](what: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        reason = f"{what}: the answer is not as Azure Monitor documents it: {error!r}"
        raise TransientError(reason, code="NoAnswer") from error


def _read_series(what: str, found: Body) -> Iterator[_Series]:
    metric: Any = found["value"][0]
    code = metric.get("errorCode") or "Success"  # an answer of 200 can still have failed
    if code != "Success":
        raise TransientError(f"{what}: {code}: {metric.get('errorMessage') or ''}", code=code)
    for one in metric["timeseries"]:
        outcome = {
            item["name"]["value"].lower(): str(item["value"]).lower()
            for item in one.get("metadatavalues") or ()
        }
        minutes = {
            point["timeStamp"]: float(point["average"])
            for point in one["data"]
            if point.get("average") is not None  # a minute in which there was nothing
        }
        yield _Series(outcome=outcome, minutes=minutes)


def _read_counts(metric: str, series: list[_Series]) -> Reading:
    def count(is_wanted: Callable[[Outcome], bool]) -> int:
        return round(sum(sum(one.minutes.values()) for one in series if is_wanted(one.outcome)))

    samples = count(lambda _: True)
    if samples == 0:
        return Reading()
    match metric:
        case "requests":
            return Reading(samples=samples, value=float(samples))
        case "error_rate":
            hits = count(lambda outcome: outcome.get("statuscodeclass") != _GOOD)
        case "model_error_rate":
            hits = count(lambda outcome: outcome.get("statuscode") == _MODEL_ERROR)
        case _:
            raise WorkspaceError(f"reading {metric!r}: Azure Monitor has no such metric")
    return Reading(samples=samples, value=hits / samples, hits=hits)


def _weigh(percentiles: Minutes, counts: list[_Series]) -> Reading:
    """Return the mean of the minutes by their requests; what has no requests has no weight."""
    weights: defaultdict[str, float] = defaultdict(float)
    for one in counts:
        for minute, number in one.minutes.items():
            weights[minute] += number
    known = [(value, weights[minute]) for minute, value in percentiles.items() if weights[minute]]
    samples = round(sum(weight for _, weight in known))
    if samples == 0:
        return Reading()
    total = sum(value * weight for value, weight in known)
    return Reading(samples=samples, value=total / sum(weight for _, weight in known))


def _any_of(names: list[str]) -> str:
    return " or ".join(f"deployment eq '{name.replace("'", "''")}'" for name in names)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
