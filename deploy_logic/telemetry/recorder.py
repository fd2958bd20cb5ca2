"""Spans and figures about ourselves: said anywhere, and recorded by whoever is switched on.

Until then nothing is recorded and nothing imported, like a logger without a handler.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol

type Given = Mapping[str, str | int | float | bool]


class Figure(StrEnum):
    """What is counted or measured. Names are an API: never renamed, only added."""

    EVENTS_RECEIVED = "events_received"
    ROLLOUTS_STARTED = "rollouts_started"
    ROLLOUTS_FINISHED = "rollouts_finished"
    STAGE_DURATION = "stage_duration"
    BAKE_DECISION = "bake_decision"
    TRAFFIC_PERCENT = "traffic_percent"
    ROLLBACK_SECONDS = "rollback_seconds"
    APPROVAL_WAIT_SECONDS = "approval_wait_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """How a figure is kept; docs/telemetry.md has them all."""

    kind: Literal["counter", "histogram", "gauge"]
    unit: str  # as UCUM writes it
    text: str
    borders: tuple[float, ...] = ()  # of a histogram


_SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 86_400, 259_200)
INSTRUMENTS: Mapping[Figure, Instrument] = {
    Figure.EVENTS_RECEIVED: Instrument(
        kind="counter", unit="{event}", text="events heard, by what was made of them"
    ),
    Figure.ROLLOUTS_STARTED: Instrument(
        kind="counter", unit="{rollout}", text="rollouts that a ledger has started"
    ),
    Figure.ROLLOUTS_FINISHED: Instrument(
        kind="counter", unit="{rollout}", text="rollouts that are over, by their last phase"
    ),
    Figure.STAGE_DURATION: Instrument(
        kind="histogram", unit="s", text="time that rollouts spent in a phase", borders=_SECONDS
    ),
    Figure.BAKE_DECISION: Instrument(
        kind="counter", unit="{verdict}", text="verdicts of gates, one per time they were asked"
    ),
    Figure.TRAFFIC_PERCENT: Instrument(
        kind="gauge", unit="%", text="weight of a deployment as last read back"
    ),
    Figure.ROLLBACK_SECONDS: Instrument(
        kind="histogram", unit="s", text="time from a no to the stable's 100", borders=_SECONDS
    ),
    Figure.APPROVAL_WAIT_SECONDS: Instrument(
        kind="histogram", unit="s", text="time that approvals took", borders=_SECONDS
    ),
}


class Span(Protocol):
    """Something that is under way."""

    def say(self, given: Given) -> None:
        """Add what is known by now."""


class Recorder(Protocol):
    """Who records; an exception that leaves a span is recorded on it."""

    def span(self, name: str, given: Given) -> AbstractContextManager[Span]:
        """Begin something that ends with the block."""

    def record(self, figure: Figure, value: float, given: Given) -> None:
        """Count or measure."""

    def annotate(self, given: Given) -> None:
        """Say this of the span that is under way here, if one is."""


class Nobody:
    """Records nothing."""

    def say(self, given: Given) -> None:
        """Forget it."""

    def span(self, name: str, given: Given) -> AbstractContextManager[Span]:
        """Begin nothing."""
        del name, given
        return _NOTHING

    def record(self, figure: Figure, value: float, given: Given) -> None:
        """Forget it."""

    def annotate(self, given: Given) -> None:
        """Forget it."""


_NOTHING: AbstractContextManager[Span] = nullcontext(Nobody())


class _Switch:
    recorder: Recorder = Nobody()


def switch_on(recorder: Recorder) -> None:
    """Have everything recorded by this from now on."""
    _Switch.recorder = recorder


def switch_off() -> None:
    """Have nothing recorded."""
    _Switch.recorder = Nobody()


def is_on() -> bool:
    """Whether anybody records: to gather what nobody hears has a price."""
    return not isinstance(_Switch.recorder, Nobody)


def span(name: str, **given: str | float | bool) -> AbstractContextManager[Span]:
    """Begin something that ends with the block; what is not known (empty) is left out."""
    return _Switch.recorder.span(name, {key: one for key, one in given.items() if one != ""})


def count(figure: Figure, **given: str) -> None:
    """Count one more."""
    _Switch.recorder.record(figure, 1, given)


def measure(figure: Figure, value: float, **given: str) -> None:
    """Record a value."""
    _Switch.recorder.record(figure, value, given)


def annotate(given: Given) -> None:
    """Say this of the span that is under way here, if one is."""
    _Switch.recorder.annotate(given)
