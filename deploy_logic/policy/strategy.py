"""Step 2 of 5: how traffic gets to the candidate: canary, blue-green, all-at-once; mirror. Pure."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field, model_validator

from deploy_logic.duration import print_duration
from deploy_logic.policy.part import Duration, Part, Wrong, complain

MOST_MIRRORED = 50  # percent; Azure ML allows no more
_NOTHING = timedelta(0)
_STEPS = "one or more steps such as [{weight: 10, bake: 10m}], whose weights rise"


class Mirror(Part):
    """Copy live requests to the candidate before it gets any, and drop its answers."""

    percent: int = Field(
        ge=1,
        le=MOST_MIRRORED,
        strict=True,
        description=f"a whole percent from 1 to {MOST_MIRRORED}: Azure ML mirrors no more",
    )
    bake: Duration = Field(description="how long to mirror, such as 30m")

    @model_validator(mode="after")
    def _bakes(self) -> "Mirror":
        if self.bake == _NOTHING:
            raise complain(Wrong(path=("bake",), expected="longer than 0s, such as 30m"))
        return self


class Step(Part):
    """One level of live traffic, and how long it is watched."""

    weight: int = Field(
        ge=1, le=99, strict=True, description="a whole percent from 1 to 99, without a % sign"
    )
    bake: Duration = Field(default=_NOTHING, description="how long to stay, such as 10m")


class EqualSteps(Part):
    """Levels that are the same way apart, and as long, up to the last one below 100."""

    rise: int = Field(
        ge=1,
        le=50,
        strict=True,
        description="how much each weight is above the one before: a whole percent from 1 to 50",
    )
    bake: Duration = Field(default=_NOTHING, description="how long to stay at each, such as 10m")

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return the levels, one by one."""
        weights = range(self.rise, 100, self.rise)
        return tuple(Step(weight=weight, bake=self.bake) for weight in weights)


class Canary(Part):
    """Live traffic in rising steps: written out, or equal ones."""

    kind: Literal["canary"]
    mirror: Mirror | None = Field(default=None, description="{percent: 20, bake: 30m}")
    steps: tuple[Step, ...] = Field(default=(), min_length=1, max_length=99, description=_STEPS)
    equal_steps: EqualSteps | None = Field(
        default=None, description="in place of steps: {rise: 20, bake: 10m} is 20, 40, 60, 80"
    )
    final_bake: Duration = Field(
        default=_NOTHING, description="how long to stay at 100 before the old one is let go"
    )

    @property
    def levels(self) -> tuple[Step, ...]:
        """Return the steps, whichever way they are written."""
        return self.steps if self.equal_steps is None else self.equal_steps.steps

    @model_validator(mode="after")
    def _has_steps_in_one_way(self) -> "Canary":
        if self.equal_steps is None and not self.steps:
            raise complain(Wrong(path=("steps",), expected=_STEPS))
        if self.equal_steps is not None and self.steps:
            raise complain(Wrong(path=("equal_steps",), expected="either steps or equal_steps"))
        return self

    @model_validator(mode="after")
    def _weights_rise(self) -> "Canary":
        wrongs = [
            Wrong(path=("steps", number, "weight"), expected=f"more than the {before.weight} above")
            for number, (before, step) in enumerate(
                zip(self.steps, self.steps[1:], strict=False), 1
            )
            if step.weight <= before.weight
        ]
        if wrongs:
            raise complain(*wrongs)
        return self


class BlueGreen(Part):
    """All traffic at once, with the old side kept until the final bake is over."""

    kind: Literal["blue-green"]
    mirror: Mirror | None = Field(default=None, description="{percent: 20, bake: 30m}")
    final_bake: Duration = Field(
        default=_NOTHING, description="how long to stay at 100 before the old one is let go"
    )


class AllAtOnce(Part):
    """All traffic at once, and the old side is let go."""

    kind: Literal["all-at-once"]


Strategy = Annotated[Canary | BlueGreen | AllAtOnce, Field(discriminator="kind")]


def find_mirror(strategy: Canary | BlueGreen | AllAtOnce) -> Mirror | None:
    """Return the mirror, where the strategy has one."""
    return None if isinstance(strategy, AllAtOnce) else strategy.mirror


def list_bakes(
    strategy: Canary | BlueGreen | AllAtOnce,
) -> list[tuple[tuple[str | int, ...], timedelta]]:
    """Return every bake with the way to it inside the strategy, in their order."""
    found: list[tuple[tuple[str | int, ...], timedelta]] = []
    mirror = find_mirror(strategy)
    if mirror is not None:
        found.append((("mirror", "bake"), mirror.bake))
    if isinstance(strategy, Canary):
        found += [(("steps", n, "bake"), step.bake) for n, step in enumerate(strategy.steps)]
        if strategy.equal_steps is not None:
            found += [(("equal_steps", "bake"), step.bake) for step in strategy.equal_steps.steps]
    if not isinstance(strategy, AllAtOnce):
        found.append((("final_bake",), strategy.final_bake))
    return found


def total_bake(strategy: Canary | BlueGreen | AllAtOnce) -> timedelta:
    """Return the time that the bakes take in all, the mirror's among them."""
    return sum((length for _, length in list_bakes(strategy)), _NOTHING)


def refuse_short_bakes(
    strategy: Canary | BlueGreen | AllAtOnce, shortest: timedelta, why: str
) -> list[Wrong]:
    """Return the bakes that are over before anything could be measured in them.

    No final bake at all is a choice, not a mistake: nothing is watched then.
    """
    return [
        Wrong(
            path=path,
            given=print_duration(length),
            expected=f"{print_duration(shortest)} or longer: {why}",
        )
        for path, length in dict(list_bakes(strategy)).items()  # equal ones are written once
        if length < shortest and not (path == ("final_bake",) and length == _NOTHING)
    ]
