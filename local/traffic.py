"""Sends scoring requests at a steady rate and counts what callers saw: who answered, and how.

Run as `python -m local.traffic --url U --ca F --key K --body FILE --rate 20 --seconds 30`, or with
`--bodies FILE`, whose lines are sent in turn; after the line that says it is ready it prints one
JSON summary and ends.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import signal
import ssl
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import aiohttp

from local.process import announce, stop_with_stdin

DEPLOYMENT_HEADER = "azureml-model-deployment"
LONGEST = 3600.0  # seconds; a sender that was forgotten ends by itself
_ANSWER_DEADLINE = 30.0  # seconds; without an answer by then the request counts as lost
_FAILURES_SHOWN = 20
_OK = 200


class Second(TypedDict):
    """What was answered within one second since the start."""

    second: int
    deployments: dict[str, int]  # answers with status 200
    failed: int


class Failure(TypedDict):
    """One request that did not get a 200."""

    at: str
    status: int | None  # None when there was no answer at all
    deployment: str | None
    detail: str


class Summary(TypedDict):
    """What callers saw."""

    sent: int
    failed: int  # status other than 200, or no answer
    statuses: dict[str, int]
    unanswered: dict[str, int]  # by kind of error
    failed_by: dict[str, dict[str, int]]  # by deployment, or nobody, and status, or none
    deployments: dict[str, int]  # answers with status 200
    first: str | None  # when the first request was sent, ISO 8601
    last: str | None  # when the last answer came
    latency_ms: dict[str, float]
    seconds: list[Second]
    failures: list[Failure]  # the first few


@dataclass(slots=True)
class _Second:
    deployments: Counter[str] = field(default_factory=Counter)
    failed: int = 0


@dataclass(slots=True)
class _Seen:
    sent: int = 0
    failed: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    unanswered: Counter[str] = field(default_factory=Counter)
    failed_by: Counter[tuple[str, str]] = field(default_factory=Counter)
    deployments: Counter[str] = field(default_factory=Counter)
    first: datetime | None = None
    last: datetime | None = None
    latencies: list[float] = field(default_factory=list)  # milliseconds
    seconds: dict[int, _Second] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)


class Traffic:
    """Callers of one endpoint: `rate` requests a second, at most `concurrency` at once.

    When the endpoint is too slow for the rate, requests are left out, not piled up.
    """

    def __init__(
        self,
        *,
        url: str,
        ca: Path | None,  # the authority to trust instead of the system's
        headers: Mapping[str, str],
        bodies: Sequence[bytes],  # sent in turn
        rate: float,
        concurrency: int,
    ) -> None:
        self._url = url
        self._ca = ca
        self._headers = {"Content-Type": "application/json", **headers}
        self._bodies = itertools.cycle(bodies)
        self._rate = rate
        self._room = asyncio.Semaphore(concurrency)
        self._stopping = asyncio.Event()
        self._sending: asyncio.Task[None] | None = None
        self._seen = _Seen()

    async def start(self, *, seconds: float = LONGEST) -> None:
        """Begin to send; it ends after `seconds` or at stop()."""
        if self._sending is not None:
            raise RuntimeError("the traffic was started already")
        connector = aiohttp.TCPConnector(limit=0, ssl=self._trust())
        timeout = aiohttp.ClientTimeout(total=_ANSWER_DEADLINE)
        session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        self._sending = asyncio.create_task(self._send_all(session, min(seconds, LONGEST)))

    async def stop(self) -> None:
        """Send nothing more, and return when every request is answered or lost."""
        self._stopping.set()
        await self.ended()

    async def ended(self) -> None:
        """Return when all is sent and every request is answered or lost."""
        if self._sending is not None:
            await self._sending

    def summary(self) -> Summary:
        """Give what was seen so far."""
        seen = self._seen
        return {
            "sent": seen.sent,
            "failed": seen.failed,
            "statuses": {str(status): count for status, count in sorted(seen.statuses.items())},
            "unanswered": dict(seen.unanswered),
            "failed_by": _by_deployment(seen.failed_by),
            "deployments": dict(sorted(seen.deployments.items())),
            "first": seen.first.isoformat() if seen.first else None,
            "last": seen.last.isoformat() if seen.last else None,
            "latency_ms": _percentiles(seen.latencies),
            "seconds": [_shown(at, seen.seconds[at]) for at in sorted(seen.seconds)],
            "failures": list(seen.failures),
        }

    def _trust(self) -> ssl.SSLContext | bool:
        return True if self._ca is None else ssl.create_default_context(cafile=self._ca)

    async def _send_all(self, session: aiohttp.ClientSession, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        began = due = loop.time()
        async with session, asyncio.TaskGroup() as requests:
            while due < began + seconds and not await self._is_stopped_before(due):
                await self._room.acquire()
                requests.create_task(self._send(session, began))
                due = max(due + 1 / self._rate, loop.time())

    async def _is_stopped_before(self, due: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await self._stopping.wait()
        return self._stopping.is_set()

    async def _send(self, session: aiohttp.ClientSession, began: float) -> None:
        loop = asyncio.get_running_loop()
        seen = self._seen
        seen.sent += 1
        seen.first = seen.first or datetime.now(UTC)
        sent = loop.time()
        status: int | None = None
        deployment: str | None = None
        try:
            async with session.post(
                self._url, data=next(self._bodies), headers=self._headers, allow_redirects=False
            ) as response:
                status = response.status
                deployment = response.headers.get(DEPLOYMENT_HEADER)
                detail = await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            status, detail = None, f"{type(error).__name__}: {error}"
            seen.unanswered[type(error).__name__] += 1
        finally:
            self._room.release()
        seen.last = datetime.now(UTC)
        seen.latencies.append((loop.time() - sent) * 1000)
        second = seen.seconds.setdefault(int(loop.time() - began), _Second())
        self._count(second, status, deployment, detail)

    def _count(
        self, second: _Second, status: int | None, deployment: str | None, detail: str
    ) -> None:
        seen = self._seen
        if status is not None:
            seen.statuses[status] += 1
        if status == _OK:
            name = deployment or "unnamed"
            seen.deployments[name] += 1
            second.deployments[name] += 1
            return
        seen.failed += 1
        seen.failed_by[deployment or "nobody", str(status or "none")] += 1
        second.failed += 1
        if len(seen.failures) < _FAILURES_SHOWN:
            at = datetime.now(UTC).isoformat()
            seen.failures.append(
                {"at": at, "status": status, "deployment": deployment, "detail": detail[:300]}
            )


def _shown(at: int, second: _Second) -> Second:
    deployments = dict(sorted(second.deployments.items()))
    return {"second": at, "deployments": deployments, "failed": second.failed}


def _by_deployment(failed: Counter[tuple[str, str]]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (name, status), count in sorted(failed.items()):
        found.setdefault(name, {})[status] = count
    return found


def _percentiles(latencies: list[float]) -> dict[str, float]:
    if not latencies:
        return {}
    ordered = sorted(latencies)
    return {
        f"p{percent}": round(ordered[min(len(ordered) * percent // 100, len(ordered) - 1)], 2)
        for percent in (50, 90, 95, 99)
    }


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.traffic", description=__doc__)
    parser.add_argument("--url", required=True, help="the scoring address")
    parser.add_argument("--ca", type=Path, help="the certificate authority to trust")
    parser.add_argument("--key", help="the endpoint's key or token")
    body = parser.add_mutually_exclusive_group(required=True)
    body.add_argument("--body", type=Path, help="the file to send")
    body.add_argument("--bodies", type=Path, help="a file whose lines to send in turn")
    parser.add_argument("--deployment", help="ask for one deployment, past the weights")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--concurrency", type=int, default=8, help="requests at once at most")
    parser.add_argument("--seconds", type=float, default=30.0, help=f"at most {LONGEST:g}")
    parser.add_argument("--stop-with-stdin", action="store_true", help="end when stdin ends")
    arguments = parser.parse_args()
    for name in ("rate", "concurrency", "seconds"):
        if getattr(arguments, name) <= 0:
            parser.error(f"--{name} must be above 0")
    return arguments


def _read_bodies(arguments: argparse.Namespace) -> Sequence[bytes]:
    if arguments.body is not None:
        return [arguments.body.read_bytes()]
    lines: list[bytes] = [line for line in arguments.bodies.read_bytes().splitlines() if line]
    if not lines:
        raise SystemExit(f"--bodies {arguments.bodies}: it is empty (one body per line)")
    return lines


async def _run(arguments: argparse.Namespace) -> Summary:
    headers: dict[str, str] = {}
    if arguments.key is not None:
        headers["Authorization"] = f"Bearer {arguments.key}"
    if arguments.deployment is not None:
        headers[DEPLOYMENT_HEADER] = arguments.deployment
    traffic = Traffic(
        url=arguments.url,
        ca=arguments.ca,
        headers=headers,
        bodies=await asyncio.to_thread(_read_bodies, arguments),
        rate=arguments.rate,
        concurrency=arguments.concurrency,
    )
    interrupted = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, interrupted.set)
    await traffic.start(seconds=arguments.seconds)
    announce(url=arguments.url)
    over = asyncio.create_task(traffic.ended())
    early = asyncio.create_task(interrupted.wait())
    await asyncio.wait({over, early}, return_when=asyncio.FIRST_COMPLETED)
    early.cancel()
    await traffic.stop()
    return traffic.summary()


def main() -> None:
    """Send for as long as asked, then print the summary."""
    arguments = _read_arguments()
    if arguments.stop_with_stdin:
        stop_with_stdin()
    print(json.dumps(asyncio.run(_run(arguments))))


if __name__ == "__main__":
    main()
