"""HTTP in and out: JSON answers, and problem details (RFC 9457) for everything refused."""

import json
from collections.abc import Callable

import azure.functions as func

from deploy_logic.codec import Json
from deploy_logic.errors import OperationError
from deploy_logic.telemetry.recorder import span

_LONGEST_BODY = 10_000  # characters
_LONGEST_TEXT = 500


def answer(act: Callable[[], object]) -> func.HttpResponse:
    """Return what the act returns as JSON, or why it was refused."""
    with span("request") as said:
        try:
            answered = _respond(act(), status=200, kind="application/json")
        except OperationError as error:
            fixed = {"type": "about:blank", "title": str(error), "status": error.status}
            problem = {**error.members, **fixed}
            answered = _respond(problem, status=error.status, kind="application/problem+json")
        said.say({"status": answered.status_code})
        return answered


def read_reason(request: func.HttpRequest) -> str:
    """Return why the operation is asked for; OperationError 400 when that is not said."""
    reason = _read(request).get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise OperationError('a reason is needed (a body such as {"reason": "..."})', status=400)
    return reason.strip()[:_LONGEST_TEXT]


def read_said(request: func.HttpRequest) -> dict[str, str]:
    """Return the texts of the body, a reason among them; OperationError 400 for anything else."""
    reason, body = read_reason(request), _read(request)
    for key, value in body.items():
        if not isinstance(value, str):
            raise OperationError(f"{key!r} is {value!r} (a text is needed)", status=400)
    said = {key: value.strip()[:_LONGEST_TEXT] for key, value in body.items()}
    return {**said, "reason": reason}


def _read(request: func.HttpRequest) -> Json:
    text = request.get_body()[:_LONGEST_BODY]
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise OperationError('the body is not a JSON object such as {"reason": "..."}', status=400)
    return body


def _respond(body: object, *, status: int, kind: str) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(body),  # in ASCII: half a surrogate pair that an event sent could not be encoded
        status_code=status,
        mimetype=kind,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"},
    )
