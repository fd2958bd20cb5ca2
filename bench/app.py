"""The app in its host against a function that does nothing in the same host.

Start to first event handled, and events per second that match nothing and that start a rollout.
"""

import asyncio
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from bench.measure import Figure, show_seconds
from deploy_logic.event import MODEL_REGISTERED
from local.program import REPOSITORY, Program
from local.stack import Stack, principal

_STARTS = 3  # of each host, in turn
_WINDOWS, _WINDOW = 3, 1.0  # windows of each throughput, in turn, and their seconds
_SENDERS = 8  # requests in flight, as Event Grid has several
_ROLLOUTS = 60
_THREADS = {"PYTHON_THREADPOOL_THREAD_COUNT": "32"}  # as the app has
_FLOORS = (
    ("hello", "a function that does nothing", "<= 1.3"),
    ("durable", "the same with a durable client", ""),
)
_PATIENCE = 60.0  # seconds until the rollouts count as never coming
_FUNCTION = "on_model_registered"
# What any app pays that starts durable functions, so that what is left is ours.
_DURABLE_APP = """\
import azure.durable_functions as df

app = df.DFApp()


@app.event_grid_trigger(arg_name="event")
@app.durable_client_input(client_name="client")
def nothing(event: str, client: df.SyncDurableFunctionsClient) -> None:
    pass
"""
_POLICY = """\
policy: bench
select: {model: "glob:bench-*"}
deploy: {endpoint: "{model}", template: templates/deployment.yml}
strategy: {kind: all-at-once}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One function in a host of its own, and how to start it."""

    program: Program
    function: str
    start: Callable[[], None]


def run() -> list[Figure]:
    """Return the figures of the app in its host."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        stack = Stack(policies=_write_policies(folder / "policies"), data=folder / "data")
        # An engine of its own: two apps on one would take each other's work.
        engine = Program("engine", ("local.engine",), log=folder / "engine.log")
        engine.start()
        stack.start_engine()
        stack.start_azure_ml()
        contenders = {
            "hello": _hello(REPOSITORY / "tests" / "local" / "apps" / "hello", folder),
            "durable": _durable(folder / "durable", folder, engine),
            "app": Contender(program=stack.host, function=_FUNCTION, start=stack.start_host),
        }
        try:
            starts = _measure_starts(contenders, stack)
            return [*starts, *asyncio.run(_measure_events(contenders, stack))]
        finally:
            for contender in contenders.values():
                contender.program.stop()
            stack.stop()
            engine.stop()


def _hello(app: Path, folder: Path) -> Contender:
    command = ("local.functions_host", str(app), "--no-timers")
    program = Program("hello", command, log=folder / "hello.log")
    return Contender(program=program, function="hello_text", start=lambda: program.start(_THREADS))


def _durable(app: Path, folder: Path, engine: Program) -> Contender:
    app.mkdir()
    (app / "function_app.py").write_text(_DURABLE_APP)
    shutil.copy(REPOSITORY / "host.json", app)
    options = ("--no-timers", "--engine", engine.ready["address"])
    command = ("local.functions_host", str(app), *options)
    program = Program("durable", command, log=folder / "durable.log")
    return Contender(program=program, function="nothing", start=lambda: program.start(_THREADS))


def _measure_starts(contenders: dict[str, Contender], stack: Stack) -> list[Figure]:
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(_STARTS):
        for name, contender in contenders.items():
            contender.program.stop()
            begin = time.perf_counter()
            contender.start()
            asyncio.run(_send_one(contender, _event(stack, "stranger")))
            taken[name].append(time.perf_counter() - begin)
    app = statistics.median(taken["app"])
    return [
        Figure(
            name="start to first event handled",
            ratio=app / statistics.median(taken[floor]),
            floor=f"{words} ({show_seconds(statistics.median(taken[floor]))})",
            measured=show_seconds(app),
            aim=aim,
        )
        for floor, words, aim in _FLOORS
    ]


async def _send_one(contender: Contender, event: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as session:
        await _post(session, contender, event)


async def _measure_events(contenders: dict[str, Contender], stack: Stack) -> list[Figure]:
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    async with aiohttp.ClientSession() as session:
        stranger = _event(stack, "stranger")
        for _ in range(_WINDOWS):
            for name, contender in contenders.items():
                rates[name].append(await _rate(session, contender, stranger))
        started = await _rollouts_per_second(session, contenders["app"], stack)
    median = {name: statistics.median(found) for name, found in rates.items()}
    measured = (
        ("events/s that match nothing", median["app"], ">= 0.9"),
        ("events/s that start a rollout", started, ">= 0.2"),
    )
    return [
        Figure(
            name=name,
            ratio=rate / median[floor],
            floor=f"{words} ({median[floor]:.0f}/s)",
            measured=f"{rate:.3g}/s",
            aim=aim if floor == "hello" else "",
        )
        for name, rate, aim in measured
        for floor, words, _ in _FLOORS
    ]


async def _rate(
    session: aiohttp.ClientSession, contender: Contender, event: dict[str, Any]
) -> float:
    """Return how many events a second are answered, with several in flight."""
    end = time.perf_counter() + _WINDOW

    async def send() -> int:
        count = 0
        while time.perf_counter() < end:
            await _post(session, contender, event)
            count += 1
        return count

    begin = time.perf_counter()
    counts = await asyncio.gather(*(send() for _ in range(_SENDERS)))
    return sum(counts) / (time.perf_counter() - begin)


async def _rollouts_per_second(
    session: aiohttp.ClientSession, app: Contender, stack: Stack
) -> float:
    """Return how many rollouts a second start: from the first event to the last ledger's answer.

    The models are not registered, so each rollout ends as no match when it has looked.
    """
    names = [f"bench-{number}" for number in range(_ROLLOUTS)]
    gate = asyncio.Semaphore(_SENDERS)

    async def send(name: str) -> None:
        async with gate:
            await _post(session, app, _event(stack, name))

    begin = time.perf_counter()
    await asyncio.gather(*(send(name) for name in names))
    while (started := await _count_started(session, stack)) < _ROLLOUTS:
        if time.perf_counter() - begin > _PATIENCE:
            raise RuntimeError(f"{started} of {_ROLLOUTS} rollouts started in {_PATIENCE} seconds")
        await asyncio.sleep(0.1)
    return _ROLLOUTS / (time.perf_counter() - begin)


async def _count_started(session: aiohttp.ClientSession, stack: Stack) -> int:
    url, headers = (
        f"{stack.host.ready['url']}/api/endpoints",
        {"X-MS-CLIENT-PRINCIPAL": principal()},
    )
    async with session.get(url, headers=headers) as response:
        shown = await response.json()
    told = (answer["answer"] for one in shown["endpoints"] for answer in one["answers"])
    return sum(answer == "started" for answer in told)


async def _post(
    session: aiohttp.ClientSession, contender: Contender, event: dict[str, Any]
) -> None:
    place = contender.program.ready["url"]
    url = f"{place}/runtime/webhooks/EventGrid?functionName={contender.function}"
    headers = {"aeg-event-type": "Notification"}
    async with session.post(url, json=[event], headers=headers) as response:
        if response.status >= 300:  # noqa: PLR2004 - HTTP's own border
            raise RuntimeError(f"{contender.function} answered {response.status}")
        await response.read()


def _event(stack: Stack, model: str) -> dict[str, Any]:
    return {
        "id": f"e-{model}",
        "topic": stack.azure_ml.ready["workspace_id"],
        "subject": f"models/{model}:1",
        "eventType": MODEL_REGISTERED,
        "eventTime": "2026-11-23T09:00:00.1234567Z",
        "data": {"ModelName": model, "ModelVersion": 1},
        "dataVersion": "",
        "metadataVersion": "1",
    }


def _write_policies(folder: Path) -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "templates" / "deployment.yml").write_text("instance_count: 1\n")
    (folder / "bench.yaml").write_text(_POLICY)
    return folder
