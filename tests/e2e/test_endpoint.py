"""People hold, release, retry and stop through the HTTP routes; the clock lets kept ones go."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from durabletask.client import TaskHubGrpcClient

from deploy_logic.adapters.durable import ledger_id
from tests.e2e.scene import Scene, ask_without_identity

pytestmark = pytest.mark.e2e
BECAUSE = {"reason": "we want to look first"}
PERSON = "11111111-2222-3333-4444-555555555555"


def answered(scene: Scene, endpoint: str, answer: str) -> dict[str, Any]:
    """Wait until the ledger has said that; return the last time it did."""

    def look() -> dict[str, Any] | None:
        said = list(scene.ledger(endpoint).get("answers", ()))
        found = [one for one in said if one["answer"] == answer]
        return found[-1] if found else None

    return scene.until(look, f"{endpoint} says {answer}")


def sweep(scene: Scene) -> None:
    scene.stack.ask_host("POST", "/admin/functions/sweep", {"input": ""})


def test_what_comes_to_a_held_endpoint_starts_after_its_release(scene: Scene) -> None:
    # Given an endpoint that a person holds, before anything was offered to it
    assert ask_without_identity(scene, "endpoints/held/hold") == 401
    assert scene.stack.ask_app("POST", "endpoints/held/hold", {})["status"] == 400
    asked = scene.stack.ask_app("POST", "endpoints/held/hold", BECAUSE)
    assert asked == {"endpoint": "held", "operation": "hold", "by": PERSON}
    assert answered(scene, "held", "hold")["by"] == PERSON
    # When a version is registered, it is not rolled out
    version = scene.register("held")
    assert answered(scene, "held", "held")["reason"].endswith(": we want to look first")
    assert scene.rollouts("held") == []
    # When the hold is released, the sweep brings it
    scene.stack.ask_app("POST", "endpoints/held/release", BECAUSE)
    answered(scene, "held", "release")
    sweep(scene)
    assert scene.ended("held", version)["phase"] == "succeeded"
    refused = scene.stack.ask_app("POST", "endpoints/held/release", BECAUSE)
    assert (refused["status"], "nothing is held" in refused["title"]) == (409, True)


def test_a_version_in_quarantine_is_tried_again_under_an_id_of_its_own(scene: Scene) -> None:
    scene.register_and_end("tried")
    failed = scene.register_and_end("tried", "bad")
    assert failed["phase"] == "failed"
    path = f"rollouts/{failed['rollout_id']}/retry"
    assert scene.stack.ask_app("POST", path, BECAUSE)["operation"] == "retry"

    def again() -> dict[str, Any] | None:
        found = [one for one in scene.rollouts("tried") if one["attempt"] == 2 and one["ended"]]
        return found[0] if found else None

    second = scene.until(again, "the second attempt ends")
    assert second["rollout_id"] == f"{failed['rollout_id']}-2"
    assert scene.stack.ask_app("POST", "endpoints/tried/revert", BECAUSE)["status"] == 409


def test_stop_comes_to_every_endpoint_and_bars_every_event(scene: Scene) -> None:
    scene.register_and_end("stopped")
    version = scene.register("stopped")
    running = scene.reached("stopped", version, "bakes for 10m")
    assert scene.stack.ask_app("POST", "stop", BECAUSE) == {"operation": "stop", "by": PERSON}
    scene.reached("stopped", version, "pause by")
    assert scene.stack.ask_app("GET", "controls")["stopped"]["by"] == PERSON
    scene.register("stopped")
    assert "everything is stopped by" in answered(scene, "stopped", "stopped")["reason"]
    assert scene.stack.ask_app("POST", "stop", BECAUSE)["status"] == 409
    scene.stack.ask_app("POST", "go-on", BECAUSE)
    scene.reached("stopped", version, "resume by")
    suspended = scene.stack.ask_app("POST", "policies/stopped/suspend", BECAUSE)
    assert suspended["policy"] == "stopped"
    scene.register("stopped")
    answered(scene, "stopped", "suspended")
    assert scene.stack.ask_app("POST", "policies/stopped/resume", BECAUSE)["by"] == PERSON
    scene.stack.ask_app("POST", f"rollouts/{running['rollout_id']}/abort", BECAUSE)
    scene.ended("stopped", version)


def test_what_is_kept_is_let_go_of_by_the_clock_and_is_no_rollout(scene: Scene) -> None:
    # Given a rollout whose end the ledger has heard, with a deployment that it has left
    scene.register_and_end("kept")
    version = scene.register("kept")
    running = scene.reached("kept", version, "bakes for 10m")
    until = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    blue = {"deployment": "blue", "model": "kept", "version": "0", "until": until, "why": "old"}
    end = {
        "rollout_id": running["rollout_id"], "model": "kept", "version": version,
        "phase": "succeeded", "reason": "", "at": datetime.now(UTC).isoformat(), "kept": [blue],
    }  # fmt: skip
    client = TaskHubGrpcClient(host_address=scene.stack.engine.ready["address"])
    client.signal_entity(ledger_id(running["workspace"], "kept"), "finish", end)
    # When its time is over
    assert "'blue' was kept until" in answered(scene, "kept", "let_go")["reason"]

    # Then it is forgotten, and nobody sees a rollout
    def is_over() -> bool | None:
        book = scene.ledger("kept")
        return True if book["running"] is None and not book["kept"] else None

    scene.until(is_over, "blue is let go of")
    assert [one["version"] for one in scene.rollouts("kept")] == [version, "1"]
    scene.stack.ask_app("POST", f"rollouts/{running['rollout_id']}/abort", BECAUSE)
    scene.ended("kept", version)
