"""What a deployment hands its requests to, and how many it is working on."""

import asyncio


class Slot:
    """One instance, seen from the queue in front of it."""

    def __init__(self, name: str) -> None:
        self.name = name  # what it is called in logs
        self.url = ""
        self._idle = asyncio.Event()
        self._idle.set()
        self._active = 0

    @property
    def group(self) -> int | None:
        """The group of its processes, while it has any of its own."""
        return None

    @property
    def active(self) -> int:
        """How many requests it is working on."""
        return self._active

    def begin(self) -> None:
        """Count a request in."""
        self._active += 1
        self._idle.clear()

    def end(self) -> None:
        """Count a request out."""
        self._active -= 1
        if self._active == 0:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until it works on nothing."""
        await self._idle.wait()
