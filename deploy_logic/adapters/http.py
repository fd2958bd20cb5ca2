"""HTTP in and out: the host's request as a visit, and an answer as the host's response."""

import logging
import uuid

import azure.functions as func

from deploy_logic.api.door import problem
from deploy_logic.api.visit import Answer, Visit
from deploy_logic.errors import OperationError

_LOG = logging.getLogger("rollout")
_EVERYWHERE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def read_visit(request: func.HttpRequest) -> Visit:
    """Return the request as the routes see it."""
    return Visit(
        parts=dict(request.route_params),
        query=dict(request.params),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=request.get_body(),
    )


def respond(answer: Answer) -> func.HttpResponse:
    """Return the answer as the host sends it."""
    return func.HttpResponse(
        answer.body,
        status_code=answer.status,
        headers={**_EVERYWHERE, **answer.headers, "Content-Type": answer.kind},
    )


def break_off(route: str) -> Answer:
    """Log the exception that is being handled, and return an answer that only names it.

    What broke is for those who read the log: its text may hold what is nobody else's business.
    """
    name = uuid.uuid4().hex
    _LOG.exception("route broke", extra={"route": route, "id": name})
    return problem(OperationError("the app is broken (its log has more)", status=500, id=name))
