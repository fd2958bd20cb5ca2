"""The time the emulator lives in: the machine's, shifted, or standing still until it is moved.

Whatever waits here waits in that time, so a test can let ten minutes pass in no time.
"""

import asyncio
import time
from datetime import UTC, datetime

from local.azure_ml.errors import user_error
from local.azure_ml.store import Json, Store

_KEYS = ("advance", "frozen", "reset")


class Clock:
    """One clock for operations, stamps, tokens and metrics; kept over a restart."""

    def __init__(self, store: Store) -> None:
        self._store = store
        kept = store.get("settings", "clock") or {"offset": 0.0, "frozen_at": None}
        self._offset: float = kept["offset"]
        self._frozen_at: float | None = kept["frozen_at"]
        self._changed = asyncio.Event()

    def time(self) -> float:
        """Give the seconds since the epoch."""
        return time.time() + self._offset if self._frozen_at is None else self._frozen_at

    def stamp(self) -> str:
        """Give a time stamp as the service writes it: with seven fractional digits."""
        moment = datetime.fromtimestamp(self.time(), UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0+00:00"

    async def sleep_until(self, moment: float) -> None:
        """Wait until it is that late."""
        while (left := moment - self.time()) > 0:
            changed = self._changed
            try:
                async with asyncio.timeout(left if self._frozen_at is None else None):
                    await changed.wait()
            except TimeoutError:
                pass  # looked at again: the machine's clock may have been set back

    def set(self, asked: Json) -> Json:
        """Take `advance` in seconds, `frozen`, `reset`, or none of them."""
        wrong = [key for key in asked if key not in _KEYS]
        if wrong:
            raise user_error(f"{wrong[0]!r} is not one of {', '.join(_KEYS)}")
        for key in ("frozen", "reset"):
            if not isinstance(asked.get(key, False), bool):
                raise user_error(f"{key} {asked[key]!r} is not true or false")
        seconds = asked.get("advance", 0)
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise user_error(f"advance {seconds!r} is not a number of seconds")
        if asked.get("reset"):
            self._offset, self._frozen_at = 0.0, None
        self._freeze(frozen=asked.get("frozen", self._frozen_at is not None))
        self._move(float(seconds))
        kept = {"offset": self._offset, "frozen_at": self._frozen_at}
        self._store.put("settings", "clock", kept)
        if asked:
            waiters, self._changed = self._changed, asyncio.Event()
            waiters.set()
        return self.show()

    def _freeze(self, *, frozen: bool) -> None:
        moment = self.time()
        if frozen:
            self._frozen_at = moment
        elif self._frozen_at is not None:
            self._offset, self._frozen_at = moment - time.time(), None

    def _move(self, seconds: float) -> None:
        if self._frozen_at is None:
            self._offset += seconds
        else:
            self._frozen_at += seconds

    def show(self) -> Json:
        """Give the time, and whether it stands still."""
        return {"now": self.stamp(), "frozen": self._frozen_at is not None}
