"""The command line in this process, against an app on loopback."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rolloutctl.__main__ import main
from tests.ctl.app import OPERATOR, App, Server


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command ended with, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)


type Run = Callable[..., Done]


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    found = Server()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def app(server: Server) -> App:
    """Let a new app be behind the one address."""
    server.app = App(url=server.url)
    return server.app


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let nothing of this machine's user be found."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("ROLLOUTCTL_TOKEN", "ROLLOUTCTL_RESOURCE", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def run_as_nobody(
    app: App, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command with the app in the environment and no token."""
    del home
    monkeypatch.setenv("ROLLOUTCTL_APP", app.url)

    def run(*arguments: str, stdin: str = "") -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            try:
                code = main(list(arguments))
            except SystemExit as error:  # argparse leaves so
                code = int(str(error.code))
        printed = capsys.readouterr()
        return Done(code=int(code), out=printed.out, err=printed.err)

    return run


@pytest.fixture
def run(run_as_nobody: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command as somebody who may operate."""
    monkeypatch.setenv("ROLLOUTCTL_TOKEN", OPERATOR)
    return run_as_nobody
