"""Measures the scoring servers: what their processes use of this machine, and how many there are.

It reads /proc; on a machine without it only the number of instances is measured.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from local.azure_ml.metrics.minute import Gauge
from local.azure_ml.metrics.record import Record

_PROC = Path("/proc")
PERIOD = 15.0  # seconds of the machine's own time between two looks
# Places in /proc/PID/stat behind the name in brackets.
_GROUP, _USER, _SYSTEM, _PAGES = 2, 11, 12, 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One instance of a deployment that is up."""

    endpoint: str
    deployment: str
    name: str
    group: int | None  # its process group, where it has processes of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    seconds: float  # of processor time since the start
    size: int  # bytes in memory


class Sampler:
    """Looks at all instances again and again."""

    def __init__(self, record: Record, instances: Callable[[], Iterable[Instance]]) -> None:
        self._record = record
        self._instances = instances
        self._before: dict[int, float] = {}  # processor seconds by process group
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            instances = list(self._instances())
            uses: dict[int, _Use] = {}
            if any(item.group is not None for item in instances):
                uses = await asyncio.to_thread(_uses)
            self.take(instances, uses)
            await asyncio.sleep(PERIOD)

    def take(self, instances: list[Instance], uses: dict[int, _Use]) -> None:
        """Record one look."""
        counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        for item in instances:
            counts[item.endpoint, item.deployment] += 1
        for item in instances:
            named = {"instanceId": item.name}
            # Each instance tells the number of all: so the average over them is the capacity.
            capacity = Gauge(
                metric="DeploymentCapacity",
                dimensions={**named, "State": "Healthy"},
                value=counts[item.endpoint, item.deployment],
            )
            self._record.add(item.endpoint, item.deployment, capacity)
            use = None if item.group is None else uses.get(item.group)
            if use is not None and item.group is not None:
                self._add_use(item, item.group, use)

    def _add_use(self, item: Instance, group: int, use: _Use) -> None:
        named = {"instanceId": item.name}
        memory = 100 * use.size / _memory()
        shares = {"CpuMemoryUtilizationPercentage": memory}
        if group in self._before:
            spent = max(0.0, use.seconds - self._before[group])
            share = 100 * spent / PERIOD / (os.cpu_count() or 1)
            shares["CpuUtilizationPercentage"] = min(share, 100.0)
        self._before[group] = use.seconds
        for metric, value in shares.items():
            gauge = Gauge(metric=metric, dimensions=named, value=value)
            self._record.add(item.endpoint, item.deployment, gauge)


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _uses() -> dict[int, _Use]:
    """Add up all processes by process group."""
    seconds: defaultdict[int, float] = defaultdict(float)
    size: defaultdict[int, int] = defaultdict(int)
    ticks = os.sysconf("SC_CLK_TCK")
    page = os.sysconf("SC_PAGE_SIZE")
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        group = int(fields[_GROUP])
        seconds[group] += (int(fields[_USER]) + int(fields[_SYSTEM])) / ticks
        size[group] += int(fields[_PAGES]) * page
    return {group: _Use(seconds=seconds[group], size=size[group]) for group in seconds}
