"""Show endpoints and policies: what runs, waits, is held, is suspended, and why."""

import argparse

from rolloutctl.commands import Command
from rolloutctl.exit import Exit
from rolloutctl.online.command import add_app_arguments, open_app, say
from rolloutctl.words import Json, clean, columns, print_time


def _add_endpoints(parser: argparse.ArgumentParser) -> None:
    add_app_arguments(parser)
    help_name = "one of them, with what was decided about every offer"
    parser.add_argument("endpoint", nargs="?", metavar="ENDPOINT", help=help_name)


def _endpoints(given: argparse.Namespace) -> int:
    """Print what is known of the endpoints, or of one."""
    with open_app(given) as client:
        if given.endpoint:
            body = client.get("endpoints", given.endpoint)
            words = _one(body)
        else:
            body = client.get("endpoints")
            words = _all(body["endpoints"])
    say(given, body, words)
    return Exit.OK


def _all(ledgers: list[Json]) -> str:
    if not ledgers:
        return "no endpoint was ever offered anything"
    head = ("ENDPOINT", "SERVES", "RUNNING", "WAITING", "STATE")
    rows = [
        (
            one["endpoint"],
            _serves(one),
            (one.get("running") or {}).get("rollout_id", "-"),
            len(one.get("waiting") or ()),
            _state(one),
        )
        for one in ledgers
    ]
    return columns([head, *rows])


def _serves(ledger: Json) -> str:
    found = {name: weight for name, weight in (ledger.get("serves") or {}).items() if weight}
    return ", ".join(f"{name} {weight}" for name, weight in found.items()) or "-"


def _state(ledger: Json) -> str:
    """Return what stands in the way of the next rollout."""
    said = []
    for key, word in (("stopped", "stopped"), ("held", "held")):
        mark = ledger.get(key)
        if mark:
            said.append(f"{word} by {mark['by']} since {print_time(mark['at'])}: {mark['reason']}")
    if ledger.get("parked"):
        said.append(f"waits for its window at {print_time(ledger['parked']['opens'])}")
    return "; ".join(said) or "open"


def _one(ledger: Json) -> str:
    stable = ledger.get("stable") or {}
    rows = [
        ("endpoint", ledger["endpoint"]),
        ("serves", _serves(ledger)),
        ("stable", f"{stable['model']} {stable['version']}" if stable else "-"),
        ("running", (ledger.get("running") or {}).get("rollout_id", "-")),
        ("waiting", ", ".join(one["rollout_id"] for one in ledger.get("waiting") or ()) or "-"),
        ("kept", ", ".join(_kept(one) for one in ledger.get("kept") or ()) or "-"),
        ("state", _state(ledger)),
    ]
    if ledger.get("possible") is not None:
        rows.append(("possible", ", ".join(ledger["possible"]) or "-"))
    return "\n".join([columns(rows), *_answers(ledger.get("answers") or ())])


def _kept(one: Json) -> str:
    return f"{one['deployment']} until {print_time(one['until'])}"


def _answers(answers: list[Json] | tuple[Json, ...]) -> list[str]:
    if not answers:
        return []
    rows = [
        (print_time(one["at"]), f"{one['model']} {one['version']}", one["answer"], one["reason"])
        for one in answers
    ]
    return ["answers", columns(rows)]


def _policies(given: argparse.Namespace) -> int:
    """Print the policies, and what is wrong with those left out; 1 when something is."""
    with open_app(given) as client:
        body = client.get("policies")
    complaints = body.get("complaints", [])
    head = ("POLICY", "MODEL", "VERSION", "ENDPOINT", "STRATEGY", "GATES", "STATE", "FILE")
    rows = [
        (
            one["policy"],
            one["model"],
            one["version"],
            one["endpoint"],
            one["strategy"],
            ", ".join(one["gates"]) or "-",
            _suspended(one),
            one["source"],
        )
        for one in body["policies"]
    ]
    words = columns([head, *rows]) if rows else "no policies"
    say(given, body, "\n".join([words, *map(clean, complaints)]))
    return Exit.NO if complaints else Exit.OK


def _suspended(policy: Json) -> str:
    mark = policy.get("suspended")
    if not mark:
        return "active"
    return f"suspended by {mark['by']} since {print_time(mark['at'])}: {mark['reason']}"


FAMILY = {
    "endpoints": Command(
        about="Show endpoints, or one and what was decided about every offer.",
        add_arguments=_add_endpoints,
        run=_endpoints,
    ),
    "policies": Command(
        about="Show the policies, and what is wrong with those left out.",
        add_arguments=add_app_arguments,
        run=_policies,
    ),
}
