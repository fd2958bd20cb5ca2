"""A version that answers other than the stable is refused before any caller meets it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.scene import CANARY, Scene, run_scene, write_policies

pytestmark = pytest.mark.e2e

# A model is a table: to each request an answer of its own.
SCORE = """
import json, os
from pathlib import Path
_IT = {}
def init():
    found = next(Path(os.environ["AZUREML_MODEL_DIR"]).rglob("answer.json"))
    _IT.update(json.loads(json.loads(found.read_text())))
def run(raw):
    return _IT.get(str(json.loads(raw).get("customer")), "good")
"""
GATE = "  - {kind: agreement, name: same answers, requests: sample.jsonl, at_least: 98%}"
CUSTOMERS = range(90)  # more than one call of an activity asks
STABLE = {str(customer): {"score": customer / 7} for customer in CUSTOMERS}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("agreement")
    policies = write_policies(
        folder / "policies", {"differing": (CANARY, GATE), "agreed": (CANARY, GATE)}
    )
    (policies / "code" / "score.py").write_text(SCORE)
    lines = [json.dumps({"customer": customer}) for customer in CUSTOMERS]
    (policies / "sample.jsonl").write_text("\n".join([*lines, ""]))
    with run_scene(folder) as running:
        yield running


def judgements(rollout: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the gate said, each time, with its figures."""
    told = [one for one in rollout["timeline"] if one["text"].startswith("same answers: ")]
    return [one for one in told if "verdict" in one["figures"]]


def test_a_candidate_that_answers_otherwise_never_meets_a_caller(scene: Scene) -> None:
    # Given a stable, which had nobody to be compared with
    first = scene.register_and_end("differing", json.dumps(STABLE))
    assert first["phase"] == "succeeded"
    assert judgements(first) == []
    # When a version comes that answers 3 of 90 otherwise: 96.7 % agree
    changed = {customer: {"score": -1.0} for customer in ("7", "41", "88")}
    with scene.callers("differing") as seen:
        refused = scene.register_and_end("differing", json.dumps({**STABLE, **changed}))
    # Then it is refused by its figures, and had no weight at any time
    assert refused["phase"] == "failed"
    assert "87 of 90 answers are the same as the stable's, which is below 98%" in refused["reason"]
    (told,) = judgements(refused)
    figures = told["figures"]
    assert (figures["verdict"], figures["same"], figures["different"]) == ("fail", 87, 3)
    assert figures["examples"][0] == {
        "request": 8, "stable": '{"score": 1.0}', "candidate": '{"score": -1.0}',
    }  # fmt: skip
    weighed = [
        one["figures"]["weights"] for one in refused["timeline"] if "weights" in one["figures"]
    ]
    assert weighed
    assert all(weights.get("differing-v2", 0) == 0 for weights in weighed)
    # and the stable is as it was, and answered everybody
    assert scene.weights("differing") == {"differing-v1": 100}
    assert scene.deployments("differing") == {"differing-v1"}
    assert seen["sent"] > 0
    assert seen["failed"] == 0
    assert set(seen["deployments"]) == {"differing-v1"}


def test_a_candidate_that_mostly_agrees_goes_live(scene: Scene) -> None:
    scene.register_and_end("agreed", json.dumps(STABLE))
    changed = {"7": {"score": -1.0}}  # 1 of 90: 98.9 % agree
    passed = scene.register_and_end("agreed", json.dumps({**STABLE, **changed}))
    assert passed["phase"] == "succeeded"
    (told,) = judgements(passed)
    assert told["figures"]["verdict"] == "pass"
    assert "89 of 90 answers are the same as the stable's, which is at least 98%" in told["text"]
    assert scene.weights("agreed") == {f"agreed-v{passed['version']}": 100}
