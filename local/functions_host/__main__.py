"""Runs one function app: `python -m local.functions_host APPDIR --engine HOST:PORT`.

The environment holds the app settings. The first line on stdout is JSON, printed when the app is
indexed and the work stream stands. A broken app ends with status 1 and the library's message.
"""

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.functions_host.http import HttpTriggers, read_prefix
from local.functions_host.route import RouteError
from local.functions_host.server import Server
from local.functions_host.timers import Timers
from local.functions_host.worker import AppError, Worker
from local.process import announce, stop_with_stdin

if TYPE_CHECKING:
    from local.functions_host import durable

_PATIENCE = timedelta(seconds=10)  # for work items that run when the host is told to stop

# host.json's logging.logLevel.default in Python's levels.
_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}


def main() -> None:
    """Run until a signal; an app that cannot be loaded ends the process with status 1."""
    options = _options()
    if options.stop_with_stdin:
        stop_with_stdin()
    try:
        _load_settings(options.settings)
        host = _read_json(options.app / "host.json")
        _log(host)
        asyncio.run(_run(options, host))
    except (AppError, RouteError) as error:
        sys.stderr.write(f"{error}\n")
        sys.stderr.flush()
        os._exit(1)  # the app may have started threads that would keep the process
    # Synchronous functions may still run, and nothing stops a thread.
    sys.stdout.flush()
    os._exit(0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.functions_host", description=__doc__)
    parser.add_argument("app", type=lambda text: Path(text).resolve(), metavar="APPDIR")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--engine", metavar="HOST:PORT", help="the durable engine")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="a local.settings.json")
    parser.add_argument("--no-timers", action="store_true", help="fire timers only when asked")
    parser.add_argument("--state", type=Path, metavar="DIR", help="remembers when timers ran")
    parser.add_argument("--activities", type=int, metavar="N", help="activities at once")
    parser.add_argument("--orchestrators", type=int, metavar="N", help="orchestrator turns at once")
    parser.add_argument(
        "--trust-principal-header",
        action="store_true",
        help="keep X-MS-CLIENT-PRINCIPAL headers of callers (the platform strips them)",
    )
    parser.add_argument("--stop-with-stdin", action="store_true", help="end when stdin ends")
    return parser.parse_args()


def _load_settings(path: Path | None) -> None:
    """Take the Values of a local.settings.json that the environment does not set."""
    if path is None:
        return
    if not path.exists():
        raise AppError(f"{path}: not found")
    for name, value in _read_json(path).get("Values", {}).items():
        if not isinstance(value, str):
            raise AppError(f"{path}: Values: {name}: {value!r} is not text")
        os.environ.setdefault(name, value)


def _read_json(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise AppError(f"{path}: not JSON: {error}") from error
    if not isinstance(content, dict):
        raise AppError(f"{path}: not an object")
    return content


def _log(host: Mapping[str, Any]) -> None:
    levels = host.get("logging", {}).get("logLevel", {})
    level = str(levels.get("default", "Information"))
    if level.lower() not in _LEVELS:
        accepted = ", ".join(_LEVELS)
        raise AppError(f"host.json: logLevel.default: {level!r} is not one of {accepted}")
    logging.basicConfig(
        level=_LEVELS[level.lower()],
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # No line shows them, and every line of the app would pay for them.
    logging.logThreads = logging.logProcesses = False
    logging.logMultiprocessing = False
    logging.logAsyncioTasks = False  # type: ignore[attr-defined] # typeshed does not know it
    # A line per invocation, per turn and per client call, and no news in them.
    for library in ("azure.functions", "azure.durable_functions"):
        logging.getLogger(library).setLevel(logging.WARNING)


async def _run(options: argparse.Namespace, host: Mapping[str, Any]) -> None:
    stdout = _divert_stdout()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    worker = Worker(options.app)
    pump: durable.Pump | None = None
    server = Server(worker, is_ready=lambda: pump is None or pump.up.is_set())
    port = await server.listen(options.port)
    url = f"http://127.0.0.1:{port}"
    # The state folder is relative to where we are now; loading changes into the app.
    state = options.state.resolve() if options.state is not None else None
    await worker.load()
    pump = _make_pump(options, host, worker, url)
    timers = Timers(worker, state=state)
    http = HttpTriggers(
        worker, prefix=read_prefix(host), trust_principal=options.trust_principal_header
    )
    server.serve(http, timers)
    if pump is not None:
        pump.start()
    await _until(stop, pump)
    if not stop.is_set():
        if not options.no_timers:
            timers.start()
        with _only_our_words(stdout):
            announce(port=port, url=url, pid=os.getpid(), functions=[f.name for f in worker])
        await stop.wait()
    await timers.stop()
    await server.stop()
    if pump is not None:
        await pump.stop(_PATIENCE)


def _divert_stdout() -> int:
    """Send what the app prints to stderr; returns the real stdout.

    The parent takes the first line for ours and need not read on, and a full pipe blocks us.
    """
    real = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return real


@contextlib.contextmanager
def _only_our_words(stdout: int) -> Iterator[None]:
    """Print to the real stdout for a moment."""
    sys.stdout.flush()
    os.dup2(stdout, sys.stdout.fileno())
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())


def _make_pump(
    options: argparse.Namespace, host: Mapping[str, Any], worker: Worker, url: str
) -> "durable.Pump | None":
    if options.engine is None:
        needing = [function.name for function in worker if function.needs_engine]
        if needing:
            raise AppError(f"{', '.join(needing)}: durable functions need --engine HOST:PORT")
        return None
    # Imported here: gRPC is slow to load, and an app without durable functions does without it.
    from local.functions_host import durable  # noqa: PLC0415

    limits = durable.read_limits(host, turns=options.orchestrators, activities=options.activities)
    hub = durable.read_hub(host)
    worker.client_binding = durable.client_binding(hub=hub, engine=options.engine, url=url)
    return durable.Pump(worker, engine=options.engine, limits=limits)


async def _until(stop: asyncio.Event, pump: "durable.Pump | None") -> None:
    """Wait until the work stream stands, or until it is time to stop."""
    if pump is None:
        return
    waiting = [asyncio.create_task(pump.up.wait()), asyncio.create_task(stop.wait())]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


if __name__ == "__main__":
    main()
