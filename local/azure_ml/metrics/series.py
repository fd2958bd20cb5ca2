"""From samples to the time series of an answer. Pure.

A series is one combination of the dimensions the filter names; dimensions it does not name are
aggregated over, and so is an average then one over emitters, not a sum.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from local.azure_ml.metrics.definitions import Aggregation, Definition
from local.azure_ml.metrics.minute import Minute, Sample
from local.azure_ml.metrics.query import Query
from local.azure_ml.store import Json

_MINUTE = 60

type _Key = tuple[tuple[str, str], ...]
type _Points = defaultdict[int, list[Sample]]


def answer(query: Query, minutes: Iterable[tuple[int, Minute]], resource_id: str) -> list[Json]:
    """Give the `value` of the answer: one entry per metric."""
    seen = list(minutes)
    return [_metric(query, item, seen, resource_id) for item in query.definitions]


def _metric(
    query: Query, definition: Definition, minutes: list[tuple[int, Minute]], resource_id: str
) -> Json:
    grouped: defaultdict[_Key, _Points] = defaultdict(lambda: defaultdict(list))
    for start, minute in minutes:
        for sample in minute.samples(definition):
            if query.accepts(sample.dimensions):
                grouped[_key(query, sample.dimensions)][start].append(sample)
    return {
        "id": f"{resource_id}/providers/Microsoft.Insights/metrics/{definition.name}",
        "type": "Microsoft.Insights/metrics",
        "name": {"value": definition.name, "localizedValue": definition.display},
        "displayDescription": definition.display,
        "unit": definition.unit,
        "timeseries": [
            _series(query, definition, key, grouped[key]) for key in _chosen(query, grouped)
        ],
        "errorCode": "Success",
    }


def _key(query: Query, dimensions: Mapping[str, str]) -> _Key:
    """Split by what the filter names; the service gives those names in lower case."""
    found = {name.lower(): value for name, value in dimensions.items()}
    split = [name for name in query.terms if name not in query.rolled_up]
    return tuple((name, found.get(name, "")) for name in split)


def _chosen(query: Query, grouped: Mapping[_Key, _Points]) -> list[_Key]:
    """Order the series, and keep as many as were asked for when there is a filter."""
    keys = list(grouped)
    if query.order is not None:
        by, descending = query.order

        def rank(key: _Key) -> float:
            samples = [sample for point in grouped[key].values() for sample in point]
            return _value(by, samples)

        keys.sort(key=rank, reverse=descending)
    return keys[: query.top] if query.terms else keys


def _series(query: Query, definition: Definition, key: _Key, points: _Points) -> Json:
    named = [
        {"name": {"value": name, "localizedValue": name}, "value": value} for name, value in key
    ]
    if query.metadata_only:
        return {"metadatavalues": named}
    first = int(query.start.timestamp() // _MINUTE) * _MINUTE
    data = []
    for start in range(first, _up(query.end.timestamp()), _MINUTE):
        point: Json = {"timeStamp": f"{datetime.fromtimestamp(start, UTC):%Y-%m-%dT%H:%M:%SZ}"}
        if points.get(start):  # a minute without samples is a point without a value
            for aggregation in query.aggregations[definition.name]:
                point[aggregation] = _value(aggregation, points[start])
        data.append(point)
    return {"metadatavalues": named, "data": data}


def _up(moment: float) -> int:
    return int(-(-moment // 1))


def _value(aggregation: Aggregation, samples: list[Sample]) -> float:
    total = sum(sample.total for sample in samples)
    count = sum(sample.count for sample in samples)
    match aggregation:
        case Aggregation.AVERAGE:
            return total / count
        case Aggregation.MINIMUM:
            return min(sample.least for sample in samples)
        case Aggregation.MAXIMUM:
            return max(sample.most for sample in samples)
        case Aggregation.TOTAL:
            return total
        case Aggregation.COUNT:
            return float(count)
