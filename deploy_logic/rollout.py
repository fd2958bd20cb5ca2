"""Step 4 of 5: the record people see of one rollout, and which operation is allowed when. Pure."""

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

    ABORT = "abort"  # by a person, with a reason
    SUPERSEDE = "supersede"  # by the ledger, for a newer version
    PAUSE = "pause"  # by a person, or by the stop switch
    RESUME = "resume"
    FREEZE = "freeze"  # by the sweep: the weights were changed by hand
    TURN = "turn"  # by the cap on rollouts in parallel


_BEFORE_PROMOTION_IS_COMPLETE = frozenset(
    {Phase.PENDING, Phase.PREPARING, Phase.PROGRESSING, Phase.WAITING, Phase.PROMOTING}
)
ALLOWED: Mapping[Operation, frozenset[Phase]] = {
    Operation.ABORT: _BEFORE_PROMOTION_IS_COMPLETE,
    Operation.SUPERSEDE: _BEFORE_PROMOTION_IS_COMPLETE,
    Operation.PAUSE: _BEFORE_PROMOTION_IS_COMPLETE,
    Operation.RESUME: _BEFORE_PROMOTION_IS_COMPLETE,
    Operation.FREEZE: frozenset({Phase.PROGRESSING, Phase.WAITING, Phase.PROMOTING}),
    Operation.TURN: frozenset({Phase.PENDING}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One operation as it was asked for."""

    operation: Operation
    by: str  # object id of a person, or the rollout that supersedes
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the timeline."""

    at: datetime
    text: str
    figures: Mapping[str, object] = field(default_factory=dict)


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
    attempt: int = 1
    started: datetime
    ended: datetime | None = None
    timeline: tuple[Entry, ...] = ()

    def enter(self, phase: Phase, *, at: datetime, text: str) -> "Rollout":
        """Return the rollout in another phase, with a line that says why."""
        entry = Entry(at=at, text=text)
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
