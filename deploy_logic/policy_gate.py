"""Step 2 of 5: what a new version has to pass, kind by kind. Pure."""

from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from deploy_logic.duration import EXPECTED as EXPECTED_DURATION
from deploy_logic.duration import parse_duration, print_duration
from deploy_logic.policy_part import (
    Asked,
    Duration,
    Part,
    Share,
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
_MOST = 1_000_000_000
_FILE = Field(min_length=1, max_length=1024)
_THRESHOLDS = ("at_most", "at_least", "worse_than_stable_by_at_most")
_PRIVATE_NAMES = (".local", ".internal", ".localhost", ".localdomain", ".home.arpa")


class FailureBudget(Part):
    """How many failing verdicts within one step are forgiven; the next one ends the rollout."""

    total: int | None = Field(
        default=None, ge=0, le=1000, strict=True, description="a whole number from 0 to 1000"
    )
    consecutive: int | None = Field(
        default=None, ge=0, le=1000, strict=True, description="a whole number from 0 to 1000"
    )

    @model_validator(mode="after")
    def _says_something(self) -> "FailureBudget":
        if self.total is None and self.consecutive is None:
            raise expect("total, consecutive or both")
        return self


class Gate(Part):
    """What every gate has."""

    name: str = Field(
        default="",
        pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9_. ]{0,62}$|^$",
        description="1 to 63 letters, digits, spaces, dots, dashes or underscores",
    )
    dry_run: bool = Field(
        default=False, strict=True, description="true (judge and show, but decide nothing) or false"
    )


class AskingGate(Gate):
    """What a gate has that asks somebody, who may not answer."""

    error_budget: int = Field(
        default=4,
        ge=0,
        le=1000,
        strict=True,
        description="how often in a row it may fail to ask: a whole number from 0 to 1000",
    )


class RepeatedGate(AskingGate):
    """What a gate has that is asked again and again during a bake."""

    every: Duration = Field(
        default=timedelta(minutes=1), description="how long from one measurement to the next: 1m"
    )
    initial_delay: Duration = Field(
        default=timedelta(0), description="how long after a shift the first measurement is: 5m"
    )
    patience: Duration = Field(
        default=timedelta(minutes=30),
        description="how long a bake is extended while there is too little to judge by: 30m",
    )
    min_samples: int = Field(
        default=1,
        ge=1,
        le=_MOST,
        strict=True,
        description="below how many there is too little to judge by: a whole number from 1",
    )
    failure_budget: FailureBudget | None = Field(
        default=None, description="{total: 2} or {consecutive: 1}; without it none is forgiven"
    )

    @model_validator(mode="after")
    def _pauses(self) -> "RepeatedGate":
        if self.every < timedelta(seconds=1):
            raise complain(Wrong(path=("every",), expected="1s or longer, such as 1m"))
        return self


class Champion(Gate):
    """Hold a tag of the new version against the same tag of the stable's, before anything else."""

    kind: Literal["champion"]
    tag: str = Field(
        min_length=1, max_length=256, description="the name of a tag that holds a number, as auc"
    )
    better: Literal["higher", "lower"] = Field(description="higher or lower")
    margin: float = Field(
        default=0,
        ge=0,
        le=_MOST,
        strict=True,
        allow_inf_nan=False,
        description="by how much it must be better at least: a number from 0, such as 0.005",
    )


class Expectation(Part):
    """What a probe must answer."""

    status: int = Field(
        default=200, ge=100, le=599, strict=True, description="an HTTP status from 100 to 599"
    )
    within: Duration | None = Field(
        default=None, description="the longest it may take, such as 500ms"
    )
    answer_schema: Annotated[str, _FILE] | None = Field(
        default=None, alias="schema", description="a file with the JSON Schema of the answer"
    )
    equals: JsonValue = Field(default=None, description="the JSON value that the answer must be")
    contains: str = Field(default="", description="a text that must stand in the answer")


def _exactly_one(*keys: str) -> ConfigDict:
    """Return what tells editors that one of the keys must be there, and no two."""
    return ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in keys]})


class Probe(AskingGate):
    """Call the candidate directly before it gets traffic."""

    model_config = _exactly_one("request", "requests")
    kind: Literal["probe"]
    request: Annotated[str, _FILE] | None = Field(
        default=None, description="a file with the body of one request, such as requests/fraud.json"
    )
    requests: Annotated[str, _FILE] | None = Field(
        default=None, description="a file with one request per line, such as requests/fraud.jsonl"
    )
    expect: Expectation = Field(
        default=Expectation.model_construct(), description="such as {status: 200, within: 2s}"
    )

    @model_validator(mode="after")
    def _asks_one_thing(self) -> "Probe":
        if self.request is None and self.requests is None:
            given = "neither request nor requests"
            path = ("request",)
            raise complain(Wrong(path=path, given=given, expected="a file of requests to send"))
        if self.request is not None and self.requests is not None:
            expected = "request (one) or requests (one per line), not both"
            raise complain(Wrong(path=("requests",), expected=expected))
        return self


class Agreement(AskingGate):
    """Ask stable and candidate the same requests, and count the same answers."""

    kind: Literal["agreement"]
    requests: Annotated[str, _FILE] = Field(
        description="a file with one request per line, such as requests/fraud-sample.jsonl"
    )
    at_least: Share = Field(description="the share of same answers, such as 98% or 0.98")
    min_samples: int = Field(
        default=1, ge=1, le=_MOST, strict=True, description="a whole number from 1"
    )


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
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST:
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


class MetricGate(RepeatedGate):
    """Hold what Azure Monitor measured against a threshold."""

    model_config = _exactly_one(*_THRESHOLDS)
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

    model_config = _exactly_one(*_THRESHOLDS[:2])
    kind: Literal["logs"]
    query: Annotated[str, _FILE] = Field(description="a file with the query, as queries/fraud.kql")
    at_most: float | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=_MOST,
        allow_inf_nan=False,
        description="a number from 0",
    )
    at_least: float | None = Field(
        default=None,
        strict=True,
        ge=0,
        le=_MOST,
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


_URL = "an https address of a public host, such as https://gates.contoso.com/fraud"


def _check_url(text: str) -> str:
    """Return the address; what may not be called from inside Azure's network is refused."""
    from urllib.parse import urlsplit  # noqa: PLC0415 - few policies have such a gate

    try:
        parts = urlsplit(text)
        host, user, port = parts.hostname or "", parts.username, parts.port
    except ValueError as error:
        raise expect(_URL) from error
    if not text.isascii() or not text.isprintable() or " " in text or port == 0:
        raise expect(_URL)
    if parts.scheme != "https" or not host:
        raise expect(_URL)
    if user is not None or "@" in parts.netloc:
        raise expect("an address without user and password: policies are read by many")
    if _is_private(host):
        raise expect(f"{_URL}; not this machine, nor a private network")
    return text


def _is_private(host: str) -> bool:
    import ipaddress  # noqa: PLC0415 - few policies have such a gate

    try:
        return not ipaddress.ip_address(host.partition("%")[0]).is_global
    except ValueError:
        pass
    # what is all digits and dots, or has no dot, is an address in disguise or a neighbour's name
    last = host.rstrip(".").rpartition(".")
    is_number = last[2].isdigit() or last[2].startswith("0x")
    return not last[1] or is_number or f".{host.rstrip('.')}".endswith(_PRIVATE_NAMES)


When = Literal["before", "step", "promote", "roll_back", "event"]


class HttpGate(RepeatedGate):
    """Ask somebody else's service."""

    kind: Literal["http"]
    url: Annotated[str, AfterValidator(_check_url)] = Field(max_length=2048, description=_URL)
    when: tuple[When, ...] = Field(
        default=("step",),
        min_length=1,
        description="a list of before, step, promote, roll_back and event",
    )

    @model_validator(mode="after")
    def _each_once(self) -> "HttpGate":
        wrongs = [
            Wrong(path=("when", number), expected="each moment once")
            for number, moment in enumerate(self.when)
            if moment in self.when[:number]
        ]
        if wrongs:
            raise complain(*wrongs)
        return self


AnyGate = Champion | Probe | Agreement | MetricGate | LogsGate | HttpGate
