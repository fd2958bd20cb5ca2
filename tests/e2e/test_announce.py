"""People and programs hear of a rollout through real HTTP, and no channel holds it up."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack, principal
from tests.e2e.scene import CANARY, Scene, write_policies

pytestmark = pytest.mark.e2e

ADA = "11111111-2222-3333-4444-555555555555"
PUBLIC = "https://rollouts.contoso.com"
ASKED = f"approval: {{promote: {{approvers: ['user:{ADA}'], deadline: 1h}}}}\n"
POLICIES = {
    "told": (
        CANARY,
        f"{ASKED}announce: [topic, teams, {{channel: slack, on: [waiting, failed]}}]",
    ),
    "deaf": (CANARY, "announce: [topic, teams]"),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("announce")
    stack = Stack(
        policies=write_policies(folder / "policies", POLICIES),
        data=folder / "data",
        pace="instant",
        settings={"ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *", "ROLLOUT_PUBLIC_URL": PUBLIC},
    )
    stack.add_channels()
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()


def events(scene: Scene, rollout: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what the topic has of the rollout, by kind; a repeat has the id of the first."""
    subject = f"endpoints/{rollout['endpoint']}/rollouts/{rollout['rollout_id']}"
    found: dict[str, dict[str, Any]] = {}
    for one in scene.stack.ask_channels("GET", "received")["events"]:
        if one["subject"] == subject:
            found[one["type"].split(".")[-2]] = one
    return found


def chats(scene: Scene, name: str, words: str) -> list[dict[str, Any]]:
    """Return the messages of the chat that hold those words."""
    received = scene.stack.ask_channels("GET", "received")["chats"].get(name, [])
    return [one for one in received if words in json.dumps(one)]


def heard(scene: Scene, rollout: dict[str, Any], kind: str) -> dict[str, Any]:
    return scene.until(lambda: events(scene, rollout).get(kind), f"the topic hears of {kind}")


def read(scene: Scene, name: str, words: str) -> dict[str, Any]:
    return scene.until(lambda: chats(scene, name, words) or None, f"{name} reads {words!r}")[-1]


def test_waiting_promoted_and_failed_reach_topic_and_chats(scene: Scene) -> None:
    # Given a stable that people have let through
    first = scene.asked("told", scene.register("told"))
    scene.ask(first, "approve", reason="first", figures=first["awaits"]["figures"])
    assert scene.ended("told", first["version"])["phase"] == "succeeded"

    # When the next one waits for its approval
    second = scene.asked("told", scene.register("told"))
    # Then programs hear of it with all that is known of the rollout
    waiting = heard(scene, second, "waiting")
    assert waiting["type"] == "azureml.rollouts.rollout.waiting.v1"
    assert waiting["source"].endswith("/onlineEndpoints/told")
    assert waiting["data"]["rollout"]["version"] == second["version"]
    assert waiting["data"]["rollout"]["phase"] == "waiting"
    assert waiting["time"]
    # and people do, with a link that decides nothing
    link = f"{PUBLIC}/api/dashboard#/rollouts/{second['rollout_id']}"
    for name in ("teams", "slack"):
        assert link in json.dumps(read(scene, name, second["rollout_id"]))

    # When it is approved
    who = principal(ADA)
    scene.ask(second, "approve", who=who, reason="good", figures=second["awaits"]["figures"])
    assert scene.ended("told", second["version"])["phase"] == "succeeded"
    # Then its promotion and its end are told, and only to whom they are of interest
    heard(scene, second, "promoted")
    heard(scene, second, "succeeded")
    read(scene, "teams", f"told {second['version']} has all traffic")
    assert chats(scene, "slack", "has all traffic") == []

    # When one comes that answers wrongly
    third = scene.register_and_end("told", "wrong")
    assert third["phase"] == "failed"
    # Then all of them hear why
    failed = heard(scene, third, "failed")
    assert failed["data"]["rollout"]["reason"] == third["reason"]
    for name in ("teams", "slack"):
        read(scene, name, f"the rollout of told {third['version']} has failed")


def test_a_channel_that_is_down_holds_up_nobody_and_is_asked_again(scene: Scene) -> None:
    scene.stack.ask_channels("POST", "answers/teams", [{"status": 503, "retry_after": 1}] * 3)
    first = scene.register_and_end("deaf")
    assert first["phase"] == "succeeded"
    heard(scene, first, "succeeded")
    refused = scene.stack.ask_channels("GET", "received")["refused"]
    assert refused["teams"] == 3
    read(scene, "teams", f"the rollout of deaf {first['version']} has succeeded")


def test_a_channel_that_hangs_holds_up_nobody(scene: Scene) -> None:
    scene.stack.ask_channels("POST", "answers/teams", [{"hangs": True, "times": 0}])
    try:
        ended = scene.register_and_end("deaf")
        assert ended["phase"] == "succeeded"
        heard(scene, ended, "succeeded")
        assert chats(scene, "teams", f"the rollout of deaf {ended['version']} has succeeded") == []
    finally:
        scene.stack.ask_channels("POST", "answers/teams", [])


def test_no_secret_is_stored_or_logged(scene: Scene) -> None:
    kept = [path for path in scene.stack.data.rglob("*") if path.is_file()]
    assert any(path.name == "engine.db" for path in kept)
    assert [str(path) for path in kept if b"a-secret-of-" in path.read_bytes()] == []
