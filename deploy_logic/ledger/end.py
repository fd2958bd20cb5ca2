"""Step 4 of 5: what a rollout that is over leaves behind: stable, quarantine, kept ones. Pure."""

from dataclasses import replace
from datetime import timedelta

from deploy_logic.ledger.answer import compare, has_tried, is_same
from deploy_logic.ledger.record import MOST_KEPT, Ended, Ledger, Reply, answer_offer
from deploy_logic.matching import Offer
from deploy_logic.rollout import Phase

_TRY_AGAIN = timedelta(hours=1)  # to let go of what could not be let go of


def take_over(ledger: Ledger, offered: Offer, ended: Ended) -> Ledger:
    """Take over what a rollout or a revert has left behind."""
    if ended.phase is Phase.SUCCEEDED:
        ledger = _revert(ledger, offered) if offered.kind == "revert" else ledger
        ledger = replace(_overtake(ledger, offered), stable=replace(ended, kept=()))
    ledger = _keep(ledger, offered, ended)
    if ended.phase is Phase.NO_MATCH:
        return answer_offer(ledger, offered, ended.at, Reply.NO_MATCH, ended.reason)
    return replace(ledger, serves={ended.serves: 100} if ended.serves else {})


def take_out(ledger: Ledger, offered: Offer, ended: Ended) -> Ledger:
    """Forget a deployment that was let go of; one that could not be is tried again later."""
    if ended.phase in {Phase.SUCCEEDED, Phase.NO_MATCH}:
        kept = tuple(one for one in ledger.kept if one.deployment != offered.target)
        return replace(ledger, kept=kept)
    again = ended.at + _TRY_AGAIN
    kept = tuple(
        replace(one, until=again) if one.deployment == offered.target else one
        for one in ledger.kept
    )
    reason = f"{offered.target!r} could not be let go of: {ended.reason}; it is tried again"
    return answer_offer(replace(ledger, kept=kept), offered, ended.at, Reply.LET_GO, reason)


def _keep(ledger: Ledger, offered: Offer, ended: Ended) -> Ledger:
    """Add what was kept; of the old ones, those that are too many are due at once."""
    fresh = [one for one in ended.kept if one.deployment != ended.serves]
    gone = {ended.serves, *(one.deployment for one in fresh)}
    kept = [*(one for one in ledger.kept if one.deployment not in gone), *fresh][-MOST_KEPT:]
    if offered.is_rollout and ended.phase is Phase.SUCCEEDED:
        old = [one.deployment for one in kept if one.why == "old"]
        surplus = old[: max(len(old) - offered.keep_old, 0)]
        kept = [
            replace(one, until=min(one.until, ended.at)) if one.deployment in surplus else one
            for one in kept
        ]
    return replace(ledger, kept=tuple(kept))


def _revert(ledger: Ledger, offered: Offer) -> Ledger:
    """Put the version that a person took back into quarantine, and let the other one out."""
    bad = ledger.stable
    by = f"{offered.requested_by}: {offered.reason}"
    past = [replace(one, reverted="") if is_same(one, offered) else one for one in ledger.ended]
    if bad is not None and not is_same(bad, offered):
        known = [number for number, one in enumerate(past) if has_tried(one, bad)]
        if known:
            past[known[-1]] = replace(past[known[-1]], reverted=by, released="", overtaken="")
        else:
            past.append(replace(bad, kind="roll_out", reverted=by))
    return replace(ledger, ended=tuple(past))


def _overtake(ledger: Ledger, offered: Offer) -> Ledger:
    """Let go of the quarantine of older versions: what is newer than they are has succeeded."""
    if not offered.is_rollout:
        return ledger
    past = tuple(
        replace(one, overtaken=offered.version)
        if one.is_quarantined
        and one.model == offered.model
        and compare(offered.version_rule, one.version, offered.version)
        else one
        for one in ledger.ended
    )
    return replace(ledger, ended=past)
