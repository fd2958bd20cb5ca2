"""What every command has that talks to an app: its address, who asks, and JSON on request."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rolloutctl.exit import UsageError
from rolloutctl.online.client import Client
from rolloutctl.online.http import check_address
from rolloutctl.online.token import VARIABLE, find_tokens

type Json = dict[str, Any]

APP = "ROLLOUTCTL_APP"


def add_app_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("--app", metavar="URL", help=f"the app's address (default: ${APP})")
    help_who = f"instead of an earlier login; - for stdin (default: ${VARIABLE})"
    parser.add_argument("--token", metavar="TOKEN", default="", help=help_who)
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_reason(parser: argparse.ArgumentParser) -> None:
    """Declare why something is asked for."""
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why; everybody sees it")


def find_address(given: argparse.Namespace) -> str:
    """Return the app's address, without what the API adds to it."""
    written = given.app or os.environ.get(APP, "")
    if not written:
        raise UsageError(f"which app is not said (--app URL, or the variable {APP})")
    return check_address(written, "the app's address").removesuffix("/api")


@contextmanager
def open_app(given: argparse.Namespace) -> Iterator[Client]:
    """Give the app that the command line names."""
    address = find_address(given)
    told = given.token
    if told == "-":
        told = sys.stdin.readline().strip()
    with Client(address, find_tokens(address, told, os.environ)) as client:
        yield client


def say(given: argparse.Namespace, body: Mapping[str, Any], words: str) -> None:
    """Print the answer, as JSON or in words."""
    print(json.dumps(body, indent=2) if given.json else words)
