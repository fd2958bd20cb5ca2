"""Step 1 of 5: an Event Grid payload becomes ModelRegistered. Pure.

The payload exists in several dialects (Pascal or camel case, whole number or text; Event Grid
schema or CloudEvents), so letter case and number or text are forgiven and everything else is not:
https://learn.microsoft.com/azure/event-grid/event-schema-machine-learning
"""

import base64
import binascii
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from deploy_logic.errors import EventError

MODEL_REGISTERED = "Microsoft.MachineLearningServices.ModelRegistered"
_LONGEST_NAME = 255  # https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas
_LONGEST_ID = 100  # Azure sends 36 characters; every ledger keeps hundreds of them
_LONGEST_QUOTE = 300  # an ARM id differs at its end, after some 200 characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRegistered:
    """A hint that a model version was registered; what is rolled out is read back later.

    Workspace, model and version say which: two events with one id are two, and one that comes
    twice is one.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What stands where a JSON object says one key twice, with different values."""

    key: str


def read_event(text: str, *, workspaces: Collection[str] | None) -> ModelRegistered | Ignored:
    """Return what one event says; EventError when it claims to be a registration and is not one.

    workspaces are the ARM ids that we listen to; they compare without case. None means any.
    """
    body = parse_json(text)
    if not isinstance(body, dict | Contradiction):
        raise EventError(f"reading an event: {_quote(text)} is not one JSON object")
    return read_body(body, workspaces=workspaces)


def parse_json(text: str) -> object:
    """Return the value; EventError unless it is JSON. Contradictory objects are marked in it."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise EventError(f"reading an event: {_quote(text)} is not JSON: {error}") from error


def read_body(body: object, *, workspaces: Collection[str] | None) -> ModelRegistered | Ignored:
    """Return what one event says that parse_json has parsed."""
    try:
        return _read(_fold(body, what="event"), workspaces)
    except RecursionError as error:
        raise EventError("reading an event: its objects or lists are nested too deeply") from error


def name_event(body: object) -> str:
    """Return the event's id, short and printable; empty when it has none."""
    if not isinstance(body, Mapping):
        return ""
    ids = (_text(value) for key, value in body.items() if str(key).lower() == "id")
    return _printable(next((found for found in ids if found), ""))[:_LONGEST_ID]


def _read(
    body: Mapping[str, object], workspaces: Collection[str] | None
) -> ModelRegistered | Ignored:
    event_id = name_event(body)
    kind, rival = _either(body, "eventtype", "type")
    ours = MODEL_REGISTERED.lower()
    if ours not in {kind.lower(), rival.lower()}:
        return Ignored(event_id=event_id, reason=f"its type {_quote(kind)} is not ModelRegistered")
    if kind.lower() != rival.lower():
        raise EventError(f"reading an event: it has two types, {_quote(kind)} and {_quote(rival)}")
    workspace, rival = (said.rstrip("/") for said in _either(body, "topic", "source"))
    if workspace.lower() != rival.lower():
        raise EventError(
            f"reading an event: topic {_quote(workspace)} and source {_quote(rival)} disagree"
        )
    if not _is_ours(workspace, workspaces):
        return Ignored(event_id=event_id, reason=f"workspace {_quote(workspace)} is not ours")
    data = _read_data(body)
    model, version = _identify(_text(body.get("subject")), data)
    return ModelRegistered(
        event_id=event_id,
        workspace=workspace,
        model=model,
        version=version,
        time=_printable(_text(body.get("eventtime") or body.get("time"))),
        tags=_labels(data.get("modeltags")),
        properties=_labels(data.get("modelproperties")),
    )


def _is_ours(workspace: str, workspaces: Collection[str] | None) -> bool:
    if workspaces is None:
        return workspace != "" and workspace.isprintable()
    return workspace.lower() in {known.rstrip("/").lower() for known in workspaces}


def _either(body: Mapping[str, object], first: str, second: str) -> tuple[str, str]:
    """Return what the two envelopes' fields say; the same twice when there is only one of them."""
    one, other = _text(body.get(first)), _text(body.get(second))
    return one or other, other or one


def _read_data(body: Mapping[str, object]) -> Mapping[str, object]:
    """Return the data; CloudEvents may carry it in base64, though Azure is not known to do so.

    https://github.com/cloudevents/spec/blob/main/cloudevents/formats/json-format.md
    """
    encoded, data = body.get("data_base64"), body.get("data")
    if encoded is None:
        return _fold(data, what="data")
    if data is not None:
        raise EventError("reading an event: it has data and data_base64 (one of them)")
    try:
        text = base64.b64decode(_text(encoded), validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as error:
        reason = "is not base64 of text in UTF-8"
        raise EventError(f"reading an event: data_base64 {_quote(encoded)} {reason}") from error
    return _fold(parse_json(text), what="data_base64")


def _fold(value: object, *, what: str) -> Mapping[str, object]:
    """Return the object with its keys in lower case; two keys that fall together must agree."""
    if value is None and what != "event":
        return {}
    if isinstance(value, Contradiction):
        raise EventError(f"reading an event: {what} says {_quote(value.key)} twice, differently")
    if not isinstance(value, dict):
        raise EventError(f"reading an event: {what} {_quote(value)} is not a JSON object")
    folded: dict[str, object] = {}
    for key, item in value.items():
        low = key.lower()
        if low in folded and not _is_same(folded[low], item):
            raise EventError(f"reading an event: {what} says {_quote(key)} twice, differently")
        folded[low] = item
    return folded


def _identify(subject: str, data: Mapping[str, object]) -> tuple[str, str]:
    """Return model and version; subject (`models/{name}:{version}`) and data must agree.

    A version has no colon and a name may have one: the last one parts them.
    """
    said = subject[len("models/") :] if subject.lower().startswith("models/") else ""
    name_said, _, version_said = said.rpartition(":")
    name = _take(data, "modelname", "model name")
    version = _take(data, "modelversion", "model version")
    if said and ((name and name != name_said) or (version and version != version_said)):
        raise EventError(
            f"reading an event: subject {_quote(subject)} and data "
            f"{_quote(f'{name}:{version}')} disagree"
        )
    model, version = name or name_said, version or version_said
    for what, value in (("model name", model), ("model version", version)):
        if not _is_name(value):
            raise _not_a_name(what, value)
    return model, version


def _take(data: Mapping[str, object], key: str, what: str) -> str:
    """Return the text or whole number; nothing when it is not said."""
    value = data.get(key)
    text = _text(value)
    if value is not None and value != text and not text:
        raise _not_a_name(what, text, f"{_quote(value)} is neither text nor a whole number; ")
    return text


def _not_a_name(what: str, value: str, why: str = "") -> EventError:
    return EventError(
        f"reading an event: {what} {_quote(value)} ({why}1 to {_LONGEST_NAME} printable "
        "characters without /, \\, ? or #)"
    )


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
        return str(value)  # parse_json leaves one that Python would not print as text
    return value if isinstance(value, str) else ""


def _labels(value: object) -> Mapping[str, str]:
    if isinstance(value, Contradiction):
        _refuse_contradiction(value)
    if not isinstance(value, dict):
        return {}
    return {
        _printable(key): _printable(
            item if isinstance(item, str) else json.dumps(item, default=_refuse_contradiction)
        )
        for key, item in value.items()
    }


def _refuse_contradiction(value: object) -> NoReturn:
    key = value.key if isinstance(value, Contradiction) else ""
    raise EventError(f"reading an event: tags or properties say {_quote(key)} twice, differently")


def _printable(text: str) -> str:
    """Return the text with what could break a log line or an encoding written out."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _read_object(pairs: list[tuple[str, object]]) -> dict[str, object] | Contradiction:
    """Return the object; json.loads alone would let the last of two equal keys win in silence."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: dict[str, object] = {}
    for key, value in pairs:
        if key in seen and not _is_same(seen[key], value):
            return Contradiction(key=key)
        seen[key] = value
    return seen


def _is_same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; in Python 1, 1.0 and true are equal."""
    first, second = (json.dumps(value, sort_keys=True, default=repr) for value in (one, other))
    return first == second


def _read_whole(digits: str) -> int | str:
    """Return the number; as text where no name is so long: Python refuses over 4,300 digits."""
    return int(digits) if len(digits) <= _LONGEST_NAME else digits


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


# Made once: json.loads would make one for every event.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_read_object, parse_int=_read_whole, parse_constant=_refuse_constant
)


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"
