"""Ask a rollout, an endpoint, a policy or everything for an operation, and say why."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from rolloutctl.commands import Command
from rolloutctl.exit import Exit
from rolloutctl.online.command import add_app_arguments, add_reason, open_app, say
from rolloutctl.words import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a command asks for: where, by which name of the app's, and with which texts beside."""

    about: str
    of: str = ""  # rollout, endpoint or policy: what stands on the command line
    path: tuple[str, ...]  # {of} stands for what stands on the command line
    options: Mapping[str, str] | None = None  # name -> help; sent when given
    words: tuple[str, ...] = ()  # further ones of the command line, all sent


_VERSION = "the version in quarantine (default: the hold)"
WISHES: Mapping[str, Wish] = {
    "pause": Wish(
        about="Have a rollout stay where it is; gates and its deadline go on.",
        of="rollout",
        path=("rollouts", "{of}", "pause"),
    ),
    "resume": Wish(
        about="End the pause of a rollout.", of="rollout", path=("rollouts", "{of}", "resume")
    ),
    "abort": Wish(about="Roll a rollout back.", of="rollout", path=("rollouts", "{of}", "abort")),
    "promote-now": Wish(
        about="Leave out the steps, bakes and approvals that remain.",
        of="rollout",
        path=("rollouts", "{of}", "promote_now"),
    ),
    "retry": Wish(
        about="Try the version of a rollout that is over once more.",
        of="rollout",
        path=("rollouts", "{of}", "retry"),
    ),
    "start": Wish(
        about="Start a version by hand, as its policy says.",
        path=("start",),
        words=("model", "version"),
        options={"policy": "needed where several select the model"},
    ),
    "hold": Wish(
        about="Have nothing start on an endpoint by itself.",
        of="endpoint",
        path=("endpoints", "{of}", "hold"),
    ),
    "release": Wish(
        about="Lift the hold of an endpoint, or the quarantine of a version.",
        of="endpoint",
        path=("endpoints", "{of}", "release"),
        options={"version": _VERSION, "model": "needed where models share the endpoint"},
    ),
    "revert": Wish(
        about="Go back to a deployment that is kept: weights only, at once.",
        of="endpoint",
        path=("endpoints", "{of}", "revert"),
        options={"deployment": "default: the one kept last"},
    ),
    "suspend": Wish(
        about="Have a policy start nothing.", of="policy", path=("policies", "{of}", "suspend")
    ),
    "unsuspend": Wish(
        about="End the suspension of a policy (the app calls it resume).",
        of="policy",
        path=("policies", "{of}", "resume"),
    ),
    "stop": Wish(about="Stop everything: nothing starts, all in flight pauses.", path=("stop",)),
    "go-on": Wish(about="Let everything go on that was stopped.", path=("go-on",)),
}


def _add(wish: Wish, parser: argparse.ArgumentParser) -> None:
    add_app_arguments(parser)
    for name in (*((wish.of,) if wish.of else ()), *wish.words):
        parser.add_argument(name, metavar=name.upper())
    for name, about in (wish.options or {}).items():
        parser.add_argument(f"--{name}", metavar="NAME", help=about)
    add_reason(parser)


def _run(wish: Wish, given: argparse.Namespace) -> int:
    """Ask for it, and print that it was asked: it happens soon."""
    of = getattr(given, wish.of) if wish.of else ""
    sent = {name: getattr(given, name) for name in (*wish.words, *(wish.options or {}))}
    body = {name: value for name, value in sent.items() if value is not None}
    path = [of if part == "{of}" else part for part in wish.path]
    with open_app(given) as client:
        answer = client.post(*path, body={**body, "reason": given.reason})
    about = of or " ".join(body.values()) or "everything"
    by = f", by {clean(answer['by'])}" if answer.get("by") else ""
    say(given, answer, f"asked: {given.command} {clean(about)}{by}")
    return Exit.OK


def _bind(act: Callable[[Wish, argparse.Namespace], int], wish: Wish) -> Command:
    return Command(about=wish.about, add_arguments=partial(_add, wish), run=partial(act, wish))


FAMILY = {name: _bind(_run, wish) for name, wish in WISHES.items()}
