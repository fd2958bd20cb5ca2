"""A command in a terminal of its own: what its screen really shows."""

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from fcntl import ioctl
from pathlib import Path
from typing import Self

import pyte

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds until something counts as never coming; generous on purpose


class Terminal:
    """One command of ours in a terminal of that size."""

    def __init__(
        self, *arguments: str, given: Mapping[str, str], size: tuple[int, int] = (30, 100)
    ) -> None:
        """Start it; given are variables of its environment."""
        self._ours, theirs = pty.openpty()
        ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self._screen = pyte.HistoryScreen(size[1], size[0], history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self.sent = b""
        usual = {"TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}
        kept = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self._child = subprocess.Popen(
            (sys.executable, "-m", "rolloutctl", *arguments),
            cwd=REPOSITORY,
            env={**kept, **usual, **given},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the command if it has not ended."""
        self._child.kill()
        self._child.wait()
        os.close(self._ours)

    @property
    def text(self) -> str:
        """What was on the screen, scrolled off or not."""
        above = ["".join(line[column].data for column in range(self._screen.columns)).rstrip()
                 for line in self._screen.history.top]  # fmt: skip
        return "\n".join([*above, *(line.rstrip() for line in self._screen.display)]).rstrip()

    @property
    def shown(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Send it what Ctrl-C sends."""
        self._child.send_signal(signal.SIGINT)

    def until(self, is_seen: Callable[[str], bool], what: str) -> None:
        """Read until the text is as wanted."""
        end = time.monotonic() + PATIENCE
        while not is_seen(self.text):
            left = end - time.monotonic()
            assert left > 0, f"never seen: {what}\n{self.text}"
            assert self._read(left), f"it ended before {what}\n{self.text}"

    def end(self) -> int:
        """Read until it ends; return its exit code."""
        end = time.monotonic() + PATIENCE
        while self._read(max(end - time.monotonic(), 0)):
            assert time.monotonic() < end, f"it does not end\n{self.text}"
        return self._child.wait(PATIENCE)

    def _read(self, patience: float) -> bool:
        if not select.select([self._ours], [], [], patience)[0]:
            return True
        try:
            more = os.read(self._ours, 65536)
        except OSError:  # Linux says so when nobody holds the other end any more
            return False
        self.sent += more
        self._stream.feed(more)
        return more != b""
