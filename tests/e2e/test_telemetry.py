"""The real host sends what it does by OTLP, and all of a rollout names its rollout."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.activities.workspace import ACTIVITIES
from local.program import REPOSITORY
from local.stack import Stack
from tests.e2e.scene import AT_ONCE, Scene, write_policies
from tests.otlp_collector import Collector, collecting

pytestmark = pytest.mark.e2e

SOON = {
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
}  # milliseconds


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("scene")
    stack = Stack(
        policies=write_policies(folder / "policies", {"watched": (AT_ONCE, "")}),
        data=folder / "data",
        pace="instant",
        settings={
            "ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *",  # never while the tests run
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            **SOON,
        },
        app=Path(os.environ.get("E2E_APP", REPOSITORY)),
    )
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()


def test_lines_spans_and_figures_of_a_rollout_arrive_and_name_it(
    scene: Scene, collector: Collector
) -> None:
    rollout = scene.register_and_end("watched")
    assert rollout["phase"] == "succeeded"
    rollout_id = rollout["rollout_id"]

    def names() -> set[str] | None:
        found = {name for name, told in collector.spans() if told.get("rollout_id") == rollout_id}
        wanted = {"event", "look", "create_candidate", "watch_candidate", "probe", "shift"}
        return found if wanted <= found else None

    scene.until(names, "its spans")
    assert collector.services == {"azure-ml-rollouts"}
    activities = [(name, told) for name, told in collector.spans() if name in ACTIVITIES]
    about = [told for _, told in activities]
    assert {one["rollout_id"] for one in about} == {rollout_id}
    acting = [told for name, told in activities if name != "archive"]
    assert {(one["endpoint"], one["model"]) for one in acting} == {("watched", "watched")}
    assert {one["state"] for one in about} <= {"done", "working", "busy"}

    def said() -> dict[str, Any] | None:
        found = {json.loads(text)["event"]: told for text, told in collector.lines()}
        return found if "rollout ended" in found else None

    lines = scene.until(said, "its last line")
    assert {"version offered", "rollout started"} <= lines.keys()
    assert (lines["rollout ended"]["rollout_id"], lines["rollout ended"]["phase"]) == (
        rollout_id, "succeeded",
    )  # fmt: skip

    def figures() -> dict[Any, float] | None:
        found = collector.figures()
        stages = {dict(key)["stage"] for name, key in found if name == "stage_duration"}
        return found if stages >= {"preparing", "promoting"} else None

    seen = scene.until(figures, "its figures")
    assert seen["events_received", (("result", "offered"),)] == 1
    assert seen["rollouts_started", (("kind", "roll_out"),)] == 1
    assert seen["rollouts_finished", (("kind", "roll_out"), ("outcome", "succeeded"))] == 1
    place = (("deployment", rollout["candidate"]), ("endpoint", "watched"))
    assert seen["traffic_percent", place] == 100
