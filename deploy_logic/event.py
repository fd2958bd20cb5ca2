"""Step 1 of 5: an Event Grid payload becomes ModelRegistered. Pure.

The payload exists in several dialects (Pascal or camel case, whole number or text; Event Grid
schema or CloudEvents), so letter case and number or text are forgiven and everything else is not:
https://learn.microsoft.com/azure/event-grid/event-schema-machine-learning
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from deploy_logic.errors import EventError

MODEL_REGISTERED = "Microsoft.MachineLearningServices.ModelRegistered"
_LONGEST_NAME = 255  # https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
_LONGEST_ID = 100  # Azure sends 36 characters; every ledger keeps hundreds of them
_LONGEST_QUOTE = 300  # an ARM id differs at its end, after some 200 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRegistered:
    """A hint that a model version was registered; what is rolled out is read back later."""

    event_id: str
    workspace: str  # ARM id as the event spells it
    model: str
    version: str
    time: str = ""  # as sent; never used to decide
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """An event that is none of our business, and why."""

    event_id: str
    reason: str


def read_event(text: str, *, workspaces: Collection[str]) -> ModelRegistered | Ignored:
    """Return what one event says; EventError when it claims to be a registration and is not one.

    workspaces are the ARM ids that we listen to; they compare without case.
    """
    body = _parse(text)
    event_id = _text(body.get("id"))[:_LONGEST_ID]
    kind = _text(body.get("eventtype") or body.get("type"))
    if kind.lower() != MODEL_REGISTERED.lower():
        return Ignored(event_id=event_id, reason=f"its type {_quote(kind)} is not ModelRegistered")
    workspace = _text(body.get("topic") or body.get("source"))
    if workspace.rstrip("/").lower() not in {known.lower() for known in workspaces}:
        return Ignored(event_id=event_id, reason=f"workspace {_quote(workspace)} is not ours")
    data = _fold(body.get("data"), what="data")
    model, version = _identity(_text(body.get("subject")), data)
    return ModelRegistered(
        event_id=event_id,
        workspace=workspace.rstrip("/"),
        model=model,
        version=version,
        time=_text(body.get("eventtime") or body.get("time")),
        tags=_labels(data.get("modeltags")),
        properties=_labels(data.get("modelproperties")),
    )


def _parse(text: str) -> Mapping[str, object]:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise EventError(f"reading an event: {_quote(text)} is not JSON") from error
    if not isinstance(body, dict):
        raise EventError(f"reading an event: {_quote(text)} is not one JSON object")
    return _fold(body, what="event")


def _fold(value: object, *, what: str) -> Mapping[str, object]:
    """Return the object with its keys in lower case; two keys that fall together are refused."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise EventError(f"reading an event: {what} {_quote(value)} is not a JSON object")
    folded: dict[str, object] = {}
    for key, item in value.items():
        if key.lower() in folded and folded[key.lower()] != item:
            raise EventError(f"reading an event: {what} says {_quote(key)} twice, differently")
        folded[key.lower()] = item
    return folded


def _identity(subject: str, data: Mapping[str, object]) -> tuple[str, str]:
    """Return model and version; subject (`models/{name}:{version}`) and data must agree."""
    said = subject[len("models/") :] if subject.lower().startswith("models/") else ""
    name_said, _, version_said = said.rpartition(":")
    name, version = _text(data.get("modelname")), _text(data.get("modelversion"))
    if said and ((name and name != name_said) or (version and version != version_said)):
        raise EventError(
            f"reading an event: subject {_quote(subject)} and data "
            f"{_quote(f'{name}:{version}')} disagree"
        )
    model, version = name or name_said, version or version_said
    for what, value in (("model name", model), ("model version", version)):
        if not _is_name(value):
            raise EventError(
                f"reading an event: {what} {_quote(value)} (1 to {_LONGEST_NAME} printable "
                "characters without /, \\, ? or #)"
            )
    return model, version


def _is_name(value: str) -> bool:
    return (
        0 < len(value) <= _LONGEST_NAME
        and value.isprintable()
        and value == value.strip()
        and value not in {".", ".."}
        and not set(value) & set("/\\?#")
    )


def _text(value: object) -> str:
    """Return text or a whole number as text; everything else counts as not said."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value)  # of at most 4,300 digits: json reads no longer ones
    return value if isinstance(value, str) else ""


def _labels(value: object) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: item if isinstance(item, str) else json.dumps(item) for key, item in value.items()}


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
