"""A deployment that takes requests: its containers, and the queue in front of them."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

import aiohttp

from local.azure_ml.metrics.sampler import Instance
from local.azure_ml.scoring.slot import Slot
from local.azure_ml.scoring.spec import ServerSpec


class TooManyPending(Exception):  # noqa: N818 - an answer to the caller, not a fault
    """The queue is full."""


class NoContainer(Exception):  # noqa: N818 - an answer to the caller, not a fault
    """No container is up."""


def open_session() -> aiohttp.ClientSession:
    """Return a client towards containers: it passes on what it gets, and holds nobody up."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # the queues in front of them limit
        timeout=aiohttp.ClientTimeout(),  # each request brings its own
        auto_decompress=False,  # bodies pass through as they are
        cookie_jar=aiohttp.DummyCookieJar(),
    )


def list_instances(deployments: Iterable["Deployment"]) -> list[Instance]:
    """Return every container that is up."""
    return [
        Instance(
            endpoint=one.spec.endpoint,
            deployment=one.spec.deployment,
            name=container.name,
            group=container.group,
        )
        for one in deployments
        for container in one.containers
    ]


class Deployment:
    """Hands each request to the container with the least to do; the rest waits in order."""

    def __init__(self, spec: ServerSpec) -> None:
        self.spec = spec
        self._containers: list[Slot] = []
        self._waiting: deque[asyncio.Future[Slot]] = deque()
        self._pending = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def containers(self) -> tuple[Slot, ...]:
        """The containers that take requests now."""
        return tuple(self._containers)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count a request in until it is answered; TooManyPending beyond what Azure ML queues."""
        if self._pending >= 2 * self.spec.max_concurrent * self.spec.instances:
            raise TooManyPending
        self._pending += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._pending -= 1
            if self._pending == 0:
                self._idle.set()

    @asynccontextmanager
    async def container(self) -> AsyncIterator[Slot]:
        """Lend a container with room for one more request; NoContainer when none is up."""
        container = self._free()
        if container is not None:
            container.begin()
        else:
            container = await self._wait()
        try:
            yield container
        finally:
            container.end()
            self._serve_waiting()

    async def _wait(self) -> Slot:
        if not self._containers:
            raise NoContainer
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            # The turn may have come in the very moment the request was given up.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                turn.result().end()
                self._serve_waiting()
            with contextlib.suppress(ValueError):
                self._waiting.remove(turn)
            raise

    def _free(self) -> Slot | None:
        room = [item for item in self._containers if item.active < self.spec.max_concurrent]
        return min(room, key=lambda item: item.active, default=None)

    def _serve_waiting(self) -> None:
        while self._waiting and (container := self._free()) is not None:
            turn = self._waiting.popleft()
            if not turn.done():
                container.begin()
                turn.set_result(container)

    def add(self, container: Slot) -> None:
        """Let a container take requests."""
        self._containers.append(container)
        self._serve_waiting()

    def lose(self, container: Slot) -> None:
        """Send nothing more to a container that died."""
        if container in self._containers:
            self._containers.remove(container)
        if not self._containers:
            while self._waiting:
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_exception(NoContainer())

    def switch(self, spec: ServerSpec, containers: Sequence[Slot]) -> None:
        """Let other containers take over: every request from now on, and those still queued."""
        self.spec = spec
        self._containers = list(containers)
        self._serve_waiting()

    async def idle(self) -> None:
        """Wait until every admitted request is answered."""
        await self._idle.wait()
