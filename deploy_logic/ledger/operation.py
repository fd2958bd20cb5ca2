"""Step 4 of 5: what people ask of an endpoint, and everything its ledger is told. Pure.

Whether an act is allowed is said by one table; what is refused is written down like everything
else.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from deploy_logic.codec import Json, decode
from deploy_logic.ledger.answer import find_in_flight, find_older, is_same, name_attempt
from deploy_logic.ledger.drift import Sighting, notice
from deploy_logic.ledger.ledger import begin, finish, offer, settle, start, wake
from deploy_logic.ledger.record import (
    Answer,
    Barred,
    Decision,
    Ended,
    Kept,
    Ledger,
    Mark,
    Reply,
    Tell,
    record,
)
from deploy_logic.matching import STORY, Offer, make_rollout_id
from deploy_logic.rollout import Operation, Request


class Act(StrEnum):
    """What people may ask of an endpoint. Stored strings are an API."""

    HOLD = "hold"  # nothing starts by itself until it is released
    RELEASE = "release"  # the hold, or one version from quarantine
    RETRY = "retry"  # one version once more
    REVERT = "revert"  # back to a kept deployment
    STOP = "stop"  # nothing starts; comes to every endpoint at once
    GO_ON = "go_on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One act as a person asked for it."""

    act: Act
    by: str
    reason: str
    at: datetime
    model: str = ""  # of the version; needed only where models share the endpoint
    version: str = ""  # to release, or to retry
    deployment: str = ""  # to go back to; the one kept last when nobody says
    offer: Offer | None = None  # of a retry, as its policy makes it today


def decide(ledger: Ledger, operation: str, payload: Json, *, at: datetime) -> Decision:
    """Decide on anything that a ledger is told; ValueError when it is none of that."""
    place = {key: payload[key] for key in ("workspace", "endpoint") if payload.get(key)}
    ledger = replace(ledger, **place)
    match operation:
        case "offer":
            why = payload.get("barred")
            barred = decode(Barred, why) if why else None
            return offer(ledger, decode(Offer, payload), at=at, barred=barred)
        case "finish":
            return finish(ledger, decode(Ended, payload))
        case "wake":
            return wake(ledger, at=at)
        case "act":
            return act(ledger, decode(Asked, payload))
        case "notice":
            return notice(ledger, decode(Sighting, payload), at=at)
        case _:
            raise ValueError(f"{operation!r} is not something a ledger does")


def act(ledger: Ledger, asked: Asked) -> Decision:
    """Do what a person asks, or write down why not."""
    refusal = refuse_act(ledger, asked)
    if refusal:
        return Decision(ledger=_note(ledger, asked, Reply.REFUSED, f"{asked.act}: {refusal}"))
    return _ACTS[asked.act](ledger, asked)


def refuse_act(ledger: Ledger, asked: Asked) -> str:
    """Return why the act is not allowed now, or nothing."""
    refusals = (condition(ledger, asked) for condition in ALLOWED_WHEN[asked.act])
    return next((refusal for refusal in refusals if refusal), "")


def _needs_a_hold(ledger: Ledger, asked: Asked) -> str:
    if asked.version or ledger.held is not None:
        return ""
    return "nothing is held (a version in quarantine is released by its name)"


def _needs_quarantine(ledger: Ledger, asked: Asked) -> str:
    if not asked.version or any(_is_meant(one, asked) for one in ledger.ended):
        return ""
    return f"version {asked.version!r} is not in quarantine"


def _needs_no_stop(ledger: Ledger, asked: Asked) -> str:
    del asked
    return "" if ledger.stopped is None else f"everything is stopped {ledger.stopped}"


def _needs_a_stop(ledger: Ledger, asked: Asked) -> str:
    del asked
    return "" if ledger.stopped is not None else "it is not stopped"


def _needs_a_try(ledger: Ledger, asked: Asked) -> str:
    wanted = asked.offer
    if wanted is not None and any(
        is_same(one, wanted) for one in ledger.ended if one.kind == "roll_out"
    ):
        return ""
    return f"version {asked.version!r} was never rolled out here (start it)"


def _needs_no_flight(ledger: Ledger, asked: Asked) -> str:
    same = find_in_flight(ledger, asked.offer) if asked.offer is not None else None
    return f"{same.rollout_id} is in flight or waiting" if same is not None else ""


def _needs_no_newer(ledger: Ledger, asked: Asked) -> str:
    return find_older(ledger, asked.offer) if asked.offer is not None else ""


def _needs_rest(ledger: Ledger, asked: Asked) -> str:
    running = ledger.running
    if running is None:
        return ""
    if running.kind != "let_go":
        return f"{running.rollout_id} runs (abort it first, or let it end)"
    target = _find_target(ledger, asked)
    is_target = target is not None and target.deployment == running.target
    return f"{running.target!r} is being let go of" if is_target else ""


def _needs_a_way_back(ledger: Ledger, asked: Asked) -> str:
    if _find_target(ledger, asked) is not None:
        return ""
    names = ", ".join(repr(one.deployment) for one in ledger.kept if one.why == "old")
    if asked.deployment:
        return f"{asked.deployment!r} is not kept (kept: {names or 'none'})"
    return "no old deployment is kept (a policy's keep says how many, and for how long)"


type Condition = Callable[[Ledger, Asked], str]
ALLOWED_WHEN: Mapping[Act, tuple[Condition, ...]] = {
    Act.HOLD: (),
    Act.RELEASE: (_needs_a_hold, _needs_quarantine),
    Act.RETRY: (_needs_no_stop, _needs_no_flight, _needs_a_try, _needs_no_newer),
    Act.REVERT: (_needs_rest, _needs_a_way_back),  # also while all is stopped: it is the way back
    Act.STOP: (),
    Act.GO_ON: (_needs_a_stop,),
}


def _hold(ledger: Ledger, asked: Asked) -> Decision:
    ledger = replace(ledger, held=_mark(asked))
    return Decision(ledger=_note(ledger, asked, Reply.HOLD, asked.reason))


def _release(ledger: Ledger, asked: Asked) -> Decision:
    if not asked.version:
        ledger = replace(ledger, held=None)
        return settle(_note(ledger, asked, Reply.RELEASE, asked.reason), asked.at, "released")
    by = f"{asked.by}: {asked.reason}"
    past = tuple(
        replace(one, released=by) if _is_meant(one, asked) else one for one in ledger.ended
    )
    return Decision(ledger=_note(replace(ledger, ended=past), asked, Reply.RELEASE, asked.reason))


def _retry(ledger: Ledger, asked: Asked) -> Decision:
    if asked.offer is None:
        raise AssertionError("a retry without an offer is refused")
    wanted = replace(asked.offer, requested_by=asked.by, reason=asked.reason)
    ledger = _note(ledger, asked, Reply.RETRY, asked.reason)
    named = name_attempt(ledger, wanted)
    by = f"{asked.by}: {asked.reason}"
    past = tuple(replace(one, released=by) if is_same(one, wanted) else one for one in ledger.ended)
    return start(replace(ledger, ended=past), named, asked.at, f"retried by {by}")


def _revert(ledger: Ledger, asked: Asked) -> Decision:
    target = _find_target(ledger, asked)
    if target is None:
        raise AssertionError("a revert without a way back is refused")
    back = _make_revert(ledger, target, asked)
    mark = replace(_mark(asked), reason=f"went back to {target.deployment!r}: {asked.reason}")
    ledger = replace(ledger, held=mark)
    if ledger.running is not None:  # something is being let go of: that takes minutes, no more
        ledger = replace(ledger, waiting=(back, *ledger.waiting))
        behind = f"behind {ledger.running.rollout_id}" if ledger.running else ""
        return Decision(ledger=_note(ledger, asked, Reply.QUEUED, behind))
    return begin(ledger, back, asked.at, f"back to {target.deployment!r}: {asked.reason}")


def _make_revert(ledger: Ledger, target: Kept, asked: Asked) -> Offer:
    place = (ledger.workspace, ledger.endpoint, target.model, target.version)
    digest = hashlib.sha256(f"{asked.by}\n{asked.at}\n{target.deployment}".encode()).hexdigest()
    policies = [one.policy for one in ledger.ended if one.policy and is_same(one, target)]
    return Offer(
        rollout_id=f"{make_rollout_id(*place)}-revert-{digest[:8]}",
        workspace=ledger.workspace,
        endpoint=ledger.endpoint,
        model=target.model,
        version=target.version,
        policy=policies[-1] if policies else "",
        version_rule="latest",
        on_new_version="queue",
        requested_by=asked.by,
        kind="revert",
        target=target.deployment,
        reason=asked.reason,
        story=STORY,
    )


def _stop(ledger: Ledger, asked: Asked) -> Decision:
    running = ledger.running
    was_stopped = ledger.stopped is not None
    ledger = _note(replace(ledger, stopped=_mark(asked)), asked, Reply.STOP, asked.reason)
    if running is None or not running.is_rollout or was_stopped:
        return Decision(ledger=ledger)
    tell = _tell(Operation.PAUSE, running, asked, "everything is stopped")
    return Decision(ledger=replace(ledger, paused=running.rollout_id), actions=(tell,))


def _go_on(ledger: Ledger, asked: Asked) -> Decision:
    running, paused = ledger.running, ledger.paused
    ledger = _note(replace(ledger, stopped=None, paused=""), asked, Reply.GO_ON, asked.reason)
    decision = settle(ledger, asked.at, "everything goes on")
    if running is None or running.rollout_id != paused:
        return decision
    tell = _tell(Operation.RESUME, running, asked, "everything goes on")
    return replace(decision, actions=(tell, *decision.actions))


_ACTS: Mapping[Act, Callable[[Ledger, Asked], Decision]] = {
    Act.HOLD: _hold,
    Act.RELEASE: _release,
    Act.RETRY: _retry,
    Act.REVERT: _revert,
    Act.STOP: _stop,
    Act.GO_ON: _go_on,
}


def _tell(operation: Operation, running: Offer, asked: Asked, why: str) -> Tell:
    request = Request(operation=operation, by=asked.by, reason=f"{why}: {asked.reason}")
    return Tell(rollout_id=running.rollout_id, request=request)


def _mark(asked: Asked) -> Mark:
    return Mark(by=asked.by, reason=asked.reason, at=asked.at)


def _is_meant(past: Ended, asked: Asked) -> bool:
    """Whether it is the version in quarantine that is to be released."""
    is_model = not asked.model or past.model == asked.model
    return past.is_quarantined and is_model and past.version == asked.version


def _find_target(ledger: Ledger, asked: Asked) -> Kept | None:
    old = [one for one in ledger.kept if one.why == "old"]
    named = [one for one in old if asked.deployment in {"", one.deployment}]
    return named[-1] if named else None


def _note(ledger: Ledger, asked: Asked, reply: Reply, reason: str) -> Ledger:
    said = Answer(
        at=asked.at,
        model=asked.model or (asked.offer.model if asked.offer is not None else ""),
        version=asked.version or (asked.offer.version if asked.offer is not None else ""),
        policy=asked.offer.policy if asked.offer is not None else "",
        event_id="",
        answer=reply.value,
        reason=reason,
        by=asked.by,
    )
    return record(ledger, said)
