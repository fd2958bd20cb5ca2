"""Timer triggers: fires each on its schedule; what was missed while it was down runs past due."""

import asyncio
import json
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.functions_host.protos import TypedData
from local.functions_host.schedule import Schedule, ScheduleError, parse_schedule
from local.functions_host.worker import AppError, Function, InvocationFailedError, Trigger, Worker

logger = logging.getLogger(__name__)

_LONGEST_SLEEP = timedelta(hours=1)  # the clock may be set, and the laptop may sleep
_MONITOR_FROM = timedelta(minutes=1)  # the real host does not monitor more frequent ones


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timer:
    function: Function
    schedule: Schedule
    state: Path | None  # where its status is kept, when it is monitored
    last: datetime | None  # the kept status: when it ran,
    following: datetime | None  # and when it was to run next


class Timers:
    """The app's timers. Without a state folder nothing is remembered from one start to the next."""

    def __init__(self, worker: Worker, *, state: Path | None) -> None:
        self._worker = worker
        self._timers = {
            function.name.lower(): _read_timer(function, state)
            for function in worker
            if function.kind is Trigger.TIMER
        }
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to fire on schedule."""
        self._tasks = [asyncio.create_task(self._run(timer)) for timer in self._timers.values()]

    async def stop(self) -> None:
        """Fire no more; one that runs is given up."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def fire(self, name: str) -> bool:
        """Run a timer now, whatever its schedule says; False when it failed."""
        timer = self._timers[name.lower()]
        return await self._invoke(timer, past_due=False, status=None)

    async def _run(self, timer: _Timer) -> None:
        now = datetime.now(UTC)
        last, due = timer.last, timer.schedule.after(now)
        if timer.following is not None and timer.following <= now:  # missed while no host was up
            last, due = await self._occur(timer, due, past_due=True, last=last)
        elif timer.function.trigger.get("runOnStartup"):
            last, due = await self._occur(timer, due, past_due=False, last=last)
        elif timer.following is not None:
            due = min(timer.following, due)
        while True:
            now = datetime.now(UTC)
            if now < due:
                await asyncio.sleep(min(due - now, _LONGEST_SLEEP).total_seconds())
                continue
            late = now - due >= _MONITOR_FROM
            last, due = await self._occur(timer, due, past_due=late, last=last)

    async def _occur(
        self, timer: _Timer, due: datetime, *, past_due: bool, last: datetime | None
    ) -> tuple[datetime, datetime]:
        """Run it; returns when it ran and when it is due again."""
        await self._invoke(timer, past_due=past_due, status=_status(last, due))
        now = datetime.now(UTC)
        following = timer.schedule.after(now)
        if timer.state is not None:
            timer.state.parent.mkdir(parents=True, exist_ok=True)
            fresh = timer.state.with_suffix(".new")
            fresh.write_text(json.dumps(_status(now, following)), encoding="utf-8")
            fresh.replace(timer.state)  # at once: a killed host leaves no half-written status
        return now, following

    async def _invoke(
        self, timer: _Timer, *, past_due: bool, status: Mapping[str, str] | None
    ) -> bool:
        info = {
            "Schedule": {"AdjustForDST": True},
            "ScheduleStatus": status,
            "IsPastDue": past_due,
        }
        try:
            await self._worker.invoke(timer.function, TypedData(json=json.dumps(info)))
        except InvocationFailedError:
            return False  # the worker has logged it
        return True


def _read_timer(function: Function, state: Path | None) -> _Timer:
    text = str(function.trigger["schedule"])
    setting = re.fullmatch(r"%([^%]+)%", text)
    if setting is not None:
        if setting[1] not in os.environ:
            raise AppError(f"timer {function.name!r}: setting {setting[1]} is not there")
        text = os.environ[setting[1]]
    try:
        schedule = parse_schedule(text)
        now = datetime.now(UTC)
        first = schedule.after(now)
        frequent = schedule.after(first) - first < _MONITOR_FROM
    except ScheduleError as error:
        raise AppError(f"timer {function.name!r}: {error}") from error
    monitored = function.trigger.get("useMonitor", True) and not frequent
    path = state / f"{function.name}.json" if state is not None and monitored else None
    status = _read_status(path)
    return _Timer(
        function=function,
        schedule=schedule,
        state=path,
        last=status.get("Last"),
        following=status.get("Next"),
    )


def _status(last: datetime | None, following: datetime) -> dict[str, str]:
    # .NET's smallest moment stands for "never".
    past = "0001-01-01T00:00:00+00:00" if last is None else last.isoformat()
    return {"Last": past, "Next": following.isoformat(), "LastUpdated": past}


def _read_status(path: Path | None) -> dict[str, datetime]:
    if path is None or not path.exists():
        return {}
    try:
        status = json.loads(path.read_text(encoding="utf-8"))
        return {name: datetime.fromisoformat(status[name]) for name in ("Last", "Next")}
    except (LookupError, TypeError, ValueError) as error:
        raise AppError(f"{path}: not a timer status: {error}") from error
