"""The routes of the HTTP API. The functions, the OpenAPI document and the page are made from it."""

import functools

from deploy_logic.api import asking, reading
from deploy_logic.api.openapi import make_document
from deploy_logic.api.route import Route
from deploy_logic.api.said import (
    MOST_ROLLOUTS,
    PHASES,
    STATES,
    Parameter,
    read_choice,
    read_cursor,
    read_limit,
    read_text,
    read_time,
)
from deploy_logic.api.visit import Office, Visit
from deploy_logic.codec import Json
from deploy_logic.right import Right

_NAMED: Json = {"type": "string", "maxLength": 300}
_MOMENT: Json = {"type": "string", "format": "date-time"}
_SINCE = Parameter(name="since", text="at or after this moment", schema=_MOMENT, read=read_time)
_UNTIL = Parameter(name="until", text="before this moment", schema=_MOMENT, read=read_time)
_FILTERS = (
    Parameter(
        name="state",
        text="in flight or over; empty: both",
        schema={"type": "string", "enum": [*STATES]},
        read=read_choice([*STATES]),
    ),
    Parameter(
        name="phase",
        text="the very phase",
        schema={"type": "string", "enum": PHASES},
        read=read_choice(PHASES),
    ),
    Parameter(name="endpoint", text="to this endpoint", schema=_NAMED, read=read_text),
    Parameter(name="model", text="of this model", schema=_NAMED, read=read_text),
    Parameter(name="policy", text="by this policy", schema=_NAMED, read=read_text),
    _SINCE,
    _UNTIL,
    Parameter(
        name="limit",
        text="how many on a page",
        schema={"type": "integer", "minimum": 1, "maximum": MOST_ROLLOUTS, "default": 50},
        read=read_limit,
        default="50",
    ),
    Parameter(
        name="after", text="what next of the page before says", schema=_NAMED, read=read_cursor
    ),
)
_ASKED = frozenset({400, 404, 409})


@functools.cache
def make_openapi() -> Json:
    """Return the OpenAPI document of the routes."""
    return make_document(ROUTES)


def show_openapi(office: Office, visit: Visit) -> Json:
    """Return the OpenAPI document."""
    del office, visit
    return make_openapi()


_ROLLOUTS = (
    Route(
        name="list_rollouts",
        method="GET",
        path="rollouts",
        summary="Rollouts without their timelines, newest first, page by page",
        handle=reading.list_rollouts,
        right=Right.READ,
        query=_FILTERS,
        answer="Rollouts",
    ),
    Route(
        name="show_rollout",
        method="GET",
        path="rollouts/{rollout_id}",
        summary="One rollout with its timeline, and what people may ask of it now",
        handle=reading.show_rollout,
        right=Right.READ,
        answer="RolloutShown",
        refusals=frozenset({404}),
    ),
    Route(
        name="read_timeline",
        method="GET",
        path="rollouts/{rollout_id}/timeline",
        summary="The timeline of one rollout, a line for each entry",
        handle=reading.read_timeline,
        right=Right.READ,
        answer="TimelineLine",
        kind="application/jsonl",
        refusals=frozenset({404}),
    ),
    # A literal segment goes before a parameter in routing: retry is not taken for an operation.
    Route(
        name="retry",
        method="POST",
        path="rollouts/{rollout_id}/retry",
        summary="Try the version of a rollout that is over once more",
        handle=asking.retry,
        right=Right.OPERATE,
        body="Reason",
        answer="Asked",
        refusals=_ASKED,
    ),
    Route(
        name="ask_rollout",
        method="POST",
        path="rollouts/{rollout_id}/{operation}",
        summary="Abort, approve, reject, pause, resume, promote now, adopt or restore",
        handle=asking.ask_rollout,
        right=Right.OPERATE,
        body="OperationBody",
        answer="Asked",
        refusals=_ASKED | {403},
    ),
    Route(
        name="start",
        method="POST",
        path="start",
        summary="Start a version by hand",
        handle=asking.start,
        right=Right.OPERATE,
        body="StartBody",
        answer="Asked",
        refusals=frozenset({400, 409}),
    ),
    Route(
        name="export",
        method="GET",
        path="export",
        summary="Every line of every timeline and of the audit, a line for each",
        handle=reading.export,
        right=Right.READ,
        query=(_SINCE, _UNTIL),
        answer="ArchivedLine",
        kind="application/jsonl",
    ),
)
_ENDPOINTS = (
    Route(
        name="list_endpoints",
        method="GET",
        path="endpoints",
        summary="Every endpoint's ledger",
        handle=reading.list_endpoints,
        right=Right.READ,
        answer="Endpoints",
    ),
    Route(
        name="show_endpoint",
        method="GET",
        path="endpoints/{endpoint}",
        summary="One endpoint's ledger: what runs, waits and was answered",
        handle=reading.show_endpoint,
        right=Right.READ,
        answer="EndpointShown",
        refusals=frozenset({404}),
    ),
    Route(
        name="ask_endpoint",
        method="POST",
        path="endpoints/{endpoint}/{act}",
        summary="Hold an endpoint, release it, retry a version on it, or revert it",
        handle=asking.ask_endpoint,
        right=Right.OPERATE,
        body="ActBody",
        answer="Asked",
        refusals=_ASKED,
    ),
)
_EVERYTHING = (
    Route(
        name="list_policies",
        method="GET",
        path="policies",
        summary="Every policy, and the complaints about those that were left out",
        handle=reading.list_policies,
        right=Right.READ,
        answer="Policies",
    ),
    Route(
        name="turn_policy",
        method="POST",
        path="policies/{policy}/{control}",
        summary="Suspend a policy, or resume it",
        handle=asking.turn_policy,
        right=Right.OPERATE,
        body="Reason",
        answer="Asked",
        refusals=_ASKED,
    ),
    Route(
        name="stop",
        method="POST",
        path="stop",
        summary="Stop everything",
        handle=asking.stop,
        right=Right.OPERATE,
        body="Reason",
        answer="Asked",
        refusals=frozenset({400, 409}),
    ),
    Route(
        name="go_on",
        method="POST",
        path="go-on",
        summary="Let everything go on that was stopped",
        handle=asking.go_on,
        right=Right.OPERATE,
        body="Reason",
        answer="Asked",
        refusals=frozenset({400, 409}),
    ),
    Route(
        name="show_controls",
        method="GET",
        path="controls",
        summary="What is stopped or suspended, and whose turn it is",
        handle=reading.show_controls,
        right=Right.READ,
        answer="ControlsShown",
    ),
    Route(
        name="plan_version",
        method="POST",
        path="plan",
        summary="What a version or an event would do now; touches nothing",
        handle=reading.plan_version,
        right=Right.READ,
        body="PlanBody",
        answer="PlanAnswers",
        refusals=frozenset({400}),
    ),
    Route(
        name="replay",
        method="POST",
        path="replay",
        summary="Handle events once more, such as dead-lettered ones",
        handle=asking.replay,
        right=Right.OPERATE,
        body="ReplayBody",
        answer="Replayed",
        refusals=frozenset({400}),
    ),
    Route(
        name="run_checks",
        method="GET",
        path="checks",
        summary="What the app itself can say about its set-up",
        handle=reading.run_checks,
        right=Right.READ,
        answer="Checks",
    ),
    Route(
        name="show_me",
        method="GET",
        path="me",
        summary="Who asks, and their rights",
        handle=reading.show_me,
        answer="Me",
    ),
)
_OPEN = (
    Route(
        name="show_sign_in",
        method="GET",
        path="sign-in",
        summary="How to sign in; nothing of it is secret",
        handle=reading.show_sign_in,
        is_open=True,
        answer="SignIn",
    ),
    Route(
        name="show_health",
        method="GET",
        path="health",
        summary="That the app runs, and which version of it",
        handle=reading.show_health,
        is_open=True,
        answer="Health",
    ),
    Route(
        name="show_openapi",
        method="GET",
        path="openapi.json",
        summary="All of this, as OpenAPI 3.1",
        handle=show_openapi,
        is_open=True,
        answer="Document",
    ),
    Route(
        name="show_dashboard",
        method="GET",
        path="dashboard",
        summary="The dashboard",
        handle=reading.show_page,
        is_open=True,
        kind="text/html",
        refusals=frozenset({404}),
    ),
    Route(
        name="show_dashboard_file",
        method="GET",
        path="dashboard/{file}",
        summary="A file of the dashboard",
        handle=reading.show_page,
        is_open=True,
        kind="*/*",
        refusals=frozenset({404}),
    ),
)
ROUTES: tuple[Route, ...] = (*_ROLLOUTS, *_ENDPOINTS, *_EVERYTHING, *_OPEN)
