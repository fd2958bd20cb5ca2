"""One program of local/ as a child process: started, heard, kept alive, and ended with us."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).parents[1]
_PATIENCE = 20.0  # seconds to end when told to, before it is killed


class ProgramError(Exception):
    """A program ended before it was ready; the message has the end of its log."""


def inherited() -> dict[str, str]:
    """Return our environment without what a client of azure-ai-ml in this process left in it.

    The client names its cloud there, and in a process that does not know a cloud of that name not
    even the import of azure-ai-ml succeeds.
    """
    return {key: value for key, value in os.environ.items() if key != "AZUREML_CURRENT_CLOUD"}


class Program:
    """A child that says when it is ready, and whose other output goes to a log file."""

    def __init__(self, name: str, command: Sequence[str], *, log: Path) -> None:
        """Take what follows `python -m`; nothing is started yet."""
        self.name = name
        self._command = (sys.executable, "-m", *command, "--stop-with-stdin")
        self._log = log
        self._child: subprocess.Popen[bytes] | None = None
        self.ready: dict[str, Any] = {}
        self.last_line = ""  # of its output, complete once it was stopped
        self._reader: threading.Thread | None = None

    def start(self, environment: Mapping[str, str] | None = None, *options: str) -> None:
        """Start it and wait until it is ready; ProgramError when it ends before."""
        self.stop()  # what is left of one that died: its pipes
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            child = subprocess.Popen(
                (*self._command, *options),
                cwd=REPOSITORY,
                env={**inherited(), **(environment or {})},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: we end our children in order
            )
        self._child = child
        assert child.stdout is not None  # noqa: S101 - stdout is a pipe
        line = child.stdout.readline()
        if not line:
            child.wait()
            end = self._log.read_text(errors="replace")[-2000:]
            raise ProgramError(f"{self.name} ended before it was ready:\n{end}")
        self.ready = json.loads(line)
        self._reader = threading.Thread(target=self._drain, args=(child.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id, 0 when it does not run."""
        return self._child.pid if self._child is not None else 0

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._child is not None and self._child.poll() is None

    def stop(self) -> None:
        """End it in order, or at once when it takes too long."""
        child, self._child = self._child, None
        if child is None:
            return
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdin is not None:
            child.stdin.close()
        if self._reader is not None:
            self._reader.join()

    def kill9(self) -> None:
        """End it as a crash would."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            if child.stdin is not None:
                child.stdin.close()

    def _drain(self, pipe: IO[bytes]) -> None:
        """Keep the pipe empty: a full one would block the program."""
        with pipe, self._log.open("ab") as file:
            for line in pipe:
                file.write(line)
                file.flush()
                self.last_line = line.decode(errors="replace")
