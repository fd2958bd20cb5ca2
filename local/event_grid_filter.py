"""Advanced filters of a subscription: what Event Grid compares, and how. Pure.

A filter has one key; its values are alternatives, several filters must all hold. A key that is not
there, or a value of another type, does not fit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 25  # filters, and values in all of them together
_LONGEST = 512  # characters of a value
_MISSING = object()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_a_range(value: float, ranges: Sequence[Sequence[float]]) -> bool:
    return any(low <= value <= high for low, high in ranges)


type _Test = Callable[[Any, Any], bool]

# Strings compare without case; both sides come here in lower case.
_STRINGS: Mapping[str, _Test] = {
    "stringin": lambda value, wanted: value in wanted,
    "stringnotin": lambda value, wanted: value not in wanted,
    "stringbeginswith": lambda value, wanted: value.startswith(tuple(wanted)),
    "stringnotbeginswith": lambda value, wanted: not value.startswith(tuple(wanted)),
    "stringendswith": lambda value, wanted: value.endswith(tuple(wanted)),
    "stringnotendswith": lambda value, wanted: not value.endswith(tuple(wanted)),
    "stringcontains": lambda value, wanted: any(part in value for part in wanted),
    "stringnotcontains": lambda value, wanted: not any(part in value for part in wanted),
}
_NUMBERS: Mapping[str, _Test] = {
    "numberin": lambda value, wanted: value in wanted,
    "numbernotin": lambda value, wanted: value not in wanted,
    "numberinrange": _in_a_range,
    "numbernotinrange": lambda value, wanted: not _in_a_range(value, wanted),
    "numberlessthan": lambda value, wanted: value < wanted[0],
    "numberlessthanorequals": lambda value, wanted: value <= wanted[0],
    "numbergreaterthan": lambda value, wanted: value > wanted[0],
    "numbergreaterthanorequals": lambda value, wanted: value >= wanted[0],
}
_PRESENCE = ("isnullorundefined", "isnotnull")
OPERATORS = frozenset({*_STRINGS, *_NUMBERS, *_PRESENCE, "boolequals"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvancedFilter:
    """One comparison."""

    operator: str  # in lower case
    key: str  # the name of a field, or a path into `data`
    values: tuple[Any, ...]

    def fits(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event passes."""
        value = _look_up(event, self.key)
        if self.operator in _PRESENCE:
            is_there = value is not _MISSING and value is not None
            return is_there == (self.operator == "isnotnull")
        if self.operator == "boolequals":
            return isinstance(value, bool) and value is self.values[0]
        if self.operator in _STRINGS:
            test = _STRINGS[self.operator]
            return isinstance(value, str) and test(value.lower(), self.values)
        return _is_number(value) and _NUMBERS[self.operator](value, self.values)


def read(listed: object) -> tuple[AdvancedFilter, ...]:
    """Read the filters as a subscription has them; ValueError where one cannot be."""
    if listed is None:
        return ()
    if not isinstance(listed, list) or len(listed) > MOST:
        raise ValueError(f"advancedFilters must be a list of at most {MOST}")
    filters = tuple(_read_one(item) for item in listed)
    count = sum(len(item.values) for item in filters)
    if count > MOST:
        raise ValueError(f"advancedFilters have {count} values in all, the limit is {MOST}")
    return filters


def _read_one(item: object) -> AdvancedFilter:
    given = item if isinstance(item, dict) else {}
    operator = str(given.get("operatorType")).lower()
    if operator not in OPERATORS:
        raise ValueError(f"operatorType {given.get('operatorType')!r} is not one of Event Grid's")
    key = given.get("key")
    if not isinstance(key, str) or not key:
        raise ValueError(f"key {key!r} is not the name of a field")
    values = given["values"] if "values" in given else [given.get("value")]
    if operator in _PRESENCE:
        values = []
    if not isinstance(values, list) or not all(_is_right(operator, value) for value in values):
        raise ValueError(f"values {values!r} are not what {given['operatorType']} compares with")
    plain = (value.lower() if isinstance(value, str) else value for value in values)
    return AdvancedFilter(operator=operator, key=key, values=tuple(plain))


def _is_right(operator: str, value: object) -> bool:
    if operator in _STRINGS:
        return isinstance(value, str) and len(value) <= _LONGEST
    if operator == "boolequals":
        return isinstance(value, bool)
    if "range" in operator:
        pair = value if isinstance(value, list) else []
        return len(pair) == 2 and all(_is_number(part) for part in pair)  # noqa: PLR2004 - a pair
    return _is_number(value)


def _look_up(event: Mapping[str, Any], key: str) -> object:
    """Follow a path; the first name of it does not distinguish case, as Event Grid's own fields."""
    found: object = event
    for part in key.split("."):
        if not isinstance(found, Mapping):
            return _MISSING
        if found is event:
            part = next((name for name in event if name.lower() == part.lower()), part)  # noqa: PLW2901 - the same name, spelt as it is
        if part not in found:
            return _MISSING
        found = found[part]
    return found
