"""A part of Log Analytics' query language: one table, and a line of operators. Pure.

Understood are where, extend, project, summarize, count, take, limit, top, order by and sort by;
everything else is refused, as a mistake in the query would be.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from local.azure_ml.logs.expression import QueryError, Reader, Row, Value, split

type Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What a query is asked of: columns with their types, and rows."""

    columns: Mapping[str, str]
    rows: Iterable[Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a query gives."""

    columns: Mapping[str, str]
    rows: Rows


def run(text: str, tables: Mapping[str, Table], now: datetime) -> Result:
    """Answer a query; QueryError when it is wrong or not understood."""
    tokens = split(text)
    if not tokens:
        raise QueryError("Query is empty")
    name = tokens[0].text
    if name not in tables:
        raise QueryError(
            f"'where' operator: Failed to resolve table or column expression named '{name}'"
        )
    reader = Reader(tokens[1:], tables[name].columns, now)
    rows: Rows = [dict(row) for row in tables[name].rows]
    while not reader.is_over:
        reader.expect("|")
        word = reader.name()
        if word not in _OPERATORS:
            raise QueryError(f"Operator '{word}' is not emulated")
        rows = _OPERATORS[word](reader, rows)
    return Result(columns=reader.columns, rows=rows)


def _where(reader: Reader, rows: Rows) -> Rows:
    holds = reader.condition()
    return [row for row in rows if holds(row)]


def _project(reader: Reader, rows: Rows) -> Rows:
    chosen: dict[str, Value] = {}
    types: dict[str, str] = {}
    for _ in reader.listed():
        name, value, kind = _named(reader)
        chosen[name], types[name] = value, kind
    reader.columns = types
    return [{name: value(row) for name, value in chosen.items()} for row in rows]


def _extend(reader: Reader, rows: Rows) -> Rows:
    for _ in reader.listed():
        name, value, kind = _named(reader)
        reader.columns[name] = kind
        rows = [{**row, name: value(row)} for row in rows]
    return rows


def _named(reader: Reader) -> tuple[str, Value, str]:
    """Read `column`, or `name = value`."""
    first = reader.name()
    if reader.take("="):
        named = reader.peek()
        value = reader.value()
        return first, value, reader.columns.get(named, "dynamic")
    if first not in reader.columns:
        raise QueryError(f"Failed to resolve column or scalar expression named '{first}'")
    return first, lambda row: row[first], reader.columns[first]


def _take(reader: Reader, rows: Rows) -> Rows:
    return rows[: _number(reader)]


def _top(reader: Reader, rows: Rows) -> Rows:
    count = _number(reader)
    reader.expect("by")
    return _sorted(reader, rows)[:count]


def _order(reader: Reader, rows: Rows) -> Rows:
    reader.expect("by")
    return _sorted(reader, rows)


def _sorted(reader: Reader, rows: Rows) -> Rows:
    keys: list[tuple[str, bool]] = []
    for _ in reader.listed():
        name = reader.column()
        keys.append((name, not reader.take("asc")))
        reader.take("desc")
    for name, descending in reversed(keys):
        rows = sorted(rows, key=lambda row: _rank(row[name]), reverse=descending)
    return rows


def _rank(value: Any) -> tuple[bool, Any]:  # noqa: ANN401 - numbers, texts or times
    return value is not None, 0 if value is None else value


def _number(reader: Reader) -> int:
    text = reader.next().text
    if not text.isdecimal():
        raise QueryError(f"Query could not be parsed at '{text}': expected a number")
    return int(text)


def _count(reader: Reader, rows: Rows) -> Rows:
    reader.columns = {"Count": "long"}
    return [{"Count": len(rows)}]


# --- summarize


@dataclass(frozen=True, slots=True, kw_only=True)
class _Aggregate:
    name: str
    kind: str
    over: Callable[[Rows], Any]


def _summarize(reader: Reader, rows: Rows) -> Rows:
    aggregates = [] if reader.peek() == "by" else [_aggregate(reader) for _ in reader.listed()]
    groups: dict[str, Value] = {}
    types: dict[str, str] = {}
    if reader.take("by"):
        for _ in reader.listed():
            name, value, kind = _grouped(reader)
            groups[name], types[name] = value, kind
    found: dict[tuple[Any, ...], Rows] = {} if groups else {(): []}
    for row in rows:
        found.setdefault(tuple(value(row) for value in groups.values()), []).append(row)
    reader.columns = types | {one.name: one.kind for one in aggregates}
    return [
        dict(zip(groups, key, strict=True)) | {one.name: one.over(members) for one in aggregates}
        for key, members in found.items()
    ]


def _grouped(reader: Reader) -> tuple[str, Value, str]:
    if reader.peek() == "bin":
        value = reader.value()
        return "TimeGenerated", value, "datetime"
    return _named(reader)


def _aggregate(reader: Reader) -> _Aggregate:
    name = reader.name()
    given = None
    if reader.take("="):
        given, name = name, reader.name()
    reader.expect("(")
    kind, over, of = _over(reader, name)
    reader.expect(")")
    return _Aggregate(name=given or f"{name}_{of}", kind=kind, over=over)


def _over(reader: Reader, name: str) -> tuple[str, Callable[[Rows], Any], str]:
    """Give type and work of an aggregate, and what its column is called after."""
    if name == "count":
        return "long", len, ""
    if name == "countif":
        holds = reader.condition()
        return "long", lambda rows: sum(1 for row in rows if holds(row)), ""
    of = reader.peek()
    kind = reader.columns.get(of, "real")
    value = reader.value()
    if name == "sumif":
        reader.expect(",")
        when = reader.condition()
        return kind, lambda rows: sum(value(row) for row in rows if when(row)), of

    def values(rows: Rows) -> list[Any]:
        return [found for row in rows if (found := value(row)) is not None]

    if name == "percentile":
        reader.expect(",")
        percent = _number(reader)
        return kind, lambda rows: _percentile(values(rows), percent), of
    if name not in _AGGREGATES:
        raise QueryError(f"Function '{name}' is not emulated")
    own_kind, work = _AGGREGATES[name]
    return own_kind or kind, lambda rows: work(values(rows)), of


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _percentile(values: Sequence[float], percent: int) -> float | None:
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


# The type of the result, where it is not the column's, and what is made of the values.
_AGGREGATES: Mapping[str, tuple[str, Callable[[Sequence[Any]], Any]]] = {
    "dcount": ("long", lambda values: len(set(values))),
    "avg": ("real", _mean),
    "sum": ("", sum),
    "min": ("", lambda values: min(values, default=None)),
    "max": ("", lambda values: max(values, default=None)),
}
_OPERATORS: Mapping[str, Callable[[Reader, Rows], Rows]] = {
    "where": _where,
    "filter": _where,
    "extend": _extend,
    "project": _project,
    "summarize": _summarize,
    "count": _count,
    "take": _take,
    "limit": _take,
    "top": _top,
    "order": _order,
    "sort": _order,
}
