"""Starts the local programs as child processes and talks to them, for tests."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 60  # seconds: long enough for a machine under load, short enough for a broken test


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An HTTP answer of any status."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def call(
    method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send one request; every status is an answer."""
    request = urllib.request.Request(  # noqa: S310 - our own loopback URLs
        url, data=body, method=method, headers=dict(headers or {})
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as response:
            return Answer(
                status=response.status,
                headers=dict(response.headers.items()),
                body=response.read(),
            )
    except urllib.error.HTTPError as error:
        with error:
            return Answer(status=error.code, headers=dict(error.headers.items()), body=error.read())


def until[T](ask: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """Ask until the answer is as wanted; fails with the last answer."""
    deadline = time.monotonic() + PATIENCE
    while True:
        answer = ask()
        if holds(answer):
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"still {answer!r} after {PATIENCE} seconds")
        time.sleep(0.02)


class Program:
    """A program of `local/` in a child process that ends with us; `ready` is its first line."""

    def __init__(
        self, module: str, arguments: Iterable[str], *, log: Path, env: Mapping[str, str]
    ) -> None:
        self.log = log
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments, "--stop-with-stdin"],
                cwd=ROOT,
                env={**os.environ, **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        self.ready: Mapping[str, Any] = {}

    def wait_until_ready(self) -> None:
        """Read the first line; raises with the log when there is none."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self.kill9()
            raise RuntimeError(f"not ready:\n{self.log.read_text(encoding='utf-8')}")
        self.ready = json.loads(line)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def kill9(self) -> None:
        """Kill it, as a crash would."""
        self._process.kill()
        self._close()

    def ask_to_stop(self) -> None:
        """Ask it to end; what it runs may go on for a while."""
        self._process.terminate()

    def stop(self) -> int:
        """Ask it to end and wait; returns its status."""
        self.ask_to_stop()
        return self._close()

    def wait_for_end(self) -> int:
        """Wait until it ends by itself; returns its status."""
        self._process.wait(PATIENCE)
        return self._close()

    def end_stdin(self) -> None:
        """Do what the death of the parent does."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def _close(self) -> int:
        status = self._process.wait(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return status


class LocalEngine(Program):
    """The durable engine on a port of its own choosing, or on the one given."""

    def __init__(self, folder: Path, *, port: int = 0) -> None:
        super().__init__(
            "local.engine",
            ["--port", str(port), "--store", str(folder / "engine.db")],
            log=folder / "engine.log",
            env={},
        )
        self.wait_until_ready()

    @property
    def address(self) -> str:
        return str(self.ready["address"])


class LocalHost(Program):
    """The Functions host with one app. With `wait=False` it may still be starting."""

    def __init__(
        self,
        app: Path,
        folder: Path,
        *,
        engine: str | None = None,
        env: Mapping[str, str] | None = None,
        options: Iterable[str] = ("--no-timers",),
    ) -> None:
        arguments = [str(app), *options]
        if engine is not None:
            arguments += ["--engine", engine]
        super().__init__("local.functions_host", arguments, log=folder / "host.log", env=env or {})

    def start(self) -> "LocalHost":
        """Wait until it is ready."""
        self.wait_until_ready()
        return self

    @property
    def url(self) -> str:
        return str(self.ready["url"])

    def http(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; a body that is not bytes goes as JSON."""
        content = body if isinstance(body, bytes) else None
        if body is not None and content is None:
            content = json.dumps(body).encode()
        return call(method, self.url + path, content, headers)

    def event(self, name: str, events: object, kind: str = "Notification") -> Answer:
        """Send events to an Event Grid trigger as Event Grid does."""
        path = f"/runtime/webhooks/EventGrid?functionName={name}"
        return self.http("POST", path, events, {"aeg-event-type": kind})

    def fire_timer(self, name: str) -> Answer:
        """Run a timer now; the answer comes when it has ended."""
        return self.http("POST", f"/admin/functions/{name}", {"input": ""})
