"""The commands of the pages, as they stand there, against the programs that they are about.

Only ports and folders are added, and what a page writes as a variable is given a value.
"""

import contextlib
import json
import shlex
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.program import REPOSITORY, inherited
from local.stack import Stack
from tests.e2e.scene import SLOW, Scene, write_policies
from tests.test_docs_commands import LOCAL, find_tool

pytestmark = pytest.mark.e2e

LAPTOP = "docs/running-locally.md"
EMULATOR = "docs/emulator.md"


def documented(page: str, start: str) -> str:
    """Return the one command of the page that begins so."""
    (found,) = [one for where, one in LOCAL if where == page and one.startswith(start)]
    return found


@contextlib.contextmanager
def started(command: str, *options: str) -> Iterator[dict[str, Any]]:
    """Start a program as documented; give its first line, and tell it to stop as Ctrl-C does."""
    with subprocess.Popen(
        (*shlex.split(command), *options),
        cwd=REPOSITORY,
        env=inherited(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        try:
            yield json.loads(child.stdout.readline())
        finally:
            child.send_signal(signal.SIGINT)
            child.wait()
    assert child.returncode == 0


def say(commands: str, folder: Path, **variables: str) -> str:
    """Run commands in a shell and return what they print; a refusal of curl's fails too."""
    (folder / ".curlrc").write_text("fail-with-body\n")
    done = subprocess.run(
        (find_tool("bash"), "-euc", commands),
        cwd=folder,
        env={**inherited(), **variables, "CURL_HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (commands, done.stdout, done.stderr)
    return done.stdout


def test_the_emulator_starts_as_shown_and_takes_the_fault_shown(tmp_path: Path) -> None:
    emulator = documented(EMULATOR, ".venv/bin/python -m local.azure_ml")
    fault = documented(EMULATOR, "curl")
    with started(emulator, "--port", "0", "--data", str(tmp_path / "data")) as ready:
        assert ready["ready"] is True
        said = json.loads(say(fault, tmp_path, CA=ready["ca"], URL=ready["url"]))
    assert said["pending"] == 1
    assert {"status": 503, "retry_after": 2, "left": 2}.items() <= said["faults"][0].items()


def test_everything_starts_as_shown_and_lists_no_rollouts_yet(tmp_path: Path) -> None:
    up = documented(LAPTOP, ".venv/bin/python -m local up")
    listing = documented(LAPTOP, "curl -s $APP/api/rollouts")
    sign_in = documented(LAPTOP, "TOKEN=$(curl -s $IDENTITY/token/ann)")
    with started(up, "--port", "0", "--data", str(tmp_path / "data")) as ready:
        variables = {"APP": ready["app"], "IDENTITY": ready["identity"]}
        said = json.loads(say(f"{sign_in}\n{listing}", tmp_path, **variables))
    assert said == {"rollouts": [], "next": None}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("documented")
    stack = Stack(
        policies=write_policies(folder / "policies", {"shown": (SLOW, "")}),
        data=folder / "data",
        pace="instant",
        settings={
            "ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *",  # only when the test fires it
            "ROLLOUT_EVENT_QUEUE": "model-registered",
        },
    )
    try:
        stack.start()
        stack.watch()
        yield Scene(stack, folder)
    finally:
        stack.stop()


def test_sweep_and_queue_are_fired_as_shown(scene: Scene, tmp_path: Path) -> None:
    app = scene.stack.host.ready["url"]
    say(documented(LAPTOP, "curl -s -X POST $APP/admin/functions/sweep"), tmp_path, APP=app)
    queued = documented(LAPTOP, "curl -s -X POST $APP/admin/functions/on_event_queued")
    say(queued, tmp_path, APP=app)
    log = scene.stack.data / "logs" / "host.log"

    def told() -> str | None:
        text = log.read_text(errors="replace")
        return text if "swept" in text and "event ignored" in text else None

    scene.until(told, "the sweep has run, and the message that is no event was ignored")


def test_a_rollout_outlives_the_kill_shown_and_is_aborted_as_shown(
    scene: Scene, tmp_path: Path
) -> None:
    # Given a rollout in its bake
    scene.register_and_end("shown")
    version = scene.register("shown")
    baking = scene.reached("shown", version, "bakes for 10m")
    # When the host is found and killed, and comes back
    first = scene.stack.host.pid
    assert str(first) in say(documented(LAPTOP, "pgrep"), tmp_path).split()
    say(documented(LAPTOP, "kill -9").replace("PROCESS_ID", str(first)), tmp_path)
    scene.until(lambda: scene.stack.host.pid not in {0, first} or None, "the host is back")
    scene.reached("shown", version, "bakes for 10m")
    here = {"APP": scene.stack.host.ready["url"], "IDENTITY": scene.stack.identity.ready["url"]}
    sign_in = documented(LAPTOP, "TOKEN=$(curl -s $IDENTITY/token/ann)")
    listing = documented(LAPTOP, "curl -s $APP/api/rollouts")
    listed = json.loads(say(f"{sign_in}\n{listing}", tmp_path, **here))
    assert baking["rollout_id"] in {one["rollout_id"] for one in listed["rollouts"]}
    # When it is aborted
    abort = documented(LAPTOP, "curl -s -X POST $APP/api/rollouts/$ROLLOUT_ID/abort")
    asked = say(f"{sign_in}\n{abort}", tmp_path, **here, ROLLOUT_ID=baking["rollout_id"])
    # Then it rolls back, and the record says who and why
    assert json.loads(asked)["operation"] == "abort"
    ended = scene.ended("shown", version)
    assert ended["phase"] == "failed"
    assert "11111111-2222-3333-4444-555555555555" in ended["reason"]
    assert ended["reason"].endswith(": just trying")
    assert scene.weights("shown") == {"shown-v1": 100}
