"""What people may ask of rollouts: every operation on one in flight."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from deploy_logic.codec import Json, decode
from deploy_logic.errors import OperationError
from deploy_logic.ports import Engine
from deploy_logic.rollout import (
    ANSWERS,
    OF_PEOPLE,
    Awaited,
    Operation,
    Phase,
    Request,
    allows,
    list_possible,
    refuse_answer,
)

_LOG = logging.getLogger("rollout")


def find_shown(engine: Engine, rollout_id: str) -> Json:
    """Return one rollout with its timeline."""
    shown = engine.show_rollout(rollout_id)
    if shown is None:
        raise OperationError(f"there is no rollout {rollout_id!r}", status=404)
    return shown


def ask(
    engine: Engine,
    rollout_id: str,
    operation: str,
    *,
    by: str,
    claims: Sequence[str] = (),
    said: Mapping[str, str],
) -> Json:
    """Ask a rollout for an operation; it is taken in seconds, whatever the rollout waits for.

    said has the reason and, for an answer, the figures that it rests on. Whether an answer counts
    is decided again where it arrives: the question may be another by then.
    """
    if operation not in OF_PEOPLE:
        raise OperationError(f"{operation!r} is none of {', '.join(OF_PEOPLE)}", status=404)
    shown = find_shown(engine, rollout_id)
    found = shown.get("awaits")
    awaited = decode(Awaited, found) if found else None
    request = Request(operation=Operation(operation), by=by, reason=said["reason"])
    _refuse_now(request, shown, awaited, rollout_id)
    if request.operation in ANSWERS and awaited is not None:
        request = replace(request, claims=tuple(claims), figures=said.get("figures", ""))
        _refuse_person(request, awaited, rollout_id)
        # Of what a person is, only what the question asks for is stored.
        asked = {one.lower() for one in awaited.approvers}
        request = replace(request, claims=tuple(one for one in claims if one.lower() in asked))
    engine.ask(rollout_id, request)
    extra = {"rollout_id": rollout_id, "operation": operation, "by": by, "reason": request.reason}
    _LOG.info("operation asked", extra=extra)
    return {"rollout_id": rollout_id, "operation": operation, "by": by}


def _refuse_now(request: Request, shown: Json, awaited: Awaited | None, rollout_id: str) -> None:
    """Raise OperationError 409 unless the table allows it now, and an answer is awaited."""
    phase, operation = Phase(shown["phase"]), request.operation
    is_awaited = awaited is not None and operation in awaited.operations
    if allows(operation, phase) and (is_awaited or operation not in ANSWERS):
        return
    possible = list_possible(phase, awaited, is_paused=bool(shown.get("paused_by")))
    words = ", ".join(possible) or "nothing"
    text = f"{operation} of {rollout_id!r}: it is {phase} (possible now: {words})"
    raise OperationError(text, status=409, possible=[one.value for one in possible])


def _refuse_person(request: Request, awaited: Awaited, rollout_id: str) -> None:
    """Raise OperationError unless the answer is this person's to give, on these very figures."""
    what = f"{request.operation} of {rollout_id!r}"
    if not request.figures:
        text = f"{what}: no figures are named (awaits.figures of the rollout that was looked at)"
        raise OperationError(text, status=400)
    refusal = refuse_answer(awaited, request, registered_by=awaited.not_by)
    if not refusal:
        return
    if request.figures != awaited.figures:
        raise OperationError(f"{what}: {refusal} (look again)", status=409, figures=awaited.figures)
    is_second = request.operation is Operation.APPROVE and request.by in awaited.approved_by
    approvers = list(awaited.approvers)
    if is_second:
        raise OperationError(f"{what}: {refusal}", status=409, approvers=approvers)
    raise OperationError(f"{what}: {refusal}", status=403, approvers=approvers)
