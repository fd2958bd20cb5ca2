"""Step 4 of 5: what speaks against an offer: the version itself, people, windows. Pure."""

import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from deploy_logic.errors import VersionRuleError
from deploy_logic.ledger.record import Barred, Ended, Kept, Ledger, Reply
from deploy_logic.matching import Offer, make_rollout_id
from deploy_logic.policy.window import Window, WindowError, next_open, parse_window
from deploy_logic.rollout import Phase
from deploy_logic.version.rule import parse_version_rule

_LOOK = re.compile(r"-look(\d+)$")


def refuse(ledger: Ledger, asked: Offer) -> tuple[Reply, str] | None:
    """Return answer and reason of a no that lies in the version itself, or None.

    The order of the questions is the order of trust: in flight, remembered, newer.
    """
    same = find_in_flight(ledger, asked)
    if same is not None:
        return Reply.DUPLICATE, f"{same.rollout_id} is in flight or waiting"
    past = next((one for one in reversed(ledger.ended) if has_tried(one, asked)), None)
    if past is not None and past.is_quarantined:
        if past.reverted:
            return Reply.QUARANTINED, f"{past.rollout_id} was reverted by {past.reverted}"
        return Reply.QUARANTINED, f"{past.rollout_id} ended as {past.phase}: {past.reason}"
    if past is not None and not past.released:
        since = f"; version {past.overtaken} succeeded since" if past.overtaken else ""
        return Reply.DUPLICATE, f"{past.rollout_id} ended as {past.phase}{since}"
    older = find_older(ledger, asked)
    return (Reply.OLDER, older) if older else None


def bar(ledger: Ledger, asked: Offer, barred: Barred | None) -> tuple[Reply, str] | None:
    """Return answer and reason of a no that lies in the circumstances, or None.

    What a person asks for passes a hold and a suspended policy, but not the stop switch.
    """
    if ledger.stopped is not None:
        return Reply.STOPPED, f"everything is stopped {ledger.stopped}"
    if barred is not None and (barred.reply is Reply.STOPPED or not asked.requested_by):
        return barred.reply, barred.reason
    if ledger.held is not None and not asked.requested_by:
        return Reply.HELD, f"held {ledger.held}"
    return None


def find_in_flight(ledger: Ledger, asked: Offer) -> Offer | None:
    """Return the rollout of the same model version that runs or waits."""
    return next((one for one in _in_flight(ledger) if is_same(one, asked)), None)


def find_older(ledger: Ledger, asked: Offer) -> str:
    """Return why the version comes too late, or nothing."""
    rivals = [one.version for one in _in_flight(ledger) if one.model == asked.model]
    stable = ledger.stable
    if not rivals and stable is not None and stable.model == asked.model:
        rivals = [stable.version]
    found = (compare(asked.version_rule, asked.version, rival) for rival in rivals)
    return next((older for older in found if older), "")


def compare(rule: str, version: str, rival: str) -> str:
    """Return why a version may not follow another one by that rule, or nothing."""
    try:
        older = parse_version_rule(rule).refuses_after(version, rival)
    except VersionRuleError as error:
        return f"cannot be compared with version {rival}: {error}"
    return f"no match: {older}" if older else ""


def name_attempt(ledger: Ledger, asked: Offer) -> Offer:
    """Return the offer with a rollout id of its own, however often the version was tried.

    What an engine does with an instance id that is over already depends on the engine.
    """
    past = [one for one in ledger.ended if one.kind == "roll_out" and is_same(one, asked)]
    tried = [one.attempt for one in past if one.phase is not Phase.NO_MATCH]
    if tried:
        place = (asked.workspace, asked.endpoint, asked.model, asked.version)
        attempt = max(tried) + 1
        named = make_rollout_id(*place, attempt=attempt)
        asked = replace(asked, attempt=attempt, rollout_id=named)
    looks = [one for one in past if one.attempt == asked.attempt and one.phase is Phase.NO_MATCH]
    if not looks:
        return asked
    found = _LOOK.search(looks[-1].rollout_id)
    look = int(found[1]) + 1 if found else 2
    return replace(asked, rollout_id=f"{asked.rollout_id}-look{look}")


def find_opening(asked: Offer, at: datetime) -> datetime | None:
    """Return the first moment from then on at which the offer may start; None: never."""
    if asked.requested_by:  # windows are for what comes by itself
        return at
    try:
        allow = [_read_window(text) for text in asked.allow]
        deny = [_read_window(text) for text in asked.deny]
    except WindowError:  # of a policy that a newer app wrote; a person can start it
        return None
    return next_open(allow, deny, at)


@functools.lru_cache(maxsize=256)
def _read_window(text: str) -> Window:
    return parse_window(text)


def _in_flight(ledger: Ledger) -> Iterator[Offer]:
    parked = ledger.parked.offer if ledger.parked is not None else None
    for one in (ledger.running, *ledger.waiting, parked):
        if one is not None and one.is_rollout:
            yield one


def is_same(one: Offer | Ended | Kept, asked: Offer | Ended | Kept) -> bool:
    """Whether both are about the same model version."""
    return (one.model, one.version) == (asked.model, asked.version)


def has_tried(past: Ended, asked: Offer | Ended) -> bool:
    """Whether that was a rollout of the version; one that was no match may match now."""
    is_rollout = past.kind == "roll_out" and past.phase is not Phase.NO_MATCH
    return is_rollout and is_same(past, asked)
