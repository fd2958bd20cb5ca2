"""From a request to its answer: who asks and may they, what do they say, what came of it.

Everything refused is a problem (RFC 9457), and every wish of a known person leaves an audit line.
"""

import json
import logging
from dataclasses import dataclass, replace

from deploy_logic.api.route import JSON, Route
from deploy_logic.api.said import read_body, read_query, read_reason
from deploy_logic.api.visit import Answer, Office, Visit
from deploy_logic.errors import OperationError, WorkspaceError
from deploy_logic.operations.audit import Line, audit
from deploy_logic.telemetry.recorder import span

_LOG = logging.getLogger("rollout")
_LONGEST = 200  # characters that a log keeps of what people write into a path
_MOST = 100_000  # bytes of a body that a reason is looked for in, when it was refused unread
_WORDS = ("operation", "act", "control")  # parts of a path that say what is asked
_HEADERS = {"www_authenticate": "WWW-Authenticate", "retry_after": "Retry-After"}
_TARGETS = ("rollout_id", "endpoint", "policy")  # and of what


@dataclass(slots=True, kw_only=True)
class _Outcome:
    """What came of a request; until that is known, the app broke."""

    status: int = 500
    why: str = "the app broke"


def serve(route: Route, office: Office, visit: Visit) -> Answer:
    """Answer a request; raises nothing but our own mistakes."""
    with span("request", route=route.name) as said:
        answer = _serve(route, office, visit)
        said.say({"status": answer.status})
        return answer


def _serve(route: Route, office: Office, visit: Visit) -> Answer:
    try:
        if not route.is_open:
            visit = replace(visit, visitor=office.identify(visit.headers))
    except OperationError as error:
        _LOG.warning("nobody known", extra={"route": route.name, "reason": str(error)})
        return problem(error)
    outcome = _Outcome()
    try:
        answer = _take(route, office, visit)
        outcome.status, outcome.why = answer.status, ""
    except OperationError as error:
        outcome.status, outcome.why = error.status, str(error)
        answer = problem(error)
    except WorkspaceError as error:
        outcome.status, outcome.why = 503, str(error)
        answer = problem(OperationError(str(error), status=503))
    finally:
        if route.method == "POST":
            audit(office.archive, _line(route, office, visit, outcome))
    return answer


def problem(error: OperationError) -> Answer:
    """Return a refusal as problem details; its members say the same to programs.

    Two of them are headers too, as HTTP has them.
    """
    fixed = {"type": "about:blank", "title": str(error), "status": error.status}
    said = {header: error.members.get(member) for member, header in _HEADERS.items()}
    return Answer(
        status=error.status,
        kind="application/problem+json",
        body=_print({**error.members, **fixed}),
        headers={header: str(value) for header, value in said.items() if value is not None},
    )


def _take(route: Route, office: Office, visit: Visit) -> Answer:
    if route.right is not None:
        visit.who.require(route.right)
    if route.method == "POST":
        _refuse_kind(visit)
    if not route.is_open:
        visit = replace(visit, given=read_query(route.query, visit.query))
    found = route.handle(office, visit)
    return found if isinstance(found, Answer) else Answer(status=200, kind=JSON, body=_print(found))


def _refuse_kind(visit: Visit) -> None:
    """Raise OperationError 415 unless the body is JSON: no form of another site can say so."""
    kind = visit.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON:
        text = f"the body is {kind or 'of no kind'!r} (Content-Type: {JSON})"
        raise OperationError(text, status=415)


def _line(route: Route, office: Office, visit: Visit, outcome: _Outcome) -> Line:
    parts = {name: value[:_LONGEST] for name, value in visit.parts.items()}
    return Line(
        at=office.now(),
        by=visit.who.id,
        name=visit.who.name,
        operation=next((parts[word] for word in _WORDS if word in parts), route.name),
        target=next((parts[name] for name in _TARGETS if name in parts), ""),
        reason=_find_reason(visit),
        outcome="refused" if outcome.why else "accepted",
        why=outcome.why,
        status=outcome.status,
    )


def _find_reason(visit: Visit) -> str:
    """Return the reason as far as there is one; most refusals are not about it."""
    try:
        return read_reason(read_body(visit.body, most=_MOST))
    except OperationError:
        return ""


def _print(body: object) -> bytes:
    # in ASCII: half a surrogate pair that an event sent could not be encoded
    return json.dumps(body).encode()
