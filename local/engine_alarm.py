"""One thread that calls back at given times: a heap instead of the library's thread per timer."""

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from local.engine_record import now

# The wall clock may be set while we wait, so we look at it at least this often.
LONGEST_SLEEP = timedelta(seconds=10)

_logger = logging.getLogger(__name__)


class Alarm:
    """Calls each callback once, at its time or, if that has passed, at once."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="engine-alarm", daemon=True)

    def start(self) -> None:
        """Begin to call back; what was asked for before is not lost."""
        self._thread.start()

    def stop(self) -> None:
        """Call nobody any more; returns when a callback under way has ended."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    def at(self, due: datetime, call: Callable[[], None]) -> None:
        """Ask for a call at that time, in the alarm's thread."""
        with self._changed:
            heapq.heappush(self._heap, (due, next(self._order), call))
            self._changed.notify()

    def _run(self) -> None:
        while (call := self._next()) is not None:
            try:
                call()
            except Exception:
                # One bad callback must not end the thread that every timer depends on.
                _logger.exception("alarm callback failed")

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._stopped:
                if not self._heap:
                    self._changed.wait()
                    continue
                left = self._heap[0][0] - now()
                if left <= timedelta():
                    return heapq.heappop(self._heap)[2]
                self._changed.wait(min(left, LONGEST_SLEEP).total_seconds())
        return None
