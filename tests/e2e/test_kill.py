"""`kill -9` anywhere: after a restart the rollout ends as undisturbed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.program import REPOSITORY, inherited
from local.stack import Stack
from tests.e2e.scene import CANARY, Scene, write_policies

pytestmark = pytest.mark.e2e

MOMENTS = {
    "creation": "creating 'killed-v",
    "bake": "bakes for 4s",
    "shift": "weight 10 to",
}


@pytest.fixture(scope="module")
def killed(scene: Scene) -> Iterator[Scene]:
    scene.register_and_end("killed")
    # long enough that the kill comes in the middle of it
    scene.admin("PUT", "pace", {"deployment": 2.0, "traffic": 1.5})
    yield scene
    scene.admin("PUT", "pace", {"pace": "instant"})


@pytest.fixture(scope="module")
def undisturbed(killed: Scene) -> dict[str, Any]:
    with killed.callers("killed") as seen:
        ended = killed.register_and_end("killed")
    assert seen["failed"] == 0
    return ended


def _told(rollout: dict[str, Any]) -> list[str]:
    """Return the story without the names that differ between versions and the milliseconds."""
    names = {rollout["candidate"]: "CANDIDATE", rollout["stable"]: "STABLE"}
    lines = []
    for entry in rollout["timeline"]:
        text = entry["text"]
        for name, word in names.items():
            text = text.replace(name, word)
        lines.append(text.partition(" after ")[0])
    # weights are told in the order of the names, which differs between v9 and v10
    return [" ".join(sorted(line.replace(",", "").split())) for line in lines]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("victims", [("host",), ("engine",), ("host", "engine")], ids="+".join)
def test_after_a_kill_the_rollout_ends_as_undisturbed(
    killed: Scene, undisturbed: dict[str, Any], victims: tuple[str, ...], moment: str
) -> None:
    stack = killed.stack
    with killed.callers("killed") as seen:
        version = killed.register("killed")
        killed.reached("killed", version, MOMENTS[moment])
        for victim in victims:
            getattr(stack, victim).kill9()
        if "engine" in victims:
            stack.start_engine()
        if "host" in victims:
            stack.start_host()
        ended = killed.ended("killed", version)
    assert ended["phase"] == "succeeded"
    assert _told(ended) == _told(undisturbed)
    assert killed.weights("killed") == {ended["candidate"]: 100}
    assert killed.deployments("killed") == {ended["candidate"]}
    assert seen["failed"] == 0


def test_after_a_kill_of_everything_up_goes_on_where_it_was(tmp_path: Path) -> None:
    policies = write_policies(tmp_path / "policies", {"kept": (CANARY, "")})
    options = ("--policies", str(policies), "--data", str(tmp_path / "data"), "--pace", "instant")
    command = (sys.executable, "-m", "local", "up", *options)

    def start() -> tuple["subprocess.Popen[bytes]", dict[str, Any]]:
        child = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, env=inherited())
        assert child.stdout is not None
        return child, json.loads(child.stdout.readline())

    first, ready = start()
    try:
        scene = Scene(_attach(tmp_path, policies, ready), tmp_path)
        version = scene.register("kept")
        scene.reached("kept", version, "creating 'kept-v1'")
        os.kill(first.pid, signal.SIGKILL)
    finally:
        first.kill()
        first.wait()
        first.stdout.close()  # type: ignore[union-attr] # it is a pipe
    second, again = start()
    try:
        assert again["app"] == ready["app"]
        assert again["azure_ml"] == ready["azure_ml"]
        assert again["identity"] == ready["identity"]
        assert scene.ended("kept", version)["phase"] == "succeeded"
        assert scene.weights("kept") == {"kept-v1": 100}
    finally:
        second.send_signal(signal.SIGINT)
        assert second.wait(60) == 0
        second.stdout.close()  # type: ignore[union-attr] # it is a pipe


def _attach(folder: Path, policies: Path, ready: dict[str, Any]) -> Stack:
    """Return a stack that was started by another process, to ask it."""
    stack = Stack(policies=policies, data=folder / "data")
    workspace = (
        f"/subscriptions/{ready['subscription']}/resourceGroups/{ready['resource_group']}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{ready['workspace']}"
    )
    stack.azure_ml.ready = {
        **ready,
        "url": ready["azure_ml"],
        "workspace_id": workspace,
        "identity_endpoint": "",
        "identity_header": "",
    }
    stack.identity.ready = {"url": ready["identity"]}
    stack.host.ready = {"url": ready["app"]}
    return stack
