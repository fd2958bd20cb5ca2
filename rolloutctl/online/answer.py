"""Answer what a rollout asks people: the figures first, then the answer, bound to them."""

import argparse
import sys

from rolloutctl.commands import Command
from rolloutctl.exit import CommandError, Exit, UsageError
from rolloutctl.online.client import Client
from rolloutctl.online.command import add_app_arguments, add_reason, open_app, say
from rolloutctl.online.frame import ANSWERS, Look, write
from rolloutctl.words import Json, clean, find_signs

_ABOUT = {
    "approve": "Let a rollout go on that asks for it.",
    "reject": "Have a rollout that asks rolled back.",
    "adopt": "Leave weights that somebody else has set, and go on.",
    "restore": "Set the rollout's own weights again, and go on.",
}


def _add(parser: argparse.ArgumentParser) -> None:
    add_app_arguments(parser)
    parser.add_argument("rollout", metavar="ROLLOUT", help="its id")
    add_reason(parser)
    help_figures = "the digest of the figures that the answer rests on, as `show` prints it"
    parser.add_argument("--figures", metavar="DIGEST", help=help_figures)
    parser.add_argument("--yes", action="store_true", help="do not ask back; needs --figures")


def _run(given: argparse.Namespace) -> int:
    """Show what the answer rests on, ask back, and answer."""
    if given.yes and not given.figures:
        raise UsageError("--yes without --figures: somebody must have seen them (--figures DIGEST)")
    if not given.yes and not sys.stdin.isatty():
        raise UsageError("no terminal to ask back on (--yes --figures DIGEST)")
    with open_app(given) as client:
        shown = client.get("rollouts", given.rollout)
        figures = _find_figures(given, shown)
        if not given.yes:
            _ask_back(given, client, shown, figures)
        body = {"reason": given.reason, "figures": figures}
        answer = client.post("rollouts", given.rollout, given.command, body=body)
    say(
        given, answer, f"asked: {given.command} {clean(given.rollout)}, on figures {clean(figures)}"
    )
    return Exit.OK


def _find_figures(given: argparse.Namespace, shown: Json) -> str:
    """Return the digest of the question; CommandError when it asks nothing like that."""
    awaited = shown.get("awaits") or {}
    what = f"{given.command} of {given.rollout!r}"
    if given.command not in awaited.get("operations", ()):
        possible = ", ".join(shown.get("possible") or awaited.get("operations", ())) or "nothing"
        text = f"{what}: it asks no such thing now (possible now: {possible})"
        raise CommandError(text, code=Exit.REFUSED)
    figures = str(awaited["figures"])
    if given.figures and given.figures != figures:
        text = f"{what}: it rests on figures {figures!r} now, not on {given.figures!r} (look again)"
        raise CommandError(text, code=Exit.REFUSED, problem={"title": text, "figures": figures})
    return figures


def _ask_back(given: argparse.Namespace, client: Client, shown: Json, figures: str) -> None:
    look = Look(now=client.now, signs=find_signs(sys.stderr.encoding))
    sys.stderr.write(f"{write(shown, look)}\n{given.command} on figures {clean(figures)}? (yes) ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandError("not answered: nothing was asked of the rollout", code=Exit.NO)


FAMILY = {name: Command(about=_ABOUT[name], add_arguments=_add, run=_run) for name in ANSWERS}
