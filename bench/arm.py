"""One canary of three steps with a probe, against the emulator: what it asks of Azure, in calls.

Polling is what is asked while an operation runs: a GET whose answer says that its resource is not
settled yet. Every other request to Azure Resource Manager counts, those of azure-ai-ml too.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.measure import Figure
from deploy_logic.adapters.arm import API_VERSION
from local.stack import Stack
from tests.e2e.scene import Scene, write_policies

_CALLS, _WRITES = 25, 8  # the aims
_MODEL = "measured"
_CANARY = (
    "{kind: canary, steps: [{weight: 10, bake: 1s}, {weight: 25, bake: 1s}, "
    "{weight: 50, bake: 1s}], final_bake: 1s}"
)
_SETTLED = frozenset({"", "Succeeded", "Failed", "Canceled"})
_NEVER = "0 0 5 1 1 *"  # the sweep asks too, for all rollouts together
_WRITING = frozenset({"PUT", "PATCH", "DELETE"})


def run() -> list[Figure]:
    """Return the figures of one rollout's calls."""
    with tempfile.TemporaryDirectory(prefix="bench-arm-") as name:
        folder = Path(name)
        policies = write_policies(folder / "policies", {_MODEL: (_CANARY, "")})
        settings = {"ROLLOUT_SWEEP_SCHEDULE": _NEVER}
        data = folder / "data"
        stack = Stack(policies=policies, data=data, pace="instant", settings=settings)
        try:
            stack.start()
            return _count(_play(Scene(stack, folder)))
        finally:
            stack.stop()


def _play(scene: Scene) -> list[dict[str, Any]]:
    """Let a second version become the stable; return what was asked meanwhile."""
    _end_well(scene.register_and_end(_MODEL))
    scene.admin("POST", "events", {"hold": True})
    version = scene.register(_MODEL)
    scene.admin("DELETE", "requests")
    scene.admin("POST", "events", {"release": True})
    _end_well(scene.ended(_MODEL, version))
    asked: list[dict[str, Any]] = scene.admin("GET", "requests?area=arm&last=2000")["last"]
    return asked


def _end_well(rollout: dict[str, Any]) -> None:
    if rollout["phase"] != "succeeded":
        raise RuntimeError(f"the rollout ended as {rollout['phase']}: {rollout['reason']}")


def _is_polling(asked: dict[str, Any]) -> bool:
    return asked["method"] == "GET" and asked["state"] not in _SETTLED


def _count(asked: Sequence[dict[str, Any]]) -> list[Figure]:
    calls = [one for one in asked if not _is_polling(one)]
    writes = [one for one in calls if one["method"] in _WRITING]
    of_the_sdk = [one for one in calls if API_VERSION not in one["query"].split("&")[0].split("=")]
    named = Counter(f"{one['method']} {one['template']}" for one in calls)
    for name, count in sorted(named.items()):
        print(f"  {count:>4} {name}")
    print(f"  {len(of_the_sdk):>4} of these by azure-ai-ml, {len(asked) - len(calls)} polls beside")
    figures = (("ARM calls beyond polling", calls, _CALLS), ("of which write", writes, _WRITES))
    return [
        Figure(
            name=name,
            ratio=len(found) / aim,
            floor="the aim",
            measured=f"{len(found)} calls",
            aim=f"<= {aim}",
        )
        for name, found, aim in figures
    ]
