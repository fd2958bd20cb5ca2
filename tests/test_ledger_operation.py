"""What people ask of an endpoint: hold, release, retry, revert, stop; allowed when, and then."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.codec import encode
from deploy_logic.ledger.ledger import finish, offer
from deploy_logic.ledger.operation import ALLOWED_WHEN, Act, Asked, act, decide, refuse_act
from deploy_logic.ledger.record import (
    Barred,
    Decision,
    Ended,
    Kept,
    Ledger,
    Mark,
    Reply,
    Start,
    Tell,
)
from deploy_logic.matching import Offer, make_rollout_id
from deploy_logic.rollout import Operation, Phase, Request
from tests.builders import MONDAY, WORKSPACE, a_policy, an_offer

LATER = MONDAY + timedelta(hours=1)
DAY = timedelta(days=1)
SINCE = "by ann since 2026-11-23T10:00:00Z: because"
R7 = make_rollout_id(WORKSPACE, "fraud", "fraud", "7")


def wanted(version: str, way: str = "supersede", **changes: Any) -> Offer:
    return replace(an_offer(a_policy(on_new_version=way), version=version), **changes)


def asked(what: str, **changes: Any) -> Asked:
    return Asked(act=Act(what), by="ann", reason="because", at=LATER, **changes)


def retry(version: str, **changes: Any) -> Asked:
    return asked("retry", version=version, offer=wanted(version, **changes))


def run(ledger: Ledger, one: Offer) -> Ledger:
    return offer(ledger, one, at=MONDAY).ledger


def end(ledger: Ledger, phase: Phase = Phase.SUCCEEDED, **changes: Any) -> Decision:
    """Have what runs end that way."""
    of = ledger.running
    assert of is not None
    over = Ended(
        rollout_id=of.rollout_id,
        model=of.model,
        version=of.version,
        attempt=of.attempt,
        phase=phase,
        reason="so it went",
        at=LATER,
        **changes,
    )
    return finish(ledger, over)


def a_kept(version: str, **changes: Any) -> Kept:
    known = {"model": "fraud", "until": LATER + DAY, "why": "old"}
    return Kept(deployment=f"fraud-v{version}", version=version, **{**known, **changes})


FAILED = end(run(Ledger(), wanted("7")), Phase.FAILED).ledger
SERVES_8 = end(
    run(end(run(Ledger(), wanted("7")), serves="fraud-v7").ledger, wanted("8")),
    serves="fraud-v8",
    kept=(a_kept("7"),),
).ledger
HELD = act(SERVES_8, asked("hold")).ledger
STOPPED = act(SERVES_8, asked("stop")).ledger


def last(decision: Decision) -> tuple[str, str, str]:
    entry = decision.ledger.answers[-1]
    return entry.answer, entry.reason, entry.by


# --- allowed when

REFUSED = {
    "release of nothing": (FAILED, asked("release"), "nothing is held"),
    "release of a version that is not in quarantine": (
        FAILED, asked("release", version="8"), "version '8' is not in quarantine",
    ),
    "release of another model's version": (
        FAILED, asked("release", version="7", model="churn"), "version '7' is not in quarantine",
    ),
    "retry of what was never tried": (
        FAILED, retry("8"), "version '8' was never rolled out here (start it)",
    ),
    "retry of what runs": (
        run(Ledger(), wanted("7")), retry("7"), f"{R7} is in flight or waiting",
    ),
    "retry of what runs again": (act(FAILED, retry("7")).ledger, retry("7"), f"{R7}-2 is in"),
    "retry of what is the stable": (SERVES_8, retry("8"), "no match: version 8 is already"),
    "retry of what is older": (SERVES_8, retry("7"), "no match: version 7 is older than 8"),
    "retry while all is stopped": (
        act(FAILED, asked("stop")).ledger, retry("7"), f"everything is stopped {SINCE}",
    ),
    "revert during a rollout": (
        run(SERVES_8, wanted("9")), asked("revert"), f"{wanted('9').rollout_id} runs (abort it",
    ),
    "revert to nothing": (FAILED, asked("revert"), "no old deployment is kept"),
    "revert to what is not kept": (
        SERVES_8, asked("revert", deployment="blue"), "'blue' is not kept (kept: 'fraud-v7')",
    ),
    "revert to one that had failed": (
        replace(SERVES_8, kept=(a_kept("7", why="failed"),)), asked("revert"), "no old deployment",
    ),
    "going on without a stop": (SERVES_8, asked("go_on"), "it is not stopped"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused_with_the_reason_which_is_written_down(what: str) -> None:
    before, one, reason = REFUSED[what]
    refusal = refuse_act(before, one)
    assert refusal.startswith(reason)
    decision = act(before, one)
    assert decision.actions == ()
    assert last(decision) == ("refused", f"{one.act}: {refusal}", "ann")
    assert replace(decision.ledger, answers=before.answers) == before


def test_every_act_has_its_row() -> None:
    assert set(ALLOWED_WHEN) == set(Act)


# --- hold


def test_held_endpoint_takes_nothing_that_comes_by_itself() -> None:
    assert HELD.held == Mark(by="ann", reason="because", at=LATER)
    assert last(Decision(ledger=HELD)) == ("hold", "because", "ann")
    decision = offer(HELD, wanted("9"), at=LATER)
    assert decision.actions == ()
    assert last(decision) == ("held", f"held {SINCE}", "")


def test_what_a_person_starts_passes_a_hold() -> None:
    own = wanted("9", requested_by="bob")
    assert offer(HELD, own, at=LATER).actions == (Start(offer=own),)


def test_what_waits_when_an_endpoint_is_held_does_not_start() -> None:
    ledger = run(run(run(SERVES_8, wanted("9")), wanted("10", "queue")), wanted("11", "queue"))
    own = wanted("12", "queue", requested_by="bob")
    ledger = act(run(ledger, own), asked("hold")).ledger
    decision = end(ledger)
    assert [one.answer for one in decision.ledger.answers[-3:]] == ["held", "held", "started"]
    assert decision.actions == (Start(offer=own),)


def test_released_endpoint_takes_offers_again() -> None:
    decision = act(HELD, asked("release"))
    assert (decision.ledger.held, last(decision)) == (None, ("release", "because", "ann"))
    assert offer(decision.ledger, wanted("9"), at=LATER).actions == (Start(offer=wanted("9")),)


# --- quarantine and retry


def test_released_version_may_start_again_with_a_rollout_id_of_its_own() -> None:
    released = act(FAILED, asked("release", version="7")).ledger
    assert not released.ended[-1].is_quarantined
    decision = offer(released, wanted("7"), at=LATER)
    again = wanted("7", attempt=2, rollout_id=f"{R7}-2")
    assert decision.actions == (Start(offer=again),)
    once_more = end(decision.ledger, Phase.FAILED).ledger
    assert last(offer(once_more, wanted("7"), at=LATER))[0] == "quarantined"


def test_release_of_one_version_leaves_the_others_in_quarantine() -> None:
    both = end(run(FAILED, wanted("8")), Phase.FAILED).ledger
    released = act(both, asked("release", version="8")).ledger
    assert [one.is_quarantined for one in released.ended] == [True, False]


def test_retry_counts_attempts_and_lifts_its_own_quarantine_alone() -> None:
    ledger = end(run(FAILED, wanted("8")), Phase.ERRORED).ledger
    for attempt in (2, 3):
        decision = act(ledger, retry("8"))
        (action,) = decision.actions
        assert isinstance(action, Start)
        assert (action.offer.attempt, action.offer.requested_by) == (attempt, "ann")
        assert action.offer.rollout_id == f"{wanted('8').rollout_id}-{attempt}"
        assert [one.answer for one in decision.ledger.answers[-2:]] == ["retry", "started"]
        ledger = end(decision.ledger, Phase.FAILED).ledger
    assert last(offer(ledger, wanted("7"), at=LATER))[0] == "quarantined"
    assert last(offer(ledger, wanted("8"), at=LATER))[0] == "quarantined"


def test_retry_of_what_was_superseded_starts_it() -> None:
    ledger = end(run(Ledger(), wanted("7")), Phase.SUPERSEDED).ledger
    assert len(act(ledger, retry("7")).actions) == 1


def test_retry_of_what_was_no_match_is_another_look() -> None:
    ledger = end(run(Ledger(), wanted("7")), Phase.NO_MATCH).ledger
    (action,) = act(ledger, retry("7")).actions
    assert isinstance(action, Start)
    assert action.offer.rollout_id == f"{R7}-look2"


def test_retry_takes_its_turn_behind_what_runs() -> None:
    ledger = run(FAILED, wanted("6"))
    decision = act(ledger, retry("7", on_new_version="queue"))
    assert (decision.actions, decision.ledger.waiting[-1].attempt) == ((), 2)
    (action,) = end(decision.ledger).actions
    assert isinstance(action, Start)
    assert action.offer.rollout_id == f"{R7}-2"


# --- revert


def test_revert_goes_back_to_the_deployment_kept_last_and_holds() -> None:
    two = replace(SERVES_8, kept=(a_kept("6"), a_kept("7")))
    decision = act(two, asked("revert"))
    (action,) = decision.actions
    assert isinstance(action, Start)
    back = action.offer
    assert (back.kind, back.target, back.version) == ("revert", "fraud-v7", "7")
    assert (back.requested_by, back.reason, back.policy) == ("ann", "because", "fraud-prod")
    assert (back.workspace, back.endpoint) == (WORKSPACE, "fraud")
    assert back.rollout_id.startswith(f"{R7}-revert-")
    assert decision.ledger.held is not None
    assert decision.ledger.held.reason == "went back to 'fraud-v7': because"
    assert last(decision)[0] == "revert"
    assert last(offer(decision.ledger, wanted("9"), at=LATER))[0] == "held"


def test_revert_goes_back_to_the_deployment_named() -> None:
    two = replace(SERVES_8, kept=(a_kept("6"), a_kept("7")))
    running = act(two, asked("revert", deployment="fraud-v6")).ledger.running
    assert running is not None
    assert (running.target, running.version) == ("fraud-v6", "6")


def reverted() -> Ledger:
    ledger = act(SERVES_8, asked("revert")).ledger
    return end(ledger, serves="fraud-v7", kept=(a_kept("8"),)).ledger


def test_reverted_version_is_in_quarantine_and_the_other_is_the_stable() -> None:
    ledger = reverted()
    assert ledger.stable is not None
    assert (ledger.stable.version, ledger.stable.kind) == ("7", "revert")
    assert ledger.serves == {"fraud-v7": 100}
    assert [one.deployment for one in ledger.kept] == ["fraud-v8"]
    released = act(ledger, asked("release")).ledger
    assert last(offer(released, wanted("8"), at=LATER))[:2] == (
        "quarantined", f"{wanted('8').rollout_id} was reverted by ann: because",
    )  # fmt: skip
    assert last(offer(released, wanted("7"), at=LATER))[0] == "duplicate"
    assert offer(released, wanted("9"), at=LATER).actions == (Start(offer=wanted("9")),)


def test_reverted_version_can_be_gone_back_to() -> None:
    ledger = act(reverted(), asked("revert")).ledger
    ledger = end(ledger, serves="fraud-v8", kept=(a_kept("7"),)).ledger
    assert ledger.stable is not None
    assert ledger.stable.version == "8"
    free = replace(ledger, held=None)
    assert last(offer(free, wanted("7"), at=LATER))[0] == "quarantined"
    assert last(offer(free, wanted("8"), at=LATER))[0] == "duplicate"


def test_revert_that_breaks_takes_nothing_into_quarantine_and_the_hold_stays() -> None:
    ledger = end(act(SERVES_8, asked("revert")).ledger, Phase.ERRORED).ledger
    assert [one.version for one in ledger.ended if one.is_quarantined] == []
    assert ledger.stable == SERVES_8.stable
    assert ledger.held is not None
    assert [one.deployment for one in ledger.kept] == ["fraud-v7"]


def test_stable_that_is_remembered_nowhere_else_goes_into_quarantine_too() -> None:
    ledger = act(replace(SERVES_8, ended=()), asked("revert")).ledger
    ledger = replace(end(ledger, serves="fraud-v7").ledger, held=None)
    assert last(offer(ledger, wanted("8"), at=LATER))[0] == "quarantined"


@pytest.mark.parametrize("stable", [None, replace(SERVES_8.ended[0], at=LATER)], ids=["none", "it"])
def test_revert_takes_nothing_into_quarantine_where_nothing_else_served(
    stable: Ended | None,
) -> None:
    ledger = act(replace(SERVES_8, stable=stable), asked("revert")).ledger
    ended = end(ledger, serves="fraud-v7").ledger.ended
    assert [one.version for one in ended if one.is_quarantined] == []


def test_revert_is_the_way_back_also_while_all_is_stopped() -> None:
    assert len(act(STOPPED, asked("revert")).actions) == 1


def letting_go(version: str) -> Ledger:
    kept = (a_kept(version, until=MONDAY), *SERVES_8.kept)
    ledger = decide(replace(SERVES_8, kept=kept), "wake", {}, at=LATER).ledger
    assert ledger.running is not None
    assert (ledger.running.kind, ledger.running.target) == ("let_go", f"fraud-v{version}")
    return ledger


def test_revert_waits_for_another_deployment_to_be_let_go_of() -> None:
    decision = act(letting_go("5"), asked("revert"))
    assert decision.actions == ()
    assert last(decision)[0] == "queued"
    (action,) = end(decision.ledger).actions
    assert isinstance(action, Start)
    assert (action.offer.kind, action.offer.target) == ("revert", "fraud-v7")


def test_what_is_being_let_go_of_is_no_way_back() -> None:
    ledger = replace(letting_go("7"), kept=(a_kept("7", until=MONDAY),))
    assert refuse_act(ledger, asked("revert")) == "'fraud-v7' is being let go of"


def test_revert_that_waits_is_not_dropped_for_a_newer_version() -> None:
    ledger = act(letting_go("5"), asked("revert")).ledger
    own = wanted("9", requested_by="bob")
    ledger = run(ledger, own)
    assert [one.kind for one in ledger.waiting] == ["revert", "roll_out"]
    ledger = end(ledger).ledger
    assert ledger.running is not None
    assert ledger.running.kind == "revert"
    assert end(ledger, serves="fraud-v7").actions == (Start(offer=own),)


@pytest.mark.parametrize("ledger", [letting_go("5"), act(SERVES_8, asked("revert")).ledger])
def test_what_is_no_rollout_is_not_told_to_make_room(ledger: Ledger) -> None:
    decision = offer(ledger, wanted("9", requested_by="bob"), at=LATER)
    assert (decision.actions, last(decision)[0]) == ((), "queued")


# --- the stop switch


def test_stopped_endpoint_takes_nothing_from_anybody() -> None:
    for one in (wanted("9"), wanted("9", requested_by="bob")):
        decision = offer(STOPPED, one, at=LATER)
        assert decision.actions == ()
        assert last(decision)[:2] == ("stopped", f"everything is stopped {SINCE}")


def test_stop_pauses_what_runs_once_and_going_on_resumes_it() -> None:
    running = run(SERVES_8, wanted("9"))
    stopped = act(running, asked("stop"))
    pause = Request(operation=Operation.PAUSE, by="ann", reason="everything is stopped: because")
    assert stopped.actions == (Tell(rollout_id=wanted("9").rollout_id, request=pause),)
    assert act(stopped.ledger, asked("stop")).actions == ()
    resumed = act(stopped.ledger, asked("go_on"))
    resume = Request(operation=Operation.RESUME, by="ann", reason="everything goes on: because")
    assert resumed.actions == (Tell(rollout_id=wanted("9").rollout_id, request=resume),)
    assert (resumed.ledger.stopped, resumed.ledger.paused) == (None, "")


def test_what_waits_while_all_is_stopped_starts_when_it_goes_on() -> None:
    ledger = run(run(SERVES_8, wanted("9")), wanted("10", "queue"))
    ended = end(act(ledger, asked("stop")).ledger)
    assert (ended.actions, len(ended.ledger.waiting)) == ((), 1)
    decision = act(ended.ledger, asked("go_on"))
    assert decision.actions == (Start(offer=wanted("10", "queue")),)
    assert last(decision)[:2] == ("started", "everything goes on")


def test_revert_in_flight_is_not_paused() -> None:
    assert act(act(SERVES_8, asked("revert")).ledger, asked("stop")).actions == ()


# --- suspended, told with the offer


@pytest.mark.parametrize(
    ("reply", "by", "answer"),
    [
        (Reply.SUSPENDED, "", "suspended"),
        (Reply.SUSPENDED, "bob", "started"),
        (Reply.STOPPED, "", "stopped"),
        (Reply.STOPPED, "bob", "stopped"),
    ],
)
def test_barred_offer(reply: Reply, by: str, answer: str) -> None:
    one = encode(wanted("9", requested_by=by))
    barred = {"barred": encode(Barred(reply=reply, reason="so it is"))}
    decision = decide(SERVES_8, "offer", {**one, **barred}, at=LATER)
    assert last(decision)[0] == answer


def test_barred_offer_of_a_version_that_is_older_anyway_is_older() -> None:
    barred = {"barred": encode(Barred(reply=Reply.STOPPED, reason="so it is"))}
    six = encode(wanted("6"))
    assert last(decide(SERVES_8, "offer", {**six, **barred}, at=LATER))[0] == "older"


# --- what a ledger is told


def test_ledger_learns_where_it_is_from_the_first_thing_it_is_told() -> None:
    payload = {**encode(asked("hold")), "workspace": WORKSPACE, "endpoint": "new"}
    book = decide(Ledger(), "act", payload, at=LATER).ledger
    assert (book.workspace, book.endpoint) == (WORKSPACE, "new")
    assert book.held is not None


def test_what_no_ledger_does_is_refused() -> None:
    with pytest.raises(ValueError, match="'dance' is not something a ledger does"):
        decide(Ledger(), "dance", {}, at=LATER)
