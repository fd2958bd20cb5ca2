"""HTTP in and out: JSON answers, and problem details (RFC 9457) for everything refused."""

import json
from collections.abc import Callable

import azure.functions as func

from deploy_logic.codec import Json
from deploy_logic.errors import OperationError

_LONGEST_BODY = 10_000  # characters
_LONGEST_TEXT = 500


def answer(act: Callable[[], object]) -> func.HttpResponse:
    """Return what the act returns as JSON, or why it was refused."""
    try:
        return _respond(act(), status=200, kind="application/json")
    except OperationError as error:
        problem = {"type": "about:blank", "title": str(error), "status": error.status}
        return _respond(problem, status=error.status, kind="application/problem+json")


def read_reason(request: func.HttpRequest) -> str:
    """Return why the operation is asked for; OperationError 400 when that is not said."""
    return read_said(request)["reason"]


def read_said(request: func.HttpRequest) -> dict[str, str]:
    """Return what the body says, the reason first of all; OperationError 400 if it cannot be."""
    body = _read(request)
    reason = body.get("reason")
    if not isinstance(reason, str) or not reason.strip():
        raise OperationError('a reason is needed (a body such as {"reason": "..."})', status=400)
    wrong = [key for key, value in body.items() if not isinstance(value, str)]
    if wrong:
        raise OperationError(f"{wrong[0]!r} in the body is not a text", status=400)
    return {key: value.strip()[:_LONGEST_TEXT] for key, value in body.items()}


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
