"""One canary from start to end: what it takes beyond its bakes, what is billed, how fast it aborts.

The floor is the same acts by hand on the same emulator: create the deployment, set the weights,
delete the old one, each waited for.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.measure import Figure, show_seconds
from local.stack import Stack
from tests.e2e.scene import Scene, write_policies

_MODEL, _SLOW = "measured", "slow"
_BAKES = 4 * 10  # seconds, of the three steps and the final one
_CANARY = (
    "{kind: canary, steps: [{weight: 10, bake: 10s}, {weight: 25, bake: 10s}, "
    "{weight: 50, bake: 10s}], final_bake: 10s}"
)
_ENDLESS = "{kind: canary, steps: [{weight: 10, bake: 10m}]}"
_NEVER = "0 0 5 1 1 *"  # the sweep runs for all rollouts together
_BILLED = 60  # seconds, the aim
_ABORTED = 2  # seconds, the aim
_REST = 0.02


def run() -> list[Figure]:
    """Return the figures of single rollouts."""
    with tempfile.TemporaryDirectory(prefix="bench-rollout-") as name:
        folder = Path(name)
        policies = write_policies(
            folder / "policies", {_MODEL: (_CANARY, ""), _SLOW: (_ENDLESS, "")}
        )
        settings = {"ROLLOUT_SWEEP_SCHEDULE": _NEVER}
        data = folder / "data"
        stack = Stack(policies=policies, data=data, pace="instant", settings=settings)
        try:
            stack.start()
            scene = Scene(stack, folder)
            _end_well(scene.register_and_end(_MODEL))
            by_hand = _act_by_hand(scene)
            return [*_measure_canary(scene, by_hand), _measure_abort(scene)]
        finally:
            stack.stop()


def _measure_canary(scene: Scene, by_hand: float) -> list[Figure]:
    before = _spend(scene)
    rollout = scene.register_and_end(_MODEL)
    _end_well(rollout)
    spent = _spend(scene) - before
    taken = (_moment(rollout["ended"]) - _moment(rollout["started"])).total_seconds()
    beyond = taken - _BAKES
    return [
        Figure(
            name="a canary of three steps",
            ratio=taken / (_BAKES + by_hand),
            floor="its bakes and the acts by hand",
            measured=f"{taken:.1f} s, {beyond - by_hand:.1f} s of it ours",
            aim="<= 1.02, or 5 s",
        ),
        Figure(
            name="executions of a canary",
            ratio=spent / taken,
            floor="its length",
            measured=f"{spent:.2f} s billed",
            aim=f"<= {_BILLED} s",
        ),
    ]


def _measure_abort(scene: Scene) -> Figure:
    """Measure from the request to the moment at which the stable has all weight."""
    _end_well(scene.register_and_end(_SLOW))
    (stable,) = scene.weights(_SLOW)
    version = scene.register(_SLOW)
    rollout = scene.reached(_SLOW, version, "bakes for")
    begin = time.monotonic()
    scene.ask(rollout, "abort", reason="measured")
    _wait(lambda: scene.weights(_SLOW) == {stable: 100})
    taken = time.monotonic() - begin
    scene.ended(_SLOW, version)
    floor = _time(lambda: _set_weights(scene, _SLOW, {stable: 100}))
    return Figure(
        name="abort to stable at 100",
        ratio=taken / floor,
        floor="one write by hand",
        measured=show_seconds(taken),
        aim=f"<= {_ABORTED} s",
    )


def _act_by_hand(scene: Scene) -> float:
    """Do to the endpoint what a canary does, and undo it; return the seconds."""
    (stable,) = scene.weights(_MODEL)
    begin = time.monotonic()
    path = _path(scene, _MODEL)
    document = scene.stack.ask_azure_ml("GET", f"{path}/deployments/{stable}")
    body = {key: document[key] for key in ("location", "properties", "sku", "tags")}
    scene.stack.ask_azure_ml("PUT", f"{path}/deployments/by-hand", body)
    _wait(lambda: _is_settled(scene, f"{path}/deployments/by-hand"))
    for weight in (10, 25, 50, 0):
        _set_weights(scene, _MODEL, {stable: 100 - weight, "by-hand": weight})
    scene.stack.ask_azure_ml("DELETE", f"{path}/deployments/by-hand")
    _wait(lambda: "by-hand" not in scene.deployments(_MODEL))
    return time.monotonic() - begin


def _set_weights(scene: Scene, endpoint: str, weights: dict[str, int]) -> None:
    path = _path(scene, endpoint)
    document = scene.stack.ask_azure_ml("GET", path)
    body = {key: document[key] for key in ("location", "properties", "tags", "identity")}
    body["properties"] = {**body["properties"], "traffic": weights}
    scene.stack.ask_azure_ml("PUT", path, body)
    _wait(lambda: _is_settled(scene, path))


def _path(scene: Scene, endpoint: str) -> str:
    return f"{scene.stack.azure_ml.ready['workspace_id']}/onlineEndpoints/{endpoint}"


def _is_settled(scene: Scene, path: str) -> bool:
    state = scene.stack.ask_azure_ml("GET", path)["properties"]["provisioningState"]
    return bool(state == "Succeeded")


def _spend(scene: Scene) -> float:
    """Return the seconds of every execution so far, but for those that answer people."""
    functions = scene.stack.ask_host("GET", "/admin/functions")
    asked = {
        one["name"]
        for one in functions
        if any(binding["type"] == "httpTrigger" for binding in one["config"]["bindings"])
    }
    spent = scene.stack.ask_host("GET", "/admin/executions")
    return sum(float(one["seconds"]) for name, one in spent.items() if name not in asked)


def _time(act: Callable[[], object]) -> float:
    begin = time.monotonic()
    act()
    return time.monotonic() - begin


def _wait(look: Callable[[], bool]) -> None:
    while not look():
        time.sleep(_REST)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _end_well(rollout: dict[str, Any]) -> None:
    if rollout["phase"] != "succeeded":
        raise RuntimeError(f"the rollout ended as {rollout['phase']}: {rollout['reason']}")
