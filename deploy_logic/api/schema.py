"""What bodies and answers look like: JSON Schemas by name, those of records from the records."""

from collections.abc import Mapping, Sequence

from deploy_logic.codec import Json, describe
from deploy_logic.ledger.controls import Controls
from deploy_logic.ledger.operation import Act
from deploy_logic.ledger.record import Ledger
from deploy_logic.right import Right
from deploy_logic.rollout import OF_PEOPLE, Rollout

PLACE = "#/components/schemas/"
TEXT: Json = {"type": "string"}
_TIME: Json = {"type": "string", "format": "date-time"}
_REASON: Json = {"type": "string", "pattern": r"\S", "description": "why; kept with who"}
_TEXTS: Json = {"type": "object", "additionalProperties": TEXT}


def point(name: str) -> Json:
    """Return the reference to a schema."""
    return {"$ref": f"{PLACE}{name}"}


def make_schemas() -> Json:
    """Return every schema by its name."""
    records = describe([Rollout, Ledger, Controls], place=PLACE)
    return {**records, **_make_views(records), **_BODIES, **_ANSWERS}


def _make_views(records: Mapping[str, Json]) -> Json:
    """Return the records as they are shown: less in lists, more where one is looked at."""
    rollout = records["Rollout"]
    left = {key: value for key, value in rollout["properties"].items() if key != "timeline"}
    bake = _make(since=_TIME, until=_TIME, weight={"type": "integer"})
    more = {
        "possible": _list(_pick(OF_PEOPLE)),
        "bake": {"anyOf": [bake, {"type": "null"}]},
        "timeline_left_out": {"type": "integer", "minimum": 0},
    }
    acts = {"possible": _list(_pick([act.value for act in Act]))}
    turns = {"max_parallel": {"type": "integer"}, "turns": _list({"type": "object"})}
    return {
        "RolloutSummary": {**rollout, "title": "RolloutSummary", "properties": left},
        "Rollouts": _make(rollouts=_list(point("RolloutSummary")), next=_or_null(TEXT)),
        "RolloutShown": {"allOf": [point("Rollout"), _make(("possible", "bake"), **more)]},
        "EndpointShown": {"allOf": [point("Ledger"), _make(**acts)]},
        "Endpoints": _make(endpoints=_list(point("EndpointShown"))),
        "ControlsShown": {"allOf": [point("Controls"), _make(**turns)]},
    }


def _make(required: Sequence[str] | None = None, /, **properties: Json) -> Json:
    """Return an object with these properties, all of them there unless some are named."""
    names = [*properties] if required is None else [*required]
    return {"type": "object", "properties": properties, "required": names}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _pick(values: Sequence[str]) -> Json:
    return {"type": "string", "enum": [str(value) for value in values]}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


_MARK = _make(by=TEXT, reason=TEXT, at=_TIME)
_POLICY = _make(
    policy=TEXT,
    model=TEXT,
    version=TEXT,
    endpoint=TEXT,
    strategy=_pick(("canary", "blue-green", "all-at-once")),
    gates=_list(TEXT),
    suspended=_or_null(_MARK),
    source=TEXT,
)
_PLAN_ANSWER = _make(
    policy=TEXT, endpoint=TEXT, answer=TEXT, reason=TEXT, rollout_id=TEXT, steps=_list(TEXT)
)
_REPLAYED = _make(
    event_id=TEXT,
    answer=_pick(("offered", "ignored", "refused", "no match")),
    rollout_ids=_list(TEXT),
    reason=TEXT,
)
_CHECK = _make(name=TEXT, ok={"type": "boolean"}, text=TEXT, mend=TEXT)
_VERSION = {
    **_make(
        ("model", "version"),
        model=TEXT,
        version=TEXT,
        workspace=TEXT,
        tags=_TEXTS,
        properties=_TEXTS,
    ),
    "additionalProperties": False,
}
_EVENT = {**_make(event={"type": "object"}), "additionalProperties": False}

_BODIES: Json = {
    "Reason": {**_make(reason=_REASON), "additionalProperties": TEXT},
    "OperationBody": {
        **_make(("reason",), reason=_REASON, figures=TEXT),
        "additionalProperties": TEXT,
    },
    "ActBody": {
        **_make(("reason",), reason=_REASON, model=TEXT, version=TEXT, deployment=TEXT),
        "additionalProperties": TEXT,
    },
    "StartBody": {
        **_make(
            ("reason", "model", "version"), reason=_REASON, model=TEXT, version=TEXT, policy=TEXT
        ),
        "additionalProperties": TEXT,
    },
    "PlanBody": {"oneOf": [_VERSION, _EVENT]},
    "ReplayBody": _make(
        reason=_REASON, events={**_list({"type": "object"}), "minItems": 1, "maxItems": 100}
    ),
}
_ANSWERS: Json = {
    "Asked": _make(("operation", "by"), operation=TEXT, by=TEXT),
    "TimelineLine": _make(at=_TIME, text=TEXT, figures={"type": "object"}),
    "ArchivedLine": _make(("at",), kind=TEXT, at=_TIME),
    "Policies": _make(policies=_list(_POLICY), complaints=_list(TEXT)),
    "PlanAnswers": _make(answers=_list(_PLAN_ANSWER), reason=TEXT),
    "Replayed": _make(results=_list(_REPLAYED)),
    "Me": _make(id=TEXT, name=TEXT, rights=_list(_pick([one.value for one in Right]))),
    "SignIn": _make(
        ("kind",), kind=_pick(("platform", "token")), authority=TEXT, client_id=TEXT, scope=TEXT
    ),
    "Health": _make(status=_pick(("ok",)), version=TEXT),
    "Checks": _make(checks=_list(_CHECK), now=_TIME),
    "Document": {"type": "object"},
    "Problem": _make(
        ("type", "title", "status"), type=TEXT, title=TEXT, status={"type": "integer"}
    ),
}
