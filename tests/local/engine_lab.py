"""What the engine's tests share: child processes that can be killed, gates, and waiting."""

import json
import logging
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from durabletask.client import OrchestrationState, OrchestrationStatus, TaskHubGrpcClient
from durabletask.entities import EntityInstanceId
from durabletask.grpc_options import GrpcChannelOptions

from tests.local.engine_worker import COUNTER

PATIENCE = 20.0
ROOT = Path(__file__).parents[2]


class Child:
    """One of our programs in a process of its own; it ends with the test, however that ends."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        self.ready: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        if not self.ready.get("ready"):
            self.kill()
            raise AssertionError(f"{module} did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()


def start_worker(address: str) -> Child:
    return Child("tests.local.engine_worker", address)


def start_engine(store: Path, port: int = 0) -> Child:
    options = ("--store", str(store), "--port", str(port), "--stop-with-stdin")
    return Child("local.engine", *options)


def until[T](look: Callable[[], T], patience: float = PATIENCE) -> T:
    """Return the first truthy answer; an engine that is away for a moment is no answer."""
    give_up_at = time.monotonic() + patience
    while time.monotonic() < give_up_at:
        try:
            answer = look()
        except grpc.RpcError as error:
            if error.code() not in (
                grpc.StatusCode.UNAVAILABLE,
                grpc.StatusCode.CANCELLED,
                grpc.StatusCode.UNKNOWN,
            ):
                raise
        else:
            if answer:
                return answer
        time.sleep(0.01)
    raise AssertionError(f"waited {patience} s in vain")


class Client(TaskHubGrpcClient):
    """The library's client, with the shorthands of these tests."""

    def __init__(self, address: str) -> None:
        super().__init__(
            host_address=address,
            logger=logging.getLogger(__name__),
            channel_options=GrpcChannelOptions(
                max_receive_message_length=-1, max_send_message_length=-1
            ),
        )

    def begin(self, name: str, value: Any = None, instance_id: str | None = None) -> str:
        return self.schedule_new_orchestration(name, input=value, instance_id=instance_id)

    def state(self, instance_id: str) -> OrchestrationState:
        state = self.get_orchestration_state(instance_id)
        assert state is not None, f"no instance {instance_id}"
        return state

    def until_status(self, instance_id: str, wanted: OrchestrationStatus) -> OrchestrationState:
        until(lambda: self.state(instance_id).runtime_status is wanted)
        return self.state(instance_id)

    def until_told(self, instance_id: str, custom_status: str) -> None:
        until(lambda: self.state(instance_id).get_custom_status() == custom_status)

    def result(self, instance_id: str) -> Any:
        over = (
            OrchestrationStatus.COMPLETED,
            OrchestrationStatus.FAILED,
            OrchestrationStatus.TERMINATED,
        )
        until(lambda: self.state(instance_id).runtime_status in over)
        state = self.state(instance_id)
        assert state.runtime_status is OrchestrationStatus.COMPLETED, state
        return state.get_output()

    def run(self, name: str, value: Any = None) -> Any:
        return self.result(self.begin(name, value))

    def tally(self, key: str) -> int:
        entity = self.get_entity(EntityInstanceId(COUNTER, key))
        return 0 if entity is None else int(entity.get_state(int) or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A place where a worker's function stands until the test lets it go on."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def runs(self) -> int:
        noted = Path(f"{self.path}.runs")
        return len(noted.read_text().splitlines()) if noted.exists() else 0

    def until_reached(self, times: int = 1) -> None:
        until(lambda: self.runs >= times)

    def open(self) -> None:
        Path(f"{self.path}.open").touch()
