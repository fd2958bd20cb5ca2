"""One stack for all end-to-end tests of a module; each test has an endpoint of its own.

With E2E_APP they run against the app in that folder, such as an unzipped deployment package.
"""

from collections.abc import Iterator

import pytest

from bench.arm import CANARY as THREE_STEPS
from tests.e2e.scene import (
    AT_ONCE,
    BLUE_GREEN,
    CANARY,
    ERRORS,
    LATENCY,
    SLOW,
    WATCHED,
    Scene,
    open_scene,
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
    "counted": (THREE_STEPS, ""),
    "late": (SLOW, "deadline: 25m"),
    "erring": (WATCHED, ERRORS),
    "slowed": ("{kind: canary, steps: [{weight: 10, bake: 2m}]}", LATENCY),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with open_scene(tmp_path_factory.mktemp("scene"), POLICIES) as running:
        yield running
