"""What the engine keeps: ledgers, controls, turns. Entities store; pure modules decide."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

from durabletask.entities import EntityContext

from deploy_logic.adapters.durable import RELAY, ROLL_OUT, WAKE
from deploy_logic.codec import Json, decode, encode
from deploy_logic.ledger.controls import Controls, Turned, turn
from deploy_logic.ledger.operation import decide
from deploy_logic.ledger.record import Decision, Ended, Ledger, Start, Tell, Wake
from deploy_logic.ledger.turns import Place, Turns, enter, leave
from deploy_logic.rollout import Operation, Request
from deploy_logic.telemetry import facts


def endpoint_ledger(context: EntityContext, payload: Json) -> None:
    """Keep one endpoint's ledger."""
    stored = context.get_state(dict)
    ledger = decode(Ledger, stored) if stored else Ledger()
    # a timer may come a moment early by the clock of this machine
    woken = datetime.fromisoformat(payload["at"]) if context.operation == "wake" else None
    now = max(datetime.now(UTC), woken or datetime.min.replace(tzinfo=UTC))
    decision = decide(ledger, context.operation, payload, at=now)
    context.set_state(encode(decision.ledger))
    _act(context, decision, now)
    if context.operation == "finish":
        facts.tell_ended(ledger, decision, decode(Ended, payload))
    facts.tell_started(decision)


def rollout_controls(context: EntityContext, payload: Json) -> None:
    """Keep the stop switch, what is suspended, and when the sweep ran last."""
    stored = context.get_state(dict)
    controls = decode(Controls, stored) if stored else Controls()
    match context.operation:
        case "turn":
            controls = turn(controls, decode(Turned, payload))
        case "swept":
            controls = replace(controls, swept=datetime.fromisoformat(payload["at"]))
        case _:
            raise ValueError(f"{context.operation!r} is not something that controls do")
    context.set_state(encode(controls))


def bind_turns(cap: int) -> Callable[[EntityContext, Json], None]:
    """Return the entity that keeps the turns, with the cap that holds now."""

    def rollout_turns(context: EntityContext, payload: Json) -> None:
        stored = context.get_state(dict)
        turns = decode(Turns, stored) if stored else Turns()
        now = datetime.now(UTC)
        match context.operation:
            case "enter":
                ids = {key: payload[key] for key in ("rollout_id", "endpoint")}
                called = enter(turns, Place(since=now, **ids), cap=cap)
            case "leave":
                called = leave(turns, payload["rollout_id"], cap=cap)
            case _:
                raise ValueError(f"{context.operation!r} is not something that turns do")
        context.set_state(encode(called.turns))
        request = Request(operation=Operation.TURN, by="turns", reason="its turn has come")
        for rollout_id in called.called:
            _relay(context, rollout_id, request, now)

    return rollout_turns


def _act(context: EntityContext, decision: Decision, now: datetime) -> None:
    ledger = decision.ledger
    for action in decision.actions:
        match action:
            case Start(offer=offer):
                context.schedule_new_orchestration(ROLL_OUT, encode(offer), offer.rollout_id)
            case Tell(rollout_id=rollout_id, request=request):
                _relay(context, rollout_id, request, now)
            case Wake(at=at):
                when = at.isoformat()
                place = {"workspace": ledger.workspace, "endpoint": ledger.endpoint, "at": when}
                # The same moment has the same id: one that is there already is as good.
                instance = shorten_id("wake", context.entity_id.key, when)
                context.schedule_new_orchestration(WAKE, place, instance)


def _relay(context: EntityContext, rollout_id: str, request: Request, now: datetime) -> None:
    told = {"rollout_id": rollout_id, "request": encode(request)}
    # a rollout may be paused twice for the same reason, so each time has an id of its own
    instance = shorten_id("relay", rollout_id, request.operation, now.isoformat())
    context.schedule_new_orchestration(RELAY, told, instance)


def shorten_id(kind: str, *parts: str) -> str:
    """Return an instance id: it may have 100 characters, and two rollout ids have more."""
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    return f"{kind}-{digest[:24]}"
