"""What the trigger does with an event: match it, and offer it to the ledgers that want it.

The trigger path: it never imports azure-ai-ml, never asks Azure, and never raises on a bad event.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from deploy_logic.errors import EventError
from deploy_logic.event import Ignored, ModelRegistered, name_event, parse_json, read_body
from deploy_logic.ledger.controls import find_bar
from deploy_logic.matching import NoMatch, Offer, PolicyIndex
from deploy_logic.policy.policy import Policy
from deploy_logic.ports import Engine
from deploy_logic.settings import Settings
from deploy_logic.telemetry.recorder import Figure, count, span

_LOG = logging.getLogger("rollout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What became of one event."""

    answer: Literal["offered", "ignored", "refused", "no match"]
    event_id: str = ""
    rollout_ids: tuple[str, ...] = ()  # of what was offered
    reason: str = ""


def handle_event(
    text: str, *, settings: Settings, policies: Iterable[Policy], engine: Engine
) -> list[str]:
    """Offer the registered version to the ledger of every policy that matches.

    Returns the ids of what was offered. A bad event is recorded and answered, never raised:
    Event Grid would send it again for a day. Many policies come as a PolicyIndex.
    """
    with span("event") as said:
        try:
            heard = hear(parse_json(text), settings=settings, policies=policies, engine=engine)
        except EventError as error:
            heard = _refuse(error, "")
        result = heard.answer.replace(" ", "_")
        said.say({"result": result})
        count(Figure.EVENTS_RECEIVED, result=result)
        return list(heard.rollout_ids)


def hear(body: object, *, settings: Settings, policies: Iterable[Policy], engine: Engine) -> Heard:
    """Do the same with an event that parse_json has parsed, and return what became of it."""
    try:
        event = read_body(body, workspaces=settings.workspaces)
    except EventError as error:
        return _refuse(error, name_event(body))
    if isinstance(event, Ignored):
        _LOG.info("event ignored", extra={"event_id": event.event_id, "reason": event.reason})
        return Heard(answer="ignored", event_id=event.event_id, reason=event.reason)
    index = policies if isinstance(policies, PolicyIndex) else PolicyIndex(policies)
    offers, reason = _match(event, index)
    # What is stopped or suspended is asked only when something matched: one read of one entity.
    controls = engine.show_controls() if offers else None
    for offer in offers:
        barred = find_bar(controls, offer.policy) if controls is not None else None
        engine.offer(replace(offer, needs_turn=settings.max_parallel > 0), barred=barred)
        fixed = {"event_id": event.event_id, "model": event.model, "version": event.version}
        _LOG.info("version offered", extra={**fixed, "rollout_id": offer.rollout_id})
    return Heard(
        answer="offered" if offers else "no match",
        event_id=event.event_id,
        rollout_ids=tuple(offer.rollout_id for offer in offers),
        reason=reason,
    )


def _refuse(error: EventError, event_id: str) -> Heard:
    _LOG.warning("event refused", extra={"reason": str(error)})
    return Heard(answer="refused", event_id=event_id, reason=str(error))


def _match(event: ModelRegistered, index: PolicyIndex) -> tuple[list[Offer], str]:
    """Return the offers, and why those policies that select the model do not match."""
    fixed = {"event_id": event.event_id, "model": event.model, "version": event.version}
    answers = index.match(event)
    reasons = []
    if not answers:
        reasons.append(f"none of {len(index)} policies selects model {event.model!r}")
        _LOG.info("no match", extra={**fixed, "reason": reasons[0]})
    for answer in answers:
        if isinstance(answer, NoMatch):
            extra = {**fixed, "policy": answer.policy, "reason": answer.reason}
            _LOG.info("no match", extra=extra)
            reasons.append(f"policy {answer.policy!r}: {answer.reason}")
    return [answer for answer in answers if isinstance(answer, Offer)], "; ".join(reasons)
