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


def functions(**settings: str) -> set[str]:
    """Index the app in a process of its own, as its registry is one per process."""
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]
    done = subprocess.run(
        (sys.executable, "-c", _LIST),
        cwd=REPOSITORY,
        env={**os.environ, **sample, **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_event_grid_calls_the_app_unless_a_queue_is_named() -> None:
    usual = functions()
    assert {"on_model_registered", "sweep", "roll_out"} <= usual
    assert "on_event_queued" not in usual
    assert functions(ROLLOUT_EVENT_QUEUE="model-registered") == usual | {"on_event_queued"}
