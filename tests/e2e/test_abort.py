"""A person stops a rollout through the HTTP route."""

from typing import Any

import pytest

from tests.e2e.scene import Scene, ask_without_identity

pytestmark = pytest.mark.e2e


def test_an_abort_puts_the_stable_to_100_reads_it_back_and_retires_the_candidate(
    scene: Scene,
) -> None:
    # Given a rollout in its bake at weight 10
    scene.register_and_end("aborted")
    version = scene.register("aborted")
    baking = scene.reached("aborted", version, "bakes for 10m")
    assert scene.weights("aborted") == {"aborted-v1": 90, "aborted-v2": 10}
    path = f"rollouts/{baking['rollout_id']}/abort"
    # When somebody without identity, or without a reason, asks: nothing happens
    assert ask_without_identity(scene, path) == 401
    assert scene.stack.ask_app("POST", path, {"why": "no reason key"})["status"] == 400
    # When a person asks
    asked: dict[str, Any] = scene.stack.ask_app("POST", path, {"reason": "complaints came in"})
    assert asked["operation"] == "abort"
    ended = scene.ended("aborted", version)
    # Then the stable serves alone, read back, and the record says who and why
    assert ended["phase"] == "failed"
    assert ended["reason"].endswith(": complaints came in")
    assert "11111111-2222-3333-4444-555555555555" in ended["reason"]
    assert ended["weights"] == {"aborted-v1": 100}
    assert scene.weights("aborted") == {"aborted-v1": 100}
    assert scene.deployments("aborted") == {"aborted-v1"}
    # and it cannot be aborted twice, nor can what does not exist
    assert scene.stack.ask_app("POST", path, {"reason": "again"})["status"] == 409
    assert scene.stack.ask_app("POST", "rollouts/x/abort", {"reason": "again"})["status"] == 404


def test_a_failed_version_is_quarantined(scene: Scene) -> None:
    rollouts = scene.rollouts("aborted")
    version = next(one["version"] for one in rollouts if one["phase"] == "failed")
    assert scene.send(scene.event("aborted", version)) == 202

    def answered() -> dict[str, Any] | None:
        answers = scene.ledger("aborted")["answers"]
        found = [one for one in answers if one["answer"] == "quarantined"]
        return found[-1] if found else None

    assert "complaints came in" in scene.until(answered, "quarantined")["reason"]
    assert scene.rollouts("aborted") == rollouts
