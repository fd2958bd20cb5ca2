"""Step 4 of 5: one endpoint's memory, and its decision on every offer. Pure; an entity stores it.

At most one rollout runs; what was rolled out once is not rolled out again, however often its event
comes; an older version never overtakes a newer one.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from deploy_logic.errors import VersionRuleError
from deploy_logic.matching import Offer
from deploy_logic.rollout import Operation, Phase, Request
from deploy_logic.version_rule import parse_version_rule

_REMEMBERED = 500  # ended rollouts and answers; a state must stay far below one megabyte


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A rollout that is over; remembered so that its event starts nothing again."""

    rollout_id: str
    model: str
    version: str
    phase: Phase
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the ledger said to an offer; every one is kept for people to see."""

    at: datetime
    model: str
    version: str
    policy: str
    event_id: str
    answer: str  # started, queued, superseding, duplicate, older, quarantined, no_match
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Everything remembered about one endpoint."""

    running: Offer | None = None
    is_stopping: bool = False  # the running one was told to make room
    waiting: tuple[Offer, ...] = ()  # in the order they will start
    stable: Ended | None = None  # the last one that succeeded
    ended: tuple[Ended, ...] = ()
    answers: tuple[Answer, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start this rollout now."""

    offer: Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell:
    """Ask the running rollout for an operation."""

    rollout_id: str
    request: Request


type Action = Start | Tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The ledger as it is now, and what has to be done."""

    ledger: Ledger
    actions: tuple[Action, ...] = ()


def offer(ledger: Ledger, asked: Offer, *, at: datetime) -> Decision:
    """Decide on an offer: exactly one answer, recorded, and at most one action."""
    refusal = _refuse(ledger, asked)
    if refusal is not None:
        return Decision(ledger=_record(ledger, asked, at, *refusal))
    running = ledger.running
    if running is None:
        ledger = replace(ledger, running=asked, is_stopping=False)
        ledger = _record(ledger, asked, at, "started", "nothing else runs on the endpoint")
        return Decision(ledger=ledger, actions=(Start(offer=asked),))
    if asked.on_new_version == "queue" or _is_compared_later(ledger, asked):
        ledger = replace(ledger, waiting=(*ledger.waiting, asked))
        return Decision(ledger=_record(ledger, asked, at, "queued", f"behind {running.rollout_id}"))
    # Only the newest waiting one survives; the others are over before they began.
    ledger = _drop_waiting(ledger, asked, at)
    if asked.on_new_version == "finish_first":
        return Decision(ledger=_record(ledger, asked, at, "queued", f"behind {running.rollout_id}"))
    ledger = _record(ledger, asked, at, "superseding", f"takes the place of {running.rollout_id}")
    if ledger.is_stopping:
        return Decision(ledger=ledger)
    request = Request(
        operation=Operation.SUPERSEDE,
        by=asked.rollout_id,
        reason=f"version {asked.version} is newer and was registered",
    )
    tell = Tell(rollout_id=running.rollout_id, request=request)
    return Decision(ledger=replace(ledger, is_stopping=True), actions=(tell,))


def finish(ledger: Ledger, ended: Ended) -> Decision:
    """Remember that a rollout is over and start the next one that still makes sense.

    Told twice, it does nothing the second time.
    """
    if ledger.running is None or ledger.running.rollout_id != ended.rollout_id:
        return Decision(ledger=ledger)
    offered = ledger.running
    ledger = _remember(replace(ledger, running=None, is_stopping=False), ended)
    if ended.phase is Phase.NO_MATCH:
        ledger = _record(ledger, offered, ended.at, "no_match", ended.reason)
    while ledger.waiting:
        first, *rest = ledger.waiting
        ledger = replace(ledger, waiting=tuple(rest))
        # Those behind it are newer by right; only what ended is held against it.
        refusal = _refuse(replace(ledger, waiting=()), first)
        if refusal is None:
            ledger = replace(ledger, running=first)
            ledger = _record(ledger, first, ended.at, "started", f"{ended.rollout_id} is over")
            return Decision(ledger=ledger, actions=(Start(offer=first),))
        ledger = _record(ledger, first, ended.at, *refusal)
    return Decision(ledger=ledger)


def _refuse(ledger: Ledger, asked: Offer) -> tuple[str, str] | None:
    """Return answer and reason of a no, or None.

    The order of the questions is the order of trust: in flight, remembered, newer.
    """
    known = [ledger.running, *ledger.waiting]
    if any(one is not None and one.rollout_id == asked.rollout_id for one in known):
        return "duplicate", f"{asked.rollout_id} is in flight or waiting"
    for past in reversed(ledger.ended):
        # A version that was no match when it was looked at may match now: it was never rolled out.
        if past.rollout_id == asked.rollout_id and past.phase is not Phase.NO_MATCH:
            if past.phase is Phase.SUCCEEDED or past.phase is Phase.SUPERSEDED:
                return "duplicate", f"{past.rollout_id} ended as {past.phase}"
            return "quarantined", f"{past.rollout_id} ended as {past.phase}: {past.reason}"
    newer = [one for one in known if one is not None and one.model == asked.model]
    newest = newer[-1].version if newer else None
    if newest is None and ledger.stable is not None and ledger.stable.model == asked.model:
        newest = ledger.stable.version
    if newest is None:
        return None
    try:
        older = parse_version_rule(asked.version_rule).refuses_after(asked.version, newest)
    except VersionRuleError as error:
        return "older", f"cannot be compared with version {newest}: {error}"
    return ("older", f"no match: {older}") if older else None


def _is_compared_later(ledger: Ledger, asked: Offer) -> bool:
    """Whether only the workspace can tell if the version is newer than one of its model in flight.

    Nothing may make room for what could turn out to be older: it waits, and is looked at in turn.
    """
    in_flight = [ledger.running, *ledger.waiting]
    if all(one is None or one.model != asked.model for one in in_flight):
        return False
    return not parse_version_rule(asked.version_rule).orders_by_version


def _drop_waiting(ledger: Ledger, asked: Offer, at: datetime) -> Ledger:
    for dropped in ledger.waiting:
        ledger = _remember(
            ledger,
            Ended(
                rollout_id=dropped.rollout_id,
                model=dropped.model,
                version=dropped.version,
                phase=Phase.SUPERSEDED,
                reason=f"version {asked.version} came before its turn",
                at=at,
            ),
        )
    return replace(ledger, waiting=(asked,))


def _remember(ledger: Ledger, ended: Ended) -> Ledger:
    stable = ended if ended.phase is Phase.SUCCEEDED else ledger.stable
    return replace(ledger, stable=stable, ended=(*ledger.ended, ended)[-_REMEMBERED:])


def _record(ledger: Ledger, asked: Offer, at: datetime, answer: str, reason: str) -> Ledger:
    entry = Answer(
        at=at,
        model=asked.model,
        version=asked.version,
        policy=asked.policy,
        event_id=asked.event_id,
        answer=answer,
        reason=reason,
    )
    return replace(ledger, answers=(*ledger.answers, entry)[-_REMEMBERED:])
