"""Counts the requests that really passed, per endpoint and deployment and per minute.

What Azure Monitor's metrics of the emulator are computed from.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypedDict

KEPT_MINUTES = 120
LATENCIES_KEPT = 5_000  # of one minute: beyond it a fair sample is kept, so memory has a bound
UNROUTED = ""  # stands for the deployment where a request reached none (401, 404)


class MinuteCount(TypedDict):
    """One minute of one deployment, mirrored requests included."""

    start: int  # seconds since the epoch, a whole minute
    count: int
    mirrored: int
    statuses: dict[int, int]  # as callers saw them
    model_statuses: dict[int, int]  # as the container answered
    latencies: list[float]  # milliseconds, unordered


class DeploymentCount(TypedDict):
    """All that one deployment served since the start, and its last minutes in order of time."""

    requests: dict[int, int]  # by status, mirrored ones left out: no caller saw them
    mirrored: int
    mirrored_statuses: dict[int, int]
    minutes: list[MinuteCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one request ended."""

    status: int
    model_status: int | None  # None when no container answered
    latency: float  # milliseconds
    mirrored: bool = False
    size: int = 0  # bytes in and out


@dataclass(slots=True)
class _Minute:
    count: int = 0
    mirrored: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    model_statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.count += 1
        self.mirrored += outcome.mirrored
        self.statuses[outcome.status] += 1
        if outcome.model_status is not None:
            self.model_statuses[outcome.model_status] += 1
        if len(self.latencies) < LATENCIES_KEPT:
            self.latencies.append(outcome.latency)
        else:
            place = random.randrange(self.count)  # noqa: S311 - a sample, not a secret
            if place < LATENCIES_KEPT:
                self.latencies[place] = outcome.latency


@dataclass(slots=True)
class _Served:
    requests: Counter[int] = field(default_factory=Counter)
    mirrored: Counter[int] = field(default_factory=Counter)
    minutes: dict[int, _Minute] = field(default_factory=dict)


class Counters:
    """Takes outcomes in and gives a copy of all counts out."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._served: defaultdict[tuple[str, str], _Served] = defaultdict(_Served)

    def record(self, endpoint: str, deployment: str, outcome: Outcome) -> None:
        """Count one request that has ended."""
        served = self._served[endpoint.lower(), deployment.lower()]
        (served.mirrored if outcome.mirrored else served.requests)[outcome.status] += 1
        start = int(self._clock() // 60) * 60
        if start not in served.minutes:
            oldest = start - KEPT_MINUTES * 60
            served.minutes = {at: kept for at, kept in served.minutes.items() if at > oldest}
            served.minutes[start] = _Minute()
        served.minutes[start].add(outcome)

    def snapshot(self) -> dict[str, dict[str, DeploymentCount]]:
        """Give the counts by endpoint and deployment, names in lower case."""
        counts: dict[str, dict[str, DeploymentCount]] = {}
        for (endpoint, deployment), served in self._served.items():
            counts.setdefault(endpoint, {})[deployment] = {
                "requests": dict(served.requests),
                "mirrored": served.mirrored.total(),
                "mirrored_statuses": dict(served.mirrored),
                "minutes": [
                    _shown(start, served.minutes[start]) for start in sorted(served.minutes)
                ],
            }
        return counts


def _shown(start: int, minute: _Minute) -> MinuteCount:
    return {
        "start": start,
        "count": minute.count,
        "mirrored": minute.mirrored,
        "statuses": dict(minute.statuses),
        "model_statuses": dict(minute.model_statuses),
        "latencies": list(minute.latencies),
    }
