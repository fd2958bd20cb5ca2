"""`python -m rolloutctl COMMAND`: one module per command, each with add_arguments and run.

Exit codes: 0 as asked, 1 the answer is no (docs/errors.md says what that means per command),
2 the command line itself is wrong.
"""

import argparse
import sys
from collections.abc import Mapping
from types import ModuleType

from rolloutctl import check, match, plan, schema, version_rule

COMMANDS: Mapping[str, ModuleType] = {
    "check": check,
    "match": match,
    "plan": plan,
    "schema": schema,
    "version-rule": version_rule,
}


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run the command."""
    parser = argparse.ArgumentParser(prog="rolloutctl", description="Rollouts of Azure ML models.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        about = (module.__doc__ or "").strip().splitlines()[0]
        module.add_arguments(commands.add_parser(name, help=about, description=module.__doc__))
    given = parser.parse_args(arguments)
    code: int = COMMANDS[given.command].run(given)
    return code


if __name__ == "__main__":
    sys.exit(main())
