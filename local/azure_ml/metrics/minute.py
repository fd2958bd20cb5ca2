"""One minute of one deployment, and the samples each metric has of it. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from local.azure_ml.metrics.definitions import DEPLOYMENT_NAMESPACE, LATENCIES, Definition
from local.azure_ml.store import Json

_MINUTE = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one emitter said of one metric in one minute."""

    dimensions: Mapping[str, str]
    total: float
    count: int
    least: float
    most: float

    @classmethod
    def of(cls, value: float, dimensions: Mapping[str, str]) -> "Sample":
        """Give the sample of a single value."""
        return cls(dimensions=dimensions, total=value, count=1, least=value, most=value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request that has ended."""

    status: int
    model_status: int | None
    latency: float  # milliseconds
    size: int  # bytes in and out


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge:
    """One measured value of an instance."""

    metric: str
    dimensions: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """A minute of one deployment, summed up."""

    deployment: str  # empty where a request reached none
    outcomes: Sequence[tuple[int, int | None, int]] = ()  # status, the model's status, how many
    latencies: Mapping[str, float] = field(default_factory=dict)  # by metric
    size: int = 0
    gauges: Sequence[tuple[str, Sample]] = ()

    def samples(self, definition: Definition) -> Iterator[Sample]:
        """Give the samples of one metric."""
        if definition.name == "RequestsPerMinute":
            yield from self._requests(definition)
        elif definition.name in LATENCIES:
            if definition.name in self.latencies:
                named = {"deployment": self.deployment} if definition.dimensions else {}
                yield Sample.of(self.latencies[definition.name], named)
        elif definition.name == "NetworkBytes":
            if self.outcomes:
                yield Sample.of(self.size / _MINUTE, {})
        else:
            yield from (sample for name, sample in self.gauges if name == definition.name)

    def _requests(self, definition: Definition) -> Iterator[Sample]:
        for status, model_status, count in self.outcomes:
            if definition.namespace == DEPLOYMENT_NAMESPACE:
                yield Sample.of(count, {"envoy_response_code": str(status)})
                continue
            named = {
                "deployment": self.deployment,
                "statusCode": str(status),
                "statusCodeClass": f"{status // 100}xx",
                "modelStatusCode": "" if model_status is None else str(model_status),
            }
            yield Sample.of(count, named)

    def dump(self) -> Json:
        """Give the minute as JSON."""
        return {
            "deployment": self.deployment,
            "outcomes": list(self.outcomes),
            "latencies": dict(self.latencies),
            "size": self.size,
            "gauges": [
                [name, dict(one.dimensions), one.total, one.count, one.least, one.most]
                for name, one in self.gauges
            ],
        }


def load(body: Json) -> Minute:
    """Read what `dump` gave."""
    gauges = [
        (name, Sample(dimensions=named, total=total, count=count, least=least, most=most))
        for name, named, total, count, least, most in body["gauges"]
    ]
    return Minute(
        deployment=body["deployment"],
        outcomes=[(status, model, count) for status, model, count in body["outcomes"]],
        latencies=body["latencies"],
        size=body["size"],
        gauges=gauges,
    )


def sum_up(deployment: str, entries: Iterable[Request | Gauge]) -> Minute:
    """Make a minute of what happened in it."""
    requests: list[Request] = []
    gauges: dict[tuple[str, frozenset[tuple[str, str]]], list[float]] = {}
    for entry in entries:
        match entry:
            case Request():
                requests.append(entry)
            case Gauge():
                key = (entry.metric, frozenset(entry.dimensions.items()))
                gauges.setdefault(key, []).append(entry.value)
    counts = Counter((item.status, item.model_status) for item in requests)
    return Minute(
        deployment=deployment,
        outcomes=[(status, model, count) for (status, model), count in counts.items()],
        latencies=_latencies([item.latency for item in requests]),
        size=sum(item.size for item in requests),
        gauges=[(name, _gauge(dict(named), values)) for (name, named), values in gauges.items()],
    )


def _gauge(dimensions: Mapping[str, str], values: Sequence[float]) -> Sample:
    return Sample(
        dimensions=dimensions,
        total=sum(values),
        count=len(values),
        least=min(values),
        most=max(values),
    )


def _latencies(values: Sequence[float]) -> dict[str, float]:
    if not values:
        return {}
    ordered = sorted(values)
    return {
        name: fmean(ordered) if percent is None else _percentile(ordered, percent)
        for name, percent in LATENCIES.items()
    }


def _percentile(ordered: Sequence[float], percent: int) -> float:
    """Give the smallest value that so many percent of the values do not exceed."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]
