"""Which functions the app has: the queue's only where a queue is named."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
_LIST = (
    "import function_app as f; print(*[one.get_function_name() for one in f.app.get_functions()])"
)


_ROUTES = """
import json, function_app as f
found = [one.get_bindings_dict()["bindings"] for one in f.app.get_functions()]
routes = [one for ones in found for one in ones if one["type"] == "httpTrigger"]
print(json.dumps([[one["route"], [m.value for m in one["methods"]]] for one in routes]))
"""


def functions(**settings: str) -> set[str]:
    """Return the names of the app's functions."""
    return set(index(_LIST, **settings).split())


def index(script: str, **settings: str) -> str:
    """Index the app in a process of its own, as its registry is one per process."""
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]
    done = subprocess.run(
        (sys.executable, "-c", script),
        cwd=REPOSITORY,
        env={**os.environ, **sample, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_event_grid_calls_the_app_unless_a_queue_is_named() -> None:
    usual = functions()
    assert {"on_model_registered", "sweep", "roll_out"} <= usual
    assert "on_event_queued" not in usual
    assert functions(ROLLOUT_EVENT_QUEUE="model-registered") == usual | {"on_event_queued"}


def test_a_get_reads_and_a_post_asks_and_nothing_is_both() -> None:
    routes = [(route, *methods) for route, methods in json.loads(index(_ROUTES))]
    reads = {"rollouts", "rollouts/{rollout_id}", "endpoints", "endpoints/{endpoint}", "controls"}
    assert {(route, "GET") for route in reads} == {one for one in routes if "GET" in one}
    assert {len(one) for one in routes} == {2}
    assert ("rollouts/{rollout_id}/{operation}", "POST") in routes
