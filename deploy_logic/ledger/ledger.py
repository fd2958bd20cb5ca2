"""Step 4 of 5: one endpoint's decision on every offer, and on every end. Pure; an entity stores it.

At most one rollout runs; what was rolled out once is not rolled out again, however often its event
comes; an older version never overtakes a newer one; nothing starts by itself where a person, a
window or the stop switch says no.
"""

import hashlib
from dataclasses import replace
from datetime import datetime

from deploy_logic.ledger.answer import bar, compare, find_opening, name_attempt, refuse
from deploy_logic.ledger.end import take_out, take_over
from deploy_logic.ledger.record import (
    MOST_WAITING,
    Action,
    Barred,
    Decision,
    Ended,
    Ledger,
    Parked,
    Reply,
    Start,
    Tell,
    Wake,
    answer_offer,
    remember,
)
from deploy_logic.matching import STORY, Offer, endpoint_key
from deploy_logic.rollout import Operation, Phase, Request
from deploy_logic.version.rule import parse_version_rule

LET_GO = "let_go-"  # begins the id of what is no rollout; no rollout id can: it has no underscore


def offer(ledger: Ledger, asked: Offer, *, at: datetime, barred: Barred | None = None) -> Decision:
    """Decide on an offer: exactly one answer, recorded."""
    ledger = replace(ledger, workspace=asked.workspace, endpoint=asked.endpoint)
    refusal = refuse(ledger, asked) or bar(ledger, asked, barred)
    if refusal is not None:
        return Decision(ledger=answer_offer(ledger, asked, at, *refusal))
    return start(ledger, name_attempt(ledger, asked), at, "nothing else runs on the endpoint")


def finish(ledger: Ledger, ended: Ended) -> Decision:
    """Remember that a rollout is over and start the next one that still makes sense.

    Told twice, it does nothing the second time.
    """
    offered = ledger.running
    if offered is None or offered.rollout_id != ended.rollout_id:
        return Decision(ledger=ledger)
    ended = replace(ended, kind=offered.kind, policy=offered.policy)
    ledger = replace(ledger, running=None, since=None, is_stopping=False, paused="", noticed=None)
    if offered.kind == "let_go":
        ledger = take_out(ledger, offered, ended)
    else:
        ledger = _remember(take_over(ledger, offered, ended), ended)
    return settle(ledger, ended.at, f"{ended.rollout_id} is over")


def wake(ledger: Ledger, *, at: datetime) -> Decision:
    """Do what has become due: windows that opened, deployments kept long enough."""
    return settle(replace(ledger, wakes=None), at, "its turn has come")


def settle(ledger: Ledger, at: datetime, why: str) -> Decision:
    """Start what may start now, and ask to be woken for what may start later."""
    if ledger.stopped is not None:
        return Decision(ledger=ledger)
    actions: tuple[Action, ...] = ()
    for act in (_unpark, _start_waiting, _let_go, _ask_wake):
        decision = act(ledger, at, why)
        ledger, actions = decision.ledger, (*actions, *decision.actions)
    return Decision(ledger=ledger, actions=actions)


def start(ledger: Ledger, asked: Offer, at: datetime, why: str) -> Decision:
    """Start what nothing speaks against, or say what it waits for."""
    decision = _place(ledger, asked, at, why)
    later = _ask_wake(decision.ledger, at, why)
    return Decision(ledger=later.ledger, actions=(*decision.actions, *later.actions))


def _place(ledger: Ledger, asked: Offer, at: datetime, why: str) -> Decision:
    opens = find_opening(asked, at)
    if opens is None or opens > at:
        return Decision(ledger=_park(ledger, asked, opens, at))
    running = ledger.running
    if running is None and not ledger.waiting:
        return begin(ledger, asked, at, why)
    behind = f"behind {(running or ledger.waiting[-1]).rollout_id}"
    if asked.on_new_version == "queue" or _is_compared_later(ledger, asked):
        ledger = _wait(ledger, (*ledger.waiting, asked), at)
        return Decision(ledger=answer_offer(ledger, asked, at, Reply.QUEUED, behind))
    # Only the newest waiting one survives; the others are over before they began.
    ledger = _drop(ledger, ledger.waiting, f"version {asked.version} came before its turn", at)
    people = tuple(one for one in ledger.waiting if not one.is_rollout)
    ledger = replace(ledger, waiting=(*people, asked))
    if asked.on_new_version == "finish_first" or running is None or not running.is_rollout:
        return Decision(ledger=answer_offer(ledger, asked, at, Reply.QUEUED, behind))
    taken = f"takes the place of {running.rollout_id}"
    ledger = answer_offer(ledger, asked, at, Reply.SUPERSEDING, taken)
    if ledger.is_stopping:
        return Decision(ledger=ledger)
    newer = f"version {asked.version} is newer and was registered"
    request = Request(operation=Operation.SUPERSEDE, by=asked.rollout_id, reason=newer)
    tell = Tell(rollout_id=running.rollout_id, request=request)
    return Decision(ledger=replace(ledger, is_stopping=True), actions=(tell,))


def _is_compared_later(ledger: Ledger, asked: Offer) -> bool:
    """Whether only the workspace can tell if the version is newer than one of its model in flight.

    Nothing may make room for what could turn out to be older: it waits, and is looked at in turn.
    """
    in_flight = [ledger.running, *ledger.waiting]
    if all(one is None or one.model != asked.model for one in in_flight):
        return False
    return not (asked.is_likely and parse_version_rule(asked.version_rule).orders_by_version)


def begin(ledger: Ledger, asked: Offer, at: datetime, why: str) -> Decision:
    """Start it now: nothing runs, and nothing is asked any more."""
    reply = Reply.STARTED if asked.is_rollout else Reply(asked.kind)
    ledger = answer_offer(ledger, asked, at, reply, why)
    ledger = replace(ledger, running=asked, since=at, is_stopping=False)
    return Decision(ledger=ledger, actions=(Start(offer=asked),))


def _park(ledger: Ledger, asked: Offer, opens: datetime | None, at: datetime) -> Ledger:
    """Have it wait for its window; the newest wins, whatever on_new_version says."""
    windows = f"allowed {', '.join(asked.allow) or 'always'}, denied {', '.join(asked.deny)}"
    if opens is None:
        reason = f"no window opens within a year ({windows.removesuffix(', denied ')})"
        return answer_offer(ledger, asked, at, Reply.OUTSIDE_WINDOW, reason)
    rival = ledger.parked.offer if ledger.parked is not None else None
    if rival is not None:
        is_rival = rival.model == asked.model
        if is_rival and compare(asked.version_rule, asked.version, rival.version):
            reason = f"version {rival.version} waits for its window"
            return _drop(ledger, (asked,), reason, at)
        ledger = _drop(ledger, (rival,), f"version {asked.version} came before its window", at)
    ledger = replace(ledger, parked=Parked(offer=asked, opens=opens))
    reason = f"until {opens:%Y-%m-%dT%H:%M:%SZ}"
    return answer_offer(ledger, asked, at, Reply.OUTSIDE_WINDOW, reason)


def _unpark(ledger: Ledger, at: datetime, why: str) -> Decision:
    del why
    if ledger.parked is None or ledger.parked.opens > at:
        return Decision(ledger=ledger)
    asked = ledger.parked.offer
    ledger = replace(ledger, parked=None)
    refusal = refuse(ledger, asked) or bar(ledger, asked, None)
    if refusal is not None:
        return Decision(ledger=answer_offer(ledger, asked, at, *refusal))
    return _place(ledger, asked, at, "its window has opened")


def _start_waiting(ledger: Ledger, at: datetime, why: str) -> Decision:
    while ledger.running is None and ledger.waiting:
        first, *rest = ledger.waiting
        ledger = replace(ledger, waiting=tuple(rest))
        refusal = None
        if first.is_rollout:
            # Those behind it are newer by right; only what ended is held against it.
            refusal = refuse(replace(ledger, waiting=(), parked=None), first)
            refusal = refusal or bar(ledger, first, None)
        if refusal is not None:
            ledger = answer_offer(ledger, first, at, *refusal)
            continue
        opens = find_opening(first, at)
        if opens is not None and opens <= at:
            return begin(ledger, first, at, why)
        ledger = _park(ledger, first, opens, at)
    return Decision(ledger=ledger)


def _let_go(ledger: Ledger, at: datetime, why: str) -> Decision:
    """Start to let go of what was kept long enough, one after the other, when nothing runs."""
    del why
    due = next((one for one in ledger.kept if one.until <= at), None)
    if due is None or ledger.running is not None:
        return Decision(ledger=ledger)
    key = endpoint_key(ledger.workspace, ledger.endpoint)
    digest = hashlib.sha256(f"{key}\n{due.deployment}\n{due.until}".encode()).hexdigest()
    until = f"{due.deployment!r} was kept until {due.until:%Y-%m-%dT%H:%M:%SZ}"
    asked = Offer(
        rollout_id=f"{LET_GO}{digest[:24]}",
        workspace=ledger.workspace,
        endpoint=ledger.endpoint,
        model=due.model,
        version=due.version,
        policy="",
        version_rule="latest",
        on_new_version="queue",
        kind="let_go",
        target=due.deployment,
        reason=until,
        story=STORY,
    )
    return begin(ledger, asked, at, until)


def _ask_wake(ledger: Ledger, at: datetime, why: str) -> Decision:
    del why
    times = [one.until for one in ledger.kept if one.until > at]
    if ledger.parked is not None:
        times.append(ledger.parked.opens)
    first = min(times, default=None)
    if first is None or (ledger.wakes is not None and at < ledger.wakes <= first):
        return Decision(ledger=ledger)
    return Decision(ledger=replace(ledger, wakes=first), actions=(Wake(at=first),))


def _wait(ledger: Ledger, waiting: tuple[Offer, ...], at: datetime) -> Ledger:
    surplus = waiting[: max(len(waiting) - MOST_WAITING, 0)]
    ledger = _drop(ledger, surplus, f"{MOST_WAITING} newer ones wait", at)
    return replace(ledger, waiting=waiting[len(surplus) :])


def _drop(ledger: Ledger, dropped: tuple[Offer, ...], reason: str, at: datetime) -> Ledger:
    for one in dropped:
        if not one.is_rollout:
            continue
        over = Ended(
            rollout_id=one.rollout_id,
            model=one.model,
            version=one.version,
            attempt=one.attempt,
            phase=Phase.SUPERSEDED,
            reason=reason,
            at=at,
            policy=one.policy,
        )
        ledger = _remember(ledger, over)
    return ledger


def _remember(ledger: Ledger, ended: Ended) -> Ledger:
    return remember(ledger, ended)
