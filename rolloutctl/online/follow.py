"""Keeps asking for a rollout: what is new in it, and patience with an app that does not answer."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from rolloutctl.exit import UnreachableError
from rolloutctl.online.client import Client
from rolloutctl.words import Json, print_length

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One look at a rollout."""

    shown: Json
    lines: list[Json]  # of the timeline, since the last look
    missed: int  # lines that came and went between two looks


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often it is asked, and how long it is asked in vain."""

    every: timedelta
    give_up: timedelta


@contextmanager
def hearing_ctrl_c() -> Iterator[Callable[[], None]]:
    """Give a check that raises KeyboardInterrupt when Ctrl-C has been pressed.

    Python raises it wherever it is just then; where that is the clean-up of an object, it is lost.
    """
    heard: list[int] = []

    def hear(number: int, _frame: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    def check() -> None:
        if heard:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # it has no signals
        yield check
        return
    before = signal.signal(signal.SIGINT, hear)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


class Line:
    """The line to an app; when it breaks after it once stood, it is made again."""

    def __init__(
        self,
        client: Client,
        patience: Patience,
        note: Callable[[str], None],
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the app, and whom to tell that it does not answer; check may end it all."""
        self._client = client
        self._patience = patience
        self._note = note
        self._check = check
        self._stood = False

    def get(self, *path: str, **query: str | None) -> Json:
        """Return the answer, as soon as there is one again."""
        broken: float | None = None
        wait = _FIRST_WAIT
        while True:
            self._check()
            try:
                found = self._client.get(*path, **query)
            except UnreachableError as error:
                broken = time.monotonic() if broken is None else broken
                left = broken + self._patience.give_up.total_seconds() - time.monotonic()
                if not self._stood or left <= 0:
                    raise
                self._note(f"{error}; asking again in {print_length(timedelta(seconds=wait))}")
                time.sleep(min(wait, left))
                wait = min(wait * 2, _LONGEST_WAIT)
                continue
            if broken is not None:
                self._note("the app answers again")
            self._stood = True
            return found

    def rest(self) -> None:
        """Wait until it is time for the next look."""
        time.sleep(self._patience.every.total_seconds())


class Follower:
    """Follows one rollout."""

    def __init__(self, line: Line, rollout_id: str) -> None:
        """Take the line to the app, and which rollout."""
        self._line = line
        self._rollout_id = rollout_id
        self._seen = 0  # lines of the timeline, from its begin

    def look(self) -> News:
        """Return the rollout as it is now, and what is new in its timeline.

        In flight the app may have left out the oldest lines, and says how many: places count from
        the begin of the whole.
        """
        shown = self._line.get("rollouts", self._rollout_id)
        left_out, lines = shown.get("timeline_left_out", 0), shown.get("timeline", [])
        missed = max(left_out - self._seen, 0)
        new = lines[max(self._seen - left_out, 0) :]
        self._seen = left_out + len(lines)
        return News(shown=shown, lines=new, missed=missed)


def wait_for_one(line: Line, endpoint: str, note: Callable[[str], None]) -> str:
    """Return the id of the rollout in flight on the endpoint; wait for one when there is none."""
    is_told = False
    while True:
        page = line.get("rollouts", state="in_flight", endpoint=endpoint)
        for one in page["rollouts"]:
            if one.get("ended") is None and one["endpoint"].lower() == endpoint.lower():
                return str(one["rollout_id"])
        if not is_told:
            note(f"nothing is in flight on endpoint {endpoint!r}; waiting for the next rollout")
            is_told = True
        line.rest()
