"""Step 2 of 5: what a new version has to pass, kind by kind. Pure."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, JsonValue, model_validator

from deploy_logic.address import is_public_host, read_https
from deploy_logic.policy.gate_metric import LogsGate, MetricGate
from deploy_logic.policy.gate_part import FILE, MOST, AskingGate, Gate, RepeatedGate, exactly_one
from deploy_logic.policy.part import Duration, Part, Share, Wrong, complain, expect


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
        le=MOST,
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
    answer_schema: Annotated[str, FILE] | None = Field(
        default=None, alias="schema", description="a file with the JSON Schema of the answer"
    )
    equals: JsonValue = Field(default=None, description="the JSON value that the answer must be")
    contains: str = Field(default="", description="a text that must stand in the answer")


class Probe(AskingGate):
    """Call the candidate directly before it gets traffic."""

    model_config = exactly_one("request", "requests")
    kind: Literal["probe"]
    request: Annotated[str, FILE] | None = Field(
        default=None, description="a file with the body of one request, such as requests/fraud.json"
    )
    requests: Annotated[str, FILE] | None = Field(
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
    requests: Annotated[str, FILE] = Field(
        description="a file with one request per line, such as requests/fraud-sample.jsonl"
    )
    at_least: Share = Field(description="the share of same answers, such as 98% or 0.98")
    min_samples: int = Field(
        default=1, ge=1, le=MOST, strict=True, description="a whole number from 1"
    )


_URL = "an https address of a public host, such as https://gates.contoso.com/fraud"


def _check_url(text: str) -> str:
    """Return the address; what may not be called from inside Azure's network is refused."""
    if "@" in text.removeprefix("https://").partition("/")[0]:
        raise expect("an address without user and password: policies are read by many")
    found = read_https(text)
    if found is None:
        raise expect(_URL)
    if not is_public_host(found[0]):
        raise expect(f"{_URL}; not this machine, nor a private network")
    return text


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
