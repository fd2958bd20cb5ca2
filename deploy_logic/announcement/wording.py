"""What is said about one moment of a rollout, to people, or what their own template says. Pure.

A template is plain text with names in braces. A name stands for a value and for nothing else:
nothing is evaluated, nothing is looked up inside of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter
from typing import Any

_ROLLOUT_ID = re.compile(r"[A-Za-z0-9._-]+")  # what an address holds as it is

type Message = Mapping[str, Any]  # kind, rollout (without its timeline), line


class Kind(StrEnum):
    """What may be announced. Stored strings are an API: never renamed, only added."""

    STARTED = "started"
    SHIFTED = "shifted"  # other weights were set and read back
    WAITING = "waiting"  # for a person
    FROZEN = "frozen"  # others have changed the weights, or it failed and the policy says freeze
    PROMOTED = "promoted"  # the candidate has all traffic
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ERRORED = "errored"  # a person is needed
    SUPERSEDED = "superseded"


TITLES: Mapping[Kind, str] = {
    Kind.STARTED: "{endpoint}: the rollout of {model} {version} has started",
    Kind.SHIFTED: "{endpoint}: {model} {version} has other weights",
    Kind.WAITING: "{endpoint}: {model} {version} waits for a person",
    Kind.FROZEN: "{endpoint}: the rollout of {model} {version} is frozen",
    Kind.PROMOTED: "{endpoint}: {model} {version} has all traffic",
    Kind.SUCCEEDED: "{endpoint}: the rollout of {model} {version} has succeeded",
    Kind.FAILED: "{endpoint}: the rollout of {model} {version} has failed",
    Kind.ERRORED: "{endpoint}: the rollout of {model} {version} needs a person",
    Kind.SUPERSEDED: "{endpoint}: the rollout of {model} {version} gave way to a newer version",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One message, before it takes the form of a chat."""

    kind: Kind
    title: str
    text: str
    facts: tuple[tuple[str, str], ...]  # what, and its value; those without a value are left out
    link: str  # to the dashboard; empty where nobody said where that is


PLACEHOLDERS = (
    "rollout_id",
    "kind",
    "workspace",
    "endpoint",
    "model",
    "version",
    "policy",
    "phase",
    "reason",
    "text",
    "at",
    "weights",
    "step",
    "candidate",
    "stable",
    "awaits",
    "approvers",
    "until",
    "link",
)
_FACTS = (  # those that people look for, in this order
    ("Endpoint", "endpoint"),
    ("Model", "model"),
    ("Version", "version"),
    ("Policy", "policy"),
    ("Phase", "phase"),
    ("Weights", "weights"),
    ("Step", "step"),
    ("Asked", "approvers"),
    ("Until", "until"),
)


def check_template(text: str) -> list[str]:
    """Return what is wrong with a template, each with what would be right."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        return [f"{error} (a name in braces, such as {{model}}; a brace itself is {{{{ or }}}})"]
    wrong = []
    for _, name, form, conversion in parts:
        if name is not None and (name not in PLACEHOLDERS or form or conversion):
            given = (
                f"{{{name}{'!' + conversion if conversion else ''}{':' + form if form else ''}}}"
            )
            wrong.append(f"{given} is no placeholder (one of {', '.join(PLACEHOLDERS)})")
    return wrong


def fill(template: str, values: Mapping[str, str]) -> str:
    """Return the text with the values in place of their names; values are not looked into."""
    return "".join(
        literal + (values[name] if name is not None else "")
        for literal, name, _, _ in Formatter().parse(template)
    )


def say(message: Message, *, public_url: str = "", template: str = "") -> Said:
    """Return what is said of the message; the template, where there is one, makes the text."""
    kind = Kind(message["kind"])
    values = read_values(message, public_url=public_url)
    return Said(
        kind=kind,
        title=fill(TITLES[kind], values),
        text=fill(template, values).strip() if template else values["text"],
        facts=tuple((name, values[key]) for name, key in _FACTS if values[key]),
        link=values["link"],
    )


def read_values(message: Message, *, public_url: str) -> dict[str, str]:
    """Return a text for every placeholder; empty for what there is not."""
    rollout, line = message["rollout"], message["line"]
    awaited = rollout.get("awaits") or {}
    of_rollout = ("rollout_id", "endpoint", "model", "version", "policy", "phase", "reason")
    steps = len(rollout.get("steps") or ())
    return {
        **{key: str(rollout.get(key) or "") for key in of_rollout},
        "kind": str(message["kind"]),
        "workspace": str(rollout.get("workspace") or "").rpartition("/")[2],
        "text": str(line.get("text") or ""),
        "at": str(line.get("at") or ""),
        "weights": _list_weights(rollout.get("weights") or {}),
        "step": f"{rollout.get('step') or 0} of {steps}" if steps else "",
        "candidate": str(rollout.get("candidate") or ""),
        "stable": str(rollout.get("stable") or ""),
        "awaits": str(awaited.get("text") or ""),
        "approvers": ", ".join(awaited.get("approvers") or ()),
        "until": str(awaited.get("until") or ""),
        "link": find_link(public_url, str(rollout.get("rollout_id") or "")),
    }


def find_link(public_url: str, rollout_id: str) -> str:
    """Return the address of the rollout's page in the dashboard; it shows, and decides nothing."""
    if not public_url or _ROLLOUT_ID.fullmatch(rollout_id) is None:
        return ""
    return f"{public_url}/api/dashboard#/rollouts/{rollout_id}"


def _list_weights(weights: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items()))
