"""Lists and timelines: what the engine has, what the archive has, and both as one."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.codec import Json, encode
from deploy_logic.errors import OperationError, TransientError
from deploy_logic.operations import history
from deploy_logic.operations.history import IN_FLIGHT, OVER
from deploy_logic.ports import Wanted
from deploy_logic.rollout import Awaited, Operation, Phase, Rollout
from deploy_logic.view import summarise
from tests.builders import MONDAY, WORKSPACE
from tests.fake_archive import FakeArchive
from tests.fakes import Clock, FakeEngine

ANY = Wanted()


class Place:
    """An engine and an archive, and rollouts put where they are in life."""

    def __init__(self) -> None:
        self.engine = FakeEngine(Clock())
        self.archive = FakeArchive()

    def runs(self, name: str, minute: int, **changes: Any) -> Json:
        """Have the engine carry it, and the archive know its beginning."""
        shown = shows(name, minute, phase=Phase.PROGRESSING, **changes)
        self.engine.rollouts[name] = shown
        self.keep({**shown, "phase": "preparing"})
        return shown

    def ended(self, name: str, minute: int, **changes: Any) -> Json:
        """Have it over and archived; the engine has forgotten it."""
        shown = shows(name, minute, **{"phase": Phase.SUCCEEDED, **changes})
        self.keep(shown)
        return shown

    def keep(self, shown: Json) -> None:
        row = {"kind": "rollout", "at": shown["started"], "rollout": summarise(shown)}
        lines = [
            {"kind": "line", "rollout_id": shown["rollout_id"], "index": index, **line}
            for index, line in enumerate(shown["timeline"])
        ]
        self.archive.append([row, *lines])

    def page(self, wanted: Wanted = ANY, *, after: str = "", limit: int = 50) -> Json:
        return history.list_rollouts(self.engine, self.archive, wanted, after=after, limit=limit)

    def names(self, **wanted: Any) -> list[str]:
        return [one["rollout_id"] for one in self.page(Wanted(**wanted))["rollouts"]]

    def show(self, name: str) -> Json:
        return history.show_whole(self.engine, self.archive, name)


def shows(
    name: str, minute: int, *, lines: int = 1, phase: str = "pending", **changes: Any
) -> Json:
    """Return a rollout as the engine shows it."""
    rollout = Rollout(
        rollout_id=name,
        workspace=WORKSPACE,
        endpoint="fraud",
        model="fraud",
        version="7",
        policy="fraud-prod",
        started=MONDAY + timedelta(minutes=minute),
    )
    rollout = replace(rollout, phase=Phase(phase), **changes)
    for number in range(lines):
        rollout = rollout.note(f"line {number}", at=MONDAY)
    return encode(rollout)


@pytest.fixture
def here() -> Place:
    return Place()


# --- lists


def test_lists_have_what_is_in_flight_and_what_is_over_newest_first(here: Place) -> None:
    here.ended("a", 1)
    here.runs("b", 2)
    here.ended("c", 3, phase=Phase.FAILED)
    assert here.names() == ["c", "b", "a"]
    assert here.page()["next"] is None
    assert not any("timeline" in one for one in here.page()["rollouts"])


def test_the_engine_knows_better_what_is_in_flight(here: Place) -> None:
    here.runs("a", 1)
    assert [one["phase"] for one in here.page()["rollouts"]] == ["progressing"]


def test_what_has_ended_just_now_is_looked_up_in_the_engine(here: Place) -> None:
    here.runs("a", 1)
    here.engine.rollouts["a"]["phase"] = "failed"
    assert [one["phase"] for one in here.page()["rollouts"]] == ["failed"]
    assert here.names(phases=OVER) == ["a"]
    assert here.names(phases=IN_FLIGHT) == []


def test_what_the_engine_lost_is_shown_as_the_archive_knew_it(here: Place) -> None:
    here.runs("a", 1)
    del here.engine.rollouts["a"]
    assert [one["phase"] for one in here.page()["rollouts"]] == ["preparing"]


def test_what_was_no_match_is_in_no_list(here: Place) -> None:
    here.runs("a", 1)
    here.engine.rollouts["a"]["phase"] = "no_match"
    here.ended("b", 2, phase=Phase.NO_MATCH)
    assert here.names() == []
    assert here.names(phases=OVER) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"phases": IN_FLIGHT}, ["running"]),
        ({"phases": OVER}, ["other", "failed", "first"]),
        ({"phases": frozenset({"failed"})}, ["failed"]),
        ({"endpoint": "other"}, ["other"]),
        ({"endpoint": "OTHER"}, ["other"]),
        ({"model": "churn"}, ["failed"]),
        ({"policy": "p"}, ["running"]),
        ({"since": "2026-11-23T09:03:00Z"}, ["other", "running"]),
        ({"until": "2026-11-23T09:03:00Z"}, ["failed", "first"]),
        ({"since": "2026-11-23T09:02:00Z", "until": "2026-11-23T09:04:00Z"}, ["running", "failed"]),
    ],
    ids=("in flight", "over", "phase", "endpoint", "case", "model", "policy", *("time",) * 3),
)
def test_filters_hold_for_both(here: Place, wanted: dict[str, Any], found: list[str]) -> None:
    here.ended("first", 1)
    here.ended("failed", 2, phase=Phase.FAILED, model="churn")
    here.runs("running", 3, policy="p")
    here.ended("other", 4, endpoint="other")
    assert here.names(**wanted) == found


def test_names_of_endpoints_compare_without_case() -> None:
    assert history.is_wanted(shows("a", 1), Wanted(endpoint="FRAUD"))
    assert not history.is_wanted(shows("a", 1), Wanted(endpoint="fraud-2"))


def test_an_archive_that_does_not_answer_is_no_empty_history(here: Place) -> None:
    here.runs("a", 1)
    here.archive.is_down = True
    with pytest.raises(TransientError):
        here.page()
    assert here.names(phases=IN_FLIGHT) == ["a"]  # which the engine knows alone


@given(
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from("rel")), max_size=12),
    st.integers(1, 5),
)
def test_pages_one_after_the_other_are_the_whole_list(
    rollouts: list[tuple[int, str]], limit: int
) -> None:
    """Running, ended, or ended without the archive knowing; several of one minute too."""
    here = Place()
    for number, (minute, kind) in enumerate(rollouts):
        name = f"r{number}"
        if kind == "e":
            here.ended(name, minute)
        else:
            here.runs(name, minute)
        if kind == "l":
            here.engine.rollouts[name]["phase"] = "succeeded"
    whole = here.page(limit=200)["rollouts"]
    assert len(whole) == len(rollouts)
    paged: list[Json] = []
    page = here.page(limit=limit)
    paged += page["rollouts"]
    while page["next"] is not None:
        assert 0 < len(page["rollouts"]) <= limit
        page = here.page(limit=limit, after=page["next"])
        paged += page["rollouts"]
    assert paged == whole
    assert whole == sorted(whole, key=lambda one: (one["started"], one["rollout_id"]))[::-1]


def test_a_place_orders_by_time_also_where_the_text_would_not() -> None:
    """A full second has no fraction in JSON, and a full stop goes before a Z."""
    assert history.read_place("2026-11-23T09:00:00Z/b") < history.read_place(
        "2026-11-23T09:00:00.5Z/a"
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2026-11-23T09:00:00Z",
        "2026-11-23T09:00:00/a",
        "/a",
        "0001-01-01T00:00:00+23:59/a",
        "2026-11-23T09:00:00Z/",
    ],
)
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whoever asks says what would be right
        history.read_place(text)


# --- one rollout


def test_a_rollout_in_flight_has_its_older_lines_from_the_archive(here: Place) -> None:
    whole = shows("a", 1, lines=5, phase=Phase.PROGRESSING)
    here.keep(whole)
    status = {**whole, "timeline": whole["timeline"][3:], "timeline_left_out": 3}
    here.engine.rollouts["a"] = status
    shown = here.show("a")
    assert shown["timeline"] == whole["timeline"]
    assert shown["timeline_left_out"] == 0


def test_lines_that_nobody_has_are_counted(here: Place) -> None:
    whole = shows("a", 1, lines=5, phase=Phase.PROGRESSING)
    here.engine.rollouts["a"] = {
        **whole,
        "timeline": whole["timeline"][3:],
        "timeline_left_out": 3,
    }
    here.archive.append([{"kind": "line", "rollout_id": "a", "index": 0, **whole["timeline"][0]}])
    shown = here.show("a")
    assert [line["text"] for line in shown["timeline"]] == ["line 0", "line 3", "line 4"]
    assert shown["timeline_left_out"] == 2


def test_a_rollout_that_the_engine_has_forgotten_is_still_there(here: Place) -> None:
    whole = here.ended("a", 1)
    assert here.show("a") == {**whole, "possible": [], "bake": None}
    assert history.read_timeline(here.engine, here.archive, "a") == whole["timeline"]


@pytest.mark.parametrize("name", ["x", "", "@entity@x", "a/b", "a b", "ä", "x" * 101, "a\n"])
def test_what_nobody_knows_is_404(here: Place, name: str) -> None:
    with pytest.raises(OperationError) as refused:
        here.show(name)
    assert refused.value.status == 404


@pytest.mark.parametrize("name", ["@entity@x", "a/b", "a b", "ä", "x" * 101])
def test_what_cannot_be_an_id_is_not_looked_up(here: Place, name: str) -> None:
    here.engine.rollouts[name] = shows(name, 1)
    here.keep(shows(name, 1))
    with pytest.raises(OperationError):
        here.show(name)


def test_what_is_possible_now_is_shown(here: Place) -> None:
    awaited = Awaited(what="gate", text="gate", operations=(Operation.APPROVE, Operation.REJECT))
    here.engine.rollouts["a"] = shows("a", 1, phase=Phase.WAITING, awaits=awaited)
    possible = ["abort", "approve", "reject", "pause", "promote_now"]
    assert here.show("a")["possible"] == possible
