"""All scoring servers of the emulator: starts, replaces, restarts, drains and ends them."""

import asyncio
import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from local.azure_ml.metrics.sampler import Instance
from local.azure_ml.scoring import image, layout, log
from local.azure_ml.scoring.container import Container, Launch
from local.azure_ml.scoring.deployment import Deployment, list_instances, open_session
from local.azure_ml.scoring.layout import Generation
from local.azure_ml.scoring.spec import ServerSpec, StartCode, StartFailed, deployment_key

__all__ = ["ServerPool", "ServerSpec", "StartCode", "StartFailed"]

_DRAIN_MARGIN = 5.0  # seconds beyond the request timeout, by which every request is answered anyway


@dataclass(slots=True, kw_only=True)
class _Running:
    """One generation of a deployment and its containers, up or coming up again."""

    generation: Generation
    containers: list[Container]
    watchers: list[asyncio.Task[None]] = field(default_factory=list)


class ServerPool:
    """Runs deployments as real scoring servers on this machine."""

    def __init__(
        self,
        *,
        root: Path,
        python: Path,
        start_deadline: float = 600.0,  # above it, whatever the readiness probe allows
        max_restarts: int = 5,
    ) -> None:
        self._root = root.absolute()
        # Not resolved: a virtual environment's python is a link, and the link is the environment.
        self._python = python.absolute()
        self._start_deadline = start_deadline
        self._max_restarts = max_restarts
        self._deployments: dict[tuple[str, str], Deployment] = {}
        self._running: dict[tuple[str, str], _Running] = {}
        self._locks: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._installed: dict[str, str] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._starts: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def session(self) -> aiohttp.ClientSession:
        """The one HTTP client towards all containers."""
        if self._session is None:
            self._session = open_session()
        return self._session

    def find(self, endpoint: str, deployment: str) -> Deployment | None:
        """Give the deployment that takes requests under this name, if there is one."""
        return self._deployments.get(deployment_key(endpoint, deployment))

    def instances(self) -> list[Instance]:
        """Give what is up."""
        return list_instances(self._deployments.values())

    async def start(self, spec: ServerSpec) -> None:
        """Bring a deployment up or replace it; StartFailed leaves the one that ran."""
        start = asyncio.create_task(self._start(spec))
        self._starts.add(start)
        try:
            await start
        except asyncio.CancelledError:
            if not self._closing:
                raise
            raise StartFailed(
                StartCode.RESOURCE_NOT_READY, "the emulator was shut down during the start"
            ) from None
        finally:
            self._starts.discard(start)

    async def _start(self, spec: ServerSpec) -> None:
        async with self._locks[spec.key]:
            await asyncio.to_thread(self._root.mkdir, parents=True, exist_ok=True)
            generation = layout.new_generation(self._root, spec)
            try:
                new = await self._bring_up(generation, spec)
            except BaseException:
                generation.clear()
                raise
            old = self._running.get(spec.key)
            deployment = self._deployments.get(spec.key)
            if deployment is None:
                deployment = self._deployments[spec.key] = Deployment(spec)
            drain = deployment.spec.request_timeout + _DRAIN_MARGIN
            deployment.switch(spec, new.containers)
            self._running[spec.key] = new
            new.watchers = [
                asyncio.create_task(self._watch(deployment, container, generation))
                for container in new.containers
            ]
            if old is not None:
                await self._end(old, drain=drain)

    async def stop(self, endpoint: str, deployment: str) -> None:
        """Take a deployment away: finish what it was given, then end its servers."""
        key = deployment_key(endpoint, deployment)
        async with self._locks[key]:
            gone = self._deployments.pop(key, None)
            running = self._running.pop(key, None)
            if gone is None or running is None:
                return
            drain = gone.spec.request_timeout + _DRAIN_MARGIN
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(gone.idle(), drain)
            await self._end(running, drain=0)

    async def close(self) -> None:
        """End every server at once; requests in flight are answered as broken."""
        self._closing = True
        for start in self._starts:
            start.cancel()
        await asyncio.gather(*self._starts, return_exceptions=True)
        running = list(self._running.values())
        self._deployments.clear()
        self._running.clear()
        await asyncio.gather(*(self._end(item, drain=0) for item in running))
        if self._session is not None:
            await self._session.close()
            self._session = None

    def logs(self, endpoint: str, deployment: str, *, tail: int, container: str) -> str:
        """Give the last lines of a container's log, also after the deployment failed or stopped."""
        folder = layout.deployment_folder(self._root, endpoint, deployment)
        generation = layout.latest_generation(folder)
        return "" if generation is None else log.read(generation, tail=tail, container=container)

    async def _bring_up(self, generation: Generation, spec: ServerSpec) -> _Running:
        await self._build_image(generation, spec)
        variables = await asyncio.to_thread(layout.lay_out, generation, spec)
        generation.event("Downloaded", "Models are downloaded successfully")
        containers = [
            Container(self._launch(generation, variables, number, spec))
            for number in range(spec.instances)
        ]
        try:
            async with asyncio.TaskGroup() as starts:
                for container in containers:
                    generation.event("Started", f"Started container {container.name}")
                    starts.create_task(container.start(self.session))
        except ExceptionGroup as failures:  # the group has ended the others by now
            failed = failures.exceptions[0]
            generation.event("BackOff", str(failed), kind="Warning")
            raise failed from failures
        generation.event("Ready", "Readiness probe succeeded")
        return _Running(generation=generation, containers=containers)

    async def _build_image(self, generation: Generation, spec: ServerSpec) -> None:
        conda = spec.conda
        if conda is None and spec.is_mlflow:  # Azure ML builds from the file inside the model
            conda = await asyncio.to_thread(layout.conda_of_model, spec.model_path)
        if conda is None:
            return
        try:
            text = image.build(conda, await self._packages())
        except image.BuildFailed as error:
            generation.append(layout.BUILD_LOG, error.log)
            generation.event("ImageBuildFailed", str(error), kind="Warning")
            raise StartFailed(
                StartCode.IMAGE_BUILD_FAILURE, f"environment image build failed: {error}"
            ) from error
        generation.append(layout.BUILD_LOG, text)
        generation.event("Pulled", "Container image is pulled successfully")

    async def _packages(self) -> dict[str, str]:
        if self._installed is None:
            process = await asyncio.create_subprocess_exec(
                *(str(self._python), "-c", image.LIST_PACKAGES), stdout=asyncio.subprocess.PIPE
            )
            output, _ = await process.communicate()
            if process.returncode != 0:
                raise StartFailed(
                    StartCode.IMAGE_BUILD_FAILURE,
                    f"{self._python} does not list its packages (exit code {process.returncode})",
                )
            self._installed = json.loads(output)
        return self._installed

    def _launch(
        self, generation: Generation, variables: dict[str, str], number: int, spec: ServerSpec
    ) -> Launch:
        name = f"inference-server-{number}"
        environment = layout.container_environment(
            variables, python=self._python, home=generation.files / "home" / name
        )
        return Launch(
            python=self._python,
            folder=Path(variables["AML_APP_ROOT"]),
            environment=environment,
            log=generation.log(f"{name}.log"),
            start_deadline=min(self._start_deadline, spec.readiness.patience),
            liveness=spec.liveness,
        )

    async def _watch(
        self, deployment: Deployment, container: Container, generation: Generation
    ) -> None:
        """Start a container again each time it dies, more slowly every time, up to the limit."""
        for restart in range(1, self._max_restarts + 1):
            code, complaint = await container.ended_or_ill(self.session)
            if complaint:
                generation.event("Unhealthy", complaint, kind="Warning")
                container.note(f"--- {complaint}")
            deployment.lose(container)
            text = f"container {container.name} ended (exit code {code})"
            generation.event("BackOff", f"{text}; restart {restart}", kind="Warning")
            container.note(f"--- {text}; restart {restart} of {self._max_restarts}")
            await container.stop()  # what the dead process left behind
            await asyncio.sleep(min(0.1 * 2**restart, 10.0))
            try:
                await container.start(self.session)
            except (StartFailed, OSError) as error:
                container.note(f"--- restart {restart}: {error}")
            else:
                deployment.add(container)
        code, _ = await container.ended_or_ill(self.session)
        deployment.lose(container)
        await container.stop()
        generation.event("CrashLoopBackOff", f"{container.name} is given up", kind="Warning")
        container.note(f"--- given up after {self._max_restarts} restarts (exit code {code})")

    async def _end(self, running: _Running, *, drain: float) -> None:
        for watcher in running.watchers:
            watcher.cancel()
        await asyncio.gather(*running.watchers, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain):
                for container in running.containers:
                    await container.idle()
        await asyncio.gather(*(container.stop() for container in running.containers))
        running.generation.clear()
