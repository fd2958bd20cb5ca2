"""Which commands there are, and which module each of them lives in.

A module is imported when its command is used: a command should not wait for what others need.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module

OFFLINE: Mapping[str, str] = {
    "check": "rolloutctl.check",
    "match": "rolloutctl.match",
    "plan": "rolloutctl.plan",
    "schema": "rolloutctl.schema",
    "version-rule": "rolloutctl.version_rule",
    "completion": "rolloutctl.completion",
}
ONLINE: Mapping[str, str] = {
    "login": "rolloutctl.online.login",
    "logout": "rolloutctl.online.login",
    "list": "rolloutctl.online.rollouts",
    "show": "rolloutctl.online.rollouts",
    "watch": "rolloutctl.online.watch",
    "endpoints": "rolloutctl.online.listing",
    "policies": "rolloutctl.online.listing",
    "approve": "rolloutctl.online.answer",
    "reject": "rolloutctl.online.answer",
    "adopt": "rolloutctl.online.answer",
    "restore": "rolloutctl.online.answer",
    "pause": "rolloutctl.online.ask",
    "resume": "rolloutctl.online.ask",
    "abort": "rolloutctl.online.ask",
    "promote-now": "rolloutctl.online.ask",
    "retry": "rolloutctl.online.ask",
    "start": "rolloutctl.online.ask",
    "hold": "rolloutctl.online.ask",
    "release": "rolloutctl.online.ask",
    "revert": "rolloutctl.online.ask",
    "suspend": "rolloutctl.online.ask",
    "unsuspend": "rolloutctl.online.ask",
    "stop": "rolloutctl.online.ask",
    "go-on": "rolloutctl.online.ask",
    "replay": "rolloutctl.online.replay",
    "export": "rolloutctl.online.export",
    "doctor": "rolloutctl.online.doctor",
}
COMMANDS: Mapping[str, str] = {**OFFLINE, **ONLINE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command: what it says of itself, its options, and what it does."""

    about: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def find_command(name: str) -> Command:
    """Return the command of that name; a module has one, or a table of several."""
    module = import_module(COMMANDS[name])
    several: Mapping[str, Command] | None = getattr(module, "FAMILY", None)
    if several is not None:
        return several[name]
    about = (module.__doc__ or "").strip().splitlines()[0]
    return Command(about=about, add_arguments=module.add_arguments, run=module.run)


def build_parser(only: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line; with only, it knows the options of one command."""
    parser = argparse.ArgumentParser(prog="rolloutctl", description="Rollouts of Azure ML models.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        if only is not None and name != only:
            commands.add_parser(name)
            continue
        command = find_command(name)
        about = command.about
        command.add_arguments(commands.add_parser(name, help=about, description=about))
    return parser
