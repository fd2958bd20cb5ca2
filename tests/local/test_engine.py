import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from durabletask.client import OrchestrationStatus
from durabletask.entities import EntityInstanceId
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs

from local.engine import Engine
from tests.local.engine_lab import Client, Gate, until
from tests.local.engine_worker import COUNTER, make_worker

COMPLETED = OrchestrationStatus.COMPLETED
FAILED = OrchestrationStatus.FAILED
RUNNING = OrchestrationStatus.RUNNING
SUSPENDED = OrchestrationStatus.SUSPENDED
TERMINATED = OrchestrationStatus.TERMINATED


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Engine, str]]:
    engine = Engine()
    address = engine.start()
    worker = make_worker(address)
    worker.start()  # type: ignore[no-untyped-call]  # the library's is untyped
    yield engine, address
    worker.stop()  # type: ignore[no-untyped-call]  # the library's is untyped
    engine.stop()


@pytest.fixture(scope="module")
def engine(running: tuple[Engine, str]) -> Engine:
    return running[0]


@pytest.fixture(scope="module")
def client(running: tuple[Engine, str]) -> Iterator[Client]:
    client = Client(running[1])
    yield client
    client.close()


def gate(tmp_path: Path, name: str) -> Gate:
    return Gate(path=tmp_path / name)


# Executions


def test_late_activity_of_the_last_round_is_dropped(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    old, new = gate(tmp_path, "old"), gate(tmp_path, "new")
    key = client.begin("late_activity", [str(old), str(new)])
    old.until_reached()
    client.raise_orchestration_event(key, "next")
    new.until_reached()
    instance = engine._instance(key)
    assert instance is not None
    assert len(instance.activities) == 2
    old.open()
    until(lambda: len(instance.activities) == 1)
    new.open()
    assert client.result(key) == "new"


def test_abandoned_timer_of_the_last_round_is_dropped(client: Client) -> None:
    key = client.begin("late_timer", [300, 900])
    client.wait_for_orchestration_start(key)
    client.raise_orchestration_event(key, "next")
    assert client.result(key) is True


def test_late_answer_of_an_entity_does_not_reach_the_next_round(
    client: Client, tmp_path: Path
) -> None:
    slow = gate(tmp_path, "slow")
    key = client.begin("late_call", [str(slow), "second round"])
    slow.until_reached()
    client.raise_orchestration_event(key, "next")
    until(lambda: client.state(key).serialized_input == '["second round"]')
    slow.open()
    until(lambda: client.tally("late") == 1)
    client.raise_orchestration_event(key, "last")
    assert client.result(key) == "second round"


def test_late_result_does_not_reach_a_reused_id(client: Client, tmp_path: Path) -> None:
    old, new = gate(tmp_path, "old"), gate(tmp_path, "new")
    client.begin("call", ["gated", str(old)], "reused")
    old.until_reached()
    client.terminate_orchestration("reused")
    client.until_status("reused", TERMINATED)
    client.begin("call", ["gated", str(new)], "reused")
    new.until_reached()
    old.open()
    assert client.run("chain", 3) == 3  # the old answer is in by now, or soon; it must not count
    assert client.state("reused").runtime_status is RUNNING
    new.open()
    assert client.result("reused") == "new"


def test_late_result_of_a_terminated_instance_changes_nothing(
    engine: Engine, client: Client, tmp_path: Path
) -> None:
    late = gate(tmp_path, "late")
    key = client.begin("call", ["gated", str(late)])
    late.until_reached()
    client.terminate_orchestration(key)
    client.until_status(key, TERMINATED)
    history = client.get_orchestration_history(key)
    instance = engine._instance(key)
    assert instance is not None
    late.open()
    until(lambda: not instance.activities)
    assert client.run("chain", 1) == 1
    assert client.get_orchestration_history(key) == history
    assert not instance.pending_events


def test_rewind_after_exhausted_retries_does_not_loop(client: Client, tmp_path: Path) -> None:
    noted = gate(tmp_path, "tried")
    key = client.begin("keep_trying", str(noted))
    client.until_status(key, FAILED)
    assert noted.runs == 3
    client.rewind_orchestration(key)
    client.until_status(key, FAILED)
    assert client.run("chain", 5) == 5
    runs = noted.runs
    assert client.run("chain", 5) == 5
    assert noted.runs == runs <= 6


# Sub-orchestrations


def test_parent_waits_for_its_child_without_a_thread(client: Client) -> None:
    assert client.run("chain", 1) == 1
    keys = [client.begin("named_child", ["await_events", ["go"], f"child{n}"]) for n in range(5)]
    for number in range(5):
        until(lambda number=number: client.get_orchestration_state(f"child{number}"))  # type: ignore[misc]  # bound now
    assert [each.name for each in threading.enumerate() if "watch" in each.name] == []
    for number in range(5):
        client.raise_orchestration_event(f"child{number}", "go", data=number)
    assert [client.result(key) for key in keys] == [[number] for number in range(5)]


def test_child_knows_its_parent_in_every_round(client: Client) -> None:
    for rounds in (0, 2):
        key = client.begin("child_of", ["tell_parent", rounds])
        assert client.result(key) == key


def test_failure_of_a_child_keeps_its_type(client: Client) -> None:
    key = client.begin("child_of", ["call", ["fail_wordlessly", None]])
    state = client.until_status(key, FAILED)
    assert state.failure_details is not None
    history = client.get_orchestration_history(key)
    failed = [
        each for each in history if type(each).__name__.startswith("SubOrchestrationInstanceF")
    ]
    assert "TaskFailedError" in str(failed[0])


def test_recursive_terminate_takes_the_children_along(client: Client) -> None:
    inner = ["named_child", ["await_events", ["never"], "grandchild"], "middle"]
    key = client.begin("named_child", inner)
    until(lambda: client.get_orchestration_state("grandchild"))
    client.until_status("grandchild", RUNNING)
    client.terminate_orchestration(key, output="enough", recursive=True)
    for each in (key, "middle", "grandchild"):
        client.until_status(each, TERMINATED)


def test_plain_terminate_leaves_the_child(client: Client) -> None:
    key = client.begin("named_child", ["await_events", ["go"], "left alone"])
    until(lambda: client.get_orchestration_state("left alone"))
    client.until_status("left alone", RUNNING)
    client.terminate_orchestration(key, recursive=False)
    client.until_status(key, TERMINATED)
    client.raise_orchestration_event("left alone", "go", data=1)
    assert client.result("left alone") == [1]


# Time


def test_start_at_is_honoured(client: Client) -> None:
    start_at = datetime.now(UTC) + timedelta(seconds=0.7)
    key = client.schedule_new_orchestration("started_at", start_at=start_at)
    assert client.state(key).runtime_status is OrchestrationStatus.PENDING
    assert datetime.fromisoformat(client.result(key)).replace(tzinfo=UTC) >= start_at


def test_instance_that_has_not_begun_can_be_terminated(client: Client, tmp_path: Path) -> None:
    start_at = datetime.now(UTC) + timedelta(hours=1)
    never = gate(tmp_path, "never")
    key = client.schedule_new_orchestration("call", input=["gated", str(never)], start_at=start_at)
    client.terminate_orchestration(key, output="not needed")
    assert client.until_status(key, TERMINATED).get_output() == "not needed"
    assert never.runs == 0


def test_timers_share_one_thread(engine: Engine, client: Client) -> None:
    before = threading.active_count()
    key = client.begin("many_timers", 2000)
    instance = engine._instance(key)
    assert instance is not None
    until(lambda: len(instance.timers) == 2000)
    assert threading.active_count() < before + 20  # workers of the two pools come and go
    client.raise_orchestration_event(key, "done")
    assert client.result(key) == 2000


def test_delayed_signal_comes_at_its_time(client: Client) -> None:
    entity = EntityInstanceId(COUNTER, "delayed")
    client.signal_entity(
        entity, "add", 1, signal_time=datetime.now(UTC) + timedelta(milliseconds=700)
    )
    client.signal_entity(entity, "add", 10)
    until(lambda: client.tally("delayed") == 10)
    until(lambda: client.tally("delayed") == 11)


# Clients


def test_waiting_clients_do_not_block_the_others(client: Client) -> None:
    keys = [client.begin("await_events", ["go"]) for _ in range(30)]
    with ThreadPoolExecutor(len(keys)) as pool:
        waits = [
            pool.submit(client.wait_for_orchestration_completion, key, timeout=20) for key in keys
        ]
        assert client.run("chain", 2) == 2
        for key in keys:
            client.raise_orchestration_event(key, "go", data="x")
        ends = [each.result() for each in waits]
    assert [end and end.runtime_status for end in ends] == [COMPLETED] * len(keys)


def test_client_may_wait_without_a_deadline(running: tuple[Engine, str], client: Client) -> None:
    key = client.begin("await_events", ["go"])
    with grpc.insecure_channel(running[1]) as channel, ThreadPoolExecutor(1) as pool:
        stub: Any = stubs.TaskHubSidecarServiceStub(channel)  # type: ignore[no-untyped-call]  # generated without types
        request = pb.GetInstanceRequest(instanceId=key, getInputsAndOutputs=True)
        wait = pool.submit(stub.WaitForInstanceCompletion, request)
        until(lambda: running[0]._state_waiters.get(key))
        client.raise_orchestration_event(key, "go", data="x")
        assert wait.result(timeout=20).orchestrationState.output.value == '["x"]'


def test_client_that_waits_too_short_is_told_so(client: Client) -> None:
    key = client.begin("await_events", ["go"])
    with pytest.raises(TimeoutError):
        client.wait_for_orchestration_completion(key, timeout=1)
    client.terminate_orchestration(key)


def test_payloads_beyond_four_megabytes_pass(client: Client) -> None:
    text = "x" * 6_000_000
    key = client.begin("call", ["echo", text])
    assert client.result(key) == text


def test_failure_without_a_message_is_a_failure(client: Client) -> None:
    key = client.begin("call", ["fail_wordlessly", None])
    assert client.until_status(key, FAILED).failure_details is not None


def test_suspended_instance_keeps_its_events_for_later(client: Client) -> None:
    key = client.begin("await_events", ["one", "two"])
    client.until_status(key, RUNNING)
    client.suspend_orchestration(key)
    client.until_status(key, SUSPENDED)
    client.raise_orchestration_event(key, "one", data=1)
    client.resume_orchestration(key)
    client.resume_orchestration(key)  # the SDK would fail an instance resumed twice
    client.until_status(key, RUNNING)
    client.resume_orchestration(key)
    client.raise_orchestration_event(key, "two", data=2)
    assert client.result(key) == [1, 2]


def test_event_for_a_finished_instance_has_no_effect(engine: Engine, client: Client) -> None:
    key = client.begin("chain", 1)
    assert client.result(key) == 1
    client.raise_orchestration_event(key, "late")
    instance = engine._instance(key)
    assert instance is not None
    assert not instance.pending_events


def test_event_for_an_unknown_instance_is_refused(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.raise_orchestration_event("nobody", "hello")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("bad", ["@counter@x", "a/b", "a#b", "a?b", "a\\b", "a\nb", "x" * 257])
def test_id_that_azure_storage_refuses_is_refused(client: Client, bad: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.begin("chain", 1, bad)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_history_carries_real_times(client: Client) -> None:
    begun = datetime.now(UTC)
    key = client.begin("whole_flow", 0)
    assert client.result(key) == [2, 2]
    history = client.get_orchestration_history(key)
    assert {"TaskScheduledEvent", "TimerFiredEvent"} <= {type(each).__name__ for each in history}
    assert all(each.timestamp >= begun - timedelta(seconds=1) for each in history)


# Entities


def test_entity_lock_holds_back_all_others(client: Client) -> None:
    client.signal_entity(EntityInstanceId(COUNTER, "locked"), "add", 0)
    key = client.begin("add_under_lock", "locked")
    client.until_told(key, "locked")
    client.signal_entity(EntityInstanceId(COUNTER, "locked"), "add", 100)
    client.raise_orchestration_event(key, "go")
    assert client.result(key) == 0
    until(lambda: client.tally("locked") == 103)


def test_terminated_owner_gives_its_locks_back(client: Client) -> None:
    owner = client.begin("lock_forever", ["b", "a"])
    client.until_told(owner, "locked")
    waiting = client.begin("lock_forever", ["a", "c"])
    client.signal_entity(EntityInstanceId(COUNTER, "b"), "add", 1)
    client.terminate_orchestration(owner)
    client.until_told(waiting, "locked")
    until(lambda: client.tally("b") == 1)
    client.terminate_orchestration(waiting)
    client.until_status(waiting, TERMINATED)
    client.signal_entity(EntityInstanceId(COUNTER, "c"), "add", 1)
    until(lambda: client.tally("c") == 1)
