"""Watch a rollout live until it is over; ends with how it ended, and leaves it alone."""

import argparse
import sys
from datetime import timedelta

from deploy_logic.duration import parse_duration
from rolloutctl.exit import Exit
from rolloutctl.online.command import add_app_arguments, open_app
from rolloutctl.online.follow import Follower, Line, Patience, hearing_ctrl_c, wait_for_one
from rolloutctl.online.screen import Screen, open_screen
from rolloutctl.words import clean

_EVERY, _GIVE_UP = timedelta(seconds=2), timedelta(minutes=10)
_LEAST = timedelta(milliseconds=50)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_app_arguments(parser)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("rollout", nargs="?", metavar="ROLLOUT", help="its id")
    help_endpoint = "the rollout in flight there, or else the next one"
    which.add_argument("--endpoint", metavar="NAME", help=help_endpoint)
    help_every = "between two looks (2s)"
    parser.add_argument("--every", type=_length, default=_EVERY, metavar="LENGTH", help=help_every)
    help_give_up = "how long to go on asking an app that does not answer (10m)"
    parser.add_argument(
        "--give-up", type=_length, default=_GIVE_UP, metavar="LENGTH", help=help_give_up
    )


def _length(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def run(given: argparse.Namespace) -> int:
    """Show it until it is over; 0 succeeded, 5 errored, 1 any other end."""
    with open_app(given) as client, hearing_ctrl_c() as check:
        patience = Patience(every=max(given.every, _LEAST), give_up=given.give_up)
        screen = open_screen(wants_json=given.json, now=lambda: client.now)
        line = Line(client, patience, screen.note, check=check)
        rollout_id = given.rollout or ""
        try:
            rollout_id = rollout_id or wait_for_one(line, given.endpoint, screen.note)
            return _follow(line, rollout_id, screen)
        except KeyboardInterrupt:
            screen.close()
            if rollout_id:
                again = f"rolloutctl watch {clean(rollout_id)}"
                sys.stderr.write(f"\nleft alone: the rollout goes on ({again})\n")
            return Exit.INTERRUPTED
        finally:
            screen.close()


def _follow(line: Line, rollout_id: str, screen: Screen) -> Exit:
    follower = Follower(line, rollout_id)
    while True:
        news = follower.look()
        screen.show(news)
        if news.shown.get("ended"):
            break
        line.rest()
    match news.shown["phase"]:
        case "succeeded":
            return Exit.OK
        case "errored":
            return Exit.NEEDS_PERSON
        case _:
            return Exit.NO
