"""Azure's own command line, for what only Azure can say: one command, its JSON."""

import json
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from rolloutctl.words import clean

_TIMEOUT = 90  # seconds
_LONGEST = 300


class AzError(Exception):
    """az is not there, or said no; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Az:
    """The program, or an empty text where there is none."""

    program: str

    @property
    def is_there(self) -> bool:
        """Whether anything can be asked."""
        return self.program != ""

    def ask(self, *arguments: str) -> Any:  # noqa: ANN401 - JSON of Azure
        """Return what the command prints; AzError says why not."""
        if not self.is_there:
            raise AzError("az is not installed")
        try:
            done = subprocess.run(  # noqa: S603 - az itself, and no shell
                [self.program, *arguments, "--output", "json"],
                capture_output=True,
                check=False,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=_TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise AzError(f"az gave no answer within {_TIMEOUT} s") from error
        except OSError as error:
            raise AzError(f"az: {error.strerror}") from error
        if done.returncode:
            said = clean(done.stderr.strip() or f"exit code {done.returncode}")
            raise AzError(said[:_LONGEST])
        try:
            return json.loads(done.stdout or "null")
        except ValueError as error:
            raise AzError(f"az printed no JSON: {clean(done.stdout)[:_LONGEST]!r}") from error


def find_az() -> Az:
    """Return az as the PATH has it."""
    return Az(program=shutil.which("az") or "")


def print_command(*arguments: str) -> str:
    """Return the command as somebody would type it."""
    return shlex.join(["az", *arguments])
