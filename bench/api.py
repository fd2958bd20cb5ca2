"""The HTTP API with 1,000 rollouts in history, through the real host.

The floor is a route that does nothing, in a host of its own. One request after the other over one
connection, all of them in turn, and the median of each.
"""

import asyncio
import base64
import json
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp

from bench.measure import Figure, show_seconds
from deploy_logic.adapters import archive_file
from deploy_logic.codec import Json, encode
from deploy_logic.rollout import Phase, Rollout
from deploy_logic.view import summarise
from local.program import Program
from local.stack import Stack

_ROLLOUTS = 1_000
_LINES = 60  # of each timeline
_ROUNDS, _WARM = 60, 5
_FIRST = datetime(2026, 11, 1, tzinfo=UTC)
_ENDS = (Phase.SUCCEEDED, Phase.SUCCEEDED, Phase.FAILED, Phase.ERRORED)
_FLOOR = "a route that does nothing"
_APP = """\
import azure.functions as func

app = func.FunctionApp()


@app.route("nothing", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("{}", mimetype="application/json")
"""
_POLICY = """\
policy: bench
select: {model: bench}
deploy: {endpoint: bench, template: templates/deployment.yml}
strategy: {kind: all-at-once}
"""


def run() -> list[Figure]:
    """Return the figures of the routes that people look at most."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        stack = Stack(
            policies=_write_policies(folder / "policies"),
            data=folder / "data",
            settings={
                "ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *",  # not while it is measured
                "ROLLOUT_TRUST_PLATFORM_IDENTITY": "true",
            },
        )
        floor = _make_floor(folder)
        try:
            some = _fill(archive_file.ArchiveFile(folder / "data" / "archive"))
            stack.start()
            floor.start({"PYTHON_THREADPOOL_THREAD_COUNT": "32"})
            urls = _name_routes(f"{stack.host.ready['url']}/api", some)
            urls[_FLOOR] = f"{floor.ready['url']}/api/nothing"
            return _report(asyncio.run(_measure(urls)))
        finally:
            floor.stop()
            stack.stop()


def _name_routes(api: str, some: str) -> dict[str, str]:
    middle = f"{_started(_ROLLOUTS // 2).isoformat().replace('+00:00', 'Z')}/bench-{_ROLLOUTS // 2}"
    return {
        "a page of 50 rollouts": f"{api}/rollouts",
        "a page of 200": f"{api}/rollouts?limit=200",
        "a page of 50 in the middle": f"{api}/rollouts?after={middle}",
        "a page of 50 that failed": f"{api}/rollouts?phase=failed",
        "what is in flight": f"{api}/rollouts?state=in_flight",
        "one rollout": f"{api}/rollouts/{some}",
        "its timeline": f"{api}/rollouts/{some}/timeline",
        "health": f"{api}/health",
    }


async def _measure(urls: dict[str, str]) -> dict[str, float]:
    """Return the seconds that one request of each takes."""
    taken: dict[str, list[float]] = {name: [] for name in urls}
    async with aiohttp.ClientSession(headers=_sign_in()) as session:
        for number in range(_WARM + _ROUNDS):
            for name, url in urls.items():
                begin = time.perf_counter()
                async with session.get(url) as response:
                    body = await response.read()
                if number >= _WARM:
                    taken[name].append(time.perf_counter() - begin)
                if response.status != 200 or not body:  # noqa: PLR2004 - HTTP's own number
                    raise RuntimeError(f"{url} answered {response.status}: {body[:300]!r}")
    return {name: statistics.median(found) for name, found in taken.items()}


def _report(taken: dict[str, float]) -> list[Figure]:
    floor = taken.pop(_FLOOR)
    return [
        Figure(
            name=name,
            ratio=seconds / floor,
            floor=f"{_FLOOR} ({show_seconds(floor)})",
            measured=show_seconds(seconds),
            aim="<= 200 ms",
        )
        for name, seconds in taken.items()
    ]


def _fill(archive: archive_file.ArchiveFile) -> str:
    """Archive rollouts that are over; return the id of one."""
    for number in range(_ROLLOUTS):
        archive.append(_make_rows(number))
    return f"bench-{_ROLLOUTS // 2}"


def _make_rows(number: int) -> list[Json]:
    started = _started(number)
    rollout = Rollout(
        rollout_id=f"bench-{number}",
        workspace="/subscriptions/S/resourceGroups/G/providers/P/workspaces/W",
        endpoint=f"bench-{number % 20}",
        model=f"bench-{number % 20}",
        version=str(number // 20 + 1),
        policy="bench",
        phase=_ENDS[number % len(_ENDS)],
        reason="error_rate of the candidate 4 % is above the threshold 1 % (500 samples)",
        weights={"bench-v1": 100, "bench-v2": 0},
        steps=("probe: probe 1", "weight 10", "bake 10m", "weight 50", "bake 30m", "weight 100"),
        started=started,
        ended=started + timedelta(hours=1),
    )
    at = started.isoformat().replace("+00:00", "Z")
    figures = {"verdict": "pass", "samples": 500, "value": 0.004, "threshold": 0.01}
    lines = [
        {"kind": "line", "rollout_id": rollout.rollout_id, "index": index, "at": at}
        | {"text": f"error_rate: 0.4 % of 500 is within 1 % ({index})", "figures": figures}
        for index in range(_LINES)
    ]
    summary = summarise(encode(rollout))
    return [{"kind": "rollout", "at": at, "lines": _LINES, "rollout": summary}, *lines]


def _started(number: int) -> datetime:
    return _FIRST + timedelta(minutes=30 * number)


def _make_floor(folder: Path) -> Program:
    app = folder / "floor"
    app.mkdir()
    (app / "function_app.py").write_text(_APP)
    (app / "host.json").write_text('{"version": "2.0"}')
    command = ("local.functions_host", str(app), "--no-timers")
    return Program("floor", command, log=folder / "floor.log")


def _sign_in() -> dict[str, str]:
    """Return the header of somebody who may read, as the platform would set it."""
    claims = [("oid", "11111111-2222-3333-4444-555555555555"), ("roles", "Rollouts.Read")]
    said = json.dumps({"claims": [{"typ": kind, "val": value} for kind, value in claims]})
    return {"X-MS-CLIENT-PRINCIPAL": base64.b64encode(said.encode()).decode()}


def _write_policies(folder: Path) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "deployment.yml").write_text("instance_count: 1\n")
    (folder / "bench.yaml").write_text(_POLICY)
    return folder
