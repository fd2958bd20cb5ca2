"""kill -9 of the engine, of the worker, of both; the store must lose nothing and double nothing."""

import random
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from durabletask.client import OrchestrationStatus
from durabletask.entities import EntityInstanceId

from local.engine import Engine
from local.engine_store import StoreError
from tests.local.engine_lab import Child, Client, Gate, start_engine, start_worker, until
from tests.local.engine_worker import COUNTER

RUNNING = OrchestrationStatus.RUNNING


class Pair:
    """An engine with a store and a worker, each in a process of its own."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.engine = start_engine(store)
        self.port: int = self.engine.ready["port"]
        self.worker: Child | None = None
        self.client = Client(f"127.0.0.1:{self.port}")

    def start_worker(self) -> None:
        self.worker = start_worker(f"127.0.0.1:{self.port}")

    def kill_worker(self) -> None:
        assert self.worker is not None
        self.worker.kill()
        self.worker = None

    def restart_worker(self) -> None:
        self.kill_worker()
        self.start_worker()

    def restart_engine(self) -> None:
        self.engine.kill()
        # A new client as well: gRPC's own waits between attempts would slow the tests down.
        self.client.close()
        self.engine = start_engine(self._store, self.port)
        self.client = Client(f"127.0.0.1:{self.port}")

    def restart_both(self) -> None:
        self.kill_worker()
        self.restart_engine()
        self.start_worker()

    def close(self) -> None:
        self.client.close()
        if self.worker is not None:
            self.worker.kill()
        self.engine.kill()


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Pair]:
    """A pair whose worker is yet to start."""
    pair = Pair(tmp_path / "engine.db")
    yield pair
    pair.close()


@pytest.fixture
def pair(idle: Pair) -> Pair:
    idle.start_worker()
    return idle


def gate(tmp_path: Path, name: str) -> Gate:
    return Gate(path=tmp_path / name)


@pytest.mark.parametrize("restart", [Pair.restart_worker, Pair.restart_engine, Pair.restart_both])
def test_kill_in_the_middle_of_an_activity(pair: Pair, tmp_path: Path, restart: object) -> None:
    assert callable(restart)
    slow = gate(tmp_path, "slow")
    key = pair.client.begin("call", ["gated", str(slow)])
    slow.until_reached()
    restart(pair)
    slow.until_reached(2)
    slow.open()
    assert pair.client.result(key) == "slow"


@pytest.mark.parametrize("restart", [Pair.restart_worker, Pair.restart_engine, Pair.restart_both])
def test_kill_in_the_middle_of_a_turn(pair: Pair, tmp_path: Path, restart: object) -> None:
    assert callable(restart)
    slow = gate(tmp_path, "slow")
    key = pair.client.begin("call_gated_turn", str(slow))
    slow.until_reached()
    pair.client.raise_orchestration_event(key, "meanwhile")
    restart(pair)
    slow.until_reached(2)
    slow.open()
    assert pair.client.result(key) == 3


@pytest.mark.parametrize("restart", [Pair.restart_worker, Pair.restart_engine, Pair.restart_both])
def test_kill_in_the_middle_of_an_entity_operation(
    pair: Pair, tmp_path: Path, restart: object
) -> None:
    assert callable(restart)
    slow = gate(tmp_path, "slow")
    entity = EntityInstanceId(COUNTER, "hit")
    pair.client.signal_entity(entity, "add_gated", str(slow))
    slow.until_reached()
    pair.client.signal_entity(entity, "add", 10)
    restart(pair)
    slow.until_reached(2)
    slow.open()
    until(lambda: pair.client.tally("hit") >= 11)
    assert pair.client.run("chain", 2) == 2
    assert pair.client.tally("hit") == 11


def test_events_after_a_turn_was_lost_are_heard(pair: Pair, tmp_path: Path) -> None:
    slow = gate(tmp_path, "slow")
    slow.open()
    key = pair.client.begin("await_events", ["one", "two"])
    pair.client.until_status(key, RUNNING)
    pair.kill_worker()
    pair.client.raise_orchestration_event(key, "one", data=1)
    pair.start_worker()
    pair.client.raise_orchestration_event(key, "two", data=2)
    assert pair.client.result(key) == [1, 2]


def test_timer_that_falls_due_without_a_worker_fires(pair: Pair) -> None:
    key = pair.client.begin("nap", 200)
    pair.client.until_status(key, RUNNING)
    pair.kill_worker()
    due = datetime.now(UTC) + timedelta(milliseconds=300)
    until(lambda: datetime.now(UTC) > due)
    pair.start_worker()
    assert pair.client.result(key) is True


def test_engine_killed_before_a_timer_is_due(pair: Pair) -> None:
    key = pair.client.begin("nap", 1500)
    pair.client.until_status(key, RUNNING)
    pair.restart_engine()
    assert pair.client.state(key).runtime_status is RUNNING
    assert pair.client.result(key) is True


def test_engine_killed_right_after_an_event(idle: Pair) -> None:
    pair = idle
    key = pair.client.begin("await_events", ["go"])
    pair.client.raise_orchestration_event(key, "go", data="heard")
    pair.restart_engine()
    pair.start_worker()
    assert pair.client.result(key) == ["heard"]


def test_engine_killed_before_a_delayed_start_and_signal(idle: Pair) -> None:
    pair = idle
    soon = datetime.now(UTC) + timedelta(seconds=1.2)
    entity = EntityInstanceId(COUNTER, "delayed")
    key = pair.client.schedule_new_orchestration("started_at", start_at=soon)
    pair.client.signal_entity(entity, "add", 5, signal_time=soon)
    pair.restart_engine()
    pair.start_worker()
    assert pair.client.get_entity(entity) is None
    assert datetime.fromisoformat(pair.client.result(key)).replace(tzinfo=UTC) >= soon
    until(lambda: pair.client.tally("delayed") == 5)


def test_engine_killed_while_a_lock_is_held(pair: Pair) -> None:
    key = pair.client.begin("add_under_lock", "locked")
    pair.client.until_told(key, "locked")
    pair.client.signal_entity(EntityInstanceId(COUNTER, "locked"), "add", 100)
    pair.restart_engine()
    pair.client.raise_orchestration_event(key, "go")
    assert pair.client.result(key) == 0
    until(lambda: pair.client.tally("locked") == 103)


def test_engine_killed_while_a_parent_waits(pair: Pair) -> None:
    key = pair.client.begin("named_child", ["await_events", ["go"], "child"])
    until(lambda: pair.client.get_orchestration_state("child"))
    pair.client.until_status("child", RUNNING)
    pair.restart_both()
    pair.client.raise_orchestration_event("child", "go", data="told")
    assert pair.client.result(key) == ["told"]
    assert len(pair.client.get_orchestration_history(key)) > 0


def test_engine_killed_in_the_second_round_keeps_only_its_history(pair: Pair) -> None:
    key = pair.client.begin("late_timer", [60_000, 1_000])
    pair.client.until_status(key, RUNNING)
    pair.client.raise_orchestration_event(key, "next")
    until(lambda: pair.client.state(key).serialized_input == "[1000]")
    pair.restart_both()
    assert pair.client.result(key) is True
    started = [type(each).__name__ for each in pair.client.get_orchestration_history(key)]
    assert started.count("ExecutionStartedEvent") == 1


def test_purge_and_reuse_outlast_the_engine(idle: Pair) -> None:
    pair = idle
    for key in ("purged", "reused"):
        pair.client.begin("story", "first", key)
        pair.client.terminate_orchestration(key)
    pair.client.purge_orchestration("purged")
    pair.client.begin("story", "second", "reused")
    pair.restart_engine()
    assert pair.client.get_orchestration_state("purged") is None
    assert pair.client.state("reused").get_input() == "second"
    assert pair.client.get_orchestration_history("reused") == []


def test_rewound_history_outlasts_the_engine(pair: Pair, tmp_path: Path) -> None:
    way = gate(tmp_path, "way")
    key = pair.client.begin("call", ["fail_until_open", str(way)])
    pair.client.until_status(key, OrchestrationStatus.FAILED)
    way.open()
    pair.client.rewind_orchestration(key)
    assert pair.client.result(key) == "open"
    history = pair.client.get_orchestration_history(key)
    pair.restart_engine()
    assert pair.client.get_orchestration_history(key) == history
    assert "TaskFailedEvent" not in [type(each).__name__ for each in history]


def test_two_engines_cannot_share_a_store(tmp_path: Path) -> None:
    first = Engine(store=tmp_path / "engine.db")
    first.start()
    with pytest.raises(StoreError, match="another engine"):
        Engine(store=tmp_path / "engine.db").start()
    first.stop()
    second = Engine(store=tmp_path / "engine.db")
    second.start()
    second.stop()


def test_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not a database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        Engine(store=notes).start()
    assert notes.read_text() == "not a database" * 100


def test_store_of_another_layout_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "engine.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="layout is 99"):
        Engine(store=path).start()


def test_engine_stops_when_asked_and_when_its_parent_is_gone(tmp_path: Path) -> None:
    asked = start_engine(tmp_path / "one.db")
    asked.process.send_signal(signal.SIGTERM)
    assert asked.process.wait(timeout=20) == 0
    asked.kill()
    orphan = start_engine(tmp_path / "two.db")
    assert orphan.process.stdin is not None
    orphan.process.stdin.close()
    orphan.process.wait(timeout=20)
    orphan.kill()


def test_random_kills_lose_nothing_and_double_nothing(pair: Pair) -> None:
    seed = time.time_ns()
    print(f"seed {seed}")  # noqa: T201 - shown by pytest when the test fails
    dice = random.Random(seed)  # noqa: S311 - chance, not secrecy
    keys: list[str] = []
    for kill in [Pair.restart_worker, Pair.restart_engine, Pair.restart_both] * 4:
        keys += [pair.client.begin("whole_flow", len(keys) + each) for each in range(6)]
        time.sleep(dice.uniform(0.0, 0.6))  # not a wait for anything: any moment will do
        kill(pair)
    flows = len(keys)
    assert [pair.client.result(key) for key in keys] == [[each + 2, 2] for each in range(flows)]
    counters = ("signalled", "called", "forwarded")
    until(lambda: all(pair.client.tally(each) >= flows for each in counters))
    # Whatever was doubled would stand in the queue before this one.
    assert pair.client.run("chain", 1) == 1
    assert [pair.client.tally(each) for each in counters] == [flows] * 3
    names = [each.name for each in pair.client.get_all_orchestration_states()]
    # A chain as child of each flow, one started by the entity for each, and the one above.
    assert (names.count("whole_flow"), names.count("chain")) == (flows, 2 * flows + 1)
