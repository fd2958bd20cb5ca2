"""Which functions the app has: the queue's only where a queue is named."""

import json
import os
import subprocess
import sys
from pathlib import Path

from deploy_logic.api.table import ROUTES

REPOSITORY = Path(__file__).parents[1]
_LIST = (
    "import function_app as f; print(*[one.get_function_name() for one in f.app.get_functions()])"
)


_ROUTES = """
import json, function_app as f
functions = f.app.get_functions()
found = [(one.get_function_name(), one.get_bindings_dict()["bindings"]) for one in functions]
routes = [(name, one) for name, ones in found for one in ones if one["type"] == "httpTrigger"]
print(json.dumps([
    [name, one["route"], [m.value for m in one["methods"]], one["authLevel"].value]
    for name, one in routes
]))
"""
# A binding that gives no client: the first thing that a route does breaks.
_BREAK = """
import logging
import azure.functions as func
import function_app as f
from deploy_logic.api.table import ROUTES

seen = []
class Keep(logging.Handler):
    def emit(self, record):
        seen.append(record)

logging.getLogger("rollout").addHandler(Keep())

def open_office(engine):
    raise ZeroDivisionError("the key is hunter2")

f.this.open_office = open_office
answer = f.bind_route(ROUTES[0])(func.HttpRequest(method="GET", url="/", body=b""), None)
print(answer.get_body().decode())
print(seen[-1].id)
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


def test_every_route_is_a_function_of_its_own_and_there_is_no_other() -> None:
    indexed = json.loads(index(_ROUTES))
    assert sorted(indexed) == sorted(
        [route.name, route.path, [route.method], "anonymous"] for route in ROUTES
    )
    assert len({route.name for route in ROUTES}) == len({route.place for route in ROUTES})


def test_what_breaks_in_a_route_is_no_text_of_an_answer() -> None:
    answer, log = index(_BREAK).splitlines()[-2:]
    problem = json.loads(answer)
    assert problem["status"] == 500
    assert problem["id"] == log
    assert "hunter2" not in answer
