"""Handing out and taking back, with a worker written out call by call."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask.client import OrchestrationStatus
from durabletask.entities import EntityInstanceId
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs

from local.engine import Engine, EngineError
from tests.local.engine_lab import Client, Gate, start_worker, until
from tests.local.engine_worker import COUNTER

X = EntityInstanceId(COUNTER, "x")


class Script:
    """A worker that does only what a test says; one channel, as a real one has."""

    def __init__(self, address: str, turns: int) -> None:
        # Else gRPC gives all channels of a process one connection, and the engine cannot tell
        # two workers apart.
        own_connection = [("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.insecure_channel(address, own_connection)
        self.stub: Any = stubs.TaskHubSidecarServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated without types
        request = pb.GetWorkItemsRequest(maxConcurrentOrchestrationWorkItems=turns)
        self._stream = self.stub.GetWorkItems(request, timeout=30)

    def item(self) -> pb.WorkItem:
        item: pb.WorkItem = next(self._stream)
        return item

    def disconnect(self) -> None:
        self._stream.cancel()

    def close(self) -> None:
        self._channel.close()

    def call_activity(self, turn: pb.WorkItem, name: str = "work", task_id: int = 1) -> None:
        action = pb.OrchestratorAction(id=task_id, scheduleTask=pb.ScheduleTaskAction(name=name))
        self.answer_turn(turn, action)

    def complete(self, turn: pb.WorkItem, output: str) -> None:
        complete = pb.CompleteOrchestrationAction(
            orchestrationStatus=pb.ORCHESTRATION_STATUS_COMPLETED
        )
        complete.result.value = output
        self.answer_turn(turn, pb.OrchestratorAction(id=9, completeOrchestration=complete))

    def answer_turn(self, turn: pb.WorkItem, *actions: pb.OrchestratorAction) -> None:
        self.stub.CompleteOrchestratorTask(
            pb.OrchestratorResponse(
                instanceId=turn.orchestratorRequest.instanceId,
                actions=actions,
                completionToken=turn.completionToken,
            )
        )

    def answer_activity(self, item: pb.WorkItem, result: str) -> None:
        response = pb.ActivityResponse(
            instanceId=item.activityRequest.orchestrationInstance.instanceId,
            taskId=item.activityRequest.taskId,
            completionToken=item.completionToken,
        )
        response.result.value = result
        self.stub.CompleteActivityTask(response)

    def answer_entity(self, item: pb.WorkItem, state: int | None, results: int) -> None:
        success = pb.OperationResult(success=pb.OperationResultSuccess())
        response = pb.EntityBatchResult(
            completionToken=item.completionToken, results=[success] * results
        )
        if state is None:
            response.failureDetails.errorMessage = "the function could not be called"
        else:
            response.entityState.value = json.dumps(state)
        self.stub.CompleteEntityTask(response)


class Bench:
    """An engine, a client, and as many scripted workers as a test connects."""

    def __init__(self, stack: ExitStack, **options: Any) -> None:
        self.engine = Engine(**options)
        self.address = self.engine.start()
        stack.callback(self.engine.stop)
        self._stack = stack
        self.client = Client(self.address)
        stack.callback(self.client.close)

    def connect(self, turns: int = 0) -> Script:
        script = Script(self.address, turns)
        self._stack.callback(script.close)
        return script

    @property
    def streams(self) -> int:
        return len(self.engine._streams)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def bench(stack: ExitStack) -> Bench:
    return Bench(stack)


def test_turn_of_a_lost_worker_is_handed_out_again_under_a_new_token(bench: Bench) -> None:
    key = bench.client.begin("story")
    lost = bench.connect()
    first = lost.item()
    lost.disconnect()
    other = bench.connect()
    second = other.item()
    assert second.orchestratorRequest.instanceId == key
    assert second.completionToken != first.completionToken
    lost.complete(first, '"late"')
    assert bench.client.state(key).runtime_status is OrchestrationStatus.PENDING
    other.complete(second, '"in time"')
    assert bench.client.result(key) == "in time"


def test_stale_answer_leaves_the_turn_that_runs_elsewhere_alone(bench: Bench) -> None:
    key = bench.client.begin("story")
    lost = bench.connect()
    first = lost.item()
    lost.disconnect()
    other = bench.connect()
    second = other.item()
    lost.complete(first, '"late"')
    bench.client.raise_orchestration_event(key, "more")
    assert key in bench.engine._orchestration_in_flight
    other.call_activity(second)
    third = other.item()  # were the mark gone, this turn would have been handed out twice
    events = [each.WhichOneof("eventType") for each in third.orchestratorRequest.newEvents]
    assert events == ["orchestratorStarted", "eventRaised"]


def test_answer_meant_for_an_earlier_engine_is_not_taken(stack: ExitStack, tmp_path: Path) -> None:
    store = tmp_path / "engine.db"
    earlier = Bench(stack, store=store)
    key = earlier.client.begin("story")
    first = earlier.connect().item()
    earlier.engine.stop()
    bench = Bench(stack, store=store)
    worker = bench.connect()
    second = worker.item()
    worker.complete(first, '"late"')
    assert bench.client.state(key).runtime_status is OrchestrationStatus.PENDING
    worker.complete(second, '"in time"')
    assert bench.client.result(key) == "in time"


def test_redelivered_turn_tells_the_present_time(bench: Bench) -> None:
    bench.client.begin("story")
    lost = bench.connect()
    first = lost.item().orchestratorRequest.newEvents[0]
    lost.disconnect()
    second = bench.connect().item().orchestratorRequest.newEvents[0]
    assert second.orchestratorStarted == first.orchestratorStarted
    assert second.timestamp.ToNanoseconds() > first.timestamp.ToNanoseconds()


def test_first_answer_of_an_activity_counts_whoever_sends_it(bench: Bench) -> None:
    key = bench.client.begin("story")
    lost = bench.connect()
    lost.call_activity(lost.item())
    work = lost.item()
    assert work.activityRequest.name == "work"
    lost.disconnect()
    until(lambda: bench.streams == 0)
    lost.answer_activity(work, '"done"')
    other = bench.connect()
    turn = other.item()  # and not the activity once more
    completed = turn.orchestratorRequest.newEvents[-1].taskCompleted
    assert (completed.taskScheduledId, completed.result.value) == (1, '"done"')
    other.answer_activity(work, '"again"')
    other.complete(turn, "1")
    assert bench.client.result(key) == 1
    history = bench.client.get_orchestration_history(key)
    assert [type(each).__name__ for each in history].count("TaskCompletedEvent") == 1


def test_entity_operation_of_a_lost_worker_applies_once(bench: Bench) -> None:
    bench.client.signal_entity(X, "add", 1)
    lost = bench.connect()
    first = lost.item()
    lost.disconnect()
    other = bench.connect()
    second = other.item()
    assert [
        each.entityOperationSignaled.operation for each in second.entityRequestV2.operationRequests
    ] == ["add"]
    lost.answer_entity(first, state=77, results=1)
    assert bench.client.get_entity(X) is None
    other.answer_entity(second, state=1, results=1)
    assert bench.client.tally("x") == 1


def test_batch_that_could_not_run_leaves_the_state(bench: Bench) -> None:
    worker = bench.connect()
    bench.client.signal_entity(X, "add", 41)
    worker.answer_entity(worker.item(), state=41, results=1)
    bench.client.signal_entity(X, "add", 1)
    worker.answer_entity(worker.item(), state=None, results=0)
    assert bench.client.tally("x") == 41
    bench.client.signal_entity(X, "add", 2)
    assert len(worker.item().entityRequestV2.operationRequests) == 1


def test_operations_a_worker_left_undone_come_first_again(bench: Bench) -> None:
    for amount in (1, 2, 3):
        bench.client.signal_entity(X, "add", amount)
    worker = bench.connect()
    batch = worker.item()
    bench.client.signal_entity(X, "add", 4)
    worker.answer_entity(batch, state=1, results=1)
    rest = worker.item().entityRequestV2.operationRequests
    assert [each.entityOperationSignaled.input.value for each in rest] == ["2", "3", "4"]


def test_lock_ends_with_its_owner_even_if_that_does_not_unlock(bench: Bench) -> None:
    key = bench.client.begin("story")
    worker = bench.connect()
    request = pb.EntityLockRequestedEvent(criticalSectionId="section", lockSet=[str(X)])
    request.parentInstanceId.value = key
    message = pb.SendEntityMessageAction(entityLockRequested=request)
    worker.answer_turn(worker.item(), pb.OrchestratorAction(id=1, sendEntityMessage=message))
    turn = worker.item()
    assert turn.orchestratorRequest.newEvents[-1].entityLockGranted.criticalSectionId == "section"
    bench.client.signal_entity(X, "add", 1)
    worker.complete(turn, "1")
    assert worker.item().entityRequestV2.instanceId == str(X)


def test_abandoned_work_comes_again(bench: Bench) -> None:
    bench.client.begin("story")
    worker = bench.connect()
    first = worker.item()
    abandon = pb.AbandonOrchestrationTaskRequest(completionToken=first.completionToken)
    worker.stub.AbandonTaskOrchestratorWorkItem(abandon)
    turn = worker.item()
    assert turn.completionToken != first.completionToken
    worker.call_activity(turn)
    work = worker.item()
    worker.stub.AbandonTaskActivityWorkItem(
        pb.AbandonActivityTaskRequest(completionToken=work.completionToken)
    )
    assert worker.item().activityRequest == work.activityRequest


def test_worker_gets_no_more_than_it_asked_for(bench: Bench) -> None:
    keys = [bench.client.begin("story") for _ in range(3)]
    modest = bench.connect(turns=1)
    first = modest.item()
    other = bench.connect()
    rest = [other.item(), other.item()]
    held = [each.orchestratorRequest.instanceId for each in (first, *rest)]
    assert sorted(held) == sorted(keys)
    modest.complete(first, "1")
    other.disconnect()
    assert modest.item().orchestratorRequest.instanceId in keys


def test_lease_gives_the_work_of_a_frozen_worker_to_another(
    stack: ExitStack, tmp_path: Path
) -> None:
    bench = Bench(stack, lease=timedelta(seconds=0.5))
    frozen = start_worker(bench.address)
    stack.callback(frozen.kill)
    slow = Gate(path=tmp_path / "slow")
    bench.client.signal_entity(X, "add_gated", str(slow))
    slow.until_reached()
    os.kill(frozen.process.pid, signal.SIGSTOP)
    other = start_worker(bench.address)
    stack.callback(other.kill)
    slow.until_reached(2)
    slow.open()
    until(lambda: bench.client.tally("x") == 1)
    assert bench.client.run("chain", 5) == 5  # nothing of it went to the frozen one
    assert sum(stream.is_silent for stream in bench.engine._streams) == 1
    os.kill(frozen.process.pid, signal.SIGCONT)
    until(lambda: not any(stream.is_silent for stream in bench.engine._streams))
    assert bench.client.run("chain", 5) == 5
    assert bench.client.tally("x") == 1


def test_silent_worker_gets_nothing_new_until_it_answers(stack: ExitStack) -> None:
    bench = Bench(stack, lease=timedelta(seconds=1))
    silent = bench.connect()
    bench.client.begin("story")
    first = silent.item()
    until(lambda: any(each.is_silent for each in bench.engine._streams))
    for _ in range(3):
        bench.client.begin("story")
    other = bench.connect()
    for _ in range(4):
        other.complete(other.item(), "1")
    other.disconnect()
    until(lambda: bench.streams == 1)
    silent.complete(first, '"late"')
    last = bench.client.begin("story")
    assert silent.item().orchestratorRequest.instanceId == last


def test_engine_listens_on_one_address_of_this_machine_only(bench: Bench) -> None:
    host, port = bench.address.split(":")
    assert host == "127.0.0.1"
    socket.create_connection((host, int(port)), timeout=5).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", int(port)), timeout=5)


def test_two_engines_cannot_share_a_port(bench: Bench) -> None:
    with pytest.raises(EngineError, match="listening on port"):
        Engine(port=int(bench.address.split(":")[1])).start()


def test_other_version_of_the_library_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.version", lambda _name: "1.13.0")
    with pytest.raises(EngineError, match=r"'1\.13\.0'.*'1\.12\.0'"):
        Engine()


def test_idle_stream_is_kept_alive(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.engine_stream.PING", timedelta(milliseconds=50))
    assert bench.connect().item().HasField("healthPing")


def test_stopped_engine_lets_its_workers_go(bench: Bench) -> None:
    worker = bench.connect()
    until(lambda: bench.streams == 1)
    bench.engine.stop()
    with pytest.raises((StopIteration, grpc.RpcError)):
        worker.item()
