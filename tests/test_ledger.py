"""The ledger: one answer to every offer, and what follows when a rollout is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.codec import decode
from deploy_logic.ledger.ledger import finish, offer
from deploy_logic.ledger.record import (
    MOST_WAITING,
    REMEMBERED,
    Decision,
    Ended,
    Ledger,
    Start,
    Tell,
)
from deploy_logic.matching import Offer, make_rollout_id
from deploy_logic.rollout import Operation, Phase, Request
from tests.builders import MONDAY, WORKSPACE, a_policy, an_offer

LATER = MONDAY + timedelta(hours=1)


def asked(version: str, way: str = "supersede", **changes: Any) -> Offer:
    return replace(an_offer(a_policy(on_new_version=way), version=version), **changes)


def ended(
    of: Offer, phase: Phase = Phase.SUCCEEDED, reason: str = "so it went", **changes: Any
) -> Ended:
    return Ended(
        rollout_id=of.rollout_id,
        model=of.model,
        version=of.version,
        attempt=of.attempt,
        phase=phase,
        reason=reason,
        at=LATER,
        **changes,
    )


def after(*offers: Offer) -> Ledger:
    """Return the ledger of an endpoint to which all that was offered."""
    ledger = Ledger()
    for one in offers:
        ledger = offer(ledger, one, at=MONDAY).ledger
    return ledger


def past(of: Offer, phase: Phase, reason: str = "so it went") -> Ledger:
    """Return the ledger of an endpoint on which that rollout is over."""
    return finish(after(of), ended(of, phase, reason)).ledger


def last(decision: Decision) -> tuple[str, str]:
    entry = decision.ledger.answers[-1]
    return entry.answer, entry.reason


R7 = make_rollout_id(WORKSPACE, "fraud", "fraud", "7")
R8 = make_rollout_id(WORKSPACE, "fraud", "fraud", "8")

# ledger, offer -> answer and reason; none of them starts or tells anything
REFUSALS = {
    "it is in flight": (
        after(asked("7")), asked("7", event_id="again"),
        "duplicate", f"{R7} is in flight or waiting",
    ),
    "it waits": (
        after(asked("7"), asked("8", "queue")), asked("8", "queue"),
        "duplicate", f"{R8} is in flight or waiting",
    ),
    "it succeeded": (
        past(asked("7"), Phase.SUCCEEDED), asked("7"), "duplicate", f"{R7} ended as succeeded",
    ),
    "it was superseded": (
        past(asked("7"), Phase.SUPERSEDED), asked("7"), "duplicate", f"{R7} ended as superseded",
    ),
    "it failed": (
        past(asked("7"), Phase.FAILED, "bad answer"), asked("7"),
        "quarantined", f"{R7} ended as failed: bad answer",
    ),
    "it errored": (
        past(asked("7"), Phase.ERRORED, "no quota"), asked("7"),
        "quarantined", f"{R7} ended as errored: no quota",
    ),
    "newer one is in flight": (
        after(asked("8")), asked("7"), "older", "no match: version 7 is older than 8",
    ),
    "newer one waits": (
        after(asked("6"), asked("8", "queue")), asked("7", "queue"),
        "older", "no match: version 7 is older than 8",
    ),
    "newer one is the stable": (
        past(asked("8"), Phase.SUCCEEDED), asked("7"),
        "older", "no match: version 7 is older than 8",
    ),
    "version cannot be read": (
        after(asked("7")), asked("x"), "older", "no match: version 'x' is not a whole number",
    ),
    "rule cannot be read any more": (
        after(asked("7")), asked("8", version_rule="^1"),
        "older", "cannot be compared with version 7: '^1': latest, one version",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_refuses_when(what: str) -> None:
    before, one, answer, reason = REFUSALS[what]
    decision = offer(before, one, at=LATER)
    assert decision.actions == ()
    assert last(decision)[0] == answer
    assert last(decision)[1].startswith(reason)
    after = replace(decision.ledger, answers=before.answers)
    assert after == replace(before, workspace=WORKSPACE, endpoint="fraud")


STARTS = {
    "endpoint is new": (Ledger(), asked("7")),
    "newer than the stable": (past(asked("7"), Phase.SUCCEEDED), asked("8")),
    "newer than one that failed": (past(asked("7"), Phase.FAILED), asked("8")),
    "older than one that failed": (past(asked("8"), Phase.FAILED), asked("7")),
    "another model is the stable": (
        past(asked("8"), Phase.SUCCEEDED), asked("7", model="churn", rollout_id="c-7"),
    ),
    "the rule pins it": (past(asked("8"), Phase.SUCCEEDED), asked("7", version_rule="7")),
}  # fmt: skip


@pytest.mark.parametrize("what", STARTS)
def test_starts_when(what: str) -> None:
    before, one = STARTS[what]
    decision = offer(before, one, at=LATER)
    assert decision.actions == (Start(offer=one),)
    assert decision.ledger.running == one
    assert last(decision) == ("started", "nothing else runs on the endpoint")


def test_look_after_one_that_was_no_match_has_a_rollout_id_of_its_own() -> None:
    book = past(asked("7"), Phase.NO_MATCH)
    for look in ("look2", "look3"):
        decision = offer(book, asked("7"), at=LATER)
        running = decision.ledger.running
        assert running == asked("7", rollout_id=f"{R7}-{look}")
        assert decision.actions == (Start(offer=running),)
        again = offer(decision.ledger, asked("7"), at=LATER)
        assert last(again) == ("duplicate", f"{R7}-{look} is in flight or waiting")
        book = finish(decision.ledger, ended(running, Phase.NO_MATCH)).ledger


def test_every_answer_is_kept_with_what_was_offered() -> None:
    entry = offer(Ledger(), asked("7", event_id="e-9"), at=LATER).ledger.answers[-1]
    assert (entry.at, entry.model, entry.version) == (LATER, "fraud", "7")
    assert (entry.policy, entry.event_id) == ("fraud-prod", "e-9")


def test_newer_version_supersedes_the_one_in_flight() -> None:
    decision = offer(after(asked("7")), asked("8"), at=LATER)
    request = Request(
        operation=Operation.SUPERSEDE, by=R8, reason="version 8 is newer and was registered"
    )
    assert decision.actions == (Tell(rollout_id=R7, request=request),)
    assert last(decision) == ("superseding", f"takes the place of {R7}")
    assert decision.ledger.running == asked("7")  # until it says that it is over
    assert decision.ledger.waiting == (asked("8"),)


def test_one_that_makes_room_is_told_once() -> None:
    decision = offer(after(asked("7"), asked("8")), asked("9"), at=LATER)
    assert decision.actions == ()
    assert decision.ledger.waiting == (asked("9"),)


@pytest.mark.parametrize("way", ["supersede", "finish_first"])
def test_only_the_newest_waiting_one_survives(way: str) -> None:
    ledger = offer(after(asked("7"), asked("8", way)), asked("9", way), at=LATER).ledger
    assert ledger.waiting == (asked("9", way),)
    (dropped,) = ledger.ended
    assert (dropped.rollout_id, dropped.phase) == (R8, Phase.SUPERSEDED)
    assert dropped.reason == "version 9 came before its turn"


@pytest.mark.parametrize("way", ["queue", "finish_first"])
def test_one_in_flight_is_left_to_finish(way: str) -> None:
    decision = offer(after(asked("7")), asked("8", way), at=LATER)
    assert decision.actions == ()
    assert last(decision) == ("queued", f"behind {R7}")
    assert decision.ledger.waiting == (asked("8", way),)


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.FAILED, Phase.ERRORED])
def test_queue_is_started_in_order_one_after_the_other(phase: Phase) -> None:
    ledger = after(*(asked(version, "queue") for version in "6789"))
    started = [ledger.running]
    while ledger.running is not None:
        decision = finish(ledger, ended(ledger.running, phase))
        ledger = decision.ledger
        started += [action.offer for action in decision.actions if isinstance(action, Start)]
    assert [one.version for one in started if one is not None] == list("6789")


def test_waiting_one_starts_when_the_one_in_flight_is_over() -> None:
    decision = finish(after(asked("7"), asked("8")), ended(asked("7"), Phase.SUPERSEDED))
    assert decision.actions == (Start(offer=asked("8")),)
    assert last(decision) == ("started", f"{R7} is over")
    assert (decision.ledger.running, decision.ledger.is_stopping) == (asked("8"), False)


def test_waiting_one_that_does_not_make_sense_any_more_is_passed_over() -> None:
    pinned = asked("5", "queue", version_rule="5")
    ledger = replace(after(asked("7")), waiting=(asked("7", "queue"), asked("6", "queue"), pinned))
    decision = finish(ledger, ended(asked("7")))
    assert [one.answer for one in decision.ledger.answers[-3:]] == ["duplicate", "older", "started"]
    assert decision.actions == (Start(offer=pinned),)


def test_nothing_starts_when_nothing_waits() -> None:
    decision = finish(after(asked("7")), ended(asked("7")))
    assert decision.actions == ()
    assert decision.ledger.running is None
    assert decision.ledger.stable == ended(asked("7"), policy="fraud-prod")


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERRORED, Phase.SUPERSEDED, Phase.NO_MATCH])
def test_stable_stays_when_a_rollout_does_not_succeed(phase: Phase) -> None:
    before = offer(past(asked("7"), Phase.SUCCEEDED), asked("8"), at=LATER).ledger
    stable = finish(before, ended(asked("8"), phase)).ledger.stable
    assert stable == ended(asked("7"), policy="fraud-prod")


def test_no_match_seen_by_the_rollout_is_an_answer_too() -> None:
    decision = finish(after(asked("7")), ended(asked("7"), Phase.NO_MATCH, "it is archived"))
    assert last(decision) == ("no_match", "it is archived")


def test_finish_told_twice_does_nothing_the_second_time() -> None:
    once = finish(after(asked("7"), asked("8")), ended(asked("7"))).ledger
    assert finish(once, ended(asked("7"))) == Decision(ledger=once)


def test_finish_of_a_stranger_does_nothing() -> None:
    ledger = after(asked("7"))
    assert finish(ledger, ended(asked("8"))) == Decision(ledger=ledger)
    assert finish(Ledger(), ended(asked("8"))) == Decision(ledger=Ledger())


def test_memory_is_bounded() -> None:
    ledger = Ledger()
    for number in range(1, 600):
        one = asked(str(number))
        ledger = offer(ledger, one, at=MONDAY).ledger
        ledger = finish(ledger, ended(one)).ledger
    assert (len(ledger.ended), len(ledger.answers)) == (REMEMBERED, REMEMBERED)
    assert ledger.ended[-1].version == "599"


def test_version_in_quarantine_is_not_forgotten_for_those_that_ended_well() -> None:
    ledger = past(asked("1"), Phase.ERRORED, "x" * 9000)
    for number in range(2, 400):
        one = asked(str(number), version_rule=str(number))  # pinned: nothing is newer
        ledger = finish(offer(ledger, one, at=MONDAY).ledger, ended(one)).ledger
    assert (len(ledger.ended), ledger.ended[0].version) == (REMEMBERED, "1")
    assert len(ledger.ended[0].reason) < 500
    assert ledger.ended[0].reason.endswith("x…")


def test_queue_is_bounded_and_what_falls_out_is_told() -> None:
    ledger = after(*(asked(str(number), "queue") for number in range(1, 60)))
    assert len(ledger.waiting) == MOST_WAITING
    assert [one.version for one in ledger.ended] == [str(number) for number in range(2, 10)]
    assert {(one.phase, one.reason) for one in ledger.ended} == {
        (Phase.SUPERSEDED, f"{MOST_WAITING} newer ones wait")
    }


def test_quarantine_ends_for_the_record_when_a_newer_version_succeeds() -> None:
    ledger = finish(
        offer(past(asked("7"), Phase.FAILED), asked("8"), at=LATER).ledger, ended(asked("8"))
    ).ledger
    assert [(one.version, one.is_quarantined) for one in ledger.ended] == [
        ("7", False),
        ("8", False),
    ]
    pinned = asked("7", version_rule="7")  # not older by its rule, and still not by itself
    assert last(offer(ledger, pinned, at=LATER)) == (
        "duplicate",
        f"{R7} ended as failed; version 8 succeeded since",
    )


def test_older_success_lifts_no_quarantine() -> None:
    pinned = asked("6", version_rule="6")
    ledger = offer(past(asked("7"), Phase.FAILED), pinned, at=LATER).ledger
    assert finish(ledger, ended(pinned)).ledger.ended[0].is_quarantined


def test_ledger_of_an_older_app_is_read_and_its_quarantine_holds() -> None:
    stored = {
        "workspace": WORKSPACE, "endpoint": "fraud", "running": None, "is_stopping": False,
        "waiting": [], "stable": None,
        "ended": [{"rollout_id": R7, "model": "fraud", "version": "7", "phase": "failed",
                   "reason": "bad answer", "at": "2026-11-23T09:00:00Z", "attempt": 1}],
        "answers": [{"at": "2026-11-23T09:00:00Z", "model": "fraud", "version": "7",
                     "policy": "fraud-prod", "event_id": "e-1", "answer": "started",
                     "reason": "nothing else runs on the endpoint"}],
    }  # fmt: skip
    decision = offer(decode(Ledger, stored), asked("7"), at=LATER)
    assert last(decision) == ("quarantined", f"{R7} ended as failed: bad answer")
