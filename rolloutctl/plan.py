"""Say what an event would do: every step, when, and what is written. Touches nothing.

Offline, by a folder of policies; with --app, the running app says what it would answer now.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from deploy_logic.codec import decode
from deploy_logic.event import ModelRegistered
from deploy_logic.matching import Offer, PolicyIndex
from deploy_logic.plan.plan import (
    Deployment,
    ModelVersion,
    NoPlan,
    Plan,
    Sight,
    Snapshot,
    Timings,
    make_plan,
)
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.policy.policy import Policy
from deploy_logic.settings import read_settings
from rolloutctl.exit import UsageError
from rolloutctl.match import add_common_arguments, headline, hear
from rolloutctl.online.dry_run import run_online
from rolloutctl.read import ReadError, Usable, read_events, read_snapshot, read_usable
from rolloutctl.schedule import moment, schedule

type Json = dict[str, Any]

_ANY_WORKSPACE = (
    "/subscriptions/any/resourceGroups/any/providers/Microsoft.MachineLearningServices"
    "/workspaces/any"
)
_USUAL = Snapshot(
    exists=True,
    weights={"current": 100},
    deployments=(Deployment(name="current", model_id=""),),  # of a model that nobody told us
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_common_arguments(parser, is_online=True)
    endpoint = parser.add_mutually_exclusive_group()
    help_snapshot = "JSON of the endpoint as it is; without it one deployment 'current' at 100"
    endpoint.add_argument("--snapshot", metavar="FILE", help=help_snapshot)
    help_first = "plan for an endpoint that does not exist yet"
    endpoint.add_argument("--first", action="store_true", help=help_first)
    online = parser.add_argument_group("online")
    online.add_argument("--app", metavar="URL", help="ask the app at this address")
    online.add_argument("--token", metavar="TOKEN", default="", help="instead of an earlier login")
    online.add_argument("--model", metavar="NAME", help="in place of an event")
    online.add_argument("--model-version", metavar="VERSION", help="in place of an event")
    help_tag = "of that version; repeatable"
    online.add_argument("--tag", action="append", metavar="NAME=VALUE", help=help_tag)


def run(given: argparse.Namespace) -> int:
    """Print a plan per event and match; 1 when policies or a file have errors."""
    if given.app:
        if given.policies or given.snapshot or given.first:
            raise UsageError("--app with --policies, --snapshot or --first (the app has its own)")
        return run_online(given)
    if not (given.policies and given.event) or given.model or given.model_version or given.tag:
        raise UsageError("offline it takes --policies DIR and --event FILE (or --app URL)")
    try:
        bodies = read_events(given.event)
        snapshot = Snapshot(exists=False) if given.first else _USUAL
        snapshot = read_snapshot(given.snapshot) if given.snapshot else snapshot
    except ReadError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    usable = read_usable(given.policies)
    index = PolicyIndex(files.policy for files in usable.policies)
    answers = []
    for body in bodies:
        heard = hear(body, given.workspace)
        plans = _plan_all(heard.event, index, usable, snapshot) if heard.event else []
        answers.append({**heard.shown, "plans": plans})
    print(json.dumps(answers, indent=2) if given.json else _words(answers))
    return 0 if usable.is_whole else 1


def _plan_all(
    event: ModelRegistered, index: PolicyIndex, usable: Usable, snapshot: Snapshot
) -> list[Json]:
    by_name = {files.policy.policy: files for files in usable.policies}
    offers = [found for found in index.match(event) if isinstance(found, Offer)]
    return [_plan(event, offer, by_name[offer.policy], snapshot) for offer in offers]


def _plan(event: ModelRegistered, offer: Offer, files: PolicyFiles, snapshot: Snapshot) -> Json:
    sight = Sight(model=_believe(event), snapshot=snapshot, timings=_timings())
    made = make_plan(offer, files, sight)
    known = {
        "policy": offer.policy,
        "endpoint": offer.endpoint,
        "rollout_id": offer.rollout_id,
    }
    if isinstance(made, NoPlan):
        return {**known, "reason": made.reason, "plan": None}
    return {**known, "reason": None, "plan": _show(made, files.policy)}


def _show(plan: Plan, policy: Policy) -> Json:
    written: Mapping[str, Any] = policy.model_dump(mode="json", by_alias=True)
    return {
        "hash": plan.policy_hash,
        "candidate": plan.candidate,
        "stable": plan.stable,
        **moment("deadline", plan.deadline),
        "gates": written.get("gates", []),
        "approval": written.get("approval"),
        **schedule(plan),
    }


def _believe(event: ModelRegistered) -> ModelVersion:
    """Return the version as the event tells it; a rollout reads it back from the workspace."""
    try:
        created = datetime.fromisoformat(event.time) if event.time else None
    except ValueError:
        created = None
    told = {
        "version": event.version,
        "id": f"{event.workspace}/models/{event.model}/versions/{event.version}",
        "tags": dict(event.tags),
        "properties": dict(event.properties),
        "created": created,
    }
    return decode(ModelVersion, told)


def _timings() -> Timings:
    """Return what the app's settings say when nobody sets them."""
    settings = read_settings({"ROLLOUT_WORKSPACES": _ANY_WORKSPACE}, app=Path())
    return Timings(
        poll_interval=settings.poll_interval,
        creation_deadline=settings.creation_deadline,
        shift_deadline=settings.shift_deadline,
    )


def _words(answers: Sequence[Json]) -> str:
    lines = []
    for one in answers:
        lines.append(headline(one))
        if one["kind"] == "model_registered" and not one["plans"]:
            lines.append("  no policy matches; `rolloutctl match` says why")
        for found in one["plans"]:
            lines += _words_of_plan(found)
    return "\n".join(lines) if lines else "no events"


def _words_of_plan(found: Json) -> list[str]:
    name = f"  policy {found['policy']}, endpoint {found['endpoint']}, {found['rollout_id']}"
    plan = found["plan"]
    if plan is None:
        return [name, f"    no plan: {found['reason']}"]
    stable = plan["stable"] or "none: the first version"
    lines = [
        name,
        f"    candidate {plan['candidate']}, stable {stable}, policy hash {plan['hash']}",
        f"    deadline {plan['deadline_words']}",
    ]
    for step in plan["steps"]:
        ends = f"ends {step['earliest_end_words']} to {step['latest_end_words']}"
        lines.append(f"    {step['number']:>2}. {step['text']} ({ends})")
    writes = [f"{write['write']} {write['name']}" for write in plan["writes"]]
    return [*lines, f"    writes: {', '.join(writes)}"]
