"""The host with a durable app on the local engine: every trigger, both clients, kills."""

import socket
import urllib.error
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.local.local_host import ROOT, LocalEngine, LocalHost, call, until

pytestmark = pytest.mark.e2e

APP = ROOT / "tests/local/apps/durable"
ENDED = {"COMPLETED", "FAILED", "TERMINATED"}


class World:
    """One engine and one host, each of which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "notes"
        self.log.touch()
        self.engine = LocalEngine(folder)
        self.host = self.new_host()

    def new_host(self, *options: str, env: Mapping[str, str] | None = None) -> LocalHost:
        settings = {"SAMPLE_LOG": str(self.log), "SAMPLE_SCHEDULE": "0 0 0 1 1 *"}
        self.host = LocalHost(
            APP,
            self.folder,
            engine=self.engine.address,
            env={**settings, **(env or {})},
            options=["--no-timers", *options],
        ).start()
        return self.host

    def start(self, name: str, instance: str, body: object = None) -> dict[str, str]:
        answer = self.host.http("POST", f"/api/start/{name}/{instance}", body)
        assert answer.status == 202
        links: dict[str, str] = answer.json()
        return links

    def status(self, instance: str) -> dict[str, Any] | None:
        answer = self.host.http("GET", f"/api/status/{quote(instance)}")
        state: dict[str, Any] | None = answer.json() if answer.status == 200 else None
        return state

    def outcome(self, instance: str) -> tuple[str, str | None]:
        state = until(
            lambda: self.status(instance),
            lambda state: state is not None and state["status"] in ENDED,
        )
        assert state is not None
        return state["status"], state["failure"] or state["output"]

    def notes(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines()

    def open_gate(self) -> None:
        (self.folder / "gate").touch()

    def stop(self) -> None:
        if self.host.is_running:
            self.host.stop()
        if self.engine.is_running:
            self.engine.stop()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("durable"))
    yield world
    world.stop()


@pytest.fixture
def own_world(tmp_path: Path) -> Iterator[World]:
    """A world to break."""
    world = World(tmp_path)
    yield world
    world.stop()


GREETED = '["hello you", {"nothing": true}, 14]'


def test_flow_runs_activities_a_timer_and_a_sub_orchestration(world: World) -> None:
    world.start("greet", "flow-1")
    assert world.outcome("flow-1") == ("COMPLETED", GREETED)
    state = world.status("flow-1")
    assert state is not None
    assert state["custom"] == '"said"'


def test_links_of_a_started_flow_point_at_this_host(world: World) -> None:
    links = world.start("greet", "flow-2")
    base = f"{world.host.url}/runtime/webhooks/durabletask/instances/flow-2"
    assert links["statusQueryGetUri"].startswith(base)
    assert "taskHub=SampleHub" in links["statusQueryGetUri"]


def test_external_event_is_heard(world: World) -> None:
    world.start("decide", "flow-3")
    answer = world.host.http("POST", "/api/raise/flow-3/decision", {"approve": True})
    assert answer.status == 202
    assert world.outcome("flow-3") == ("COMPLETED", '{"approve": true}')


def test_exhausted_retries_fail_with_the_last_failure(world: World) -> None:
    world.start("stumble", "flow-4")
    status, failure = world.outcome("flow-4")
    assert status == "FAILED"
    # The activity raised a bare ValueError: an empty message must not look like a success.
    assert failure is not None
    assert "ValueError" in failure
    assert world.notes().count("failing flow-4") == 3


def test_activity_that_does_not_exist_is_named(world: World) -> None:
    world.start("miss", "flow-5")
    status, failure = world.outcome("flow-5")
    assert status == "FAILED"
    assert "'no_such_activity'" in str(failure)


def test_orchestrator_that_does_not_exist_fails_its_flow(world: World) -> None:
    world.start("no_such_story", "flow-6")
    status, failure = world.outcome("flow-6")
    assert status == "FAILED"
    assert "'no_such_story'" in str(failure)


def test_entity_answers_a_flow(world: World) -> None:
    world.start("ask", "flow-7", "a-key")
    assert world.outcome("flow-7") == ("COMPLETED", "5")


def test_entity_that_does_not_exist_fails_its_caller(world: World) -> None:
    world.start("ask_nobody", "flow-8")
    status, failure = world.outcome("flow-8")
    assert status == "FAILED"
    assert "'nobody'" in str(failure)


def test_entity_starts_an_orchestration(world: World) -> None:
    world.host.http("POST", "/api/signal/Nursery/n1/any", 1)
    assert world.outcome("child-of-n1") == ("COMPLETED", GREETED)
    assert world.host.http("GET", "/api/entity/Nursery/n1").json() == "child-of-n1"


def test_event_starts_a_flow_through_the_asynchronous_client(world: World) -> None:
    event = {
        "id": "event-1",
        "topic": "/t",
        "subject": "models/fraud:1",
        "eventType": "ModelRegistered",
        "eventTime": "2026-11-22T10:00:00Z",
        "data": {"ModelName": "fraud"},
        "dataVersion": "1",
    }
    assert world.host.event("start_by_event", [event]).status == 202
    assert world.outcome("event-1") == ("COMPLETED", GREETED)


def test_event_signals_an_entity_through_the_synchronous_client(world: World) -> None:
    events = [
        {
            "specversion": "1.0",
            "id": f"cloud-{number}",
            "source": "/s",
            "type": "ModelRegistered",
            "time": "2026-11-22T10:00:00Z",
            "subject": "models/fraud:1",
        }
        for number in range(10)
    ]
    assert world.host.event("count_by_event", events).status == 202
    path = "/api/entity/counter/models/fraud:1"
    until(lambda: world.host.http("GET", path).body, lambda body: body == b"10")


def test_payload_of_more_than_four_megabytes_passes(world: World) -> None:
    text = "x" * 5_000_000
    world.start("echo", "flow-9", text)
    assert world.outcome("flow-9") == ("COMPLETED", f'"{text}"')


def test_timer_is_fired_on_demand(world: World) -> None:
    before = world.notes().count("tick past_due=False")
    assert world.host.fire_timer("on_tick").status == 202
    assert world.notes().count("tick past_due=False") == before + 1
    assert world.host.fire_timer("greet").status == 404


def test_killed_host_leaves_its_activity_to_the_next(own_world: World) -> None:
    own_world.start("linger", "flow-1")
    until(own_world.notes, lambda notes: "slow flow-1" in notes)
    own_world.host.kill9()
    own_world.open_gate()
    own_world.new_host()
    assert own_world.outcome("flow-1") == ("COMPLETED", '"done"')
    assert own_world.notes().count("slow flow-1") == 2


def test_stopped_host_delivers_what_it_runs(own_world: World) -> None:
    own_world.start("linger", "flow-1")
    until(own_world.notes, lambda notes: "slow flow-1" in notes)
    own_world.host.ask_to_stop()
    own_world.open_gate()
    assert own_world.host.wait_for_end() == 0
    own_world.new_host()
    assert own_world.outcome("flow-1") == ("COMPLETED", '"done"')
    assert own_world.notes().count("slow flow-1") == 1


def test_host_finds_a_restarted_engine_and_flows_go_on(own_world: World) -> None:
    own_world.start("linger", "flow-1")
    own_world.start("nap", "flow-2")
    until(own_world.notes, lambda notes: "slow flow-1" in notes)
    port = int(own_world.engine.address.rpartition(":")[2])
    own_world.engine.kill9()
    own_world.open_gate()
    until(
        lambda: own_world.host.http("GET", "/admin/host/status").json()["state"],
        lambda state: state == "Starting",
    )
    own_world.engine = LocalEngine(own_world.folder, port=port)
    until(
        lambda: own_world.host.http("GET", "/admin/host/status").json()["state"],
        lambda state: state == "Running",
    )
    assert own_world.outcome("flow-1") == ("COMPLETED", '"done"')
    assert own_world.outcome("flow-2") == ("COMPLETED", '"hello the rested"')


def test_limit_on_activities_holds(own_world: World) -> None:
    own_world.host.stop()
    own_world.new_host("--activities", "1")
    own_world.start("crowd", "flow-1")
    assert own_world.outcome("flow-1") == ("COMPLETED", "[0, 1, 2, 3]")
    assert own_world.notes() == ["enter", "leave"] * 4


def test_failing_timer_is_told(own_world: World) -> None:
    own_world.host.stop()
    own_world.new_host(env={"SAMPLE_TICK": "fail"})
    assert own_world.host.fire_timer("on_tick").status == 500


def test_flows_survive_many_deaths_of_the_host(own_world: World) -> None:
    flows = [f"flow-{number}" for number in range(12)]
    for number, flow in enumerate(flows):
        own_world.start("greet", flow)
        if number % 3 == 2:
            own_world.host.kill9()
            own_world.new_host()
    assert {own_world.outcome(flow) for flow in flows} == {("COMPLETED", GREETED)}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_host_waits_for_its_engine_and_stops_when_told(tmp_path: Path) -> None:
    engine_port, port = free_port(), free_port()
    host = LocalHost(
        APP,
        tmp_path,
        engine=f"127.0.0.1:{engine_port}",
        env={"SAMPLE_LOG": str(tmp_path / "notes"), "SAMPLE_SCHEDULE": "0 0 0 1 1 *"},
        options=["--port", str(port)],
    )
    until(lambda: state_at(port), lambda state: state == "Starting")
    engine = LocalEngine(tmp_path, port=engine_port)
    host.start()
    assert state_at(port) == "Running"
    engine.stop()
    until(lambda: state_at(port), lambda state: state == "Starting")
    assert host.stop() == 0


def state_at(port: int) -> str | None:
    try:
        answer = call("GET", f"http://127.0.0.1:{port}/admin/host/status")
    except urllib.error.URLError:
        return None  # not listening yet
    return answer.json()["state"] if answer.status == 200 else None
