"""What the tests of the Azure ML emulator stand on: its process, plain HTTPS, a webhook."""

import http.client
import http.server
import json
import os
import queue
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
SCORING_PYTHON = REPOSITORY / ".venv-scoring" / "bin" / "python"
DEADLINE = 60.0  # generous: the machine may be busy with other things
VERSION = "2023-04-01-preview"
FAKE = "tests.local.azure_ml_fake"
REAL = "local.azure_ml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


class Lab:
    """One emulator as a child process, on a folder that outlives it."""

    def __init__(self, data: Path, *options: str, program: str = FAKE) -> None:
        self.data = data
        self._command = (sys.executable, "-m", program, "--data", str(data), *options)
        self._child: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}
        self._tls = ssl.create_default_context()
        self._connection: http.client.HTTPSConnection | None = None

    def start(self, *options: str) -> None:
        self._child = subprocess.Popen(
            [*self._command, *options, "--stop-with-stdin"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line, "the emulator ended before it was ready"
        self.ready = json.loads(line)
        self._tls = ssl.create_default_context(cafile=self.ready["ca"])

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def kill9(self) -> int:
        return self._end(signal.SIGKILL)

    def _end(self, number: int) -> int:
        child = self._child
        assert child is not None
        assert child.stdin is not None
        assert child.stdout is not None
        self._hang_up()
        child.send_signal(number)
        code = child.wait(DEADLINE)
        child.stdin.close()
        child.stdout.close()
        self._child = None
        return code

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def close(self) -> None:
        if self._child is not None:
            self.stop()

    # --- requests

    def send(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        path = path.removeprefix(self.ready["url"])
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection = self._connect()
        try:
            connection.request(method, path, raw, dict(headers or {}))
            response = connection.getresponse()
            found = {key.lower(): value for key, value in response.getheaders()}
            return Reply(status=response.status, headers=found, body=response.read())
        except BaseException:
            self._hang_up()
            raise

    def _connect(self) -> http.client.HTTPSConnection:
        """Use one connection for all requests: a TLS handshake costs more than most of them."""
        if self._connection is None:
            host, port = self.ready["url"].removeprefix("https://").split(":")
            self._connection = http.client.HTTPSConnection(
                host, int(port), context=self._tls, timeout=DEADLINE
            )
        return self._connection

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def arm(self, method: str, path: str, body: Any = None) -> Reply:
        """Call ARM; a path that is no URL and starts with no `/` lies in the workspace."""
        if not path.startswith(("/", "https:")):
            path = f"{self.ready['workspace_id']}/{path}".rstrip("/")
        if "api-version=" not in path:
            path += ("&" if "?" in path else "?") + f"api-version={VERSION}"
        return self.send(method, path, body, {"Authorization": "Bearer any"})

    def admin(self, method: str, path: str, body: Any = None) -> Any:
        reply = self.send(method, f"/admin/{path}", body)
        assert reply.status == 200, reply.body
        return reply.json

    def status(self, reply: Reply) -> Any:
        return self.arm("GET", reply.headers["azure-asyncoperation"]).json

    def done(self, reply: Reply) -> Any:
        """Wait for the end of the operation that a reply announces; give its status body."""
        assert reply.status in (201, 202), reply.body
        until(lambda: self.status(reply)["status"] != "Updating")
        return self.status(reply)

    def succeed(self, reply: Reply) -> None:
        ended = self.done(reply)
        assert ended["status"] == "Succeeded", ended

    # --- what is often needed

    def register(self, name: str, version: str, **properties: Any) -> Reply:
        given = {"modelUri": self.upload(f"{name}-{version}"), "modelType": "mlflow_model"}
        body = {"properties": given | properties}
        return self.arm("PUT", f"models/{name}/versions/{version}", body)

    def upload(self, folder: str) -> str:
        """Put a file under a folder of the default datastore; give the folder's URI."""
        path = f"/acct/azureml/{folder}/MLmodel"
        headers = {"Authorization": "Bearer any", "x-ms-blob-type": "BlockBlob"}
        assert self.send("PUT", path, b"flavors: {}\n", headers).status == 201
        return f"azureml://datastores/workspaceblobstore/paths/{folder}"

    def put_endpoint(self, name: str, **properties: Any) -> Reply:
        body = {"location": "x", "tags": {}, "properties": {"authMode": "Key"} | properties}
        return self.arm("PUT", f"onlineEndpoints/{name}", body)

    def put_deployment(self, path: str, model: str, /, **properties: Any) -> Reply:
        endpoint, name = path.split("/")
        return self.arm(
            "PUT",
            f"onlineEndpoints/{endpoint}/deployments/{name}",
            self.deployment_body(model, **properties),
        )

    def deployment_body(self, model: str, /, **properties: Any) -> dict[str, Any]:
        name, version = model.split(":")
        own = {
            "endpointComputeType": "Managed",
            "model": f"{self.ready['workspace_id']}/models/{name}/versions/{version}",
            "instanceType": "Standard_DS3_v2",
        }
        return {"location": "x", "tags": {}, "properties": own | properties}

    def get_endpoint(self, name: str) -> Any:
        return self.arm("GET", f"onlineEndpoints/{name}").json

    def get_deployment(self, path: str) -> Any:
        endpoint, name = path.split("/")
        return self.arm("GET", f"onlineEndpoints/{endpoint}/deployments/{name}").json

    def state(self, path: str) -> str:
        resource = self.get_deployment(path) if "/" in path else self.get_endpoint(path)
        return str(resource["properties"]["provisioningState"])

    def seen_by_callers(self, name: str) -> Any:
        """What the fake front says an endpoint's callers get: traffic and mirror."""
        key = self.arm("POST", f"onlineEndpoints/{name}/listKeys").json["primaryKey"]
        headers = {"Authorization": f"Bearer {key}"}
        return self.send("POST", f"/endpoints/{name}/score", b"{}", headers).json

    def pool(self) -> list[dict[str, Any]]:
        """What was asked of the fake pool."""
        record = self.data / "pool.jsonl"
        if not record.exists():
            return []
        return [json.loads(line) for line in record.read_text().splitlines()]


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


class Webhook:
    """A receiver of events that answers the handshake."""

    def __init__(self, *, welcomes: bool = True) -> None:
        self.received: queue.Queue[dict[str, Any]] = queue.Queue()
        self.welcomes = welcomes
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                status, answer = hook.take(json.loads(self.rfile.read(length)))
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"

    def take(self, events: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
        if events[0]["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent":
            code = events[0]["data"]["validationCode"]
            return (200, {"validationResponse": code}) if self.welcomes else (400, {})
        for event in events:
            self.received.put(event)
        return 200, {}

    def next(self) -> dict[str, Any]:
        return self.received.get(timeout=DEADLINE)

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def webhook(*, welcomes: bool = True) -> Iterator[Webhook]:
    hook = Webhook(welcomes=welcomes)
    try:
        yield hook
    finally:
        hook.close()


@contextmanager
def lab(data: Path, *options: str, program: str = FAKE) -> Iterator[Lab]:
    emulator = Lab(data, *options, program=program)
    emulator.start()
    try:
        yield emulator
    finally:
        emulator.close()


def environment(emulator: Lab) -> dict[str, str]:
    """What an app with a managed identity finds in its environment."""
    return {
        **os.environ,
        "IDENTITY_ENDPOINT": emulator.ready["identity_endpoint"],
        "IDENTITY_HEADER": emulator.ready["identity_header"],
        "REQUESTS_CA_BUNDLE": emulator.ready["ca"],
    }
