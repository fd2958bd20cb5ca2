"""A plain durable worker for the engine's tests: ``python -m tests.local.engine_worker ADDRESS``.

Gates are files: a gated function notes its run in NAME.runs and goes on once NAME.open exists.
"""

import logging
import os
import sys
import time
from collections.abc import Callable, Generator
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

from durabletask import task
from durabletask.entities import DurableEntity, EntityInstanceId
from durabletask.grpc_options import GrpcChannelOptions, GrpcWorkerResiliencyOptions
from durabletask.worker import TaskHubGrpcWorker

from local.process import announce, stop_with_stdin

type Story = Generator[task.Task[Any], Any, Any]
type Context = task.OrchestrationContext

COUNTER = "counter"


def pass_gate(gate: str) -> None:
    with Path(f"{gate}.runs").open("a") as runs:
        runs.write(f"{os.getpid()}\n")
    while not Path(f"{gate}.open").exists():
        time.sleep(0.005)


# Activities


def add_one(_: task.ActivityContext, value: int) -> int:
    return value + 1


def echo(_: task.ActivityContext, value: Any) -> Any:
    return value


def gated(_: task.ActivityContext, gate: str) -> str:
    pass_gate(gate)
    return Path(gate).name


def fail_wordlessly(_: task.ActivityContext, __: Any) -> None:
    raise ValueError


def fail_and_note(_: task.ActivityContext, gate: str) -> None:
    with Path(f"{gate}.runs").open("a") as runs:
        runs.write("x\n")
    raise RuntimeError("as asked")


def fail_until_open(_: task.ActivityContext, gate: str) -> str:
    if not Path(f"{gate}.open").exists():
        raise RuntimeError("not yet")
    return "open"


# Orchestrations


def chain(context: Context, length: int) -> Story:
    value = 0
    for _ in range(length):
        value = yield context.call_activity("add_one", input=value)
    return value


def call(context: Context, what: list[Any]) -> Story:
    return (yield context.call_activity(what[0], input=what[1]))


def call_gated_turn(context: Context, gate: str) -> Story:
    value = yield context.call_activity("add_one", input=1)
    if not context.is_replaying:
        pass_gate(gate)
    return (yield context.call_activity("add_one", input=value))


def nap(context: Context, milliseconds: int) -> Story:
    due = context.current_utc_datetime + timedelta(milliseconds=milliseconds)
    yield context.create_timer(due)
    return context.current_utc_datetime >= due


def many_timers(context: Context, count: int) -> Story:
    timers = [context.create_timer(timedelta(hours=1)) for _ in range(count)]
    yield task.when_any([*timers, context.wait_for_external_event("done")])
    return count


def await_events(context: Context, names: list[str]) -> Story:
    heard: list[Any] = []
    for name in names:
        data = yield context.wait_for_external_event(name)
        heard += [data]
    return heard


def started_at(context: Context, _: Any) -> str:
    return context.current_utc_datetime.isoformat()


def child_of(context: Context, what: list[Any]) -> Story:
    name, value = what
    return (yield context.call_sub_orchestrator(name, input=value))


def named_child(context: Context, what: list[Any]) -> Story:
    name, value, instance_id = what
    return (yield context.call_sub_orchestrator(name, input=value, instance_id=instance_id))


def tell_parent(context: Context, rounds: int) -> Any:
    if rounds > 0:
        context.continue_as_new(rounds - 1)
        return None
    return context.parent_instance_id


def late_activity(context: Context, gates: list[str]) -> Story:
    """Round one leaves its activity behind; round two has one under the same task id."""
    answer: task.Task[Any] = context.call_activity("gated", input=gates[0])
    if len(gates) == 1:
        return (yield answer)
    yield task.when_any([answer, context.wait_for_external_event("next")])
    context.continue_as_new(gates[1:])
    return None


def late_timer(context: Context, milliseconds: list[int]) -> Story:
    due = context.current_utc_datetime + timedelta(milliseconds=milliseconds[0])
    timer = context.create_timer(due)
    if len(milliseconds) > 1:
        yield task.when_any([timer, context.wait_for_external_event("next")])
        context.continue_as_new(milliseconds[1:])
        return None
    yield timer
    return context.current_utc_datetime >= due


def late_call(context: Context, gates: list[str]) -> Story:
    """Round one leaves a call of an entity behind."""
    if len(gates) == 1:
        yield context.wait_for_external_event("last")
        return gates[0]
    answer: task.Task[Any] = context.call_entity(
        EntityInstanceId(COUNTER, "late"), "add_gated", gates[0]
    )
    yield task.when_any([answer, context.wait_for_external_event("next")])
    context.continue_as_new(gates[1:])
    return None


def add_under_lock(context: Context, key: str) -> Story:
    entity = EntityInstanceId(COUNTER, key)
    with (yield context.lock_entities([entity])):
        value = yield context.call_entity(entity, "get")
        context.set_custom_status("locked")
        yield context.wait_for_external_event("go")
        yield context.call_entity(entity, "put", value + 3)
    return value


def lock_forever(context: Context, keys: list[str]) -> Story:
    with (yield context.lock_entities([EntityInstanceId(COUNTER, key) for key in keys])):
        context.set_custom_status("locked")
        yield context.wait_for_external_event("never")


def keep_trying(context: Context, gate: str) -> Story:
    policy = task.RetryPolicy(
        first_retry_interval=timedelta(milliseconds=10), max_number_of_attempts=3
    )
    yield context.call_activity("fail_and_note", input=gate, retry_policy=policy)


def whole_flow(context: Context, number: int) -> Story:
    """Use everything once; each counter must end at the number of flows."""
    value = yield context.call_activity("add_one", input=number)
    context.signal_entity(EntityInstanceId(COUNTER, "signalled"), "add", 1)
    yield context.create_timer(timedelta(milliseconds=200))
    yield context.call_entity(EntityInstanceId(COUNTER, "called"), "add_and_forward", 1)
    child = yield context.call_sub_orchestrator("chain", input=2)
    value = yield context.call_activity("add_one", input=value)
    return [value, child]


class Counter(DurableEntity):
    def get(self) -> int:
        return self.get_state(int, 0)

    def put(self, value: int) -> None:
        self.set_state(value)

    def add(self, amount: int) -> int:
        value = self.get() + amount
        self.set_state(value)
        return value

    def add_and_forward(self, amount: int) -> int:
        self.signal_entity(EntityInstanceId(COUNTER, "forwarded"), "add", amount)
        self.schedule_new_orchestration("chain", 1)
        return self.add(amount)

    def add_gated(self, gate: str) -> int:
        pass_gate(gate)
        return self.add(1)


ACTIVITIES: tuple[Callable[..., Any], ...] = (
    add_one,
    echo,
    gated,
    fail_wordlessly,
    fail_and_note,
    fail_until_open,
)
ORCHESTRATIONS: tuple[Callable[..., Any], ...] = (
    *(chain, call, call_gated_turn, nap, many_timers, await_events, started_at, child_of),
    *(named_child, tell_parent, late_activity, late_timer, late_call, add_under_lock),
    *(lock_forever, keep_trying, whole_flow),
)


def make_worker(address: str) -> TaskHubGrpcWorker:
    worker = TaskHubGrpcWorker(
        host_address=address,
        logger=logging.getLogger(__name__),
        channel_options=GrpcChannelOptions(
            max_receive_message_length=-1, max_send_message_length=-1
        ),
        resiliency_options=GrpcWorkerResiliencyOptions(
            reconnect_backoff_base_seconds=0.05, reconnect_backoff_cap_seconds=0.2
        ),
        emit_trace_spans=False,
    )
    for activity in ACTIVITIES:
        worker.add_activity(activity)
    for orchestration in ORCHESTRATIONS:
        worker.add_orchestrator(orchestration)
    worker.add_entity(Counter, name=COUNTER)
    return worker


def main() -> None:
    stop_with_stdin()
    make_worker(sys.argv[1]).start()  # type: ignore[no-untyped-call]  # the library's is untyped
    announce(pid=os.getpid())
    Event().wait()


if __name__ == "__main__":
    main()
