"""The product's first minute, as a new user starts it."""

import json
import subprocess
import sys

import pytest

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
    assert result["traffic"]["failed"] == 0
    assert result["traffic"]["sent"] > 0
