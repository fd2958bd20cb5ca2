"""A small `az` for the PATH: it answers from a table, and writes down what it was asked."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PROGRAM = """#!/bin/sh
echo "$*" >> {log}
case "$*" in
{cases}
esac
echo "ERROR: Please run 'az login' to setup account." >&2
exit 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeAz:
    """Where it is, and what it was asked."""

    folder: Path

    def asked(self) -> list[str]:
        log = self.folder / "az.log"
        return log.read_text().splitlines() if log.exists() else []

    def answer(self, table: Mapping[str, Any]) -> None:
        """Let it answer by the first words of what it is asked; a text is an error."""
        cases = []
        for number, (start, answer) in enumerate(table.items()):
            file = self.folder / f"{number}.txt"
            is_error = isinstance(answer, str)
            file.write_text(answer if is_error else json.dumps(answer))
            shown = f"/bin/cat {shlex.quote(str(file))}"
            act = f"{shown} >&2; exit 1" if is_error else f"exec {shown}"
            cases.append(f"  {shlex.quote(start)}*) {act} ;;")
        log = shlex.quote(str(self.folder / "az.log"))
        program = self.folder / "az"
        program.write_text(_PROGRAM.format(log=log, cases="\n".join(cases)))
        program.chmod(0o755)


def put_az(home: Path, table: Mapping[str, Any]) -> FakeAz:
    """Put it into the folder that the PATH names."""
    folder = home / "bin"
    folder.mkdir(exist_ok=True)
    fake = FakeAz(folder=folder)
    fake.answer(table)
    return fake
