"""Say which policies an event matches, and why the others do not. Offline; starts nothing."""

import argparse
import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy_logic.errors import EventError
from deploy_logic.event import Ignored, ModelRegistered, name_event, read_body
from deploy_logic.matching import NoMatch, Offer, match_policies
from deploy_logic.policy.policy import Policy
from deploy_logic.version.scheme import Source
from rolloutctl.read import ReadError, read_events, read_usable

type Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One event of the file as it was read."""

    shown: Json  # event, kind, reason, model, version
    event: ModelRegistered | None  # None: ignored or refused


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_common_arguments(parser)
    parser.add_argument(
        "--stable",
        action="append",
        default=[],
        type=_read_stable,
        metavar="ENDPOINT=VERSION",
        help="what serves there, so that 'newer than the stable' is asked too; repeatable",
    )


def add_common_arguments(parser: argparse.ArgumentParser, *, is_online: bool = False) -> None:
    """Declare what every command has that asks about events; is_online: it can do without."""
    parser.add_argument("--policies", type=Path, required=not is_online, metavar="DIR")
    help_event = "one event or an array, in either schema; - for stdin"
    parser.add_argument("--event", required=not is_online, metavar="FILE", help=help_event)
    help_workspace = "only events of this workspace are ours; repeatable; without it any is"
    parser.add_argument("--workspace", action="append", metavar="ARM_ID", help=help_workspace)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> int:
    """Print an answer per event and policy; 1 when policies or the file have errors."""
    try:
        bodies = read_events(given.event)
    except ReadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    usable = read_usable(given.policies)
    policies = [files.policy for files in usable.policies]
    stables = dict(given.stable)
    answers = []
    for body in bodies:
        heard = hear(body, given.workspace)
        asked = answer(heard.event, policies, stables) if heard.event else []
        answers.append({**heard.shown, "answers": asked})
    print(json.dumps(answers, indent=2) if given.json else _words(answers))
    return 0 if usable.is_whole else 1


def hear(body: object, workspaces: Collection[str] | None) -> Heard:
    """Return what the event says and what becomes of it."""
    event_id = name_event(body) or None
    shown: Json = {"event": event_id, "kind": "refused", "reason": None}
    try:
        event = read_body(body, workspaces=workspaces)
    except EventError as error:
        return Heard(
            shown={**shown, "reason": str(error), "model": None, "version": None}, event=None
        )
    if isinstance(event, Ignored):
        shown = {**shown, "kind": "ignored", "reason": event.reason}
        return Heard(shown={**shown, "model": None, "version": None}, event=None)
    said = {"model": event.model, "version": event.version}
    return Heard(shown={**shown, "kind": "model_registered", **said}, event=event)


def answer(
    event: ModelRegistered, policies: Sequence[Policy], stables: Mapping[str, str]
) -> list[Json]:
    """Return every policy's answer, in the order of the policies."""
    answers = zip(policies, match_policies(event, policies), strict=True)
    return [_answer(policy, found, stables) for policy, found in answers]


def _answer(policy: Policy, found: Offer | NoMatch, stables: Mapping[str, str]) -> Json:
    if isinstance(found, NoMatch):
        return {"policy": policy.policy, "match": False, "reason": found.reason}
    stable = stables.get(found.endpoint.lower())
    if stable is not None:
        refusal = policy.select.version.refuses_after(found.version, stable)
        if refusal:
            reason = f"{refusal} (endpoint {found.endpoint!r} serves {stable!r})"
            return {"policy": policy.policy, "match": False, "reason": reason}
    reason = (
        f"model {found.model!r} is selected by {policy.select.model!r}, version {found.version!r} "
        f"by {policy.select.version.name}; it is offered to endpoint {found.endpoint!r}"
    )
    if not policy.select.version.orders_by_version:
        source = policy.select.version.source
        what = "its time of registration" if source == Source() else f"its {source}"
        reason += f"; {what} is read back when the rollout starts"
    if policy.select.tags:
        reason += f"; tags {dict(policy.select.tags)} are read back when the rollout starts"
    return {"policy": policy.policy, "match": True, "reason": reason}


def _read_stable(text: str) -> tuple[str, str]:
    endpoint, equals, version = text.partition("=")
    if not (endpoint and equals and version):
        raise argparse.ArgumentTypeError(f"{text!r} is not ENDPOINT=VERSION, such as fraud=7")
    return endpoint.lower(), version  # Azure compares the names of endpoints without case


def _words(answers: Sequence[Json]) -> str:
    lines = []
    for one in answers:
        lines.append(headline(one))
        for found in one["answers"]:
            sign = "match   " if found["match"] else "no match"
            lines.append(f"  {sign}  {found['policy']}: {found['reason']}")
    return "\n".join(lines) if lines else "no events"


def headline(heard: Json) -> str:
    """Return an event's own line: what it is, and why it is ignored or refused."""
    name = f"event {heard['event'] or 'without id'}"
    if heard["kind"] == "model_registered":
        return f"{name}: model {heard['model']!r} version {heard['version']!r} was registered"
    return f"{name}: {heard['kind']}: {heard['reason']}"
