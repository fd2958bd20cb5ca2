"""Step 2 of 5: gates that hold what was measured against a threshold. Pure."""

from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from deploy_logic.duration import EXPECTED as EXPECTED_DURATION
from deploy_logic.duration import parse_duration, print_duration
from deploy_logic.policy.gate_part import FILE, MOST, RepeatedGate, exactly_one
from deploy_logic.policy.part import (
    DURATION_SCHEMA,
    SHARE_SCHEMA,
    Asked,
    JsonSchema,
    Wrong,
    complain,
    expect,
    list_words,
    print_share,
    read_share,
)

METRIC_LAG = timedelta(minutes=3)  # Azure Monitor is incomplete before that
Metric = Literal[
    "error_rate",
    "model_error_rate",
    "requests",
    "latency_p50",
    "latency_p90",
    "latency_p95",
    "latency_p99",
    "cpu",
    "memory",
    "gpu",
]
_THRESHOLDS = ("at_most", "at_least", "worse_than_stable_by_at_most")


def _describe_threshold(metric: str, field: str) -> str:
    if field == "worse_than_stable_by_at_most":
        return "a share of the stable's value, such as 20% or 0.2"
    if metric.startswith("latency"):
        return EXPECTED_DURATION
    return "a whole number from 0" if metric == "requests" else "a share such as 1% or 0.01"


def _read_threshold(value: object, info: Any) -> timedelta | float | None:  # noqa: ANN401 - its type is costly to import
    """Return what the metric is measured in: a time, a count or a share."""
    asked: Asked = info
    metric, field = asked.data.get("metric"), info.field_name
    if value is None or metric is None:  # a wrong metric does not say what this should be
        return None if value is None else 0
    expected = _describe_threshold(metric, field)
    if field == "worse_than_stable_by_at_most":
        return read_share(value, expected=expected)
    if metric.startswith("latency"):
        try:
            return parse_duration(value if isinstance(value, str) else "")
        except ValueError as error:
            raise expect(expected) from error
    if metric == "requests":
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST:
            return value
        raise expect(expected)
    share = read_share(value, expected=expected)
    if share > 1:
        raise expect(f"{expected}, at most 100%")
    return share


def _print_threshold(value: timedelta | float | None) -> str | int | None:
    if isinstance(value, timedelta):
        return print_duration(value)
    return print_share(value) if isinstance(value, float) else value


Threshold = Annotated[
    timedelta | float | int | None,
    BeforeValidator(_read_threshold),
    PlainSerializer(_print_threshold),
    WithJsonSchema({"type": ["string", "number"]}),
]


def _levels(schema: JsonSchema) -> JsonSchema:
    return {"properties": {"at_most": schema, "at_least": schema}}


def _where(metric: JsonSchema) -> JsonSchema:
    return {"properties": {"metric": metric}}


_THRESHOLD_SCHEMA: JsonSchema = {  # what a level is written in depends on the metric
    "if": _where({"pattern": "^latency"}),
    "then": _levels(DURATION_SCHEMA),
    "else": {
        "if": _where({"const": "requests"}),
        "then": _levels({"type": "integer", "minimum": 0}),
        "else": _levels(SHARE_SCHEMA),
    },
}


class MetricGate(RepeatedGate):
    """Hold what Azure Monitor measured against a threshold."""

    model_config = exactly_one(*_THRESHOLDS, **_THRESHOLD_SCHEMA)
    kind: Literal["metric"]
    metric: Metric = Field(description=list_words(get_args(Metric)))
    at_most: Threshold = Field(default=None, description="1% or 0.01; for a latency 500ms or 2s")
    at_least: Threshold = Field(default=None, description="1% or 0.01; for a latency 500ms or 2s")
    worse_than_stable_by_at_most: Threshold = Field(
        default=None, description="a share of the stable's value, such as 20% or 0.2"
    )

    @model_validator(mode="after")
    def _has_one_threshold(self) -> "MetricGate":
        found = [name for name in _THRESHOLDS if getattr(self, name) is not None]
        if not found:
            raise expect(f"one of {list_words(_THRESHOLDS)}", given="no threshold")
        if len(found) > 1:
            raise complain(*_only_first(found))
        if self.metric == "requests" and found == ["worse_than_stable_by_at_most"]:
            expected = "at_most or at_least: the two get different weights, so different numbers"
            raise complain(Wrong(path=(found[0],), expected=expected))
        return self


def _only_first(found: list[str]) -> list[Wrong]:
    expected = f"one threshold, and {found[0]} is given already (write two gates)"
    return [Wrong(path=(name,), expected=expected) for name in found[1:]]


class LogsGate(RepeatedGate):
    """Hold the number that a query of the logs gives against a threshold."""

    model_config = exactly_one(*_THRESHOLDS[:2])
    kind: Literal["logs"]
    query: Annotated[str, FILE] = Field(description="a file with the query, as queries/fraud.kql")
    at_most: float | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=MOST,
        allow_inf_nan=False,
        description="a number from 0",
    )
    at_least: float | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=MOST,
        allow_inf_nan=False,
        description="a number from 0",
    )

    @model_validator(mode="after")
    def _has_one_threshold(self) -> "LogsGate":
        found = [name for name in _THRESHOLDS[:2] if getattr(self, name) is not None]
        if not found:
            raise expect("one of at_most or at_least", given="no threshold")
        if len(found) > 1:
            raise complain(*_only_first(found))
        return self
