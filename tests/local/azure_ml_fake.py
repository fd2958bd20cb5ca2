"""The emulator with a pool that runs nothing: for tests of the control plane alone.

A deployment's environment variables steer it: `FAIL` is the message a start fails with, `HOLD` a
file whose absence keeps a start waiting. What was asked of the pool is written to `pool.jsonl`.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from aiohttp import web

from local.azure_ml.__main__ import arguments, run
from local.azure_ml.metrics.sampler import Instance
from local.azure_ml.scoring.counters import Outcome
from local.azure_ml.scoring.pool import ServerSpec, StartCode, StartFailed
from local.azure_ml.server import Emulator, Settings
from local.azure_ml.web import answer


class FakePool:
    def __init__(self, folder: Path) -> None:
        self._record = folder / "pool.jsonl"
        self._up: dict[tuple[str, str], ServerSpec] = {}

    def instances(self) -> list[Instance]:
        return [
            Instance(
                endpoint=spec.endpoint, deployment=spec.deployment, name=f"i-{number}", group=None
            )
            for spec in self._up.values()
            for number in range(spec.instances)
        ]

    def _write(self, **entry: object) -> None:
        with self._record.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    async def start(self, spec: ServerSpec) -> None:
        self._write(
            act="start",
            deployment=f"{spec.endpoint}/{spec.deployment}",
            model=f"{spec.model_name}:{spec.model_version}",
            model_path=str(spec.model_path),
            instances=spec.instances,
            request_timeout=spec.request_timeout,
        )
        hold = spec.environment_variables.get("HOLD")
        # Another process makes the file, and a thread that waited for it would outlive a stop.
        while hold is not None and not await asyncio.to_thread(Path(hold).exists):  # noqa: ASYNC110 - no event crosses processes
            await asyncio.sleep(0.02)
        if "FAIL" in spec.environment_variables:
            raise StartFailed(StartCode.RESOURCE_NOT_READY, spec.environment_variables["FAIL"])
        self._up[spec.key] = spec

    async def stop(self, endpoint: str, deployment: str) -> None:
        self._up.pop((endpoint.lower(), deployment.lower()), None)
        self._write(act="stop", deployment=f"{endpoint}/{deployment}")

    async def close(self) -> None:
        self._write(act="close")

    def logs(self, endpoint: str, deployment: str, *, tail: int, container: str) -> str:
        return f"{tail} lines of {container} of {endpoint}/{deployment}"


class FakeFront:
    def __init__(self, lookup: Any, observe: Any) -> None:
        self._lookup = lookup
        self._observe = observe

    async def handle(self, request: web.Request, endpoint: str) -> web.Response:
        view = self._lookup(endpoint)
        if view is None:
            return answer({}, status=404)
        if not view.accepts(request.headers.get("Authorization")):
            return answer({}, status=401)
        # What the real front would have measured, told by the test: `served` is a list of outcomes.
        asked = json.loads(await request.read() or b"{}")
        for name, outcome in asked.get("served", []):
            self._observe(view.name, name, Outcome(**outcome))
        return answer({"traffic": view.traffic, "mirror": view.mirror})

    def counters(self) -> dict[str, Any]:
        return {"fraud": {}}


def make(settings: Settings) -> Emulator:
    return Emulator(settings, pool=FakePool(settings.data), make_front=FakeFront)


if __name__ == "__main__":
    sys.exit(run(arguments().parse_args(), make))
