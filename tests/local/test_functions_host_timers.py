"""Timer triggers on their schedule, and what is remembered of them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.local_host import ROOT, LocalEngine, LocalHost, until

pytestmark = pytest.mark.e2e

YEARLY = "0 0 0 1 1 *"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalEngine]:
    engine = LocalEngine(tmp_path_factory.mktemp("engine"))
    yield engine
    engine.stop()


def new_host(engine: LocalEngine, folder: Path, schedule: str) -> LocalHost:
    log = folder / "notes"
    log.touch()
    return LocalHost(
        ROOT / "tests/local/apps/durable",
        folder,
        engine=engine.address,
        env={"SAMPLE_LOG": str(log), "SAMPLE_SCHEDULE": schedule},
        options=["--state", str(folder / "state")],
    )


def ticks(folder: Path) -> list[str]:
    return (folder / "notes").read_text(encoding="utf-8").splitlines()


def test_timer_fires_on_its_schedule(engine: LocalEngine, tmp_path: Path) -> None:
    host = new_host(engine, tmp_path, "* * * * * *").start()
    found = until(lambda: ticks(tmp_path), lambda found: len(found) >= 2)
    assert set(found) == {"tick past_due=False"}
    assert host.stop() == 0
    # More often than once a minute is not monitored, as in the real host.
    assert not (tmp_path / "state").exists()


def test_occurrence_missed_while_down_runs_past_due_once(
    engine: LocalEngine, tmp_path: Path
) -> None:
    state = tmp_path / "state/on_tick.json"
    state.parent.mkdir()
    missed = {"Last": "2020-01-01T00:00:00+00:00", "Next": "2021-01-01T00:00:00+00:00"}
    state.write_text(json.dumps(missed), encoding="utf-8")
    host = new_host(engine, tmp_path, YEARLY).start()
    until(
        lambda: json.loads(state.read_text(encoding="utf-8"))["Next"],
        lambda following: following > "2026",
    )
    host.stop()
    host = new_host(engine, tmp_path, YEARLY).start()
    assert host.fire_timer("on_tick").status == 202
    host.stop()
    assert ticks(tmp_path) == ["tick past_due=True", "tick past_due=False"]


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("every minute", "schedule 'every minute': 2 fields"),
        ("0 0 0 31 2 *", "the schedule never occurs"),
    ],
)
def test_wrong_schedule_ends_the_host(
    engine: LocalEngine, tmp_path: Path, schedule: str, message: str
) -> None:
    host = new_host(engine, tmp_path, schedule)
    assert host.wait_for_end() == 1
    assert f"timer 'on_tick': {message}" in host.log.read_text(encoding="utf-8")


def test_wrong_state_ends_the_host(engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/on_tick.json").write_text("{", encoding="utf-8")
    host = new_host(engine, tmp_path, YEARLY)
    assert host.wait_for_end() == 1
    assert "not a timer status" in host.log.read_text(encoding="utf-8")
