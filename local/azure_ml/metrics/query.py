"""What was asked of the metrics: read, and refused where Azure Monitor would refuse it. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from local.azure_ml.errors import ArmError
from local.azure_ml.metrics.definitions import (
    DEFINITIONS,
    GRAIN,
    Aggregation,
    Definition,
)

_TERM = re.compile(
    r"\s*(?P<name>[\w.]+)\s+(?P<test>eq|ne|sw)\s+'(?P<value>(?:[^']|'')*)'\s*", re.IGNORECASE
)
_JOIN = re.compile(r"(?P<join>and|or)\b", re.IGNORECASE)
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_SPANS = (
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)
_DEFAULT_SPAN = timedelta(hours=1)
_DEFAULT_TOP = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One comparison of a filter."""

    test: str
    value: str  # in lower case

    def holds(self, found: str) -> bool:
        """Compare without case, as the service does."""
        given = found.lower()
        match self.test:
            case "eq":
                return self.value in ("*", given)
            case "ne":
                return self.value != given
        return given.startswith(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question about one resource."""

    definitions: tuple[Definition, ...]
    start: datetime
    end: datetime
    aggregations: Mapping[str, tuple[Aggregation, ...]]  # by metric
    # By dimension in lower case, terms of which one must hold (of `ne`: all).
    terms: Mapping[str, tuple[Term, ...]] = field(default_factory=dict)
    rolled_up: frozenset[str] = frozenset()  # filtered by, yet not split by
    top: int = _DEFAULT_TOP
    order: tuple[Aggregation, bool] | None = None  # by what, descending
    metadata_only: bool = False

    def accepts(self, dimensions: Mapping[str, str]) -> bool:
        """Tell whether a sample passes the filter."""
        found = {name.lower(): value for name, value in dimensions.items()}
        for name, terms in self.terms.items():
            value = found.get(name, "")
            wanted = [term.holds(value) for term in terms if term.test != "ne"]
            if not all(term.holds(value) for term in terms if term.test == "ne"):
                return False
            if wanted and not any(wanted):
                return False
        return True


def read(query: Mapping[str, str], namespace: str, now: float) -> Query:
    """Read the parameters, keys in lower case, of either form of the question."""
    asked_namespace = query.get("metricnamespace", namespace)
    if asked_namespace.lower() != namespace.lower():
        raise bad_request(f"Metric namespace {asked_namespace} is not one of {namespace}")
    definitions = tuple(_definition(name, namespace) for name in _names(query, namespace))
    interval = query.get("interval", GRAIN)
    adjusts = query.get("autoadjusttimegrain", "").lower() == "true"
    if interval.upper() != GRAIN and not adjusts:
        names = ",".join(item.name for item in definitions)
        raise bad_request(
            f"Commonly allowed time grains: 00:01:00 between metrics: {names}, can not support"
            f" requested time grain: {interval} please adjust your interval parameter to use one"
            " of the common grains"
        )
    start, end = _span(query, now)
    terms = _filter(query.get("$filter") or query.get("filter") or "")
    if query.get("validatedimensions", "true").lower() == "true":
        for definition in definitions:
            _check_dimensions(definition, terms)
    return Query(
        definitions=definitions,
        start=start,
        end=end,
        aggregations={item.name: _aggregations(query, item) for item in definitions},
        terms=terms,
        rolled_up=frozenset(_list(query, "rollupby")),
        top=_top(query),
        order=_order(query),
        metadata_only=query.get("resulttype", "").lower() == "metadata",
    )


def bad_request(message: str) -> ArmError:
    """Make the 400 in the words of Azure Monitor."""
    return ArmError(400, "BadRequest", message)


def _list(query: Mapping[str, str], key: str) -> list[str]:
    return [part.strip().lower() for part in query.get(key, "").split(",") if part.strip()]


def _names(query: Mapping[str, str], namespace: str) -> list[str]:
    names = _list(query, "metricnames")
    return names or [name for space, name in DEFINITIONS if space == namespace.lower()][:1]


def _definition(name: str, namespace: str) -> Definition:
    found = DEFINITIONS.get((namespace.lower(), name))
    if found is None:
        valid = ",".join(
            item.name for (space, _), item in DEFINITIONS.items() if space == namespace.lower()
        )
        provider, _, kind = namespace.partition("/")
        raise bad_request(
            f"Failed to find metric configuration for provider: {provider}, resource Type: {kind},"
            f" metric: {name}, Valid metrics: {valid}"
        )
    return found


def _aggregations(query: Mapping[str, str], definition: Definition) -> tuple[Aggregation, ...]:
    wanted = _list(query, "aggregation")
    for name in wanted:
        if name not in definition.aggregations:
            supported = ",".join(item.capitalize() for item in definition.aggregations)
            raise bad_request(
                f"Metric: {definition.name} does not support requested aggregation type: {name},"
                f" supported ones are: {supported}"
            )
    return tuple(Aggregation(name) for name in wanted) or definition.aggregations[:1]


def _top(query: Mapping[str, str]) -> int:
    given = query.get("top", str(_DEFAULT_TOP))
    if not given.isdecimal() or int(given) == 0:
        raise bad_request(f"Invalid top: {given} is not a positive whole number")
    return int(given)


def _order(query: Mapping[str, str]) -> tuple[Aggregation, bool] | None:
    words = query.get("orderby", "").lower().replace("sum", "total").split()
    if not words:
        return None
    directions = ("asc", "desc")
    if words[0] not in set(Aggregation) or [w for w in words[1:] if w not in directions]:
        raise bad_request(f"Invalid orderby: {query['orderby']}")
    return Aggregation(words[0]), words[1:] == ["desc"]


# --- time


def _span(query: Mapping[str, str], now: float) -> tuple[datetime, datetime]:
    present = datetime.fromtimestamp(now, UTC)
    # `az monitor metrics list` quotes it twice.
    given = unquote(query["timespan"]) if "timespan" in query else None
    if given is None and "starttime" in query:
        end = _moment(query["endtime"]) if "endtime" in query else present
        start = _moment(query["starttime"])
    elif given is None:
        start, end = present - _DEFAULT_SPAN, present
    else:
        return read_span(given, present)
    return _ordered(start, end)


def read_span(given: str, present: datetime) -> tuple[datetime, datetime]:
    """Read two times, or a time and a duration, or the duration until now."""
    if "/" not in given:
        return _ordered(present - _duration(given), present)
    first, _, second = given.partition("/")
    return _ordered(*_interval(first, second))


def _ordered(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    if start >= end:
        raise bad_request(f"Invalid timespan: {start:%FT%TZ} is not before {end:%FT%TZ}")
    return start, end


def _interval(first: str, second: str) -> tuple[datetime, datetime]:
    if first.startswith("P"):
        end = _moment(second)
        return end - _duration(first), end
    start = _moment(first)
    return start, start + _duration(second) if second.startswith("P") else _moment(second)


def _moment(text: str) -> datetime:
    try:
        # A plus sign that was not quoted arrives as a space.
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
    except ValueError as error:
        raise bad_request(f"Invalid timespan: {text!r} is not a time of ISO 8601") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _duration(text: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        raise bad_request(f"Invalid timespan: {text!r} is not a duration of ISO 8601")
    parts = zip(found.groups(), _SPANS, strict=True)
    return sum((float(part) * unit for part, unit in parts if part), timedelta())


# --- the filter


def _filter(text: str) -> dict[str, tuple[Term, ...]]:
    terms: dict[str, list[Term]] = {}
    rest = text.replace("(", " ").replace(")", " ") if "'" in text else text
    previous: tuple[str, str] | None = None  # the name and the word that joined it to the next
    while rest.strip():
        found = _TERM.match(rest)
        if found is None:
            raise bad_request(f"Invalid filter: {text}")
        name = found["name"].lower()
        if previous is not None and (previous[1] == "or") != (previous[0] == name):
            raise bad_request(
                f"Invalid filter: {text}: `or` joins values of one dimension, `and` dimensions"
            )
        value = found["value"].replace("''", "'").lower()
        terms.setdefault(name, []).append(Term(test=found["test"].lower(), value=value))
        rest = rest[found.end() :]
        joined = _JOIN.match(rest)
        if joined is None and rest.strip():
            raise bad_request(f"Invalid filter: {text}")
        if joined is not None:
            previous = (name, joined["join"].lower())
            rest = rest[joined.end() :]
            if not rest.strip():
                raise bad_request(f"Invalid filter: {text}")
    return {name: tuple(found) for name, found in terms.items()}


def _check_dimensions(definition: Definition, terms: Mapping[str, object]) -> None:
    wrong = [name for name in terms if definition.dimension(name) is None]
    if wrong:
        raise bad_request(
            f"Metric: {definition.name} does not support requested dimension combination:"
            f" {','.join(wrong)}, supported ones are: {','.join(definition.dimensions)}"
        )
