"""Step 4 of 5: what is remembered about one endpoint, and how it is written down. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from deploy_logic.matching import Offer
from deploy_logic.rollout import Phase, Request

# An entity's state must stay far below one megabyte, so everything it holds is bounded.
REMEMBERED = 200  # ended rollouts, and as many answers
MOST_WAITING = 50
MOST_KEPT = 20  # an endpoint has no more deployments
_LONGEST_REASON = 400  # as JSON


class Reply(StrEnum):
    """What a ledger says. Stored strings are an API: never renamed, only added."""

    STARTED = "started"
    QUEUED = "queued"
    SUPERSEDING = "superseding"
    DUPLICATE = "duplicate"
    OLDER = "older"
    QUARANTINED = "quarantined"
    HELD = "held"
    OUTSIDE_WINDOW = "outside_window"
    SUSPENDED = "suspended"
    STOPPED = "stopped"
    NO_MATCH = "no_match"
    # what people did
    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    REVERT = "revert"
    STOP = "stop"
    GO_ON = "go_on"
    REFUSED = "refused"
    # what was seen or done in passing
    LET_GO = "let_go"
    FREEZE = "freeze"
    ADOPTED = "adopted"


# What the sweep offers again once the reason is gone; a person's release is one.
NOT_FOR_GOOD = frozenset({Reply.HELD, Reply.SUSPENDED, Reply.STOPPED, Reply.RELEASE})
# Said in passing about a version, and not the answer to an offer of it.
ASIDES = frozenset({Reply.DUPLICATE, Reply.RETRY, Reply.REFUSED, Reply.REVERT})
ASIDES |= {Reply.LET_GO, Reply.FREEZE, Reply.ADOPTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A deployment without weight that stays for a while."""

    deployment: str
    model: str
    version: str
    until: datetime
    why: Literal["old", "failed"]  # the way back, or to be looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A rollout that is over; remembered so that its event starts nothing again."""

    rollout_id: str
    model: str
    version: str
    phase: Phase
    reason: str
    at: datetime
    attempt: int = 1
    kept: tuple[Kept, ...] = ()  # what the rollout has left; goes over into the ledger
    serves: str = ""  # the deployment that has all the weight now; empty: not known
    # These the ledger fills in.
    kind: Literal["roll_out", "revert", "let_go"] = "roll_out"
    policy: str = ""
    reverted: str = ""  # by whom and why: it had succeeded
    released: str = ""  # by whom and why: it may be offered again
    overtaken: str = ""  # the newer version that succeeded since

    @property
    def is_quarantined(self) -> bool:
        """Whether the version stays refused on this endpoint."""
        bad = self.phase in {Phase.FAILED, Phase.ERRORED} or self.reverted != ""
        return self.kind == "roll_out" and bad and not self.released and not self.overtaken


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the ledger said to an offer or a person; every one is kept for people to see."""

    at: datetime
    model: str
    version: str
    policy: str
    event_id: str
    answer: str  # a Reply
    reason: str
    by: str = ""  # the person who asked; empty: the registration event, the sweep or the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that a person has set and a person lifts."""

    by: str
    reason: str
    at: datetime

    def __str__(self) -> str:
        """Return it as the end of a sentence."""
        return f"by {self.by} since {self.at:%Y-%m-%dT%H:%M:%SZ}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """An offer that waits for its window."""

    offer: Offer
    opens: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Weights that a running rollout has not set, as a sweep has seen them first."""

    rollout_id: str
    expected: Mapping[str, int]
    found: Mapping[str, int]
    at: datetime
    is_told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Everything remembered about one endpoint."""

    workspace: str = ""  # ARM id
    endpoint: str = ""
    running: Offer | None = None
    since: datetime | None = None  # when it was started
    is_stopping: bool = False  # the running one was told to make room
    waiting: tuple[Offer, ...] = ()  # in the order they will start
    parked: Parked | None = None
    stable: Ended | None = None  # the last one that succeeded
    serves: Mapping[str, int] = field(default_factory=dict)  # weights last known; empty: not known
    kept: tuple[Kept, ...] = ()  # oldest first
    held: Mark | None = None
    stopped: Mark | None = None  # the stop switch over everything
    paused: str = ""  # the rollout that the stop switch has paused
    noticed: Noticed | None = None
    wakes: datetime | None = None  # when the clock was asked to come back
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """Come back then; to come twice, or too early, is harmless."""

    at: datetime


type Action = Start | Tell | Wake


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The ledger as it is now, and what has to be done."""

    ledger: Ledger
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Barred:
    """Why nothing may start by that policy now, whatever the endpoint."""

    reply: Reply  # suspended or stopped
    reason: str


def remember(ledger: Ledger, ended: Ended) -> Ledger:
    """Write down that a rollout is over; the oldest that is not in quarantine makes room."""
    past = [*ledger.ended, replace(ended, kept=(), reason=shorten(ended.reason))]
    if len(past) > REMEMBERED:
        dull = (number for number, one in enumerate(past) if not one.is_quarantined)
        del past[next(dull, 0)]
    return replace(ledger, ended=tuple(past))


def record(ledger: Ledger, answer: Answer) -> Ledger:
    """Write down what was said."""
    answer = replace(answer, reason=shorten(answer.reason))
    return replace(ledger, answers=(*ledger.answers, answer)[-REMEMBERED:])


def answer_offer(ledger: Ledger, asked: Offer, at: datetime, reply: Reply, reason: str) -> Ledger:
    """Write down what was said to an offer."""
    said = Answer(
        at=at,
        model=asked.model,
        version=asked.version,
        policy=asked.policy,
        event_id=asked.event_id,
        answer=reply.value,
        reason=reason,
        by=asked.requested_by,
    )
    return record(ledger, said)


def shorten(text: str) -> str:
    """Return the text so that its JSON has a bounded length; what is left out is marked."""
    if len(json.dumps(text)) <= _LONGEST_REASON:
        return text
    kept = text[:_LONGEST_REASON]
    while len(json.dumps(kept)) > _LONGEST_REASON - 8:
        kept = kept[: len(kept) * 7 // 8]
    return f"{kept}…"
