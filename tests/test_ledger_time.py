"""What a ledger does by the clock: windows that open, deployments kept long enough."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy_logic.ledger.ledger import LET_GO, finish, offer, wake
from deploy_logic.ledger.operation import Act, Asked, act
from deploy_logic.ledger.record import Decision, Kept, Ledger, Parked, Start, Wake
from deploy_logic.matching import Offer
from deploy_logic.rollout import Phase
from tests.builders import MONDAY, WORKSPACE
from tests.test_ledger_operation import a_kept, end, last, run, wanted

NIGHT = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)  # a Monday
MORNING = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)  # 08:00 in Berlin, in winter
OFFICE = "Mon-Fri 08:00-17:00 Europe/Berlin"
HOUR = timedelta(hours=1)


def timely(version: str, way: str = "supersede", **changes: Any) -> Offer:
    return wanted(version, way, **{"allow": (OFFICE,), **changes})


def at_night(*offers: Offer) -> Ledger:
    ledger = Ledger()
    for one in offers:
        ledger = offer(ledger, one, at=NIGHT).ledger
    return ledger


# --- windows


def test_what_comes_in_a_closed_window_waits_and_asks_to_be_woken() -> None:
    decision = offer(Ledger(), timely("7"), at=NIGHT)
    assert decision.actions == (Wake(at=MORNING),)
    assert decision.ledger.parked == Parked(offer=timely("7"), opens=MORNING)
    assert last(decision)[:2] == ("outside_window", "until 2026-11-24T07:00:00Z")


def test_it_starts_when_the_window_opens() -> None:
    decision = wake(at_night(timely("7")), at=MORNING)
    assert decision.actions == (Start(offer=timely("7")),)
    assert last(decision)[:2] == ("started", "its window has opened")
    assert decision.ledger.parked is None


@pytest.mark.parametrize("way", ["supersede", "queue", "finish_first"])
def test_newest_wins_whatever_the_policy_says(way: str) -> None:
    ledger = at_night(timely("7", way), timely("8", way))
    assert ledger.parked is not None
    assert ledger.parked.offer.version == "8"
    assert [(one.version, one.phase) for one in ledger.ended] == [("7", Phase.SUPERSEDED)]
    assert wake(ledger, at=MORNING).actions == (Start(offer=timely("8", way)),)


def test_same_event_again_is_a_duplicate_and_an_older_one_is_older() -> None:
    ledger = at_night(timely("7"))
    assert last(offer(ledger, timely("7"), at=NIGHT))[0] == "duplicate"
    assert last(offer(ledger, timely("6"), at=NIGHT))[0] == "older"


def test_it_is_woken_once_for_the_same_moment() -> None:
    assert offer(at_night(timely("7")), timely("8"), at=NIGHT).actions == ()


def test_wake_that_comes_early_or_twice_starts_nothing() -> None:
    early = wake(at_night(timely("7")), at=NIGHT + HOUR)
    assert early.actions == (Wake(at=MORNING),)
    started = wake(early.ledger, at=MORNING)
    assert wake(started.ledger, at=MORNING).actions == ()


def test_open_window_starts_at_once() -> None:
    assert offer(Ledger(), timely("7"), at=MORNING).actions == (Start(offer=timely("7")),)


def test_denied_span_holds_back_what_is_allowed() -> None:
    freeze = timely("7", deny=("2026-11-24..2026-11-25 Europe/Berlin",))
    assert offer(Ledger(), freeze, at=MORNING).actions == (Wake(at=MORNING + timedelta(days=2)),)


def test_hour_of_the_clock_change_is_the_zone_s() -> None:
    friday = datetime(2026, 3, 27, 20, 0, tzinfo=UTC)  # the clocks change on Sunday
    (action,) = offer(Ledger(), timely("7"), at=friday).actions
    assert action == Wake(at=datetime(2026, 3, 30, 6, 0, tzinfo=UTC))


@pytest.mark.parametrize("allow", ["2020-01-01 UTC", "Someday 08:00-17:00 UTC"])
def test_window_that_never_opens_is_said_and_nothing_waits(allow: str) -> None:
    decision = offer(Ledger(), timely("7", allow=(allow,)), at=NIGHT)
    assert (decision.actions, decision.ledger.parked) == ((), None)
    reason = f"no window opens within a year (allowed {allow})"
    assert last(decision)[:2] == ("outside_window", reason)


def test_what_a_person_asks_for_does_not_wait_for_a_window() -> None:
    own = timely("7", requested_by="bob")
    assert offer(Ledger(), own, at=NIGHT).actions == (Start(offer=own),)


def test_window_that_has_closed_meanwhile_holds_back_what_waits() -> None:
    ledger = run(Ledger(), wanted("6"))
    for version in "78":
        ledger = offer(ledger, timely(version, "queue"), at=MORNING).ledger
    assert len(ledger.waiting) == 2
    running = ledger.running
    assert running is not None
    decision = end(replace(ledger, since=MORNING))
    assert decision.ledger.parked is None  # it ended within office hours
    late = finish(ledger, replace(decision.ledger.ended[-1], at=NIGHT + timedelta(days=1)))
    assert late.ledger.parked is not None
    assert late.ledger.parked.offer.version == "8"
    assert late.actions == (Wake(at=MORNING + timedelta(days=1)),)
    dropped = [one for one in late.ledger.ended if one.phase is Phase.SUPERSEDED]
    assert [one.version for one in dropped] == ["7"]


def test_older_one_from_the_queue_does_not_drive_out_the_newer_one() -> None:
    ledger = offer(run(Ledger(), wanted("6")), timely("7", "queue"), at=MORNING).ledger
    ledger = offer(ledger, timely("8", "queue"), at=NIGHT + timedelta(days=1)).ledger
    assert ledger.parked is not None
    ended = end(ledger).ledger.ended[-1]
    late = finish(ledger, replace(ended, at=NIGHT + timedelta(days=1, hours=1))).ledger
    assert late.parked is not None
    assert late.parked.offer.version == "8"
    assert late.ended[-1].reason == "version 8 waits for its window"


def test_opened_window_finds_a_rollout_in_flight_and_supersedes_it() -> None:
    ledger = run(at_night(timely("8")), wanted("9", model="churn", rollout_id="c-9"))
    decision = wake(ledger, at=MORNING)
    assert last(decision)[0] == "superseding"


def test_opened_window_of_a_version_that_was_overtaken_is_answered() -> None:
    ledger = end(run(at_night(timely("8")), wanted("9"))).ledger
    assert last(wake(ledger, at=MORNING))[:2] == ("older", "no match: version 8 is older than 9")


def test_opened_window_of_a_held_endpoint_is_answered() -> None:
    hold = Asked(act=Act.HOLD, by="ann", reason="because", at=NIGHT)
    decision = wake(act(at_night(timely("8")), hold).ledger, at=MORNING)
    assert (decision.actions, last(decision)[0]) == ((), "held")


def test_nothing_starts_by_the_clock_while_all_is_stopped() -> None:
    stop = Asked(act=Act.STOP, by="ann", reason="because", at=NIGHT)
    ledger = act(at_night(timely("8")), stop).ledger
    assert wake(ledger, at=MORNING).actions == ()
    on = Asked(act=Act.GO_ON, by="ann", reason="because", at=MORNING)
    assert act(ledger, on).actions == (Start(offer=timely("8")),)


# --- kept deployments


def serving(*kept: Kept, keep_old: int = 1) -> Decision:
    """Return what follows when version 8 has succeeded and that was kept."""
    ledger = run(Ledger(), wanted("8", keep_old=keep_old))
    return end(ledger, serves="fraud-v8", kept=kept)


def test_what_is_kept_is_let_go_of_when_its_time_is_over() -> None:
    kept = a_kept("7")
    decision = serving(kept)
    assert decision.actions == (Wake(at=kept.until),)
    assert decision.ledger.kept == (kept,)
    assert decision.ledger.ended[-1].kept == ()
    (action,) = wake(decision.ledger, at=kept.until).actions
    assert isinstance(action, Start)
    gone = action.offer
    assert (gone.kind, gone.target, gone.version) == ("let_go", "fraud-v7", "7")
    assert (gone.workspace, gone.endpoint) == (WORKSPACE, "fraud")
    assert gone.rollout_id.startswith(LET_GO)


def letting_go() -> Ledger:
    return wake(serving(a_kept("7")).ledger, at=a_kept("7").until).ledger


@pytest.mark.parametrize("phase", [Phase.SUCCEEDED, Phase.NO_MATCH])
def test_what_was_let_go_of_is_forgotten(phase: Phase) -> None:
    ledger = end(letting_go(), phase).ledger
    assert (ledger.kept, ledger.running) == ((), None)
    assert len(ledger.ended) == 1  # it was no rollout
    assert ledger.serves == {"fraud-v8": 100}


@pytest.mark.parametrize("phase", [Phase.FAILED, Phase.ERRORED])
def test_what_could_not_be_let_go_of_is_tried_again(phase: Phase) -> None:
    decision = end(letting_go(), phase)
    (kept,) = decision.ledger.kept
    assert decision.actions == (Wake(at=kept.until),)
    assert last(decision)[1] == ("'fraud-v7' could not be let go of: so it went; it is tried again")
    (again,) = wake(decision.ledger, at=kept.until).actions
    first = letting_go().running
    assert isinstance(again, Start)
    assert first is not None
    assert again.offer.rollout_id != first.rollout_id


@pytest.mark.parametrize(("keep_old", "due"), [(0, ["5", "6", "7"]), (1, ["5", "6"]), (3, [])])
def test_oldest_are_due_at_once_when_more_than_the_policy_allows(
    keep_old: int, due: list[str]
) -> None:
    failed = a_kept("4", why="failed")
    decision = serving(failed, a_kept("5"), a_kept("6"), a_kept("7"), keep_old=keep_old)
    ledger, gone = decision.ledger, []
    while ledger.running is not None:
        gone.append(ledger.running.version)
        ledger = end(ledger).ledger
    assert gone == due
    assert failed in ledger.kept


def test_nothing_is_let_go_of_while_a_rollout_runs() -> None:
    ledger = run(serving(a_kept("7")).ledger, wanted("9"))
    assert wake(ledger, at=a_kept("7").until).actions == ()
    (action,) = end(replace(ledger, kept=(a_kept("7", until=MONDAY),))).actions
    assert isinstance(action, Start)
    assert action.offer.kind == "let_go"


def test_what_waits_goes_before_what_is_let_go_of() -> None:
    ledger = offer(letting_go(), wanted("9"), at=a_kept("7").until).ledger
    assert end(ledger).actions == (Start(offer=wanted("9")),)


def test_deployment_that_serves_again_is_not_kept_any_more() -> None:
    ledger = run(serving(a_kept("7")).ledger, wanted("9"))
    assert end(ledger, serves="fraud-v7").ledger.kept == ()


def test_rollout_that_does_not_know_who_serves_says_so() -> None:
    ledger = run(serving().ledger, wanted("9"))
    assert end(ledger, Phase.ERRORED).ledger.serves == {}
    assert end(ledger, Phase.NO_MATCH).ledger.serves == {"fraud-v8": 100}
