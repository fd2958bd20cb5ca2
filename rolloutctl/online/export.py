"""Write out the archive: timelines of rollouts and what people asked, as JSON lines."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rolloutctl.exit import Exit, UsageError
from rolloutctl.online.command import add_app_arguments, open_app
from rolloutctl.online.rollouts import read_when


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_app_arguments(parser)
    parser.add_argument("--since", type=read_when, metavar="WHEN", help="a time, or how long ago")
    parser.add_argument("--until", type=read_when, metavar="WHEN")
    help_output = "a file that is not there yet; it appears when all is in it (default: stdout)"
    parser.add_argument("--output", type=Path, metavar="FILE", help=help_output)


def run(given: argparse.Namespace) -> int:
    """Write every line; how many, goes to stderr."""
    count = 0
    with open_app(given) as client, _open(given.output) as out:
        for line in client.lines("export", since=given.since, until=given.until):
            out.write(f"{line}\n")
            count += 1
        out.flush()
    said = {"lines": count, "output": str(given.output) if given.output else None}
    sys.stderr.write(f"{json.dumps(said) if given.json else f'{count} lines'}\n")
    return Exit.OK


@contextlib.contextmanager
def _open(path: Path | None) -> Iterator[IO[str]]:
    """Give what is written to; a file that broke off does not look like a whole one."""
    if path is None:
        yield sys.stdout
        return
    if path.exists():
        raise UsageError(f"--output {str(path)!r} is there already (another name)")
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
        part.replace(path)
    except OSError as error:
        raise UsageError(f"--output {str(path)!r}: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)
