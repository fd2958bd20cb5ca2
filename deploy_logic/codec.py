"""Step 4 of 5: our dataclasses to plain JSON and back, for all that crosses the engine. Pure.

Only JSON-native values cross (azure-functions-durable with strict typing on refuses others). What
was written by an older version of the app must still be read: fields are added with defaults, never
renamed, and what is not known is left out.
"""

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

type Json = dict[str, Any]

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {}  # building one takes longer than using it


def encode(value: object) -> Json:
    """Return the dataclass as a JSON object; times are ISO 8601 text."""
    plain: Json = _adapter(type(value)).dump_python(value, mode="json")
    return plain


def decode[T](kind: type[T], plain: object) -> T:
    """Return the dataclass that was encoded; pydantic.ValidationError when it is not one."""
    value: T = _adapter(kind).validate_python(plain)
    return value


def describe(kinds: Sequence[type[Any]], *, place: str) -> Json:
    """Return JSON Schemas by name, of the dataclasses and of everything in them.

    place is where they refer to each other, such as #/components/schemas/. What has a default may
    be missing: an older version of the app wrote without it.
    """
    asked = [(kind.__name__, "validation", _adapter(kind)) for kind in kinds]
    template = f"{place}{{model}}"
    _, found = TypeAdapter.json_schemas(asked, ref_template=template)  # type: ignore[arg-type] # a list of literals
    schemas: Json = found["$defs"]
    return schemas


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]
