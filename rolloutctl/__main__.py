"""`python -m rolloutctl COMMAND`: one module per command or family; exit.py has the exit codes."""

import json
import os
import sys

from rolloutctl.commands import COMMANDS, build_parser, find_command
from rolloutctl.exit import CommandError, Exit
from rolloutctl.words import clean

__all__ = ["COMMANDS", "main"]


def main(arguments: list[str] | None = None) -> int:
    """Read the command line and run the command."""
    written = sys.argv[1:] if arguments is None else arguments
    only = written[0] if written and written[0] in COMMANDS else None
    given = build_parser(only).parse_args(written)
    try:
        return find_command(given.command).run(given)
    except CommandError as error:
        wants_json = getattr(given, "json", False)
        text = json.dumps(error.problem) if wants_json else f"rolloutctl: {clean(str(error))}"
        sys.stderr.write(f"{text}\n")
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # such as `| head`: whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.NO


if __name__ == "__main__":
    sys.exit(main())
