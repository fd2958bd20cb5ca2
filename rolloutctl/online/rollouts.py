"""List rollouts, and show one."""

import argparse
import sys
from datetime import UTC, datetime

from deploy_logic.duration import parse_duration
from rolloutctl.commands import Command
from rolloutctl.exit import Exit
from rolloutctl.online.client import Client
from rolloutctl.online.command import add_app_arguments, open_app, say
from rolloutctl.online.frame import Look, write
from rolloutctl.words import Json, clean, columns, find_signs, lasted, print_time

_MOST = 200  # on one page, as the app has it
IN_FLIGHT = ("pending", "preparing", "progressing", "waiting", "promoting", "rolling_back")
OVER = ("succeeded", "failed", "errored", "superseded")


def read_when(text: str) -> str:
    """Return a moment in ISO 8601: a time, a day, or how long ago."""
    try:
        moment = datetime.now(UTC) - parse_duration(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as error:
            right = "a time such as 2026-11-23T09:00Z, a day, or how long ago, such as 2d"
            raise argparse.ArgumentTypeError(f"{text!r} is not {right}") from error
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return zoned.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _add_list(parser: argparse.ArgumentParser) -> None:
    add_app_arguments(parser)
    parser.add_argument("--state", choices=("in_flight", "over"))
    parser.add_argument("--phase", choices=(*IN_FLIGHT, *OVER))
    for name in ("endpoint", "model", "policy"):
        parser.add_argument(f"--{name}", metavar="NAME")
    parser.add_argument("--since", type=read_when, metavar="WHEN", help="a time, or how long ago")
    parser.add_argument("--until", type=read_when, metavar="WHEN")
    help_limit = "how many at most (50); 0 for all"
    parser.add_argument("--limit", type=_count, default=50, metavar="COUNT", help=help_limit)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0")
    return int(text)


def _list(given: argparse.Namespace) -> int:
    """Print the rollouts, newest first."""
    with open_app(given) as client:
        found, has_more = _collect(client, given)
        now = client.now
    words = _words(found, now)
    if has_more:
        words += f"\nthe newest {len(found)}; --limit 0 for all"
    say(given, {"rollouts": found, "has_more": has_more}, words)
    return Exit.OK


def _collect(client: Client, given: argparse.Namespace) -> tuple[list[Json], bool]:
    """Return as many as asked for, page by page, and whether there are more."""
    query = {
        name: getattr(given, name)
        for name in ("state", "phase", "endpoint", "model", "policy", "since", "until")
    }
    found: list[Json] = []
    after: str | None = None
    while True:
        room = given.limit - len(found) if given.limit else _MOST
        page = client.get("rollouts", **query, limit=str(min(room, _MOST)), after=after)
        found += page["rollouts"]
        after = page.get("next")
        if after is None or (given.limit and len(found) >= given.limit):
            return found, after is not None


def _words(found: list[Json], now: datetime) -> str:
    if not found:
        return "no rollouts"
    head = ("ROLLOUT", "ENDPOINT", "VERSION", "PHASE", "WEIGHT", "STARTED", "LASTED", "REASON")
    rows = [
        (
            one["rollout_id"],
            one["endpoint"],
            f"{one['model']} {one['version']}",
            one["phase"],
            one.get("weights", {}).get(one.get("candidate"), "-"),
            print_time(one["started"]),
            lasted(one, now),
            one.get("reason", ""),
        )
        for one in found
    ]
    return columns([head, *rows])


def _add_show(parser: argparse.ArgumentParser) -> None:
    add_app_arguments(parser)
    parser.add_argument("rollout", metavar="ROLLOUT", help="its id")
    help_last = "how many of the newest lines of its timeline (all)"
    parser.add_argument("--last", type=_count, metavar="COUNT", help=help_last)


def _show(given: argparse.Namespace) -> int:
    """Print one rollout with its timeline."""
    with open_app(given) as client:
        shown = client.get("rollouts", given.rollout)
        look = Look(now=client.now, signs=find_signs(sys.stdout.encoding))
    say(
        given,
        shown,
        "\n".join([write(shown, look), *_possible(shown), *_timeline(shown, given.last)]),
    )
    return Exit.OK


def _possible(shown: Json) -> list[str]:
    found = shown.get("possible")
    return [f"possible {', '.join(map(clean, found))}"] if found else []


def _timeline(shown: Json, last: int | None) -> list[str]:
    lines = shown.get("timeline", [])
    kept = lines if last is None else lines[max(len(lines) - last, 0) :]
    left_out = shown.get("timeline_left_out", 0) + len(lines) - len(kept)
    first = [f"... {left_out} older lines"] if left_out else []
    return ["timeline", *first, *(f"{print_time(one['at'])}  {clean(one['text'])}" for one in kept)]


FAMILY = {
    "list": Command(about="List rollouts, newest first.", add_arguments=_add_list, run=_list),
    "show": Command(
        about="Show one rollout with its timeline.", add_arguments=_add_show, run=_show
    ),
}
