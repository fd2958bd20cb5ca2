"""One instance of a deployment: a scoring server in a process group of its own."""

import asyncio
import contextlib
import os
import signal
import socket
from asyncio.subprocess import Process
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from local.azure_ml.scoring.slot import Slot
from local.azure_ml.scoring.spec import Probe, StartCode, StartFailed

_RUNNER = Path(__file__).with_name("runner.py")
_GRACE = 10.0  # seconds a server gets to end by itself; it was drained before, so it has no work


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start a container; the same every time it is restarted."""

    python: Path
    folder: Path  # the working directory: the root of the code
    environment: Mapping[str, str]
    log: Path
    start_deadline: float  # seconds
    liveness: Probe = field(default_factory=Probe)


class Container(Slot):
    """A scoring server that can be started again after it died."""

    def __init__(self, launch: Launch) -> None:
        super().__init__(launch.log.stem)
        self._launch = launch
        self._process: Process | None = None

    @property
    def group(self) -> int | None:
        """The group of its processes, while it has any."""
        return None if self._process is None else self._process.pid

    def note(self, text: str) -> None:
        """Add a line to its log."""
        with self._launch.log.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    async def start(self, session: aiohttp.ClientSession) -> None:
        """Return once it answers its health route; StartFailed when it ends or stays silent."""
        process = self._process = await self._spawn()
        try:
            async with asyncio.timeout(self._launch.start_deadline):
                await self._until_healthy(session, process)
        except TimeoutError as error:
            await self.stop()
            raise StartFailed(
                StartCode.RESOURCE_NOT_READY,
                f"readiness probe failed: no answer within {self._launch.start_deadline:g} s; "
                "see the deployment's logs",
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def _spawn(self) -> Process:
        # Bound here and handed over: between choosing a port and using it nobody can take it, and
        # what connects before the server is up waits in the socket's queue.
        with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with self._launch.log.open("ab") as log:
                return await asyncio.create_subprocess_exec(
                    *(str(self._launch.python), "-P", str(_RUNNER)),
                    *("--socket", str(listening.fileno())),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    cwd=self._launch.folder,
                    env=dict(self._launch.environment),
                    pass_fds=(listening.fileno(),),
                    process_group=0,
                )

    async def _until_healthy(self, session: aiohttp.ClientSession, process: Process) -> None:
        ended = asyncio.create_task(process.wait())
        try:
            while True:
                probe = asyncio.create_task(self._probe(session))
                try:
                    await asyncio.wait({ended, probe}, return_when=asyncio.FIRST_COMPLETED)
                    if ended.done():
                        raise StartFailed(
                            StartCode.RESOURCE_NOT_READY,
                            "user container has crashed or terminated "
                            f"(exit code {ended.result()}); see the deployment's logs",
                        )
                    if probe.result():
                        return
                finally:
                    probe.cancel()
                await asyncio.sleep(0.05)  # a worker died while it loaded; the next one is coming
        finally:
            ended.cancel()

    async def _probe(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(self.url + "/") as response:
                return response.status == 200  # noqa: PLR2004 - HTTP's OK
        except aiohttp.ClientError:
            return False

    async def ended_or_ill(self, session: aiohttp.ClientSession) -> tuple[int, str]:
        """Wait until the process is gone; end it when its liveness probe fails too often.

        Gives the exit code, and what is to be said of the probe.
        """
        process = self._process
        if process is None:
            return 0, ""
        ended = asyncio.create_task(process.wait())
        ill = asyncio.create_task(self._until_ill(session))
        try:
            await asyncio.wait({ended, ill}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                count = self._launch.liveness.failures
                return await ended, f"Liveness probe failed {count} times in a row"
            return ended.result(), ""
        finally:
            ended.cancel()
            ill.cancel()

    async def _until_ill(self, session: aiohttp.ClientSession) -> None:
        probe = self._launch.liveness
        await asyncio.sleep(probe.initial_delay)
        failed = 0
        while failed < probe.failures:
            await asyncio.sleep(probe.period)
            try:
                async with asyncio.timeout(probe.timeout):
                    is_well = await self._probe(session)
            except TimeoutError:
                is_well = False
            failed = 0 if is_well else failed + 1

    async def stop(self) -> None:
        """End it and everything it started."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), _GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        self._process = None
