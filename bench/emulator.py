"""The emulator with 200 endpoints of 2 echo deployments each: its memory, and how fast it reads."""

import http.client
import json
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from bench.measure import Figure, show_seconds

_ENDPOINTS = 200
_DEPLOYMENTS = ("blue", "green")
_READS = 400
_VERSION = "api-version=2023-04-01-preview"
_GIGABYTE = 1 << 30


def run() -> list[Figure]:
    """Return the figures of the emulator."""
    with tempfile.TemporaryDirectory(prefix="bench-emulator-") as folder:
        child = _start(Path(folder))
        try:
            assert child.stdout is not None
            ready = json.loads(child.stdout.readline())
            return _measure(ready, child.pid)
        finally:
            child.terminate()
            child.wait()


def _start(folder: Path) -> "subprocess.Popen[str]":
    command = (sys.executable, "-m", "local.azure_ml", "--servers", "echo", "--data", str(folder))
    options = ("--endpoint-quota", "1000", "--deployment-quota", "1000", "--stop-with-stdin")
    pipe = subprocess.PIPE
    return subprocess.Popen([*command, *options], stdin=pipe, stdout=pipe, text=True)


def _measure(ready: dict[str, Any], pid: int) -> list[Figure]:
    with closing(Client(ready)) as client:
        empty = _memory(pid)
        _fill(client)
        full = _memory(pid)
        _settle(client)
        floor = _p95(_times(client, "/metadata/endpoints"))
        figures = [
            Figure(
                name=f"memory with {_ENDPOINTS} x {len(_DEPLOYMENTS)} deployments",
                ratio=full / empty,
                floor="the empty emulator",
                measured=f"{full / _GIGABYTE:.2f} GB",
                aim="< 4 GB",
            )
        ]
        return [*figures, *_reads(client, floor)]


def _reads(client: "Client", floor: float) -> list[Figure]:
    """Measure reads of one thing, each and together, and apart from them what lists many."""
    endpoint = f"{client.base}/onlineEndpoints/e-{_ENDPOINTS // 2}"
    singles = {
        "an endpoint": endpoint,
        "a deployment": f"{endpoint}/deployments/blue",
        "a model version": f"{client.base}/models/m/versions/1",
    }
    taken = {name: _times(client, f"{path}?{_VERSION}") for name, path in singles.items()}
    together = [seconds for times in taken.values() for seconds in times]
    figures = [
        _read_figure("single reads together, p95", _p95(together), floor),
        *(_read_figure(f"read {name}, p95", _p95(times), floor) for name, times in taken.items()),
    ]
    for name, path in (
        ("an endpoint's deployments", f"{endpoint}/deployments"),
        (f"100 of {_ENDPOINTS} endpoints", f"{client.base}/onlineEndpoints"),
    ):
        times = _times(client, f"{path}?{_VERSION}")
        figures.append(_read_figure(f"list {name}, p95", _p95(times), floor))
    return figures


def _read_figure(name: str, seconds: float, floor: float) -> Figure:
    return Figure(
        name=name,
        ratio=seconds / floor,
        floor="a fixed answer",
        measured=show_seconds(seconds),
        aim="< 10 ms",
    )


class Client:
    """One connection that is kept open."""

    def __init__(self, ready: dict[str, Any]) -> None:
        self.ready = ready
        self.base = ready["workspace_id"]
        host, port = ready["url"].removeprefix("https://").split(":")
        context = ssl.create_default_context(cafile=ready["ca"])
        self._connection = http.client.HTTPSConnection(host, int(port), context=context)

    def send(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - JSON is Any
        """Return the JSON of the answer; AssertionError when it is refused."""
        raw = None if body is None else json.dumps(body)
        self._connection.request(
            method, path, raw, {"Authorization": "Bearer any", "x-ms-blob-type": "BlockBlob"}
        )
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (method, path, answer.status, text)  # noqa: PLR2004 - HTTP
        return json.loads(text) if text else None

    def put(self, path: str, properties: dict[str, Any]) -> None:
        """Make or change something of the workspace."""
        body = {"location": "x", "tags": {}, "properties": properties}
        self.send("PUT", f"{self.base}/{path}?{_VERSION}", body)

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _fill(client: Client) -> None:
    """Make the endpoints, from a few connections at once, and wait until everything is up."""
    client.send("PUT", "/acct/azureml/m/MLmodel", {})
    uri = "azureml://datastores/workspaceblobstore/paths/m"
    client.put("models/m/versions/1", {"modelUri": uri, "modelType": "mlflow_model"})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: _deploy(client.ready, number), range(_ENDPOINTS)))


def _deploy(ready: dict[str, Any], number: int) -> None:
    name = f"e-{number}"
    with closing(Client(ready)) as client:
        client.put(f"onlineEndpoints/{name}", {"authMode": "Key"})
        for deployment in _DEPLOYMENTS:
            wait_for_endpoint(client, name)
            model = f"{client.base}/models/m/versions/1"
            own = {"endpointComputeType": "Managed", "model": model, "instanceType": "x"}
            client.put(f"onlineEndpoints/{name}/deployments/{deployment}", own)
        wait_for_endpoint(client, name)


def wait_for_endpoint(client: Client, name: str) -> None:
    """Wait until nothing is under way for one endpoint."""
    while True:
        running = client.send("GET", "/admin/state")["running_operations"]
        if name not in [item.split()[1].split("/")[0] for item in running]:
            return
        time.sleep(0.005)


def _settle(client: Client) -> None:
    for _ in range(50):
        client.send("GET", "/metadata/endpoints")


def _times(client: Client, path: str) -> list[float]:
    """Return how long each of many reads took."""
    taken = []
    for _ in range(_READS):
        begin = time.perf_counter()
        client.send("GET", path)
        taken.append(time.perf_counter() - begin)
    return taken


def _p95(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=20)[-1]


def _memory(pid: int) -> int:
    """Add up what the emulator and its children have in memory; of children there are none."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().rpartition(")")
        except OSError:
            continue  # it ended meanwhile
        parent, pages = int(rest.split()[1]), int(rest.split()[21])
        if pid in (int(name.split(" ")[0]), parent):
            total += pages * os.sysconf("SC_PAGE_SIZE")
    return total
