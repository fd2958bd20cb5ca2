"""Step 2 of 5: what every piece of a policy is made of: its model, and values as people write them.

Pure. A description says what would be right; complaints and the schema show it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from deploy_logic.duration import EXPECTED as EXPECTED_DURATION
from deploy_logic.duration import parse_duration, print_duration

type JsonSchema = dict[str, Any]

SHARE_PATTERN = r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$"
_SHARE = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,400})?)\s*%\s*", re.ASCII)
_HUNDRED = 100
DURATION_PATTERN = (
    r"^\s*(?=[0-9P])([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?\s*$"
    r"|^\s*[Pp](?=[0-9Tt])([0-9]+[Dd])?([Tt](?=[0-9])([0-9]+[Hh])?([0-9]+[Mm])?"
    r"([0-9]+(\.[0-9]{1,6})?[Ss])?)?\s*$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """One thing that is wrong inside of a piece, with the way to it from there."""

    path: tuple[str | int, ...] = ()
    expected: str  # what would be right
    given: str = ""  # empty: as it is written there
    offset: int = 0  # how many characters into the value the trouble is


def complain(*wrongs: Wrong) -> PydanticCustomError:
    """Return the error that carries them; whoever reads the file knows their lines."""
    text = "; ".join(one.expected for one in wrongs)
    return PydanticCustomError("wrong", "{text}", {"text": text, "wrongs": wrongs})


def expect(expected: str, *, given: str = "", offset: int = 0) -> PydanticCustomError:
    """Return the error about a value that is not what it should be."""
    return complain(Wrong(expected=expected, given=given, offset=offset))


class Part(BaseModel):
    """A piece of what people write: frozen, and closed against unknown keys.

    Building waits until the first policy is read: the parts alone are never asked.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        defer_build=True,
        serialize_by_alias=True,
        validate_by_alias=True,
    )


class Asked(Protocol):
    """What pydantic tells a validator: the fields above, which were right."""

    @property
    def data(self) -> dict[str, Any]:
        """The fields above this one, without those that are wrong."""


def _read_duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise expect(EXPECTED_DURATION)
    try:
        return parse_duration(value)
    except ValueError as error:
        is_long = "longer than a year" in str(error)
        raise expect("a year at most" if is_long else EXPECTED_DURATION) from error


def read_share(value: object, *, expected: str) -> float:
    """Return the share from 0 to 1 of `1%` or `0.01`.

    A bare 1 is refused: some mean one percent by it, and some all.
    """
    if isinstance(value, str):
        found = _SHARE.fullmatch(value)
        if found is not None:
            return float(Decimal(found[1]) / _HUNDRED)
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1:
        return float(value)
    raise expect(expected)


def print_share(share: float) -> str:
    """Return the share in percent, so that reading it gives the very same number."""
    return f"{(Decimal(str(share)) * _HUNDRED).normalize():f}%"


EXPECTED_SHARE = "a share such as 1% or 0.01, at most 100%"


def _read_share(value: object) -> float:
    share = read_share(value, expected=EXPECTED_SHARE)
    if share > 1:
        raise expect(EXPECTED_SHARE)
    return share


def list_words(words: Iterable[str], *, last: str = "or") -> str:
    """Return `a, b or c`."""
    *start, end = words
    return f"{', '.join(start)} {last} {end}" if start else end


DURATION_SCHEMA: JsonSchema = {"type": "string", "pattern": DURATION_PATTERN}
Duration = Annotated[
    timedelta,
    BeforeValidator(_read_duration),
    PlainSerializer(print_duration),
    WithJsonSchema(DURATION_SCHEMA),
]
SHARE_SCHEMA: JsonSchema = {
    "anyOf": [
        {"type": "string", "pattern": SHARE_PATTERN},
        {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
    ]
}
Share = Annotated[
    float,
    BeforeValidator(_read_share),
    PlainSerializer(print_share),
    WithJsonSchema(SHARE_SCHEMA),
]
