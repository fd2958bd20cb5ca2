"""The Monitor port's contract: the same claims about the fake and about the emulator.

What is measured was really asked: every request here went to a scoring server, or to the fake's.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import pytest

from deploy_logic.adapters.azure_monitor import AzureMonitor
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.metric import Measured, Reading
from deploy_logic.ports import Monitor
from tests.contract.rooms import AnyToken, EmulatorRoom, FakeRoom, Room, a_plan, new_endpoint
from tests.fakes import FakeMonitor

SECOND = timedelta(seconds=1)
METRICS = (
    *("error_rate", "model_error_rate", "requests", "latency_p50", "latency_p95"),
    *("cpu", "memory", "gpu"),
)


class Scored(Protocol):
    """An endpoint with blue and red, which raises; four requests went to one, three to other."""

    room: Room
    monitor: Monitor
    endpoint: str
    since: datetime

    @property
    def now(self) -> datetime:
        """The time of whoever counts."""


class ScoredFake:
    def __init__(self, room: FakeRoom) -> None:
        self.room: Room = room
        self._clock = room.fake.clock
        self.endpoint = deploy(room)
        fake = FakeMonitor(self._clock)
        self.monitor: Monitor = fake
        self.since = self._clock.now
        for name in ("blue",) * 4 + ("red",) * 3:
            answer = room.workspace.score(self.endpoint, name, "{}")
            assert answer.status is not None
            fake.note(self.endpoint, name, status=answer.status, milliseconds=answer.milliseconds)
        self._clock.advance(SECOND)

    @property
    def now(self) -> datetime:
        return self._clock.now


class ScoredEmulator:
    def __init__(self, room: EmulatorRoom) -> None:
        self.room: Room = room
        self.endpoint = deploy(room)
        self.monitor: Monitor = AzureMonitor(room.id, cloud=room.cloud, credential=AnyToken())
        self.since = self._clock()
        for name in ("blue",) * 4 + ("red",) * 3:
            room.workspace.score(self.endpoint, name, "{}")

    def _clock(self) -> datetime:
        shown: dict[str, str] = self._room.lab.admin("GET", "clock")
        return datetime.fromisoformat(shown["now"]).astimezone(UTC)

    @property
    def _room(self) -> EmulatorRoom:
        assert isinstance(self.room, EmulatorRoom)
        return self.room

    @property
    def now(self) -> datetime:
        return self._clock() + SECOND  # the wire has whole seconds


def deploy(room: Room) -> str:
    endpoint = new_endpoint(room)
    for name, version in (("blue", "1"), ("red", "3")):
        room.workspace.create_deployment(a_plan(room, endpoint, name, version=version))
        room.settle(endpoint)
    return endpoint


@pytest.fixture(scope="module", params=["fake", "emulator"])
def scored(request: pytest.FixtureRequest) -> Scored:
    room: Room = request.getfixturevalue(request.param)
    return ScoredEmulator(room) if isinstance(room, EmulatorRoom) else ScoredFake(room)  # type: ignore[arg-type] # the other is the fake


def read(scored: Scored, metric: str, **changes: Any) -> Measured:
    asked: dict[str, Any] = {
        "endpoint": scored.endpoint,
        "candidate": "red",
        "stable": "blue",
        "since": scored.since,
        "until": scored.now,
    }
    return scored.monitor.read(metric, **(asked | changes))


@pytest.mark.parametrize("metric", ["error_rate", "model_error_rate"])
def test_rates_are_of_the_requests_that_each_side_got(scored: Scored, metric: str) -> None:
    found = read(scored, metric)
    assert found.candidate == Reading(samples=3, value=1.0, hits=3)
    assert found.stable == Reading(samples=4, value=0.0, hits=0)


def test_requests_are_added_up(scored: Scored) -> None:
    found = read(scored, "requests")
    assert found.candidate == Reading(samples=3, value=3.0)
    assert found.stable == Reading(samples=4, value=4.0)


@pytest.mark.parametrize("metric", ["latency_p50", "latency_p90", "latency_p95", "latency_p99"])
def test_latency_rests_on_the_requests(scored: Scored, metric: str) -> None:
    found = read(scored, metric)
    assert found.stable is not None
    assert (found.candidate.samples, found.stable.samples) == (3, 4)
    assert (found.candidate.value or 0) > 0
    assert (found.stable.value or 0) > 0


@pytest.mark.parametrize("metric", METRICS)
def test_without_a_stable_there_is_no_reading_of_one(scored: Scored, metric: str) -> None:
    assert read(scored, metric, stable=None).stable is None


@pytest.mark.parametrize("metric", METRICS)
def test_before_anything_happened_there_is_no_reading(scored: Scored, metric: str) -> None:
    past = timedelta(hours=1)
    found = read(scored, metric, since=scored.since - past, until=scored.since - past / 2)
    assert (found.candidate, found.stable) == (Reading(), Reading())


@pytest.mark.parametrize("metric", METRICS)
def test_window_that_has_not_begun_is_empty(scored: Scored, metric: str) -> None:
    for until in (scored.since, scored.since - SECOND):
        found = read(scored, metric, until=until)
        assert (found.candidate, found.stable) == (Reading(), Reading())


def test_names_compare_without_case(scored: Scored) -> None:
    found = read(scored, "requests", endpoint=scored.endpoint.upper(), candidate="RED")
    assert found.candidate.samples == 3


def test_deployment_that_had_no_requests_has_no_reading(scored: Scored) -> None:
    assert read(scored, "error_rate", candidate="green").candidate == Reading()


@pytest.mark.parametrize("metric", METRICS)
def test_endpoint_that_is_not_there_is_refused_for_good(scored: Scored, metric: str) -> None:
    with pytest.raises(WorkspaceError) as caught:
        read(scored, metric, endpoint="nowhere")
    assert not isinstance(caught.value, TransientError)
    assert caught.value.status == 404


@pytest.fixture(scope="module")
def on_emulator(emulator: EmulatorRoom) -> ScoredEmulator:
    return ScoredEmulator(emulator)


@pytest.mark.parametrize(
    ("metric", "calls"),
    [("error_rate", 1), ("model_error_rate", 1), ("requests", 1), ("latency_p95", 2), ("cpu", 2)],
)
def test_both_sides_come_with_one_call_where_the_metric_is_the_endpoint_s(
    emulator: EmulatorRoom, on_emulator: ScoredEmulator, metric: str, calls: int
) -> None:
    """A percentile needs the requests as its weights; utilisation is each deployment's own."""
    now = on_emulator.now
    with emulator.requests() as asked:
        read(on_emulator, metric, until=now)
    assert len(asked) == calls
    assert all(one.startswith("GET /onlineEndpoints/") for one in asked)


@pytest.mark.parametrize(
    ("fault", "is_transient"),
    [
        ({"status": 429, "code": "TooManyRequests", "retry_after": 17}, True),
        ({"status": 503, "code": "ServerBusy"}, True),
        ({"drop_connection": True}, True),
        ({"status": 403, "code": "AuthorizationFailed"}, False),
        ({"status": 400, "code": "BadRequest"}, False),
    ],
    ids=str,
)
def test_failure_of_azure_becomes_one_of_ours_and_is_asked_once(
    emulator: EmulatorRoom,
    on_emulator: ScoredEmulator,
    fault: dict[str, Any],
    *,
    is_transient: bool,
) -> None:
    now = on_emulator.now
    with (
        emulator.requests() as asked,
        emulator.fault(path_regex="/providers/Microsoft.Insights/metrics", **fault),
        pytest.raises(WorkspaceError) as caught,
    ):
        read(on_emulator, "error_rate", until=now)
    assert isinstance(caught.value, TransientError) == is_transient
    if isinstance(caught.value, TransientError):
        assert caught.value.retry_after == timedelta(seconds=fault.get("retry_after", 0))
    assert len(list(asked)) == 1
