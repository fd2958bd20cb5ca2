"""Runs the product on this machine: `python -m local up`, or `local run` with the demo on it."""

import argparse
import json
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from local.demo.story import POLICIES, Demo, check_environment, summarise
from local.identity.registration import PEOPLE
from local.process import announce
from local.program import REPOSITORY
from local.stack import Stack

_LOCAL = REPOSITORY / ".local"


def main() -> int:
    """Read the command line and do it."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="app, engine and emulator, until Ctrl-C")
    up.add_argument("--policies", type=Path, default=REPOSITORY / "policies", metavar="DIR")
    up.add_argument("--data", type=Path, metavar="DIR", help="all state, kept (a temporary one)")
    up.add_argument("--port", type=int, default=0, help="of the app; 0: as last time, or any")
    up.add_argument("--pace", choices=("instant", "demo", "realistic"), default="demo")
    run = commands.add_parser("run", help="the same with the demo played on it")
    run.add_argument("--once", action="store_true", help="end after the demo, 0 if all went well")
    given = parser.parse_args()
    check_environment()
    return _up(given) if given.command == "up" else _run(is_once=given.once)


def _up(given: argparse.Namespace) -> int:
    if not given.policies.is_dir():
        print(f"--policies {given.policies}: there is no such folder", file=sys.stderr)
        return 2
    stack = Stack(policies=given.policies, data=given.data, port=given.port, pace=given.pace)
    _listen()
    try:
        stack.start()
        stack.watch()
        announce(**stack.describe())
        threading.Event().wait()
    except _Told:
        pass
    finally:
        stack.stop()
    return 0


def _run(*, is_once: bool) -> int:
    data = _LOCAL / "run"
    shutil.rmtree(data, ignore_errors=True)
    stack = Stack(policies=POLICIES, data=data, pace="demo")
    _listen()
    result: dict[str, Any] = {"ok": False}
    demo = Demo(stack, say=lambda line: print(line, flush=True))
    training = demo.train()
    try:
        stack.start()
        stack.watch()
        print(_invite(stack.describe()), flush=True)
        if training.wait() != 0:
            print((data / "train.log").read_text(errors="replace"), file=sys.stderr)
            return 1
        result = demo.play()
        (_LOCAL / "demo.json").write_text(json.dumps(result, indent=2))
        print(summarise(result))
        if not is_once:
            print(f"\nstays up until Ctrl-C: {json.dumps(stack.describe(), indent=2)}", flush=True)
            threading.Event().wait()
    except _Told:
        pass
    finally:
        training.kill()
        stack.stop()
    return 0 if result["ok"] else 1


def _invite(here: dict[str, Any]) -> str:
    people = ", ".join(f"{one.name} ({one.about})" for one in PEOPLE.values())
    return f"dashboard {here['app']}/api/dashboard; no password, sign in as {people}"


class _Told(Exception):  # noqa: N818 - not an error: we were told to stop
    """A signal came; wherever we are, everything is ended in order."""


def _listen() -> None:
    def stop(_number: int, _frame: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # once is enough: do not break the order
            signal.signal(number, signal.SIG_IGN)
        raise _Told

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


if __name__ == "__main__":
    sys.exit(main())
