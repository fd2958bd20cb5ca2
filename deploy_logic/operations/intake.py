"""What the trigger does with an event: match it, and offer it to the ledgers that want it.

The trigger path: it never imports azure-ai-ml, never asks Azure, and never raises on a bad event.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace

from deploy_logic.errors import EventError
from deploy_logic.event import Ignored, ModelRegistered, read_event
from deploy_logic.ledger.controls import find_bar
from deploy_logic.matching import NoMatch, Offer, PolicyIndex
from deploy_logic.policy.policy import Policy
from deploy_logic.ports import Engine
from deploy_logic.settings import Settings
from deploy_logic.telemetry.recorder import Figure, count, span

_LOG = logging.getLogger("rollout")


def handle_event(
    text: str, *, settings: Settings, policies: Iterable[Policy], engine: Engine
) -> list[str]:
    """Offer the registered version to the ledger of every policy that matches.

    Returns the ids of what was offered. A bad event is recorded and answered, never raised:
    Event Grid would send it again for a day. Many policies come as a PolicyIndex.
    """
    with span("event") as said:
        result, offered = _handle(text, settings=settings, policies=policies, engine=engine)
        said.say({"result": result})
        count(Figure.EVENTS_RECEIVED, result=result)
        return offered


def _handle(
    text: str, *, settings: Settings, policies: Iterable[Policy], engine: Engine
) -> tuple[str, list[str]]:
    try:
        event = read_event(text, workspaces=settings.workspaces)
    except EventError as error:
        _LOG.warning("event refused", extra={"reason": str(error)})
        return "refused", []
    if isinstance(event, Ignored):
        _LOG.info("event ignored", extra={"event_id": event.event_id, "reason": event.reason})
        return "ignored", []
    index = policies if isinstance(policies, PolicyIndex) else PolicyIndex(policies)
    offers = _match(event, index)
    # What is stopped or suspended is asked only when something matched: one read of one entity.
    controls = engine.show_controls() if offers else None
    for offer in offers:
        barred = find_bar(controls, offer.policy) if controls is not None else None
        engine.offer(replace(offer, needs_turn=settings.max_parallel > 0), barred=barred)
        fixed = {"event_id": event.event_id, "model": event.model, "version": event.version}
        _LOG.info("version offered", extra={**fixed, "rollout_id": offer.rollout_id})
    return "offered" if offers else "no_match", [offer.rollout_id for offer in offers]


def _match(event: ModelRegistered, index: PolicyIndex) -> list[Offer]:
    fixed = {"event_id": event.event_id, "model": event.model, "version": event.version}
    answers = index.match(event)
    if not answers:
        reason = f"none of {len(index)} policies selects model {event.model!r}"
        _LOG.info("no match", extra={**fixed, "reason": reason})
    for answer in answers:
        if isinstance(answer, NoMatch):
            extra = {**fixed, "policy": answer.policy, "reason": answer.reason}
            _LOG.info("no match", extra=extra)
    return [answer for answer in answers if isinstance(answer, Offer)]
