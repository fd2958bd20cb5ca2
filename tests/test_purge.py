"""The engine forgets what is over, once the archive has all of it, and nothing before."""

from datetime import datetime, timedelta

import pytest

from deploy_logic.codec import Json
from deploy_logic.operations.purge import purge
from deploy_logic.outbox import list_all_rows
from deploy_logic.ports import Wanted
from tests.builders import MONDAY, a_policy
from tests.fake_archive import FakeArchive
from tests.test_orchestrator import Tale
from tests.test_story_gates import Gated

MONTH = timedelta(days=30)


class FakePast:
    """The Past port in memory: what is over since when, and what it showed at its end."""

    def __init__(self, **over: tuple[datetime, Json | None]) -> None:
        self.over = over

    def list_over(self, before: datetime) -> list[str]:
        return [name for name, (at, _) in self.over.items() if at < before]

    def list_served(self, before: datetime) -> list[str]:
        return [name for name in self.list_over(before) if name.startswith("relay")]

    def show_over(self, instance: str) -> Json | None:
        return self.over[instance][1]

    def purge(self, instance: str) -> None:
        del self.over[instance]


@pytest.fixture
def told() -> Json:
    tale = Tale(a_policy(weights=(10,)))
    return tale.tell()


def forget(past: FakePast, archive: FakeArchive) -> list[str]:
    return purge(past=past, archive=archive, retention=MONTH, now=MONDAY + MONTH)


def test_rollout_is_archived_whole_before_it_is_forgotten(told: Json) -> None:
    past, archive = FakePast(old=(MONDAY - MONTH, told)), FakeArchive()
    assert forget(past, archive) == ["old"]
    assert past.over == {}
    assert archive.read_timeline(told["rollout_id"]) == told["timeline"]
    (listed,), _ = archive.list_rollouts(Wanted(), limit=9)
    assert listed == {key: value for key, value in told.items() if key != "timeline"}


def test_nothing_is_forgotten_while_the_archive_is_down(
    told: Json, caplog: pytest.LogCaptureFixture
) -> None:
    past, archive = FakePast(old=(MONDAY - MONTH, told)), FakeArchive()
    archive.is_down = True
    assert forget(past, archive) == []
    assert list(past.over) == ["old"]
    assert [record.message for record in caplog.records] == ["purge waits for the archive"]


def test_what_is_young_stays_and_what_is_no_rollout_goes(told: Json) -> None:
    past = FakePast(
        young=(MONDAY + timedelta(seconds=1), told), relay=(MONDAY - timedelta(seconds=1), None)
    )
    archive = FakeArchive()
    assert forget(past, archive) == ["relay"]
    assert list(past.over) == ["young"]
    assert archive.rollouts == {}


def test_what_served_a_rollout_is_forgotten_after_a_day(told: Json) -> None:
    day = timedelta(days=1)
    over = {"relay_old": (MONDAY + MONTH - 2 * day, None), "relay_new": (MONDAY + MONTH, None)}
    past = FakePast(rollout=(MONDAY + MONTH - 2 * day, told), **over)
    assert forget(past, FakeArchive()) == ["relay_old"]
    assert sorted(past.over) == ["relay_new", "rollout"]


def test_archive_keeps_what_it_has(told: Json) -> None:
    archive = FakeArchive()
    archive.append(list_all_rows(told))
    kept = list(archive.export()), archive.list_rollouts(Wanted(), limit=9)
    forget(FakePast(old=(MONDAY - MONTH, told)), archive)
    assert (list(archive.export()), archive.list_rollouts(Wanted(), limit=9)) == kept


def test_what_was_no_match_is_no_history() -> None:
    tale = Tale()
    tale.workspace.serve("9")
    assert list_all_rows(tale.tell()) == []


def test_what_broke_has_the_lines_that_its_status_still_had(told: Json) -> None:
    lines = told["timeline"]
    status = {**told, "timeline": lines[4:], "timeline_left_out": 4, "phase": "errored"}
    archive = FakeArchive()
    archive.append(list_all_rows({**status, "ended": None}))
    assert archive.read_timeline(told["rollout_id"]) == lines[4:]
    assert (archive.read_rollout(told["rollout_id"]) or {})["phase"] == "errored"
    assert sorted(archive.lines[told["rollout_id"]]) == list(range(4, len(lines)))


def test_letting_go_is_in_no_list() -> None:
    tale = Gated(weights=(10,), keep={"old": 1, "for": "1h"})
    tale.tell()
    result = tale.world.runs[1].result
    assert result is not None
    assert [row["kind"] for row in list_all_rows(result)] == ["line"]
