"""One stack for all end-to-end tests of a module; each test has an endpoint of its own.

With E2E_APP they run against the app in that folder, such as an unzipped deployment package.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.program import REPOSITORY
from local.stack import Stack
from tests.e2e.scene import (
    AT_ONCE,
    BLUE_GREEN,
    CANARY,
    ERRORS,
    LATENCY,
    SLOW,
    WATCHED,
    Scene,
    write_policies,
)

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
    "erring": (WATCHED, ERRORS),
    "slowed": ("{kind: canary, steps: [{weight: 10, bake: 2m}]}", LATENCY),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("scene")
    stack = Stack(
        policies=write_policies(folder / "policies", POLICIES),
        data=folder / "data",
        pace="instant",
        settings={"ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *"},  # only when a test fires it
        app=Path(os.environ.get("E2E_APP", REPOSITORY)),
    )
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()
