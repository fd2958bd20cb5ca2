"""The product's first minute, as a new user starts it."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from local.demo.story import divide_failures
from local.program import REPOSITORY, inherited

pytestmark = pytest.mark.e2e


def test_the_demo_ends_as_it_should_and_callers_lose_nothing() -> None:
    played = subprocess.run(
        (sys.executable, "-m", "local", "run", "--once"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        env=inherited(),
    )
    assert played.returncode == 0, played.stdout + played.stderr
    result = json.loads((REPOSITORY / ".local" / "demo.json").read_text())
    ends = {(one["model"], one["version"]): one["rollout"]["phase"] for one in result["rollouts"]}
    assert ends == {
        ("churn", "1"): "succeeded",
        ("fraud-detector", "1"): "succeeded",
        ("fraud-detector", "2"): "succeeded",
        ("fraud-detector", "3"): "failed",
        ("fraud-detector", "4"): "failed",
    }
    # v3 passed its probe, and was taken back at its first live step by its error rate
    (bad,) = [one["rollout"] for one in result["rollouts"] if one["version"] == "3"]
    told = [entry["text"] for entry in bad["timeline"]]
    assert any(re.fullmatch(r"probe 1 .*, as expected", text) for text in told)
    assert "weight 30 to 'fraud-detector-v3'" in told
    assert "weight 70 to 'fraud-detector-v3'" not in told
    assert re.fullmatch(
        r"error_rate 2: error_rate of candidate [\d.]+% "
        r"\(\d+ of \d+, within [\d.]+% to [\d.]+%\) is above 10%",
        bad["reason"],
    ), bad["reason"]
    # Callers lost what the model itself failed, and nothing by what was done
    traffic = result["traffic"]
    assert traffic["lost"] == 0
    assert traffic["failed_by"] == {"fraud-detector-v3": {"424": traffic["failed_by_candidate"]}}
    assert traffic["failed_by_candidate"] > 0
    assert traffic["sent"] > traffic["failed"]


def seen(**failed_by: dict[str, int]) -> dict[str, Any]:
    failed = sum(count for by in failed_by.values() for count in by.values())
    return {"sent": 100, "failed": failed, "failed_by": failed_by}


@pytest.mark.parametrize(
    ("summary", "own", "lost"),
    [
        (seen(), 0, 0),
        (seen(bad={"424": 7}), 7, 0),
        (seen(bad={"424": 7, "502": 1}), 7, 1),
        (seen(stable={"424": 2}), 0, 2),
        (seen(nobody={"none": 3}), 0, 3),
    ],
    ids=["none", "its own", "a bad gateway", "the stable's", "no answer"],
)
def test_only_what_the_candidates_model_failed_is_not_lost(
    summary: dict[str, Any], own: int, lost: int
) -> None:
    complaints = divide_failures(summary, ["bad"])
    assert (summary["failed_by_candidate"], summary["lost"]) == (own, lost)
    assert complaints == ([f"callers lost {lost} of 100 requests"] if lost else [])


def test_without_any_caller_nothing_was_shown() -> None:
    assert divide_failures({**seen(), "sent": 0}, []) == ["callers lost 0 of 0 requests"]
