"""Step 2 of 5: what the models refuse becomes complaints: where, what was written, what is right.

Pure. Also what is left of a policy without its wrong parts: what is wrong between the others can
then be said in the same breath.
"""

import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from deploy_logic.errors import Complaint, VersionRuleError
from deploy_logic.policy.part import Wrong, list_words
from deploy_logic.policy.place import Document, Path, Place, quote
from deploy_logic.policy.policy import Policy

_NEUTRAL_GATE = {"kind": "probe", "request": "request.json"}
_NEUTRAL: Mapping[Path, object] = {  # what every policy must have, for when it is wrong
    ("policy",): "policy",
    ("select", "model"): "model",
    ("deploy", "endpoint"): "endpoint",
    ("deploy", "template"): "template.yml",
    ("strategy",): {"kind": "all-at-once"},
}
_MOST_ATTEMPTS = 10  # each takes out what is wrong one level further up
_OTHER_WORDS = {
    "extra_forbidden": "unknown key",
    "missing": "missing key",
    "union_tag_not_found": "missing key",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the models say about a document."""

    complaints: tuple[Complaint, ...]
    policy: Policy | None  # None: something is wrong with it


def read_policy(file: str, document: Document) -> Found:
    """Return the document's policy and everything that is wrong with it.

    What does not fit together is only found in a whole, so what is wrong is taken out, first by
    itself and then with what is around it, and the rest is asked again.
    """
    value = document.value
    if not isinstance(value, dict):
        wrong = Wrong(expected="a mapping with policy, select, deploy and strategy")
        return Found(complaints=(point(file, document.place, (), wrong),), policy=None)
    complaints: list[Complaint] = []
    removed: list[Path] = []
    for _ in range(_MOST_ATTEMPTS):
        try:
            policy = Policy.model_validate(_repair(value, removed) if removed else value)
        except ValidationError as error:
            complaints += _explain_all(file, document.place, error, removed)
        else:
            return Found(complaints=tuple(complaints), policy=None if removed else policy)
    return Found(complaints=tuple(complaints), policy=None)


def _explain_all(
    file: str, place: Place, error: ValidationError, removed: list[Path]
) -> list[Complaint]:
    """Return the complaints but for consequences of what is removed; add what to remove next."""
    found: list[tuple[Path, Complaint]] = []
    for one in _own_errors(error):
        way = _written_path(place, one["loc"])
        found += _explain(file, place, way, one)
    complaints = [one for way, one in found if not _is_consequence(way, removed)]
    next_ones = [way[:-1] or way if way in removed else way for way, _ in found]
    removed += [way for way in dict.fromkeys(next_ones) if way not in removed]
    return complaints


def _is_consequence(way: Path, removed: Sequence[Path]) -> bool:
    if any(way[: len(one)] == one or one[: len(way)] == way for one in removed):
        return True
    # what is left of bakes and approvals is no measure for the deadline
    return way == ("deadline",) and any(one[0] in {"strategy", "approval"} for one in removed)


def _own_errors(error: ValidationError) -> list[ErrorDetails]:
    """Return the mistakes, without what is only a consequence of others.

    pydantic also calls a list too short whose every item is wrong.
    """
    errors = error.errors(include_url=False)
    return [
        one
        for one in errors
        if one["type"] != "too_short"
        or not any(other["loc"][:-1][: len(one["loc"])] == one["loc"] for other in errors)
    ]


def _explain(
    file: str, place: Place, way: Path, error: ErrorDetails
) -> Iterator[tuple[Path, Complaint]]:
    """Give the complaints of one error, each with the way to what is wrong."""
    field = _find_field(error["loc"])
    right = (field.description if field else None) or error["msg"]
    context = error.get("ctx", {})
    wrongs = [Wrong(expected=right)]
    match error["type"]:
        case "wrong":
            wrongs = list(cast("Sequence[Wrong]", context["wrongs"]))
        case "missing":
            wrongs = [Wrong(given=f"missing key '{way[-1]}'", expected=right)]
        case "extra_forbidden":
            given = f"unknown key '{quote(str(way[-1]))}'"
            wrong = Wrong(given=given, expected=_suggest(error["loc"]))
            yield way, point(file, place, way, wrong, at_key=True)
            return
        case "union_tag_not_found":
            given = "missing key 'kind'"
            expected = list_words(_kinds(error["loc"]))
            wrongs = [Wrong(path=("kind",), given=given, expected=expected)]
        case "union_tag_invalid":
            wrong = Wrong(path=("kind",), expected=list_words(_kinds(error["loc"])))
            yield way, point(file, place, (*way, "kind"), wrong)
            return
        case "value_error" if isinstance(context["error"].__cause__, VersionRuleError):
            cause = context["error"].__cause__
            key = getattr(cause, "key", "")  # of a long form: which of its keys
            path = (key,) if key else ()
            wrongs = [Wrong(path=path, expected=cause.expected, offset=cause.position)]
        case "too_long" | "string_too_long":
            wrongs = [Wrong(expected=f"{right}; at most {context['max_length']} of them")]
    for wrong in wrongs:
        yield (*way, *wrong.path), point(file, place, (*way, *wrong.path), wrong)


def point(file: str, place: Place, path: Path, wrong: Wrong, *, at_key: bool = False) -> Complaint:
    """Point at the value, or at the nearest thing around it that was written."""
    at, key = place, place
    is_written = True
    for part in path:
        pair = at.keys.get(part) if isinstance(part, str) else None
        child = at.child(part)
        is_written = child is not None
        if child is None:
            break
        at, key = child, pair[0] if pair else child
    shown = key if at_key else at
    offset = wrong.offset if is_written else 0
    given = wrong.given or (at.text if is_written else "nothing")
    return Complaint(
        file=file,
        line=shown.line,
        column=shown.find_column(offset) if offset else shown.column,
        path=print_path(path),
        given=given,
        expected=wrong.expected,
    )


def print_path(path: Path) -> str:
    """Return the way as people write it, such as strategy.steps[1].weight."""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            name = quote(part) or "''"
            shown += f".{name}" if shown else name
    return shown or "policy"


def _written_path(place: Place, loc: Sequence[str | int]) -> Path:
    """Return the way without what pydantic adds: the variant that it tried, which nobody wrote."""
    path: list[str | int] = []
    kind: Any = Policy
    at: Place | None = place
    for part in loc:
        if _is_tag(kind, part):
            kind = _choose(kind, part)
            continue
        if part == "[key]":
            continue
        path.append(part)
        at = at.child(part) if at else None
        kind = _step(kind, part)
    return tuple(path)


def _find_field(loc: Sequence[str | int]) -> FieldInfo | None:
    """Return the field that the way leads to or through last."""
    kind: Any = Policy
    field: FieldInfo | None = None
    for part in loc:
        if _is_tag(kind, part):
            kind = _choose(kind, part)
            continue
        if _is_model(kind):
            field = _fields(kind).get(str(part))
        kind = _step(kind, part)
    return field


def _suggest(loc: Sequence[str | int]) -> str:
    """Return the key that was probably meant, or all that there are."""
    import difflib  # noqa: PLC0415 - only mistakes need it

    kind: Any = Policy
    for part in loc[:-1]:
        kind = _choose(kind, part) if _is_tag(kind, part) else _step(kind, part)
    keys = list(_fields(kind)) if _is_model(kind) else []
    near = difflib.get_close_matches(str(loc[-1]), keys, n=1)
    return f"did you mean {near[0]}?" if near else f"only {list_words(keys, last='and')}"


def _kinds(loc: Sequence[str | int]) -> list[str]:
    kind: Any = Policy
    for part in loc:
        kind = _choose(kind, part) if _is_tag(kind, part) else _step(kind, part)
    return [tag for member in get_args(_bare(kind)) for tag in _tags(member)]


def _bare(kind: Any) -> Any:  # noqa: ANN401 - a type
    """Return the type without annotations, and without the None that only means absent."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) in {Union, types.UnionType}:
        members = [one for one in get_args(kind) if one is not types.NoneType]
        return _bare(members[0]) if len(members) == 1 else kind
    return kind


def _is_model(kind: Any) -> bool:  # noqa: ANN401 - a type
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _fields(kind: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in kind.model_fields.items()}


def _step(kind: Any, part: str | int) -> Any:  # noqa: ANN401 - a type
    """Return the type of what is under a key or in a list; None where nobody knows."""
    kind = _bare(kind)
    if _is_model(kind):
        field = _fields(kind).get(str(part))
        return _bare(field.annotation) if field else None
    arguments = get_args(kind)
    if isinstance(part, int):
        return _bare(arguments[0]) if arguments else None
    return _bare(arguments[-1]) if get_origin(kind) is not None and arguments else None


def _tags(kind: Any) -> tuple[str, ...]:  # noqa: ANN401 - a type
    field = kind.model_fields.get("kind") if _is_model(kind) else None
    is_tag = field is not None and get_origin(field.annotation) is Literal
    return get_args(field.annotation) if field is not None and is_tag else ()


def _is_tag(kind: Any, part: str | int) -> bool:  # noqa: ANN401 - a type
    return any(part in _tags(member) for member in get_args(_bare(kind)))


def _choose(kind: Any, part: str | int) -> Any:  # noqa: ANN401 - a type
    return next((one for one in get_args(_bare(kind)) if part in _tags(one)), None)


def _repair(value: dict[str, Any], removed: Sequence[Path]) -> dict[str, Any]:
    """Return the policy without its wrong parts, with neutral ones where some must be."""
    repaired: dict[str, Any] = _take_out(value, removed)
    for (name, *rest), neutral in _NEUTRAL.items():
        if rest:
            found = repaired.get(str(name))
            others = found if isinstance(found, dict) else {}
            repaired[str(name)] = {rest[0]: neutral, **others}
        else:
            repaired.setdefault(str(name), neutral)
    if ("deadline",) in removed:
        repaired["deadline"] = "365d"
    return repaired


def _take_out(value: Any, removed: Sequence[Path], way: Path = ()) -> Any:  # noqa: ANN401 - JSON
    """Return the value without the keys that are wrong; in the list of gates, one is replaced."""
    if isinstance(value, dict):
        return {
            key: _take_out(inner, removed, (*way, key))
            for key, inner in value.items()
            if not any(one == (*way, key) or _is_item(one, (*way, key)) for one in removed)
        }
    if isinstance(value, list):
        return [
            _NEUTRAL_GATE if (*way, number) in removed else _take_out(one, removed, (*way, number))
            for number, one in enumerate(value)
        ]
    return value


def _is_item(way: Path, of: Path) -> bool:
    return way[:-1] == of and isinstance(way[-1], int) and of != ("gates",)
