"""Step 4 of 5: what holds over all endpoints: the stop switch, and suspended policies. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from deploy_logic.ledger.record import Barred, Mark, Reply, shorten

_REMEMBERED = 200  # lines


class Control(StrEnum):
    """What people may ask over all endpoints. Stored strings are an API."""

    STOP = "stop"
    GO_ON = "go_on"
    SUSPEND = "suspend"
    RESUME = "resume"  # a suspended policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """One control as a person has turned it."""

    control: Control
    by: str
    reason: str
    at: datetime
    policy: str = ""  # to suspend or to resume


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """What is stopped and suspended, and who did what."""

    stopped: Mark | None = None
    suspended: Mapping[str, Mark] = field(default_factory=dict)
    lines: tuple[Turned, ...] = ()
    swept: datetime | None = None  # when the sweep ran last; None: never yet


def turn(controls: Controls, turned: Turned) -> Controls:
    """Return the controls after that; what is not allowed changes nothing."""
    if refuse_turn(controls, turned):
        return controls
    mark = Mark(by=turned.by, reason=shorten(turned.reason), at=turned.at)
    line = replace(turned, reason=mark.reason)
    controls = replace(controls, lines=(*controls.lines, line)[-_REMEMBERED:])
    others = {name: one for name, one in controls.suspended.items() if name != turned.policy}
    match turned.control:
        case Control.STOP:
            return replace(controls, stopped=mark)
        case Control.GO_ON:
            return replace(controls, stopped=None)
        case Control.SUSPEND:
            return replace(controls, suspended={**others, turned.policy: mark})
        case Control.RESUME:
            return replace(controls, suspended=others)
        case _:
            assert_never(turned.control)


def refuse_turn(controls: Controls, turned: Turned) -> str:
    """Return why the control is not allowed now, or nothing."""
    return ALLOWED_WHEN[turned.control](controls, turned)


def find_bar(controls: Controls, policy: str) -> Barred | None:
    """Return why nothing may start by that policy now, or None."""
    if controls.stopped is not None:
        return Barred(reply=Reply.STOPPED, reason=f"everything is stopped {controls.stopped}")
    mark = controls.suspended.get(policy)
    if mark is None:
        return None
    return Barred(reply=Reply.SUSPENDED, reason=f"policy {policy!r} is suspended {mark}")


def _needs_a_stop(controls: Controls, turned: Turned) -> str:
    del turned
    return "" if controls.stopped is not None else "nothing is stopped"


def _needs_no_stop(controls: Controls, turned: Turned) -> str:
    del turned
    stopped = controls.stopped
    return "" if stopped is None else f"everything is stopped already, {stopped}"


def _needs_suspension(controls: Controls, turned: Turned) -> str:
    is_suspended = turned.policy in controls.suspended
    return "" if is_suspended else f"policy {turned.policy!r} is not suspended"


def _needs_no_suspension(controls: Controls, turned: Turned) -> str:
    mark = controls.suspended.get(turned.policy)
    return "" if mark is None else f"policy {turned.policy!r} is suspended already, {mark}"


ALLOWED_WHEN: Mapping[Control, Callable[[Controls, Turned], str]] = {
    Control.STOP: _needs_no_stop,
    Control.GO_ON: _needs_a_stop,
    Control.SUSPEND: _needs_no_suspension,
    Control.RESUME: _needs_suspension,
}
