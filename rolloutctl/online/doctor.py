"""Say whether everything is set up, and for what is not, the command that mends it."""

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta

from rolloutctl.exit import CommandError, Exit, RefusedError
from rolloutctl.online.az import find_az
from rolloutctl.online.client import Client
from rolloutctl.online.command import add_app_arguments, open_app, say
from rolloutctl.online.doctor_azure import Installation, examine_azure
from rolloutctl.online.finding import Finding, State, bad, good, unknown
from rolloutctl.words import clean, print_length

_SKEW = timedelta(minutes=1)  # tokens and approvals live by the clock
_NO_SUCH_ROUTE, _REFUSED = 404, {401, 403}
_SIGNS = {State.OK: "ok     ", State.BAD: "bad    ", State.UNKNOWN: "unknown"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_app_arguments(parser)
    help_strict = "what cannot be found out counts as bad"
    parser.add_argument("--strict", action="store_true", help=help_strict)
    help_azure = "do not ask Azure by way of az"
    parser.add_argument("--no-azure", action="store_true", help=help_azure)


def run(given: argparse.Namespace) -> int:
    """Print the findings; 1 when something is bad."""
    with open_app(given) as client:
        findings = [*examine_app(client)]
    if not given.no_azure:
        findings += examine_azure(find_az(), Installation.read(os.environ))
    worst = {State.BAD, State.UNKNOWN} if given.strict else {State.BAD}
    is_well = all(one.state not in worst for one in findings)
    body = {"ok": is_well, "findings": [asdict(one) for one in findings]}
    say(given, body, _words(findings))
    return Exit.OK if is_well else Exit.NO


def examine_app(client: Client) -> Iterator[Finding]:
    """Ask the app how it is, and who we are to it."""
    try:
        health = client.get_as_nobody("health")
    except CommandError as error:
        yield from _without_health(client, error)
        return
    yield good("app", f"{client.address} answers, version {health.get('version', 'unknown')}")
    yield _clock(client)
    is_known = False
    for finding in _person(client):
        is_known = is_known or finding.state is State.OK
        yield finding
    yield from _checks(client, is_known=is_known)


def _without_health(client: Client, error: CommandError) -> Iterator[Finding]:
    login = f"rolloutctl login --app {client.address}"
    if isinstance(error, RefusedError) and error.status in _REFUSED:
        text = "the platform's sign-in stands before the app's health; leave /api/health out of it"
        yield bad("app", text, login)
    elif isinstance(error, RefusedError) and error.status == _NO_SUCH_ROUTE:
        text = f"{client.address} has no /api/health: it is older than this command, or another app"
        yield bad("app", text, "azd deploy app --from-package dist/app.zip")
    else:
        show = 'az functionapp show --ids "$FUNCTION_APP_ID" --query state'
        yield bad("app", str(error), show)
    for name in ("clock", "sign-in", "checks"):
        yield unknown(name, "not asked, as the app does not answer")


def _clock(client: Client) -> Finding:
    skew = client.skew
    if abs(skew) <= _SKEW:
        return good("clock", "this machine and the app have the same time")
    way = "behind" if skew > timedelta(0) else "ahead of"
    text = (
        f"this machine is {print_length(abs(skew))} {way} the app (at most {print_length(_SKEW)})"
    )
    return bad("clock", text, "timedatectl set-ntp true")


def _person(client: Client) -> Iterator[Finding]:
    try:
        me = client.get("me")
    except CommandError as error:
        yield bad("sign-in", str(error), f"rolloutctl login --app {client.address}")
        return
    rights = [str(one) for one in me.get("rights", ())]
    who = me.get("name") or me.get("id")
    if rights:
        yield good("sign-in", f"signed in as {who}, who may {', '.join(rights)}")
    else:
        text = f"signed in as {who}, who may nothing (an app role: Rollouts.Read or above)"
        yield bad("sign-in", text, 'az ad sp show --id "$ROLLOUTS_AUTH_CLIENT_ID" --query appRoles')


def _checks(client: Client, *, is_known: bool) -> Iterator[Finding]:
    """Pass on what the app finds about itself."""
    if not is_known:
        yield unknown("checks", "not asked, as nobody who may read is signed in")
        return
    try:
        found = client.get("checks")["checks"]
    except CommandError as error:
        yield bad("checks", str(error))
        return
    for one in found:
        make = good if one["ok"] else bad
        finding = make(str(one["name"]), str(one["text"]))
        yield finding if one["ok"] else bad(finding.name, finding.text, str(one.get("mend", "")))


def _words(findings: list[Finding]) -> str:
    widest = max(len(clean(one.name)) for one in findings)
    lines = []
    for one in findings:
        lines.append(f"{_SIGNS[one.state]}  {clean(one.name):<{widest}}  {clean(one.text)}")
        if one.mend:
            lines.append(f"{'':{widest + 11}}{clean(one.mend)}")
    counts = [f"{sum(one.state is state for one in findings)} {state}" for state in State]
    return "\n".join([*lines, ", ".join(counts)])
