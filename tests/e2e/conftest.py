"""One stack for all end-to-end tests of a module; each test has an endpoint of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from tests.e2e.scene import AT_ONCE, BLUE_GREEN, CANARY, SLOW, Scene, write_policies

POLICIES = {
    "walked": (CANARY, ""),
    "switched": (BLUE_GREEN, ""),
    "replaced": (AT_ONCE, ""),
    "shuffled": (CANARY, ""),
    "aborted": (SLOW, ""),
    "overtaken": (SLOW, ""),
    "queued": (CANARY, "on_new_version: queue"),
    "troubled": (CANARY, ""),
    "swept": (AT_ONCE, ""),
    "killed": (CANARY, ""),
    "held": (AT_ONCE, ""),
    "tried": (AT_ONCE, ""),
    "stopped": (SLOW, ""),
    "kept": (SLOW, ""),
    "late": (SLOW, "deadline: 25m"),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("scene")
    stack = Stack(
        policies=write_policies(folder / "policies", POLICIES),
        data=folder / "data",
        pace="instant",
        settings={"ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *"},  # only when a test fires it
    )
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()
