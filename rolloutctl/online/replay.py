"""Send events to the app once more: dead letters as they are in the container, or plain events."""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rolloutctl.exit import Exit, UsageError
from rolloutctl.online.client import Client
from rolloutctl.online.command import add_app_arguments, add_reason, open_app, say
from rolloutctl.words import Json, clean, columns

_MOST = 100  # in one request, as the app has it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_app_arguments(parser)
    help_files = "JSON, or JSON lines: one event or an array of them, in either schema; - for stdin"
    parser.add_argument("files", nargs="+", metavar="FILE", help=help_files)
    add_reason(parser)


def run(given: argparse.Namespace) -> int:
    """Send them and print what the app made of each; 1 when one was refused."""
    events = [event for name in given.files for event in read_events(name)]
    if not events:
        raise UsageError(f"no events in {', '.join(given.files)} (JSON, or JSON lines)")
    with open_app(given) as client:
        results = list(_send(client, events, given.reason))
    say(given, {"results": results}, columns([_row(one) for one in results]))
    return Exit.NO if any(one["answer"] == "refused" for one in results) else Exit.OK


def read_events(name: str) -> list[object]:
    """Return the events of a file; UsageError says where it is no JSON."""
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{name}: {error.strerror} (a file of events, or - for stdin)") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: byte {error.start} is not UTF-8 (JSON in UTF-8)") from error
    return [event for value in _values(name, text) for event in _flat(value)]


def _values(name: str, text: str) -> Iterator[object]:
    """Give the JSON values of the text; they may follow each other, one a line or not."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, place) + 1
            raise UsageError(f"{name}:{line}: not JSON: {error} (JSON, or JSON lines)") from error
        yield value


def _flat(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _send(client: Client, events: Sequence[object], reason: str) -> Iterator[Json]:
    for start in range(0, len(events), _MOST):
        body = {"events": events[start : start + _MOST], "reason": reason}
        yield from client.post("replay", body=body)["results"]


def _row(result: Json) -> tuple[str, str, str]:
    ids = ", ".join(result.get("rollout_ids") or ())
    said = ": ".join(one for one in (ids, result.get("reason") or "") if one)
    return clean(result.get("event_id") or "without id"), result["answer"], said
