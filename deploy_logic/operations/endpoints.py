"""What people may ask of endpoints, of policies, and of everything at once.

Entities are told and do not answer, so what is asked is held against the ledger as it is now; the
ledger decides again when it hears it, and writes down what it did.
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from deploy_logic.codec import Json, decode, encode
from deploy_logic.errors import EventError, OperationError
from deploy_logic.event import MODEL_REGISTERED, Ignored, ModelRegistered, read_body
from deploy_logic.ledger.controls import Control, Turned, find_bar, refuse_turn
from deploy_logic.ledger.ledger import offer as decide_offer
from deploy_logic.ledger.operation import Act, Asked, refuse_act
from deploy_logic.ledger.record import Ended, Ledger, Reply
from deploy_logic.matching import NoMatch, Offer, PolicyIndex, match_selected
from deploy_logic.operations.history import find_rollout
from deploy_logic.ports import Archive, Engine
from deploy_logic.settings import Settings

_LOG = logging.getLogger("rollout")
# Azure allows 3 to 32 characters; what no name can be is not looked up
_NAME = re.compile(r"[a-zA-Z][-a-zA-Z0-9]{0,31}")
OF_ENDPOINTS = (Act.HOLD, Act.RELEASE, Act.RETRY, Act.REVERT)
OF_POLICIES = (Control.SUSPEND, Control.RESUME)
TAKEN = {Reply.STARTED, Reply.QUEUED, Reply.SUPERSEDING, Reply.OUTSIDE_WINDOW}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a person's wish is taken: everything that is needed to answer it."""

    settings: Settings
    policies: PolicyIndex
    engine: Engine
    archive: Archive
    by: str = ""  # object id of the person; empty where nobody needs to be known


def list_endpoints(engine: Engine) -> Json:
    """Return every endpoint's ledger: what runs, waits and was answered."""
    return {"endpoints": engine.list_ledgers()}


def show_endpoint(desk: Desk, endpoint: str) -> Json:
    """Return the ledger of the endpoint of that name, in the first workspace that has one."""
    for workspace in desk.settings.workspaces if _NAME.fullmatch(endpoint) else ():
        found = desk.engine.show_ledger(workspace, endpoint)
        if found is not None:
            return found
    raise OperationError(f"nothing was ever offered to an endpoint {endpoint!r}", status=404)


def show_controls(desk: Desk) -> Json:
    """Return what is stopped or suspended, and whose turn it is."""
    return {
        **encode(desk.engine.show_controls()),
        "max_parallel": desk.settings.max_parallel,
        "turns": encode(desk.engine.show_turns())["places"],
    }


def list_acts(desk: Desk, book: Ledger) -> list[str]:
    """Return the acts that are possible now, when nobody names a version or a deployment.

    Any version in quarantine can be released, so that counts too.
    """
    return [act.value for act in OF_ENDPOINTS if _is_possible(desk, book, act)]


def ask_endpoint(desk: Desk, endpoint: str, act: str, said: Mapping[str, str]) -> Json:
    """Hold, release, retry or revert; said has the reason, and what the act is about."""
    if act not in OF_ENDPOINTS:
        raise OperationError(f"{act!r} is none of {', '.join(OF_ENDPOINTS)}", status=404)
    if _NAME.fullmatch(endpoint) is None:
        raise OperationError(f"{endpoint!r} cannot be the name of an endpoint", status=404)
    asked = Asked(
        act=Act(act),
        by=desk.by,
        reason=said["reason"],
        at=datetime.now(UTC),
        model=said.get("model", ""),
        version=said.get("version", ""),
        deployment=said.get("deployment", ""),
    )
    # an endpoint can be held before anything was ever offered to it
    find = _find_ledger if asked.act is Act.HOLD else show_endpoint
    return _ask(desk, decode(Ledger, find(desk, endpoint)), asked)


def retry_rollout(desk: Desk, rollout_id: str, said: Mapping[str, str]) -> Json:
    """Try the version of a rollout that is over once more."""
    shown = find_rollout(desk.engine, desk.archive, rollout_id)
    found = desk.engine.show_ledger(shown["workspace"], shown["endpoint"])
    place = {"workspace": shown["workspace"], "endpoint": shown["endpoint"]}
    asked = Asked(
        act=Act.RETRY,
        by=desk.by,
        reason=said["reason"],
        at=datetime.now(UTC),
        model=shown["model"],
        version=shown["version"],
    )
    return _ask(desk, decode(Ledger, found or place), asked)


def start(desk: Desk, said: Mapping[str, str]) -> Json:
    """Start a version by hand, as its policy says; a hold and a window do not stop it."""
    event = _read_version(desk, said.get("model", ""), said.get("version", ""))
    offer = _make_offer(desk, event, said.get("policy", ""), said["reason"])
    shown = desk.engine.show_ledger(offer.workspace, offer.endpoint)
    book = decode(Ledger, shown) if shown is not None else Ledger()
    barred = find_bar(desk.engine.show_controls(), offer.policy)
    decided = decide_offer(book, offer, at=datetime.now(UTC), barred=barred).ledger.answers[-1]
    if decided.answer not in TAKEN:
        raise OperationError(f"{decided.answer}: {decided.reason}", status=409)
    desk.engine.offer(offer, barred=barred)
    extra = {"rollout_id": offer.rollout_id, "by": desk.by, "reason": offer.reason}
    _LOG.info("start asked", extra=extra)
    return {"endpoint": offer.endpoint, "operation": "start", "by": desk.by}


def turn_control(desk: Desk, control: Control, said: Mapping[str, str], policy: str = "") -> Json:
    """Stop everything, go on, suspend a policy or resume it."""
    turned = Turned(
        control=control, by=desk.by, reason=said["reason"], at=datetime.now(UTC), policy=policy
    )
    refusal = refuse_turn(desk.engine.show_controls(), turned)
    if refusal:
        raise OperationError(refusal, status=409)
    desk.engine.turn_control(turned)
    if control in {Control.STOP, Control.GO_ON}:  # one that misses it is told by the sweep
        asked = Asked(act=Act(control), by=desk.by, reason=turned.reason, at=turned.at)
        for shown in desk.engine.list_ledgers():
            place = (shown["workspace"], shown["endpoint"])
            desk.engine.tell_ledger(*place, "act", encode(asked))
    extra = {"control": control.value, "policy": policy, "by": desk.by, "reason": turned.reason}
    _LOG.info("control turned", extra=extra)
    return {"operation": control.value, "by": desk.by, **({"policy": policy} if policy else {})}


def turn_policy(desk: Desk, policy: str, control: str, said: Mapping[str, str]) -> Json:
    """Suspend a policy, or resume it."""
    if control not in OF_POLICIES:
        raise OperationError(f"{control!r} is none of {', '.join(OF_POLICIES)}", status=404)
    is_known = any(one.policy == policy for one in desk.policies)
    # One that is gone from the files must still be resumable.
    if not is_known and policy not in desk.engine.show_controls().suspended:
        raise OperationError(f"there is no policy {policy!r}", status=404)
    return turn_control(desk, Control(control), said, policy)


def _read_version(desk: Desk, model: str, version: str) -> ModelRegistered:
    """Return what a person names as if it had been registered now; names are held to the same."""
    workspace = desk.settings.workspaces[0]
    body = {
        "id": "start",
        "eventType": MODEL_REGISTERED,
        "topic": workspace,
        "subject": f"models/{model}:{version}",
        "data": {"ModelName": model, "ModelVersion": version},
    }
    try:
        event = read_body(body, workspaces=None)
    except EventError as error:
        raise OperationError(f"starting a version: {error}", status=400) from error
    if isinstance(event, Ignored):
        raise AssertionError("what is called a registration is not ignored")  # noqa: TRY004 - ours
    return event


def _find_ledger(desk: Desk, endpoint: str) -> Json:
    try:
        return show_endpoint(desk, endpoint)
    except OperationError:
        return {"workspace": desk.settings.workspaces[0], "endpoint": endpoint}


def _is_possible(desk: Desk, book: Ledger, act: Act) -> bool:
    if act is Act.RELEASE and any(one.is_quarantined for one in book.ended):
        return True
    asked = Asked(act=act, by=desk.by, reason="", at=datetime.now(UTC))
    try:
        asked = replace(asked, offer=make_retry(desk, book, asked)) if act is Act.RETRY else asked
    except OperationError:
        return False
    return not refuse_act(book, asked)


def _ask(desk: Desk, book: Ledger, asked: Asked) -> Json:
    if asked.act is Act.RETRY:
        asked = replace(asked, offer=make_retry(desk, book, asked))
    refusal = refuse_act(book, asked)
    if refusal:
        raise OperationError(f"{asked.act} of {book.endpoint!r}: {refusal}", status=409)
    desk.engine.tell_ledger(book.workspace, book.endpoint, "act", encode(asked))
    fixed = {"endpoint": book.endpoint, "by": asked.by, "reason": asked.reason}
    _LOG.info("act asked", extra={**fixed, "act": asked.act.value, "version": asked.version})
    return {"endpoint": book.endpoint, "operation": asked.act.value, "by": asked.by}


def make_retry(desk: Desk, book: Ledger, asked: Asked) -> Offer:
    """Return the offer of the version named, or of the last one that did not succeed."""
    past = [one for one in book.ended if one.kind == "roll_out" and _is_meant(one, asked)]
    if not past:
        named = f"version {asked.version!r} was never rolled out here (start it)"
        why = named if asked.version else "no version is in quarantine (name one)"
        raise OperationError(f"retry on {book.endpoint!r}: {why}", status=409)
    last = past[-1]
    said = [one.policy for one in book.answers if one.policy and one.version == last.version]
    event = ModelRegistered(
        event_id="", workspace=book.workspace, model=last.model, version=last.version
    )
    return _make_offer(desk, event, last.policy or "".join(said[-1:]), asked.reason)


def _is_meant(past: Ended, asked: Asked) -> bool:
    if not asked.version:
        return past.is_quarantined
    return past.version == asked.version and asked.model in {"", past.model}


def _make_offer(desk: Desk, event: ModelRegistered, policy: str, reason: str) -> Offer:
    """Return what the policy offers for a version; the only one that selects it, if none is named.

    The policy counts as it is now: a person may have mended it since.
    """
    selecting = desk.policies.select(event.model)
    named = [one for one in selecting if policy in {"", one.policy}]
    if len(named) != 1:
        names = ", ".join(repr(one.policy) for one in selecting) or "none"
        given = f"policy {policy!r}" if policy else f"{len(named)} policies"
        what = f"version {event.version!r} of model {event.model!r}"
        raise OperationError(f"{what}: {given} (those that select it: {names})", status=409)
    answer = match_selected(event, named[0])
    if isinstance(answer, NoMatch):
        raise OperationError(f"policy {answer.policy!r}: {answer.reason}", status=409)
    return replace(
        answer,
        requested_by=desk.by,
        reason=reason,
        needs_turn=desk.settings.max_parallel > 0,
    )
