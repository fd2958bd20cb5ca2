"""Versions that pass their probe and misbehave under live requests, judged by what is measured."""

import re
from typing import Any

import pytest

from tests.e2e.scene import Scene

pytestmark = pytest.mark.e2e


def _judged(rollout: dict[str, Any], gate: str) -> list[dict[str, Any]]:
    """Return the figures of every verdict of the gate, in their order."""
    return [
        entry["figures"]
        for entry in rollout["timeline"]
        if entry["text"].startswith(f"{gate}:") and "verdict" in entry["figures"]
    ]


def test_a_version_that_fails_under_live_requests_is_rolled_back_by_its_error_rate(
    scene: Scene,
) -> None:
    # Given a stable under live callers
    scene.register_and_end("erring")
    with scene.callers("erring") as seen:
        # When a version comes that fails on every third request
        bad = scene.register_and_end("erring", {"answer": "good", "fails_each": 3})
    # Then its first live step ends it, with the figures in the reason
    assert bad["phase"] == "failed"
    assert re.fullmatch(
        r"error_rate 2: error_rate of candidate [\d.]+% "
        r"\(\d+ of \d+, within [\d.]+% to [\d.]+%\) is above 20%",
        bad["reason"],
    ), bad["reason"]
    figures = _judged(bad, "error_rate 2")[-1]
    assert figures["verdict"] == "fail"
    assert figures["candidate"]["hits"] * 2 < figures["candidate"]["samples"]
    assert figures["stable"]["hits"] == 0
    assert scene.weights("erring") == {"erring-v1": 100}
    assert scene.deployments("erring") == {"erring-v1"}
    # and callers lost only what the candidate answered
    assert set(seen["statuses"]) == {"200", "424"}
    assert {one["deployment"] for one in seen["failures"]} == {"erring-v2"}
    assert seen["failed"] >= figures["candidate"]["hits"]


def test_a_version_that_is_fine_goes_on_with_its_figures(scene: Scene) -> None:
    with scene.callers("erring") as seen:
        good = scene.register_and_end("erring")
    assert good["phase"] == "succeeded", good["reason"]
    assert scene.weights("erring") == {f"erring-v{good['version']}": 100}
    figures = _judged(good, "error_rate 2")[-1]
    assert figures["verdict"] == "pass"
    assert figures["candidate"]["samples"] >= 10
    assert figures["candidate"]["hits"] == 0
    assert seen["failed"] == 0


def test_a_version_that_is_slower_than_the_stable_is_rolled_back(scene: Scene) -> None:
    scene.register_and_end("slowed")
    with scene.callers("slowed"):
        slow = scene.register_and_end("slowed", {"answer": "good", "sleeps": 0.4})
    assert slow["phase"] == "failed"
    assert re.fullmatch(
        r"latency_p95 2: latency_p95 of candidate [\d.]+ ms \(\d+ requests\) is worse "
        r"by more than 200% than latency_p95 of stable [\d.]+ ms \(\d+ requests\)",
        slow["reason"],
    ), slow["reason"]
    figures = _judged(slow, "latency_p95 2")[-1]
    assert figures["candidate"]["value"] >= 400
    assert figures["stable"]["value"] < 400
    assert scene.weights("slowed") == {"slowed-v1": 100}
    assert scene.deployments("slowed") == {"slowed-v1"}
