"""Step 2 of 5: where people and their calendar come in: approval, keep, windows, announce. Pure."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from deploy_logic.announcement.channel import CHANNEL_NAME
from deploy_logic.announcement.wording import Kind
from deploy_logic.policy.part import Duration, Part, Wrong, complain, expect, list_words
from deploy_logic.policy.window import Window, WindowError, parse_window

_APPROVER = r"^(user|group|role):[a-zA-Z0-9][-a-zA-Z0-9._@]{0,254}$"
_MOST_DEPLOYMENTS = 20  # per endpoint


class Approval(Part):
    """Who is asked, and until when; no answer by then is a no."""

    approvers: tuple[Annotated[str, Field(pattern=_APPROVER)], ...] = Field(
        min_length=1,
        max_length=100,
        description="user:, group: or role: and an Entra object id or name, such as group:ml-leads",
    )
    quorum: int = Field(
        default=1, ge=1, le=100, strict=True, description="how many must say yes: a whole number"
    )
    not_by_requester: bool = Field(
        default=False, strict=True, description="true or false, without quotes"
    )
    deadline: Duration = Field(
        default=timedelta(hours=4), description="how long to wait for an answer, such as 4h"
    )

    @model_validator(mode="after")
    def _can_be_given(self) -> "Approval":
        wrongs = [
            Wrong(path=("approvers", number), expected="each approver once")
            for number, one in enumerate(self.approvers)
            if one.lower() in (before.lower() for before in self.approvers[:number])
        ]
        are_users = all(one.startswith("user:") for one in self.approvers)
        if are_users and self.quorum > len({one.lower() for one in self.approvers}):
            expected = f"at most {len(self.approvers)}: no more users are asked"
            wrongs.append(Wrong(path=("quorum",), expected=expected))
        if self.deadline == timedelta(0):
            wrongs.append(Wrong(path=("deadline",), expected="longer than 0s, such as 4h"))
        if wrongs:
            raise complain(*wrongs)
        return self


class Approvals(Part):
    """When people are asked."""

    before: Approval | None = Field(
        default=None, description="before anything is created: {approvers: [group:ml-leads]}"
    )
    promote: Approval | None = Field(
        default=None, description="before all traffic: {approvers: [group:ml-leads]}"
    )

    @model_validator(mode="after")
    def _asks_somebody(self) -> "Approvals":
        if self.before is None and self.promote is None:
            raise expect("before, promote or both")
        return self


class Keep(Part):
    """Old deployments that stay warm, for an instant way back."""

    old: int = Field(
        default=1,
        ge=0,
        le=_MOST_DEPLOYMENTS - 2,  # the stable and a candidate need their places
        strict=True,
        description=f"how many: a whole number from 0 to {_MOST_DEPLOYMENTS - 2}",
    )
    time: Duration = Field(
        default=timedelta(hours=24), alias="for", description="how long, such as 24h"
    )


def _read_windows(value: object) -> tuple[Window, ...]:
    written = value if isinstance(value, list | tuple) else [value]
    windows: list[Window] = []
    wrongs: list[Wrong] = []
    for number, one in enumerate(written):
        path = (number,) if isinstance(value, list | tuple) else ()
        try:
            windows.append(one if isinstance(one, Window) else parse_window(one))
        except WindowError as error:
            wrongs.append(Wrong(path=path, expected=error.expected, offset=error.position))
    if not written:
        wrongs.append(Wrong(expected="at least one window; without any, leave out the key"))
    if wrongs:
        raise complain(*wrongs)
    return tuple(windows)


def _print_windows(windows: tuple[Window, ...]) -> list[str]:
    return [window.text for window in windows]


_WINDOW = {"type": "string", "pattern": r"^\s*\S+.*\s[A-Z][A-Za-z0-9_+/-]*\s*$"}
WindowList = Annotated[
    tuple[Window, ...],
    BeforeValidator(_read_windows),
    PlainSerializer(_print_windows),
    WithJsonSchema(
        {"anyOf": [_WINDOW, {"type": "array", "items": _WINDOW, "minItems": 1}]},
    ),
]


class Windows(Part):
    """When a rollout may start."""

    allow: WindowList | None = Field(
        default=None, description="one or a list of such as Mon-Fri 08:00-17:00 Europe/Berlin"
    )
    deny: WindowList | None = Field(
        default=None, description="one or a list of such as 2026-12-20..2027-01-03 Europe/Berlin"
    )

    @model_validator(mode="after")
    def _says_something(self) -> "Windows":
        if self.allow is None and self.deny is None:
            raise expect("allow, deny or both")
        return self


_CHANNEL = re.compile(CHANNEL_NAME.removesuffix("$"))
_A_CHANNEL = "the name of a channel in the settings: small letters, digits, - and _, such as teams"
_KINDS = f"a list of {list_words(Kind, last='and')}"


class Announced(Part):
    """A channel that is told, and of what."""

    channel: str = Field(pattern=CHANNEL_NAME, description=_A_CHANNEL)
    on: tuple[Kind, ...] = Field(default=(), min_length=1, description=_KINDS)  # none: of all

    @model_validator(mode="after")
    def _each_once(self) -> "Announced":
        wrongs = [
            Wrong(path=("on", number), expected="each kind once")
            for number, kind in enumerate(self.on)
            if kind in self.on[:number]
        ]
        if wrongs:
            raise complain(*wrongs)
        return self


def _read_announced(value: object) -> object:
    if isinstance(value, str) and _CHANNEL.fullmatch(value):
        return Announced(channel=value)
    if isinstance(value, Mapping | Announced):
        return value
    raise expect(f"{_A_CHANNEL}; or {{channel: teams, on: [waiting, failed]}}")


def _print_announced(announced: Announced) -> object:
    """Return the short form where it says the same: policies of one meaning have one hash."""
    if not announced.on:
        return announced.channel
    return {"channel": announced.channel, "on": [kind.value for kind in announced.on]}


def _each_channel_once(announced: tuple[Announced, ...]) -> tuple[Announced, ...]:
    names = [one.channel for one in announced]
    if len(set(names)) != len(names):
        raise expect("each channel once")
    return announced


_NAME_SCHEMA = {"type": "string", "pattern": CHANNEL_NAME}
Channels = Annotated[
    tuple[
        Annotated[
            Announced,
            BeforeValidator(_read_announced),
            PlainSerializer(_print_announced),
            WithJsonSchema(
                {
                    "anyOf": [
                        _NAME_SCHEMA,
                        {
                            "type": "object",
                            "properties": {
                                "channel": _NAME_SCHEMA,
                                "on": {
                                    "type": "array",
                                    "items": {"enum": list(Kind)},
                                    "minItems": 1,
                                    "uniqueItems": True,
                                },
                            },
                            "required": ["channel"],
                            "additionalProperties": False,
                        },
                    ]
                }
            ),
        ],
        ...,
    ],
    AfterValidator(_each_channel_once),
]
