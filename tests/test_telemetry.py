"""Spans and figures: what each says, that nothing is recorded until asked, and nothing twice."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.adapters.durable import bind_activity, ledger_id
from deploy_logic.adapters.durable_entity import endpoint_ledger
from deploy_logic.adapters.open_telemetry import Destination, OpenTelemetry, open_destinations
from deploy_logic.codec import encode
from deploy_logic.errors import WorkspaceError
from deploy_logic.rollout import Operation, Phase
from deploy_logic.telemetry import facts, recorder
from deploy_logic.telemetry.line import LOGGER
from deploy_logic.telemetry.recorder import INSTRUMENTS, Figure
from tests.builders import WORKSPACE, an_event_text, an_offer
from tests.desk import Counter
from tests.fakes import Clock, FakeWorkspace, an_outside
from tests.log_lab import MAKES, listening
from tests.office import Lab
from tests.test_durable_entity import Store, an_end
from tests.test_orchestrator import BAD, Tale
from tests.test_story_gates import ERRORS, Gated
from tests.test_story_people import LEADS

REPOSITORY = Path(__file__).parents[1]


class Seen:
    """What a backend would have got."""

    def __init__(self) -> None:
        self._spans = InMemorySpanExporter()
        self._lines = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call] # has no types
        self._figures = InMemoryMetricReader()
        sent = Destination(spans=self._spans, lines=self._lines, figures=self._figures)
        self.recorder = OpenTelemetry([sent])

    def spans(self) -> list[Any]:
        self.recorder.flush()
        return list(self._spans.get_finished_spans())

    def span(self, name: str) -> Any:
        (found,) = [one for one in self.spans() if one.name == name]
        return found

    def lines(self) -> list[Any]:
        self.recorder.flush()
        return [one.log_record for one in self._lines.get_finished_logs()]

    def figures(self, figure: Figure) -> dict[tuple[object, ...], Any]:
        """Return the points of a figure: its attributes' values, and a number or (count, sum)."""
        data: Any = self._figures.get_metrics_data()
        points = [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == figure
            for point in metric.data.data_points
        ]
        return {
            tuple(point.attributes.values()): (point.count, point.sum)
            if hasattr(point, "count")
            else point.value
            for point in points
        }


@pytest.fixture
def seen() -> Iterator[Seen]:
    here = Seen()
    recorder.switch_on(here.recorder)
    here.recorder.listen()
    try:
        yield here
    finally:
        recorder.switch_off()
        here.recorder.close()


# --- events, requests


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("{", "refused"),
        (an_event_text(eventType="Microsoft.Storage.BlobCreated"), "ignored"),
        (an_event_text(model="stranger"), "no_match"),
        (an_event_text(), "offered"),
    ],
    ids=["refused", "ignored", "no match", "offered"],
)
def test_every_event_is_a_span_and_counted_once(seen: Seen, text: str, result: str) -> None:
    Counter().handle(text)
    assert seen.span("event").attributes["result"] == result
    assert seen.figures(Figure.EVENTS_RECEIVED) == {(result,): 1}


def test_a_span_is_about_what_is_logged_within_it(seen: Seen) -> None:
    with listening():
        Counter().handle(an_event_text())
    told = seen.span("event").attributes
    assert told["rollout_id"] == an_offer().rollout_id
    assert (told["model"], told["version"], told["event_id"]) == ("fraud", "7", "e-1")


@pytest.mark.parametrize(
    ("place", "route", "status"),
    [
        ("GET rollouts", "list_rollouts", 200),
        ("GET rollouts/nowhere", "show_rollout", 404),
        ("GET health", "show_health", 200),
    ],
)
def test_every_request_is_a_span_with_its_status(
    seen: Seen, place: str, route: str, status: int
) -> None:
    assert Lab().send(place).status == status
    told = seen.span("request").attributes
    assert (told["route"], told["status"]) == (route, status)


# --- activities


def shift(workspace: FakeWorkspace, **weights: int) -> Any:
    outside = an_outside(workspace, list)
    bound = bind_activity(ACTIVITIES["shift"], "shift", lambda: outside)
    about = {"rollout_id": "r-1", "endpoint": "fraud", "model": "fraud", "version": "7"}
    return bound({"workspace": WORKSPACE, "weights": weights, **about})


def test_an_activity_is_a_span_of_its_name_about_its_rollout(seen: Seen) -> None:
    workspace = FakeWorkspace(Clock())
    workspace.serve("6")
    assert shift(workspace, blue=100)["state"] == "done"
    told = dict(seen.span("shift").attributes)
    assert told == {
        "rollout_id": "r-1", "endpoint": "fraud", "model": "fraud", "version": "7", "state": "done",
    }  # fmt: skip
    assert seen.figures(Figure.TRAFFIC_PERCENT) == {("fraud", "blue"): 100}


def test_an_activity_that_azure_refuses_says_so(seen: Seen) -> None:
    workspace = FakeWorkspace(Clock())

    def fault(_method: str, _when: str) -> None:
        raise WorkspaceError("no permission", status=403, code="AuthorizationFailed")

    workspace.fault = fault
    assert shift(workspace, blue=100)["state"] == "broke"
    assert seen.span("shift").attributes["state"] == "broke"
    assert seen.figures(Figure.TRAFFIC_PERCENT) == {}


def test_an_exception_is_on_the_span_without_its_secrets_and_goes_on(seen: Seen) -> None:
    def break_down(_outside: object, _payload: object) -> Any:
        raise RuntimeError("Bearer abc123def456")

    bound = bind_activity(break_down, "probe", lambda: None)
    with pytest.raises(RuntimeError, match="abc123def456"):
        bound({"rollout_id": "r-1"})
    found = seen.span("probe")
    (event,) = found.events
    assert event.attributes["exception.type"] == "RuntimeError"
    assert "Traceback" in event.attributes["exception.stacktrace"]
    assert not found.status.is_ok
    assert "abc123def456" not in found.to_json()


def told(tale: Tale) -> dict[str, Any]:
    """Tell the tale with its activities bound as the engine calls them."""
    carry = tale.world._carry_out

    def bound(name: str, payload: Any) -> Any:
        return bind_activity(lambda _, given: carry(name, given), name, lambda: None)(payload)

    tale.world._carry_out = bound  # type: ignore[method-assign] # as the engine does
    return tale.tell()


def test_every_activity_of_a_rollout_is_about_it(seen: Seen) -> None:
    tale = Gated(ERRORS)
    result = told(tale)
    assert result["phase"] == "succeeded"
    spans = seen.spans()
    assert {"look", "create_candidate", "watch_candidate", "shift", "measure"} <= {
        one.name for one in spans
    }
    about = {
        (one.attributes["rollout_id"], one.attributes["endpoint"], one.attributes["model"],
         one.attributes["version"])
        for one in spans
    }  # fmt: skip
    assert about == {(result["rollout_id"], "fraud", "fraud", "7")}
    assert all(one.attributes["state"] for one in spans)
    verdicts = seen.figures(Figure.BAKE_DECISION)
    measured = [one for one in spans if one.name == "measure"]
    assert verdicts["pass", "measure"] == len(measured)
    assert {one.attributes["gate"] for one in measured} == {"error_rate 1"}


# --- ledgers and ends


def test_a_ledger_counts_what_it_starts_and_what_ends_each_once(seen: Seen) -> None:
    store, offer = Store(ledger_id(WORKSPACE, "fraud")), an_offer()
    for _ in range(2):
        store.tell(endpoint_ledger, "offer", encode(offer))
    assert seen.figures(Figure.ROLLOUTS_STARTED) == {("roll_out",): 1}
    for _ in range(2):
        store.tell(endpoint_ledger, "finish", an_end(offer))
    assert seen.figures(Figure.ROLLOUTS_FINISHED) == {("succeeded", "roll_out"): 1}


def test_the_next_one_that_waits_is_counted_when_it_starts(seen: Seen) -> None:
    store = Store(ledger_id(WORKSPACE, "fraud"))
    store.tell(endpoint_ledger, "offer", encode(an_offer()))
    store.tell(endpoint_ledger, "offer", encode(an_offer(version="8")))
    assert seen.figures(Figure.ROLLOUTS_STARTED) == {("roll_out",): 1}
    store.tell(endpoint_ledger, "finish", an_end(an_offer()))
    assert seen.figures(Figure.ROLLOUTS_STARTED) == {("roll_out",): 2}
    assert seen.figures(Figure.ROLLOUTS_FINISHED) == {("succeeded", "roll_out"): 1}


def stages(result: dict[str, Any]) -> dict[str, float]:
    found: dict[str, float] = {}
    for phase, _, seconds in facts.list_stages(result["timeline"]):
        found[phase] = found.get(phase, 0) + seconds
    return found


def test_the_stages_of_a_rollout_are_its_phases_and_fill_its_time(seen: Seen) -> None:
    result = Tale().tell()
    facts.tell_stages(result)
    assert set(stages(result)) == {"preparing", "progressing", "promoting"}
    counted = seen.figures(Figure.STAGE_DURATION)
    assert {key[0]: total for key, (_, total) in counted.items()} == stages(result)
    assert seen.figures(Figure.ROLLBACK_SECONDS) == {}
    assert seen.figures(Figure.APPROVAL_WAIT_SECONDS) == {}


def test_a_roll_back_is_measured_and_is_a_line(seen: Seen) -> None:
    tale = Tale()
    tale.workspace.answers["7"] = BAD
    result = tale.tell()
    with listening() as messages:
        facts.tell_stages(result)
    ((key, (count, total)),) = seen.figures(Figure.ROLLBACK_SECONDS).items()
    assert (key, count, total) == (("failed",), 1, stages(result)["rolling_back"])
    (line,) = [json.loads(message) for message in messages]
    assert (line["event"], line["phase"], line["rollout_id"]) == (
        "rolled back", "failed", result["rollout_id"],
    )  # fmt: skip


def test_the_wait_for_an_approval_is_measured_and_a_pause_is_none(seen: Seen) -> None:
    tale = Gated(weights=(10,), approval={"promote": LEADS})
    tale.offer()
    tale.world.run(timedelta(hours=2))
    tale.ask(Operation.PAUSE)
    tale.answer(Operation.APPROVE, by="ann", claims=("group:ml-leads",))
    tale.world.run(timedelta(minutes=1))
    tale.ask(Operation.RESUME)
    tale.world.run()
    result = tale.result()
    facts.tell_stages(result)
    ((key, (count, total)),) = seen.figures(Figure.APPROVAL_WAIT_SECONDS).items()
    assert (key, count) == (("approval to promote",), 1)
    assert 0 < total <= stages(result)["waiting"]


# --- lines


def test_lines_are_sent_with_their_values_and_in_their_span(seen: Seen) -> None:
    with listening():
        Counter().handle(an_event_text(model="stranger"))
    (line,) = seen.lines()
    assert json.loads(line.body)["event"] == "no match"
    assert (line.attributes["model"], line.attributes["version"]) == ("stranger", "7")
    assert line.span_id == seen.span("event").context.span_id


def test_of_others_only_what_is_wrong_is_sent_and_no_secret(seen: Seen) -> None:
    other = logging.getLogger("some.package")
    other.warning("GET https://contoso.com/x?sig=abc: %s", "Bearer abc123def456")
    other.info("all is well")
    logging.getLogger("azure.core.pipeline").warning("sent 1 of 1")
    logging.getLogger(LOGGER).warning("event refused")
    assert [one.body for one in seen.lines()] == [
        "GET https://contoso.com/… Bearer ***", "event refused",
    ]  # fmt: skip


# --- nothing twice, and nothing unasked


def test_without_a_recorder_nothing_is_recorded_and_all_goes_on() -> None:
    here = Seen()
    Counter().handle(an_event_text())
    assert Lab().send("GET rollouts").status == 200
    assert here.spans() == []
    assert here.figures(Figure.EVENTS_RECEIVED) == {}
    here.recorder.close()


def test_every_figure_has_its_row_as_it_is() -> None:
    page = (REPOSITORY / "docs" / "telemetry.md").read_text(encoding="utf-8")
    for name, one in INSTRUMENTS.items():
        assert f"| `{name}` | {one.kind} | `{one.unit}` | {one.text} |" in page
    assert set(INSTRUMENTS) == set(Figure)
    assert set(MAKES) >= {"rollout ended", "rolled back"}


_START = """
import json, sys
import function_app
names = ("opentelemetry.sdk", "opentelemetry.exporter", "azure.monitor", "azure.identity")
print(json.dumps([name for name in names if name in sys.modules]))
"""


@pytest.mark.parametrize(
    ("settings", "imported"),
    [
        ({}, []),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, ["opentelemetry.sdk"]),
        (
            {
                "APPLICATIONINSIGHTS_CONNECTION_STRING": "InstrumentationKey="
                "00000000-0000-0000-0000-000000000000;IngestionEndpoint=http://127.0.0.1:9/"
            },
            ["opentelemetry.sdk"],
        ),
    ],
    ids=["unset", "OTLP", "Application Insights"],
)
def test_the_start_imports_only_what_the_settings_ask_for(
    settings: dict[str, str], imported: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"{_START}\nimport os; sys.stdout.flush(); os._exit(0)"],
        cwd=REPOSITORY,
        env={"ROLLOUT_WORKSPACES": WORKSPACE, "ROLLOUT_POLICIES": str(tmp_path), **settings},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout.splitlines()[-1]) == imported


def test_application_insights_is_asked_with_a_token_of_ours(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
    asked = io.StringIO()

    class Credential:
        def get_token(self, *scopes: str, **_: Any) -> Any:
            asked.write(" ".join(scopes))
            raise RuntimeError("no token here")

    connection = (
        "InstrumentationKey=00000000-0000-0000-0000-000000000000;"
        "IngestionEndpoint=https://127.0.0.1:9/"
    )
    (insights,) = open_destinations(insights=connection, otlp="", credential=Credential)
    sent = OpenTelemetry([insights])
    with sent.span("event", {}):
        pass
    sent.flush()
    sent.close()
    assert "monitor.azure.com" in asked.getvalue()
    assert "Failed to derive Resource" not in caplog.text


def test_a_destination_that_is_away_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    away = OpenTelemetry(
        open_destinations(insights="", otlp="http://127.0.0.1:9", credential=_nobody)
    )
    recorder.switch_on(away)
    try:
        assert len(Counter().handle(an_event_text())) == 1
    finally:
        recorder.switch_off()
        away.close()


def _nobody() -> Any:
    raise AssertionError("OTLP needs no token")


def test_phases_are_told_in_the_timeline() -> None:
    result = Tale().tell()
    phases = [one["figures"]["phase"] for one in result["timeline"] if "phase" in one["figures"]]
    assert phases[-1] == result["phase"] == Phase.SUCCEEDED
    assert phases[0] == Phase.PREPARING
