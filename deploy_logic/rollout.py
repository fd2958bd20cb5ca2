"""Step 4 of 5: the record people see of one rollout, and which operation is allowed when. Pure."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum


class Phase(StrEnum):
    """Where a rollout is. Stored strings are an API: never renamed, only added."""

    PENDING = "pending"  # started, nothing looked at yet
    PREPARING = "preparing"  # the candidate is created and probed at weight 0
    PROGRESSING = "progressing"  # live traffic rises step by step
    WAITING = "waiting"  # for a person
    PROMOTING = "promoting"  # weight 100, final bake, the old stable is let go
    ROLLING_BACK = "rolling_back"
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # judged and found bad, or aborted: the stable serves, no person is needed
    ERRORED = "errored"  # could not act or could not judge: a person is needed
    SUPERSEDED = "superseded"  # a newer version took its place
    NO_MATCH = "no_match"  # the workspace says otherwise than the event: nothing was touched

    @property
    def is_over(self) -> bool:
        """Whether nothing follows."""
        return self in _ENDS


_ENDS = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.ERRORED, Phase.SUPERSEDED, Phase.NO_MATCH})


class Operation(StrEnum):
    """What may be asked of a rollout in flight."""

    ABORT = "abort"  # by a person: roll back
    SUPERSEDE = "supersede"  # by the ledger, for a newer version: roll back
    APPROVE = "approve"  # by a person who is asked: go on
    REJECT = "reject"  # by a person who is asked: roll back
    PAUSE = "pause"  # by a person: stay where it is; gates go on being measured
    RESUME = "resume"
    PROMOTE_NOW = "promote_now"  # by a person: leave out the steps, bakes and approvals that remain
    FREEZE = "freeze"  # by the sweep: the weights are not what the rollout has set
    ADOPT = "adopt"  # by a person, when frozen: leave the weights as they are, and go on
    RESTORE = "restore"  # by a person, when frozen: set our weights again, and go on
    TURN = "turn"  # by the turns: no more rollouts than allowed run at once


_BEFORE_PROMOTION_IS_COMPLETE = frozenset(
    {Phase.PENDING, Phase.PREPARING, Phase.PROGRESSING, Phase.WAITING, Phase.PROMOTING}
)
ALLOWED: Mapping[Operation, frozenset[Phase]] = {
    Operation.ABORT: _BEFORE_PROMOTION_IS_COMPLETE,
    Operation.SUPERSEDE: _BEFORE_PROMOTION_IS_COMPLETE,
    Operation.APPROVE: frozenset({Phase.WAITING}),
    Operation.REJECT: frozenset({Phase.WAITING}),
    Operation.PAUSE: _BEFORE_PROMOTION_IS_COMPLETE,
    Operation.RESUME: _BEFORE_PROMOTION_IS_COMPLETE,
    Operation.PROMOTE_NOW: frozenset({Phase.PROGRESSING, Phase.WAITING, Phase.PROMOTING}),
    Operation.FREEZE: frozenset({Phase.PROGRESSING, Phase.WAITING, Phase.PROMOTING}),
    Operation.ADOPT: frozenset({Phase.WAITING}),
    Operation.RESTORE: frozenset({Phase.WAITING}),
    Operation.TURN: frozenset({Phase.PENDING}),
}

# Everything else is asked by the ledger, the sweep or the turns.
OF_PEOPLE = (
    Operation.ABORT,
    Operation.APPROVE,
    Operation.REJECT,
    Operation.PAUSE,
    Operation.RESUME,
    Operation.PROMOTE_NOW,
    Operation.ADOPT,
    Operation.RESTORE,
)
ANSWERS = frozenset({Operation.APPROVE, Operation.REJECT, Operation.ADOPT, Operation.RESTORE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One operation as it was asked for."""

    operation: Operation
    by: str  # object id of a person, or the rollout that supersedes
    reason: str
    claims: tuple[str, ...] = ()  # user:, group:, role: and name: of that person (Principal.claims)
    figures: str = ""  # digest of the figures that the person was shown (Awaited.figures)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the timeline."""

    at: datetime
    text: str
    figures: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """What a rollout waits for, and from whom."""

    what: str  # approval before, approval to promote, gate, weights, failure, turn
    text: str  # for people
    until: datetime | None = None  # no answer by then is a no
    operations: tuple[Operation, ...] = ()  # that would be an answer
    approvers: tuple[str, ...] = ()  # empty: whoever may operate rollouts
    not_by: str = ""  # whoever registered the version, where the policy says that they may not
    quorum: int = 1
    approved_by: tuple[str, ...] = ()
    figures: str = ""  # digest of what the decision rests on; an answer names it


@dataclass(frozen=True, slots=True, kw_only=True)
class Baking:
    """The bake that a rollout is in: what a countdown needs."""

    since: datetime
    until: datetime  # at which it is over, unless the measurements cannot say by then
    weight: int  # of the candidate; 0 while requests are mirrored


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One attempt to replace the stable by the candidate."""

    rollout_id: str
    workspace: str
    endpoint: str
    model: str
    version: str
    policy: str
    policy_hash: str = ""
    phase: Phase = Phase.PENDING
    reason: str = ""
    candidate: str = ""
    stable: str = ""  # empty: the first version on an empty endpoint
    weights: Mapping[str, int] = field(default_factory=dict)  # as last read back
    mirror: Mapping[str, int] = field(default_factory=dict)  # likewise
    steps: tuple[str, ...] = ()  # of the plan, in words
    step: int = 0  # how many of them were begun
    awaits: Awaited | None = None
    bake: Baking | None = None
    paused_by: str = ""
    measured: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # by gate, the last
    attempt: int = 1
    started: datetime
    ended: datetime | None = None
    timeline: tuple[Entry, ...] = ()

    def enter(self, phase: Phase, *, at: datetime, text: str, **figures: object) -> "Rollout":
        """Return the rollout in another phase, with a line that says why."""
        entry = Entry(at=at, text=text, figures={"phase": phase.value, **figures})
        return replace(
            self,
            phase=phase,
            reason=text,
            ended=at if phase.is_over else None,
            timeline=(*self.timeline, entry),
        )

    def note(self, text: str, *, at: datetime, **figures: object) -> "Rollout":
        """Return the rollout with one more line in its timeline."""
        return replace(self, timeline=(*self.timeline, Entry(at=at, text=text, figures=figures)))


def allows(operation: Operation, phase: Phase) -> bool:
    """Whether the operation may be asked for in this phase."""
    return phase in ALLOWED[operation]


def list_possible(phase: Phase, awaited: Awaited | None, *, is_paused: bool) -> list[Operation]:
    """Return what people may ask of a rollout now; an answer, only where it is awaited."""
    answers = awaited.operations if awaited is not None else ()
    idle = Operation.PAUSE if is_paused else Operation.RESUME  # taken, but it would change nothing
    return [
        one
        for one in OF_PEOPLE
        if one is not idle and allows(one, phase) and (one not in ANSWERS or one in answers)
    ]


def digest_figures(rollout: Rollout) -> str:
    """Return a short digest of what a decision about the rollout rests on as it is now."""
    facts = [rollout.rollout_id, rollout.step, rollout.policy_hash, dict(rollout.weights)]
    text = json.dumps([*facts, {name: dict(one) for name, one in rollout.measured.items()}])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def refuse_answer(awaited: Awaited, request: Request, *, registered_by: str) -> str:
    """Return why an answer does not count, or nothing when it does.

    registered_by is the one who may not approve; empty when everybody may.
    """
    if request.operation not in awaited.operations:
        expected = ", ".join(awaited.operations) or "nothing"
        return f"what is awaited is {expected}"
    if request.figures != awaited.figures:
        return f"it rests on figures {request.figures!r}, and these are {awaited.figures!r}"
    claims = {claim.lower() for claim in (f"user:{request.by}", *request.claims)}
    if awaited.approvers and not claims & {one.lower() for one in awaited.approvers}:
        return f"only {', '.join(awaited.approvers)} may answer"
    if request.operation is Operation.APPROVE and request.by in awaited.approved_by:
        return "the same person has approved already"
    is_own = registered_by and not claims.isdisjoint(
        f"{kind}:{registered_by}".lower() for kind in ("user", "name")
    )
    if request.operation is Operation.APPROVE and is_own:
        return "whoever registered the version may not approve it"
    return ""
