"""Sign in to an app with a code, and forget it again."""

import argparse
import json
import os
import sys

from rolloutctl.commands import Command
from rolloutctl.exit import Exit, UsageError
from rolloutctl.online.az import print_command
from rolloutctl.online.cache import find_cache, forget, remember
from rolloutctl.online.client import Client
from rolloutctl.online.command import APP, find_address, say
from rolloutctl.online.device import sign_in
from rolloutctl.online.token import RESOURCE, VARIABLE, read_sign_in
from rolloutctl.words import clean


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--app", metavar="URL", help=f"the app's address (default: ${APP})")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _log_in(given: argparse.Namespace) -> int:
    """Sign in, keep the token, and print who one is."""
    address = find_address(given)
    how = read_sign_in(address)
    if how is None:
        az = print_command("login")
        text = f"{address}: people sign in at the platform, not here"
        raise UsageError(f"{text} ({az} and {RESOURCE}=api://CLIENT_ID, or {VARIABLE})")

    def tell(text: str) -> None:
        shown = json.dumps({"say": text}) if given.json else text
        print(shown, file=sys.stderr, flush=True)

    tell(f"the app names {clean(how.authority)} for signing in")
    kept = sign_in(how, tell)
    remember(find_cache(os.environ), address, kept)
    with Client(address, lambda: kept.access_token) as client:
        me = client.get("me")
    rights = ", ".join(map(str, me.get("rights", ()))) or "none: ask for an app role"
    say(given, me, f"signed in as {clean(me.get('name') or me.get('id'))}; rights: {clean(rights)}")
    return Exit.OK


def _log_out(given: argparse.Namespace) -> int:
    """Forget the token."""
    address = find_address(given)
    was_there = forget(find_cache(os.environ), address)
    text = f"forgot the sign-in to {address}" if was_there else f"nobody was signed in to {address}"
    say(given, {"app": address, "forgotten": was_there}, text)
    return Exit.OK


FAMILY = {
    "login": Command(about="Sign in to the app with a code.", add_arguments=_add, run=_log_in),
    "logout": Command(about="Forget the sign-in to the app.", add_arguments=_add, run=_log_out),
}
