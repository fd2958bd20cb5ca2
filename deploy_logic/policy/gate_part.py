"""Step 2 of 5: what several kinds of gates have. Pure."""

from datetime import timedelta

from pydantic import ConfigDict, Field, JsonValue, model_validator

from deploy_logic.policy.part import Duration, Part, Wrong, complain, expect

MOST = 1_000_000_000
FILE = Field(min_length=1, max_length=1024)


def exactly_one(*keys: str, **more: JsonValue) -> ConfigDict:
    """Return what tells editors that one of the keys must be there, and no two."""
    one_of: list[JsonValue] = [{"required": [key]} for key in keys]
    return ConfigDict(json_schema_extra={"oneOf": one_of, **more})


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
        le=MOST,
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
