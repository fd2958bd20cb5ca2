"""How the benches measure: several rounds taken in turn, and the median of each."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_ROUNDS = 7
_ROUND = 0.15  # seconds that one round of one candidate takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of the report: what was measured, as a ratio to a floor of the same run."""

    name: str
    ratio: float
    floor: str
    measured: str  # in its own unit, for scale only
    aim: str = ""


def time_calls(calls: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Return the seconds that one call of each takes; rounds alternate, so all share the noise."""
    counts = {name: _count(call) for name, call in calls.items()}
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            taken[name].append(_time(call, counts[name]) / counts[name])
    return {name: statistics.median(rounds) for name, rounds in taken.items()}


def show_seconds(seconds: float) -> str:
    """Return a length of time in a unit that suits it."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def _count(call: Callable[[], object]) -> int:
    """Return how many calls fill a round."""
    count = 1
    while (taken := _time(call, count)) < _ROUND / 4:
        count *= 4
    return max(1, int(count * _ROUND / taken))


def _time(call: Callable[[], object], count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        call()
    return time.perf_counter() - begin
