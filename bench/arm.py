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

CALLS, WRITES = 25, 8  # the aims
_MODEL = "measured"
CANARY = (
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
        policies = write_policies(folder / "policies", {_MODEL: (CANARY, "")})
        settings = {"ROLLOUT_SWEEP_SCHEDULE": _NEVER}
        data = folder / "data"
        stack = Stack(policies=policies, data=data, pace="instant", settings=settings)
        try:
            stack.start()
            return _count(play(Scene(stack, folder), _MODEL))
        finally:
            stack.stop()


def play(scene: Scene, model: str) -> list[dict[str, Any]]:
    """Let a second version become the stable; return what was asked meanwhile."""
    _end_well(scene.register_and_end(model))
    scene.admin("POST", "events", {"hold": True})
    version = scene.register(model)
    scene.admin("DELETE", "requests")
    scene.admin("POST", "events", {"release": True})
    _end_well(scene.ended(model, version))
    asked: list[dict[str, Any]] = scene.admin("GET", "requests?area=arm&last=2000")["last"]
    return asked


def list_calls(asked: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what counts: everything but polling."""
    return [one for one in asked if one["method"] != "GET" or one["state"] in _SETTLED]


def list_writes(calls: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return those that write."""
    return [one for one in calls if one["method"] in _WRITING]


def _end_well(rollout: dict[str, Any]) -> None:
    if rollout["phase"] != "succeeded":
        raise RuntimeError(f"the rollout ended as {rollout['phase']}: {rollout['reason']}")


def _is_ours(asked: dict[str, Any]) -> bool:
    return API_VERSION in asked["query"].split("&")[0].split("=")


def _count(asked: Sequence[dict[str, Any]]) -> list[Figure]:
    calls = list_calls(asked)
    named = Counter((f"{one['method']} {one['template']}", _is_ours(one)) for one in calls)
    print("  ours   azure-ai-ml")
    for name in sorted({name for name, _ in named}):
        print(f"  {named[name, True] or '-':>4} {named[name, False] or '-':>4}  {name}")
    ours = sum(1 for one in calls if _is_ours(one))
    print(f"  {ours:>4} {len(calls) - ours:>4}  in all; {len(asked) - len(calls)} polls beside")
    figures = (
        ("ARM calls beyond polling", calls, CALLS),
        ("of which write", list_writes(calls), WRITES),
    )
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
