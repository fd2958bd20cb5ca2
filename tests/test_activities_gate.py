"""The activity `measure`: which window it asks for, what the query says, and who is judged."""

import json
from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.activities.gate import fill_query
from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.codec import encode
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.plan.step import LogsSource, MetricSource, Threshold, Watch
from tests.builders import WORKSPACE
from tests.fakes import Clock, FakeLogs, FakeMonitor, FakeWorkspace, an_outside

MINUTE = timedelta(minutes=1)
ERRORS = Watch(
    name="errors",
    source=MetricSource(metric="error_rate", threshold=Threshold(kind="at_most", value=0.01)),
)
SLOWER = Watch(
    name="slower",
    source=MetricSource(
        metric="latency_p95", threshold=Threshold(kind="worse_than_stable_by_at_most", value=0.2)
    ),
)
QUERY = "AppTraces | where Properties.deployment == '{{DEPLOYMENT_NAME}}' | count"
LOGS = Watch(
    name="logs", source=LogsSource(query=QUERY, threshold=Threshold(kind="at_most", value=0))
)


class Bake:
    """A bake that began at the clock's time, of `green` beside `blue`."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.since = self.clock.now
        self.monitor = FakeMonitor(self.clock)
        self.logs = FakeLogs()
        self.monitor.endpoints.add("fraud")
        self.outside = an_outside(
            FakeWorkspace(self.clock), list, monitor=self.monitor, logs=self.logs
        )

    def serve(self, deployment: str, number: int, **changes: Any) -> None:
        for _ in range(number):
            self.monitor.note("fraud", deployment, **changes)

    def measure(self, watch: Watch, *, lag: timedelta = timedelta(0), **changes: Any) -> Any:
        """Call as the engine does: through JSON, there and back."""
        payload = {
            "workspace": WORKSPACE,
            "endpoint": "fraud",
            "candidate": "green",
            "stable": "blue",
            "model": "fraud",
            "version": "7",
            "watch": encode(watch),
            "since": self.since.isoformat(),
            "lag": lag.total_seconds(),
            **changes,
        }
        travelled = json.loads(json.dumps(payload))
        return json.loads(json.dumps(ACTIVITIES["measure"](self.outside, travelled)))

    def verdict(self, watch: Watch, **changes: Any) -> str:
        answer = self.measure(watch, **changes)
        assert answer["state"] == "done", answer
        verdict: str = answer["judgement"]["verdict"]
        return verdict


@pytest.fixture
def bake() -> Bake:
    return Bake()


def test_candidate_that_fails_is_failed_with_its_figures(bake: Bake) -> None:
    bake.serve("blue", 90)
    bake.serve("green", 20)
    bake.serve("green", 10, status=500)
    bake.clock.advance(MINUTE)
    judgement = bake.measure(ERRORS)["judgement"]
    assert judgement["verdict"] == "fail"
    assert "33.33% (10 of 30, within" in judgement["reason"]
    assert judgement["figures"]["candidate"]["hits"] == 10
    assert judgement["figures"]["stable"]["samples"] == 90
    assert bake.monitor.asked == [("error_rate", "green", "blue")]


def test_the_newest_minutes_are_left_out(bake: Bake) -> None:
    bake.serve("green", 500)
    bake.clock.advance(4 * MINUTE)
    bake.serve("green", 500, status=500)
    bake.clock.advance(2 * MINUTE)
    assert bake.verdict(ERRORS, lag=3 * MINUTE) == "pass"
    assert bake.verdict(ERRORS) == "fail"


def test_before_the_lag_is_over_there_is_nothing_to_say(bake: Bake) -> None:
    bake.serve("green", 500, status=500)
    bake.clock.advance(3 * MINUTE)
    judgement = bake.measure(ERRORS, lag=3 * MINUTE)["judgement"]
    assert judgement["verdict"] == "inconclusive"
    assert judgement["reason"] == "errors: error_rate of candidate: no data in the window"


def test_slower_than_the_stable_fails(bake: Bake) -> None:
    bake.serve("blue", 90, milliseconds=100)
    bake.serve("green", 30, milliseconds=150)
    bake.clock.advance(MINUTE)
    assert bake.verdict(SLOWER) == "fail"


def test_without_a_stable_nothing_is_asked_of_one(bake: Bake) -> None:
    bake.serve("green", 500)
    bake.clock.advance(MINUTE)
    assert bake.verdict(ERRORS, stable="") == "pass"
    assert bake.monitor.asked == [("error_rate", "green", None)]


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (TransientError("too many", code="TooManyRequests"), "busy"),
        (WorkspaceError("no right", status=403), "broke"),
    ],
    ids=["busy", "broke"],
)
def test_monitor_that_cannot_be_asked_is_told_and_not_judged(
    bake: Bake, error: WorkspaceError, state: str
) -> None:
    def fault() -> None:
        raise error

    bake.monitor.fault = fault
    answer = bake.measure(ERRORS)
    assert (answer["state"], answer["reason"]) == (state, str(error))


@pytest.mark.parametrize(("number", "verdict"), [(0, "pass"), (3, "fail"), (None, "inconclusive")])
def test_number_of_a_query_is_judged(bake: Bake, number: float | None, verdict: str) -> None:
    bake.logs.number = number
    bake.clock.advance(MINUTE)
    assert bake.verdict(LOGS) == verdict
    ((query, since, until),) = bake.logs.asked
    assert query == "AppTraces | where Properties.deployment == 'green' | count"
    assert (since, until) == (bake.since, bake.clock.now)


def test_query_has_the_names_and_the_window() -> None:
    values = {"DEPLOYMENT_NAME": "green", "SINCE": "2026-11-23T09:00:00+00:00"}
    query = "T | where d == '{{ deployment_name }}' and t > datetime({{SINCE}}) | where {1: {2}}"
    assert fill_query(query, values) == (
        "T | where d == 'green' and t > datetime(2026-11-23T09:00:00+00:00) | where {1: {2}}"
    )


def test_placeholder_that_nothing_fills_is_refused(bake: Bake) -> None:
    watch = Watch(
        name="logs",
        source=LogsSource(query="T | {{NAME}}", threshold=Threshold(kind="at_most", value=0)),
    )
    answer = bake.measure(watch)
    assert answer["state"] == "broke"
    assert "'{{NAME}}' stands for nothing (ENDPOINT_NAME, " in answer["reason"]
    assert bake.logs.asked == []


@pytest.mark.parametrize("version", ["7' or true //", "7\n| union *", '7"', "{{SINCE}}", "7;"])
def test_value_that_could_change_the_query_is_refused(version: str) -> None:
    with pytest.raises(WorkspaceError, match="MODEL_VERSION is"):
        fill_query("T | where v == '{{MODEL_VERSION}}'", {"MODEL_VERSION": version})
