"""Step 2 of 5: what people write, as models. Unknown keys are refused. Pure."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from deploy_logic.duration import parse_duration, print_duration
from deploy_logic.errors import VersionRuleError
from deploy_logic.version_rule import VersionRule, print_version_rule, read_version_rule
from deploy_logic.version_scheme import Pick, Scheme

_NAME = r"^[a-zA-Z][-a-zA-Z0-9]{1,62}[a-zA-Z0-9]$"
# As Azure names endpoints; or with {model} in it, when every model of a pattern has its own.
_ENDPOINT = (
    r"^([a-zA-Z][-a-zA-Z0-9]{1,30}[a-zA-Z0-9]"
    r"|([a-zA-Z][-a-zA-Z0-9]{0,28})?\{model\}([-a-zA-Z0-9]{0,28}[a-zA-Z0-9])?)$"
)


def _read_duration(value: object) -> object:
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError(f"{value!r} is not a length of time such as 90s, 10m, 1h30m or PT10M")


def _read_rule(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | Mapping | VersionRule):
        # pydantic collects ValueError, not TypeError
        raise ValueError(f"{value!r} is not a version rule such as latest or '>= 3'")  # noqa: TRY004
    try:
        return read_version_rule(value)
    except VersionRuleError as error:
        raise ValueError(str(error)) from error


Duration = Annotated[timedelta, BeforeValidator(_read_duration), PlainSerializer(print_duration)]
Rule = Annotated[
    VersionRule,
    PlainValidator(_read_rule),
    PlainSerializer(print_version_rule, return_type=str),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "integer", "minimum": 0},
                {
                    "type": "object",
                    "properties": {
                        "scheme": {"enum": list(Scheme)},
                        "from": {"type": "string", "pattern": "^(version|(tag|property):.+)$"},
                        "allow": {"type": ["string", "integer"]},
                        "pick": {"enum": list(Pick)},
                        "allow_older": {"type": "boolean"},
                    },
                    "additionalProperties": False,
                },
            ]
        }
    ),
]


class Part(BaseModel):
    """A piece of what people write: frozen, and closed against unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)


class Selector(Part):
    """Which model versions."""

    model: str = Field(min_length=1, max_length=255)
    version: Rule = VersionRule(text="latest")
    tags: Mapping[str, str] = Field(default_factory=dict)


class Deploy(Part):
    """Where to, and from which `az ml` YAML."""

    endpoint: str = Field(pattern=_ENDPOINT)
    endpoint_template: str = ""
    template: str = Field(min_length=1)


class Step(Part):
    """One level of live traffic, and how long it is watched."""

    weight: int = Field(ge=1, le=99, strict=True)
    bake: Duration = timedelta(0)


class Canary(Part):
    """Live traffic in rising steps."""

    kind: Literal["canary"] = "canary"
    steps: tuple[Step, ...] = Field(min_length=1)
    final_bake: Duration = timedelta(0)

    @model_validator(mode="after")
    def _weights_rise(self) -> "Canary":
        weights = [step.weight for step in self.steps]
        if weights != sorted(set(weights)):
            raise ValueError(f"steps have weights {weights}, which do not rise from step to step")
        return self


class BlueGreen(Part):
    """All traffic at once, with the old side kept until the final bake is over."""

    kind: Literal["blue-green"]
    final_bake: Duration = timedelta(0)


class AllAtOnce(Part):
    """All traffic at once, and the old side is let go."""

    kind: Literal["all-at-once"]


class Expectation(Part):
    """What a probe must answer."""

    status: int = Field(default=200, ge=100, le=599, strict=True)
    within: Duration | None = None
    equals: JsonValue = None  # what the answer must be
    contains: str = ""


class Probe(Part):
    """Call the candidate directly before it gets traffic."""

    kind: Literal["probe"]
    request: str = Field(min_length=1)
    expect: Expectation = Expectation()


class Policy(Part):
    """One document of a policy file."""

    policy: str = Field(pattern=_NAME)
    select: Selector
    deploy: Deploy
    strategy: Annotated[Canary | BlueGreen | AllAtOnce, Field(discriminator="kind")]
    gates: tuple[Probe, ...] = ()
    on_new_version: Literal["supersede", "queue", "finish_first"] = "supersede"
    deadline: Duration = timedelta(hours=8)

    @model_validator(mode="after")
    def _deadline_covers_bakes(self) -> "Policy":
        bakes = total_bake(self)
        if self.deadline <= bakes:
            raise ValueError(
                f"deadline {print_duration(self.deadline)} is not longer than the bakes, "
                f"which take {print_duration(bakes)}"
            )
        return self


def total_bake(policy: Policy) -> timedelta:
    """Return the time that the policy's bakes take in all."""
    strategy = policy.strategy
    if isinstance(strategy, AllAtOnce):
        return timedelta(0)
    steps = strategy.steps if isinstance(strategy, Canary) else ()
    return sum((step.bake for step in steps), strategy.final_bake)
