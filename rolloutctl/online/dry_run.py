"""The online half of `plan`: what the running app would make of a version now."""

import argparse

from rolloutctl.exit import Exit, UsageError
from rolloutctl.online.command import open_app, say
from rolloutctl.online.replay import read_events
from rolloutctl.words import Json, clean


def run_online(given: argparse.Namespace) -> int:
    """Print the app's answers; nothing is touched."""
    bodies = _bodies(given)
    with open_app(given) as client:
        plans = [client.post("plan", body=body) for body in bodies]
    say(given, {"plans": plans}, "\n".join(_words(plan) for plan in plans))
    return Exit.OK


def _bodies(given: argparse.Namespace) -> list[Json]:
    """Return what the app is asked: about a version that is named, or about events."""
    if given.event:
        return [{"event": event} for event in read_events(given.event)]
    if not (given.model and given.model_version):
        text = "neither an event nor a version (--event FILE, or --model M --model-version V)"
        raise UsageError(text)
    body: Json = {"model": given.model, "version": given.model_version}
    if given.workspace:
        body["workspace"] = given.workspace[0]
    tags = dict(_read_tag(one) for one in given.tag or ())
    return [{**body, "tags": tags} if tags else body]


def _read_tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"--tag {text!r} is not NAME=VALUE")
    return name, value


def _words(plan: Json) -> str:
    if not plan["answers"]:
        return clean(plan.get("reason") or "the app has no policies")
    lines = []
    for one in plan["answers"]:
        place = f", endpoint {one['endpoint']}" if one.get("endpoint") else ""
        lines.append(f"{one['answer']}  policy {one['policy']}{place}: {one['reason']}")
        if one.get("rollout_id"):
            lines.append(f"  {one['rollout_id']}")
        lines += [f"  {number:>2}. {step}" for number, step in enumerate(one.get("steps") or (), 1)]
    return "\n".join(clean(line) for line in lines)
