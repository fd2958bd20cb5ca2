"""Say whether the policies can be used. Offline."""

import argparse
from pathlib import Path

from rolloutctl.read import read_usable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--policies", type=Path, required=True, metavar="DIR")


def run(given: argparse.Namespace) -> int:
    """Print every complaint; 1 when there is one."""
    return 0 if read_usable(given.policies).is_whole else 1
