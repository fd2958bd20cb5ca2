"""Finding, purging and starting again; most of it needs no worker."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from durabletask.client import (
    EntityQuery,
    OrchestrationQuery,
    OrchestrationStatus,
)
from durabletask.entities import EntityInstanceId

from local.engine import Engine
from local.engine_client import IdReuse
from tests.local.engine_lab import Child, Client, start_worker, until
from tests.local.engine_worker import COUNTER

PENDING = OrchestrationStatus.PENDING
RUNNING = OrchestrationStatus.RUNNING
TERMINATED = OrchestrationStatus.TERMINATED


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client of a fresh engine without a worker."""
    engine = Engine(id_reuse=getattr(request, "param", IdReuse.REPLACE_FINISHED))
    client = Client(engine.start())
    yield client
    client.close()
    engine.stop()


@pytest.fixture(scope="module")
def busy() -> Iterator[Client]:
    """A client of an engine with a worker."""
    engine = Engine()
    address = engine.start()
    worker: Child = start_worker(address)
    client = Client(address)
    yield client
    client.close()
    worker.kill()
    engine.stop()


def start_twice(client: Client, *, finish: bool) -> list[str]:
    """Return what the state says after each start; the second may be refused."""
    client.begin("story", "first", "same")
    if finish:
        client.terminate_orchestration("same")
    try:
        client.begin("story", "second", "same")
    except grpc.RpcError as error:
        return [error.code().name]
    state = client.state("same")
    return [state.runtime_status.name, state.get_input()]


@pytest.mark.parametrize(
    ("client", "finish", "expected"),
    [
        pytest.param(IdReuse.REPLACE_FINISHED, True, ["PENDING", "second"], id="replace-finished"),
        pytest.param(IdReuse.REPLACE_FINISHED, False, ["ALREADY_EXISTS"], id="replace-running"),
        pytest.param(IdReuse.REFUSE, True, ["ALREADY_EXISTS"], id="refuse-finished"),
        pytest.param(IdReuse.REFUSE, False, ["ALREADY_EXISTS"], id="refuse-running"),
        pytest.param(IdReuse.TERMINATE_RUNNING, True, ["PENDING", "second"], id="newer-finished"),
        pytest.param(IdReuse.TERMINATE_RUNNING, False, ["PENDING", "second"], id="newer-running"),
    ],
    indirect=["client"],
)
def test_start_with_a_known_id_does_as_the_mode_says(
    client: Client,
    finish: bool,  # noqa: FBT001 - a column of the table
    expected: list[str],
) -> None:
    assert start_twice(client, finish=finish) == expected


def test_instances_are_listed_page_by_page(client: Client) -> None:
    keys = [client.begin("story", number, f"page-{number}") for number in range(7)]
    client.begin("story", None, "other")
    query = OrchestrationQuery(
        max_instance_count=3, instance_id_prefix="page-", fetch_inputs_and_outputs=True
    )
    found = client.get_all_orchestration_states(query)
    assert [each.instance_id for each in found] == keys
    assert [each.get_input() for each in found] == list(range(7))


def test_instances_are_found_by_status_and_time(client: Client) -> None:
    before = datetime.now(UTC)
    old = client.begin("story")
    client.terminate_orchestration(old)
    between = datetime.now(UTC)
    new = client.begin("story")

    def find(**wanted: object) -> list[str]:
        query = OrchestrationQuery(**wanted)  # type: ignore[arg-type]  # as given below
        return [each.instance_id for each in client.get_all_orchestration_states(query)]

    assert find() == [old, new]
    assert find(runtime_status=[TERMINATED]) == [old]
    assert find(runtime_status=[PENDING, RUNNING]) == [new]
    assert find(created_time_from=between) == [new]
    assert find(created_time_from=before, created_time_to=between) == [old]


def test_purge_forgets_what_is_over_and_nothing_else(client: Client) -> None:
    over = client.begin("story")
    client.terminate_orchestration(over)
    open_one = client.begin("story")
    assert client.purge_orchestration(open_one).deleted_instance_count == 0
    assert client.purge_orchestration(over).deleted_instance_count == 1
    assert client.get_orchestration_state(over) is None
    assert client.state(open_one).runtime_status is PENDING


def test_purge_by_time_and_status(client: Client) -> None:
    keys = [client.begin("story") for _ in range(3)]
    for key in keys[:2]:
        client.terminate_orchestration(key)
    soon = datetime.now(UTC) + timedelta(minutes=1)
    none = client.purge_orchestrations_by(created_time_from=soon, runtime_status=[TERMINATED])
    assert none.deleted_instance_count == 0
    two = client.purge_orchestrations_by(created_time_to=soon, runtime_status=[TERMINATED])
    assert two.deleted_instance_count == 2
    assert [each.instance_id for each in client.get_all_orchestration_states()] == keys[2:]


def test_recursive_purge_takes_the_children_along(busy: Client) -> None:
    key = busy.begin("named_child", ["chain", 1, "purged child"])
    assert busy.result(key) == 1
    assert busy.purge_orchestration(key, recursive=True).deleted_instance_count == 2
    assert busy.get_orchestration_state("purged child") is None


def test_restart_runs_again_with_the_same_input(busy: Client) -> None:
    key = busy.begin("chain", 3)
    assert busy.result(key) == 3
    created = busy.state(key).created_at
    assert busy.restart_orchestration(key) == key
    until(lambda: busy.state(key).created_at > created)
    assert busy.result(key) == 3


def test_entities_are_listed_page_by_page_even_when_busy(busy: Client, tmp_path: Path) -> None:
    for key in ("list-c", "list-a", "list-b"):
        busy.signal_entity(EntityInstanceId(COUNTER, key), "add", 1)
        until(lambda key=key: busy.tally(key) == 1)  # type: ignore[misc]  # bound now
    waits = tmp_path / "waits"
    busy.signal_entity(EntityInstanceId(COUNTER, "list-b"), "add_gated", str(waits))
    until(lambda: Path(f"{waits}.runs").exists())
    busy.signal_entity(EntityInstanceId(COUNTER, "list-b"), "add", 1)
    query = EntityQuery(instance_id_starts_with=f"@{COUNTER}@list-", page_size=2)
    found = busy.get_all_entities(query)
    assert [each.id.key for each in found] == ["list-a", "list-b", "list-c"]
    assert [each.get_state(int) for each in found] == [1, 1, 1]
    Path(f"{waits}.open").touch()
    until(lambda: busy.tally("list-b") == 3)


def test_entity_without_state_is_not_there(busy: Client) -> None:
    entity = EntityInstanceId(COUNTER, "deleted")
    busy.signal_entity(entity, "add", 1)
    until(lambda: busy.tally("deleted") == 1)
    busy.signal_entity(entity, "delete")
    until(lambda: busy.get_entity(entity) is None)
    query = EntityQuery(instance_id_starts_with=f"@{COUNTER}@deleted", include_transient=True)
    assert len(busy.get_all_entities(query)) == 1
    busy.clean_entity_storage(remove_empty_entities=True, release_orphaned_locks=True)
    assert busy.get_all_entities(query) == []
