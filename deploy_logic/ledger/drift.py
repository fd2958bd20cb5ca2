"""Step 4 of 5: weights that somebody has set by hand, as the sweep sees them. Pure.

During a rollout they freeze it, once two sweeps have seen the same; without one they are adopted,
and the ledger says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from deploy_logic.ledger.record import (
    Answer,
    Decision,
    Ended,
    Ledger,
    Noticed,
    Reply,
    Tell,
    record,
)
from deploy_logic.rollout import Operation, Phase, Request

_SWEEP = "sweep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What a sweep has read of an endpoint. Weights of zero are left out."""

    found: Mapping[str, int]
    rollout_id: str = ""  # empty: nothing was running
    expected: Mapping[str, int] | None = None  # weights that the rollout has read back last
    patience: timedelta = timedelta(0)  # a difference counts only when it stays that long
    model: str = ""  # of the deployment that has all the weight
    version: str = ""


def notice(ledger: Ledger, seen: Sighting, *, at: datetime) -> Decision:
    """Take note of weights; what has changed since the sweep looked makes it worthless."""
    running = ledger.running
    if running is None and not seen.rollout_id:
        return Decision(ledger=_adopt(ledger, seen, at))
    if running is None or running.rollout_id != seen.rollout_id:
        return Decision(ledger=ledger)
    expected = seen.expected
    if expected is None or expected == seen.found:
        return Decision(ledger=replace(ledger, noticed=None))
    fresh = Noticed(rollout_id=running.rollout_id, expected=expected, found=seen.found, at=at)
    before = ledger.noticed
    if before is None or replace(before, at=at, is_told=False) != fresh:
        return Decision(ledger=replace(ledger, noticed=fresh))
    if before.is_told or at - before.at < seen.patience:
        return Decision(ledger=ledger)
    reason = f"the weights were changed by hand: {print_weights(seen.found)}"
    reason += f" ({print_weights(expected)} had been set)"
    ledger = replace(ledger, noticed=replace(before, is_told=True))
    ledger = _say(ledger, Reply.FREEZE, reason, at, running.model, running.version)
    request = Request(operation=Operation.FREEZE, by=_SWEEP, reason=reason)
    tell = Tell(rollout_id=running.rollout_id, request=request)
    return Decision(ledger=ledger, actions=(tell,))


def _adopt(ledger: Ledger, seen: Sighting, at: datetime) -> Ledger:
    """Take what a person has set while nothing ran for how it is now."""
    known = ledger.serves
    ledger = replace(ledger, serves=seen.found)
    if not known or known == seen.found:
        return ledger
    # what serves is not kept any more: it must not be let go of
    kept = tuple(one for one in ledger.kept if not seen.found.get(one.deployment))
    ledger = replace(ledger, kept=kept)
    reason = f"the weights were changed by hand: {print_weights(seen.found)}"
    reason += f" ({print_weights(known)} before)"
    if seen.model and seen.version:
        stable = Ended(
            rollout_id="",
            model=seen.model,
            version=seen.version,
            phase=Phase.SUCCEEDED,
            reason=reason,
            at=at,
        )
        ledger = replace(ledger, stable=stable)
    return _say(ledger, Reply.ADOPTED, reason, at, seen.model, seen.version)


def _say(
    ledger: Ledger, reply: Reply, reason: str, at: datetime, model: str, version: str
) -> Ledger:
    said = Answer(
        at=at,
        model=model,
        version=version,
        policy="",
        event_id=_SWEEP,
        answer=reply.value,
        reason=reason,
    )
    return record(ledger, said)


def print_weights(weights: Mapping[str, int]) -> str:
    """Return weights as people read them."""
    return ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items())) or "none"
