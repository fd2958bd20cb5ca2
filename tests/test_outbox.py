"""The outbox: what rollouts post becomes rows and messages, and is delivered again until it is."""

import json
import logging
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from deploy_logic.activities.archive import archive
from deploy_logic.adapters.durable_outbox import announce_message, archive_rows, outbox
from deploy_logic.codec import Json, encode
from deploy_logic.ledger.operation import Act
from deploy_logic.matching import Told
from deploy_logic.outbox import Letter, list_messages, list_rows
from deploy_logic.rollout import Entry, Operation, Phase
from tests.builders import MONDAY, WORKSPACE, a_policy, an_offer
from tests.fake_archive import FakeArchive
from tests.fakes import Clock, FakeWorkspace, an_outside
from tests.test_durable_entity import Store
from tests.test_orchestrator import BAD, Tale
from tests.test_story_gates import ERRORS, FAIL, UNSURE, Gated
from tests.test_story_people import LEADS

if TYPE_CHECKING:
    from durabletask.task import OrchestrationContext

HOUR = timedelta(hours=1)
TEAMS, TOPIC = Told(channel="teams"), Told(channel="topic", on=("promoted", "failed"))


def kinds(tale: Tale) -> list[str]:
    """Return what channels may hear of, in order, in the words of all letters."""
    return [kind for letter in tale.world.posted for kind in letter.kinds.values()]


def a_letter(**changes: Any) -> Letter:
    usual: dict[str, Any] = {
        "rollout_id": "fraud-7",
        "workspace": WORKSPACE,
        "endpoint": "fraud",
        "at": MONDAY,
        "first": 3,
        "lines": (Entry(at=MONDAY, text="one"), Entry(at=MONDAY, text="two", figures={"n": 2})),
        "kinds": {4: "promoted"},
        "rollout": {"rollout_id": "fraud-7", "phase": "promoting"},
        "announce": (TEAMS, TOPIC),
    }
    return Letter(**{**usual, **changes})


# What a story posts


def test_canary_tells_of_its_beginning_its_weights_and_its_end() -> None:
    tale = Tale(a_policy(weights=(10,)))
    tale.tell()
    assert kinds(tale) == ["started", "shifted", "shifted", "promoted", "succeeded"]


def test_bad_candidate_tells_of_its_failure_alone() -> None:
    tale = Tale()
    tale.workspace.answers["7"] = BAD
    assert tale.tell()["phase"] == "failed"
    assert kinds(tale) == ["started", "failed"]


def test_question_is_told_of_as_waiting_and_a_freeze_as_frozen() -> None:
    tale = Gated(weights=(10,), approval={"before": LEADS})
    tale.offer()
    tale.world.run(HOUR)
    assert kinds(tale) == ["started", "waiting"]
    frozen = Gated({**ERRORS, "every": "10m"}, weights=(10,), on_failure="freeze")
    frozen.verdicts["error_rate 1"] = [FAIL]
    frozen.offer()
    frozen.world.run(HOUR)
    assert kinds(frozen) == ["started", "shifted", "frozen"]


def test_rollout_that_may_be_none_posts_nothing() -> None:
    tale = Tale()
    tale.workspace.serve("9")
    assert tale.tell()["phase"] == "no_match"
    assert tale.world.posted == []


def test_rollout_that_is_aborted_before_it_looked_is_history() -> None:
    tale = Tale()
    tale.world.cap = 1
    tale.world.tell_turns("enter", {"rollout_id": "another", "endpoint": "churn"})
    tale.needs_turn = True
    tale.offer()
    tale.world.run(HOUR)
    assert tale.world.posted == []
    tale.ask(Operation.ABORT)
    tale.world.run()
    assert kinds(tale) == ["failed"]
    (letter,) = tale.world.posted
    assert (letter.rollout or {})["phase"] == "failed"


def test_letting_go_is_history_and_in_no_list() -> None:
    tale = Gated(weights=(10,), keep={"old": 1, "for": "1h"})
    tale.tell()
    (letter,) = [one for one in tale.world.posted if one.rollout_id.startswith("let_go")]
    assert [line.text for line in letter.lines] == ["'blue' is let go"]
    assert letter.rollout is None


def test_revert_tells_of_its_beginning_and_its_end() -> None:
    tale = Gated(weights=(10,), keep={"old": 1, "for": "24h"}, announce=["teams"])
    for version in "78":
        tale.workspace.register(version)
        tale.offer(version)
        tale.world.run(2 * HOUR)
    tale.world.posted.clear()
    tale.world.act("fraud", Act.REVERT, by="ann")
    tale.world.run(2 * HOUR)
    assert kinds(tale) == ["started", "shifted", "succeeded"]
    assert {one.announce for one in tale.world.posted} == {(Told(channel="teams"),)}


def test_history_is_whole_while_it_bakes() -> None:
    tale = Tale(a_policy(weights=(10,), bake="2h"))
    tale.offer()
    tale.world.run(HOUR)
    told = [line.text for letter in tale.world.posted for line in letter.lines]
    assert told == [line["text"] for line in tale.run.context.status["timeline"]]
    assert told[-1] == "bakes for 2h"


def test_letter_has_the_rollout_where_lists_would_show_a_change() -> None:
    tale = Gated({**ERRORS, "every": "2m"}, weights=(10,), bake="30m")
    tale.tell()
    measured = [one for one in tale.world.posted if one.rollout is None]
    assert len(measured) > 5
    assert all("verdict" in line.figures for one in measured for line in one.lines)


def test_channels_come_from_the_policy() -> None:
    policy = a_policy(announce=["teams", "topic"])
    tale = Tale(policy)
    tale.world.offer(an_offer(policy))
    tale.world.run(HOUR)
    assert tale.world.posted[0].announce == (Told(channel="teams"), Told(channel="topic"))


# What a letter becomes


def test_letter_becomes_rows_in_their_places() -> None:
    one, two, rollout = list_rows(a_letter())
    assert (one["kind"], one["rollout_id"], one["index"], one["text"]) == (
        "line",
        "fraud-7",
        3,
        "one",
    )
    assert (two["index"], two["figures"]) == (4, {"n": 2})
    assert (rollout["kind"], rollout["lines"]) == ("rollout", 5)
    assert rollout["rollout"]["phase"] == "promoting"
    assert [row["kind"] for row in list_rows(a_letter(rollout=None))] == ["line", "line"]


@pytest.mark.parametrize(
    ("kind", "told"),
    [("promoted", ["teams", "topic"]), ("waiting", ["teams"]), ("failed", ["teams", "topic"])],
)
def test_channels_hear_of_what_they_want(kind: str, told: list[str]) -> None:
    messages = list_messages(a_letter(kinds={4: kind}))
    assert [one["channel"] for one in messages] == told
    for message in messages:
        assert (message["kind"], message["announce"]) == (kind, told)
        assert message["rollout"] == {"rollout_id": "fraud-7", "phase": "promoting"}
        assert message["line"] == {
            "index": 4,
            "at": "2026-11-23T09:00:00Z",
            "text": "two",
            "figures": {"n": 2},
        }


def test_without_channels_nobody_is_told() -> None:
    assert list_messages(a_letter(announce=())) == []
    assert list_messages(a_letter(kinds={})) == []


# The entity


def test_entity_starts_a_delivery_for_the_rows_and_for_each_message() -> None:
    store = Store(cast("Any", None))
    started = store.tell(outbox, "post", encode(a_letter()))
    assert [name for name, _, _ in started] == [
        "archive_rows",
        "announce_message",
        "announce_message",
    ]
    assert started[0][1]["rows"] == list_rows(a_letter())
    assert [payload["channel"] for _, payload, _ in started[1:]] == ["teams", "topic"]
    assert store.state is None  # it keeps nothing, so it cannot grow


def test_the_same_letter_starts_deliveries_of_the_same_names() -> None:
    store = Store(cast("Any", None))
    first, again = (store.tell(outbox, "post", encode(a_letter())) for _ in range(2))
    assert first == again
    other = store.tell(outbox, "post", encode(a_letter(first=4, kinds={5: "promoted"})))
    assert {instance for _, _, instance in first} & {instance for _, _, instance in other} == set()


def test_entity_refuses_what_it_does_not_do() -> None:
    with pytest.raises(ValueError, match="burn"):
        Store(cast("Any", None)).tell(outbox, "burn", encode(a_letter()))


# Delivery


class Delivery:
    """An orchestration's context on virtual time: calls are answered by the test."""

    def __init__(self, answer: Callable[[Json], Json]) -> None:
        self.current_utc_datetime = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
        self.answer = answer
        self.calls: list[tuple[str, Json]] = []
        self.rests: list[timedelta] = []

    def call_activity(self, name: str, *, input: Json) -> Callable[[], Json]:  # noqa: A002 - the SDK's name
        def call() -> Json:
            self.calls.append((name, json.loads(json.dumps(input))))
            return self.answer(input)

        return call

    def create_timer(self, until: datetime) -> Callable[[], None]:
        def sleep() -> None:
            self.rests.append(until - self.current_utc_datetime)
            self.current_utc_datetime = until

        return sleep

    def run(self, orchestration: Callable[..., Generator[Any, Any, str]], payload: Json) -> str:
        told = orchestration(cast("OrchestrationContext", self), payload)
        try:
            act = next(told)
            while True:
                try:
                    found = act()
                except RuntimeError as error:
                    act = told.throw(error)
                else:
                    act = told.send(found)
        except StopIteration as end:
            return str(end.value)

    @property
    def slept(self) -> timedelta:
        return sum(self.rests, timedelta(0))


DONE: Json = {"state": "done"}
BUSY: Json = {"state": "busy", "reason": "503"}
BROKE: Json = {"state": "broke", "reason": "403"}
PAYLOAD: Json = {"rollout_id": "fraud-7", "rows": list_rows(a_letter())}


def test_delivery_that_works_is_one_call() -> None:
    delivery = Delivery(lambda _payload: DONE)
    assert delivery.run(archive_rows, PAYLOAD) == "done"
    assert delivery.calls == [("archive", {**PAYLOAD, "is_last": False})]
    assert delivery.rests == []


@pytest.mark.parametrize("answer", [BUSY, BROKE], ids=["busy", "refused"])
def test_history_is_delivered_for_a_day_and_the_last_attempt_knows_it(answer: Json) -> None:
    delivery = Delivery(lambda _payload: answer)
    assert delivery.run(archive_rows, PAYLOAD) == answer["state"]
    assert delivery.slept == timedelta(days=1)
    assert [payload["is_last"] for _, payload in delivery.calls[-2:]] == [False, True]
    assert max(delivery.rests) == timedelta(minutes=15)
    assert 90 < len(delivery.calls) < 110


def test_worker_that_is_lost_is_asked_again() -> None:
    losses = iter([RuntimeError("worker lost")])

    def answer(_payload: Json) -> Json:
        for loss in losses:
            raise loss
        return DONE

    delivery = Delivery(answer)
    assert delivery.run(archive_rows, PAYLOAD) == "done"
    assert len(delivery.calls) == 2


@pytest.mark.parametrize(
    ("asked", "rest"),
    [(60.0, timedelta(minutes=1)), (1.0, timedelta(seconds=5)), (1e9, timedelta(minutes=15))],
)
def test_channel_is_asked_again_when_it_says_so_within_bounds(
    asked: float, rest: timedelta
) -> None:
    answers = iter([{**BUSY, "retry_after": asked}, DONE])
    delivery = Delivery(lambda _payload: next(answers))
    assert delivery.run(announce_message, {"channel": "teams"}) == "done"
    assert delivery.rests == [rest]


def test_channel_is_tried_for_an_hour_and_one_that_refuses_once() -> None:
    delivery = Delivery(lambda _payload: BUSY)
    assert delivery.run(announce_message, {"channel": "teams"}) == "busy"
    assert delivery.slept == HOUR
    refused = Delivery(lambda _payload: BROKE)
    assert refused.run(announce_message, {"channel": "teams"}) == "broke"
    assert len(refused.calls) == 1


# The activity


def test_activity_appends_and_says_so() -> None:
    kept = FakeArchive()
    outside = replace(an_outside(FakeWorkspace(Clock()), list), archive=lambda: kept)
    rollout = {**a_rollout(), "phase": "promoting"}
    rows = list_rows(a_letter(rollout=rollout))
    for _ in range(2):  # an engine may run it again
        assert archive(outside, {**PAYLOAD, "rows": rows, "is_last": False}) == DONE
    assert [line["text"] for line in kept.read_timeline("fraud-7")] == ["one", "two"]
    assert kept.read_rollout("fraud-7") == rollout


def a_rollout() -> Json:
    names = {"endpoint": "fraud", "model": "fraud", "policy": "fraud-prod"}
    return {"rollout_id": "fraud-7", "started": "2026-11-23T09:00:00Z", **names}


@pytest.mark.parametrize("is_last", [False, True])
def test_last_attempt_that_fails_says_what_the_archive_lacks(
    caplog: pytest.LogCaptureFixture, *, is_last: bool
) -> None:
    kept = FakeArchive()
    kept.is_down = True
    outside = replace(an_outside(FakeWorkspace(Clock()), list), archive=lambda: kept)
    answer = archive(outside, {**PAYLOAD, "is_last": is_last})
    assert (answer["state"], answer["reason"]) == ("busy", "asking the archive: it is down")
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.message for record in errors] == ["history not archived"] * is_last
    for record in errors:
        said = vars(record)
        assert (said["rollout_id"], said["first"], said["last"]) == ("fraud-7", 3, 4)
        assert "GET /api/rollouts/fraud-7" in said["mend"]


# The bake in the record


def test_bake_is_shown_while_it_bakes() -> None:
    tale = Tale(a_policy(weights=(10,), bake="2h"))
    tale.offer()
    tale.world.run(HOUR)
    shown = tale.run.context.status
    since = datetime.fromisoformat(shown["bake"]["since"])
    assert datetime.fromisoformat(shown["bake"]["until"]) - since == 2 * HOUR
    assert shown["bake"]["weight"] == 10
    assert tale.world.posted[-1].rollout is not None
    assert tale.world.posted[-1].rollout["bake"] == shown["bake"]
    tale.world.run()
    assert tale.result()["bake"] is None


@pytest.mark.parametrize("operation", [Operation.ABORT, Operation.PROMOTE_NOW])
def test_bake_that_is_cut_short_is_over(operation: Operation) -> None:
    tale = Tale(a_policy(weights=(10,), bake="2h"))
    tale.offer()
    tale.world.run(HOUR)
    tale.ask(operation)
    tale.world.run()
    assert tale.result()["bake"] is None
    ends = [one.rollout for one in tale.world.posted if one.rollout is not None]
    assert [one["bake"] for one in ends if Phase(one["phase"]).is_over] == [None]


def test_bake_that_cannot_say_counts_to_the_end_of_its_patience() -> None:
    tale = Gated({**ERRORS, "every": "10m", "patience": "3h"}, weights=(10,), bake="30m")
    tale.verdicts["error_rate 1"] = [UNSURE]
    tale.offer()
    tale.world.run(timedelta(minutes=75))
    bake = tale.run.context.status["bake"]
    length = datetime.fromisoformat(bake["until"]) - datetime.fromisoformat(bake["since"])
    assert length == timedelta(hours=3, minutes=30)
