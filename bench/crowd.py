"""Many endpoints that roll out at once: whether all end rightly, and how memory grows.

The endpoints stand before the app starts, each with one deployment that echoes; then a new version
of every model is registered, all in one go.
"""

import json
import os
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from bench.emulator import Client, wait_for_endpoint
from bench.measure import Figure
from local.stack import Stack

_FEW, _MANY = 250, 1000
_CONNECTIONS = 4
_MEGABYTE = 1 << 20
_NEVER = "0 0 5 1 1 *"
_SWEEPS_LATE = {"ROLLOUT_SWEEP_SCHEDULE": _NEVER, "ROLLOUT_SWEEP_LOOK_BACK": "0s"}
_LONGEST = 1800.0  # seconds until it counts as never ending
_POLICY = """\
policy: crowd
select: {model: "glob:crowd-*"}
deploy: {endpoint: "{model}", template: deployment.yml}
strategy: {kind: canary, steps: [{weight: 50, bake: 2s}], final_bake: 1s}
gates:
  - {kind: probe, request: request.json}
"""
_TEMPLATE = "instance_type: Standard_DS3_v2\ninstance_count: 1\n"


def run() -> list[Figure]:
    """Return the figures of a few and of many at once."""
    few, many = _play(_FEW), _play(_MANY)
    for one in (few, many):
        print(f"  {one}")
    return [
        Figure(
            name=f"{_MANY} rollouts at once that end rightly",
            ratio=many.succeeded / _MANY,
            floor="all of them",
            measured=f"{many.succeeded} of {_MANY} in {many.seconds:.0f} s",
            aim="1",
        ),
        Figure(
            name="what one of them takes in time",
            ratio=(many.seconds / _MANY) / (few.seconds / _FEW),
            floor=f"one of {_FEW}",
            measured=f"{many.seconds / _MANY * 1000:.0f} ms",
            aim="about 1",
        ),
        Figure(
            name="what one of them takes in memory",
            ratio=(many.grown / _MANY) / (few.grown / _FEW),
            floor=f"one of {_FEW}",
            measured=f"{many.grown / _MANY / 1024:.0f} KB; {many.grown / _MEGABYTE:.0f} MB in all",
            aim="about 1: linear",
        ),
    ]


class _Played:
    """What one crowd came to."""

    def __init__(self, count: int, phases: Counter[str], seconds: float, grown: int) -> None:
        self.count, self.phases, self.seconds, self.grown = count, phases, seconds, grown

    @property
    def succeeded(self) -> int:
        return self.phases["succeeded"]

    def __str__(self) -> str:
        ends = ", ".join(f"{number} {phase}" for phase, number in sorted(self.phases.items()))
        return f"{self.count} at once: {ends}, in {self.seconds:.0f} s"


def _play(count: int) -> _Played:
    with tempfile.TemporaryDirectory(prefix="bench-crowd-") as name:
        folder = Path(name)
        stack = Stack(
            policies=_write_policies(folder / "policies"),
            data=folder / "data",
            pace="instant",
            settings=_SWEEPS_LATE,
        )
        quotas = ("--endpoint-quota", "5000", "--deployment-quota", "5000", "--core-quota", "99999")
        stack.emulator_options = ("--servers", "echo", *quotas)
        try:
            stack.start_engine()
            stack.start_azure_ml()
            _fill(stack, count)
            stack.start_identity()
            stack.start_host()
            stack.subscribe()
            return _roll_out(stack, count)
        finally:
            stack.stop()


def _roll_out(stack: Stack, count: int) -> _Played:
    before = _memory(stack)
    highest = _Highest(stack)
    begin = time.monotonic()
    with closing(Client(stack.azure_ml.ready)) as client:
        for number in range(count):
            _register(client, number, version=2)
    phases: Counter[str] = Counter()
    while time.monotonic() - begin < _LONGEST:
        listed = _list(stack)
        phases = Counter(one["phase"] for one in listed if one["ended"])
        if sum(phases.values()) >= count:
            break
        time.sleep(1)
    seconds = time.monotonic() - begin
    return _Played(count, phases, seconds, highest.stop() - before)


def _list(stack: Stack) -> list[dict[str, str]]:
    found: list[dict[str, str]] = stack.ask_app("GET", "rollouts")["rollouts"]
    return found


class _Highest:
    """Looks every second how much memory engine and host take, and keeps the most."""

    def __init__(self, stack: Stack) -> None:
        self._stack, self._most = stack, 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> int:
        """Return the most that was seen, in bytes."""
        self._is_over.set()
        self._thread.join()
        return self._most

    def _look(self) -> None:
        while not self._is_over.wait(1):
            self._most = max(self._most, _memory(self._stack))


def _memory(stack: Stack) -> int:
    """Return the bytes that engine and host have in memory."""
    pages = 0
    for program in (stack.engine, stack.host):
        pages += int(Path(f"/proc/{program.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _write_policies(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "crowd.yaml").write_text(_POLICY)
    (folder / "deployment.yml").write_text(_TEMPLATE)
    (folder / "request.json").write_text("{}")
    return folder


def _fill(stack: Stack, count: int) -> None:
    """Make the endpoints with what serves before, from a few connections at once."""
    with closing(Client(stack.azure_ml.ready)) as client:
        client.send("PUT", "/acct/azureml/m/MLmodel", {})
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(lambda number: _deploy(stack, number), range(count)))


def _deploy(stack: Stack, number: int) -> None:
    name = f"crowd-{number}"
    with closing(Client(stack.azure_ml.ready)) as client:
        _register(client, number, version=1)
        client.put(f"onlineEndpoints/{name}", {"authMode": "Key"})
        wait_for_endpoint(client, name)
        model = f"{client.base}/models/{name}/versions/1"
        own = {"endpointComputeType": "Managed", "model": model, "instanceType": "Standard_DS3_v2"}
        client.put(f"onlineEndpoints/{name}/deployments/{name}-v1", own)
        wait_for_endpoint(client, name)
        client.put(f"onlineEndpoints/{name}", {"authMode": "Key", "traffic": {f"{name}-v1": 100}})
        wait_for_endpoint(client, name)


def _register(client: Client, number: int, *, version: int) -> None:
    uri = "azureml://datastores/workspaceblobstore/paths/m"
    own = {"modelUri": uri, "modelType": "mlflow_model"}
    client.put(f"models/crowd-{number}/versions/{version}", own)


if __name__ == "__main__":
    print(json.dumps([str(_play(int(os.environ.get("COUNT", "20"))))]))
