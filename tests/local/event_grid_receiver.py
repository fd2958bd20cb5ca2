"""A webhook to send events to, and stories of a sender and that webhook, for tests."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from aiohttp import web

from local.event_grid import EventGrid, Subscription
from tests.local.local_host import PATIENCE

FAST = (timedelta(milliseconds=10),)


class Receiver:
    """A webhook that answers what it is told and remembers what it got."""

    def __init__(self) -> None:
        self.url = ""
        self.bodies: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[int] = []  # the next ones; then 200
        self.echoes_code = True
        self.allowed_origin: str | None = "eventgrid.azure.net"
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        if request.path == "/elsewhere":  # a sender that follows redirects would be content
            return web.Response()
        if request.method == "OPTIONS":
            origin = self.allowed_origin
            return web.Response(headers={"WebHook-Allowed-Origin": origin} if origin else {})
        body = await request.json()
        if request.headers["aeg-event-type"] == "SubscriptionValidation":
            code = body[0]["data"]["validationCode"] if self.echoes_code else "wrong"
            return web.json_response({"validationResponse": code})
        self.bodies.append(body)
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        status = self.answers.pop(0) if self.answers else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    @property
    def ids(self) -> list[str]:
        batches = [body if isinstance(body, list) else [body] for body in self.bodies]
        return [event["id"] for batch in batches for event in batch]


def an_event(number: int = 1, **changes: object) -> dict[str, Any]:
    return {
        "id": f"event-{number}",
        "topic": "/subscriptions/s/workspaces/w",
        "subject": f"models/fraud:{number}",
        "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
        "eventTime": "2026-11-22T10:00:00Z",
        "data": {"ModelName": "fraud"},
        "dataVersion": "2",
        "metadataVersion": "1",
        **changes,
    }


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - the condition is another object's state
            await asyncio.sleep(0.01)


def run(story: Callable[[EventGrid, Receiver], Awaitable[None]], **options: Any) -> None:
    """Tell a story with a sender and a receiver."""

    async def tell() -> None:
        receiver = Receiver()
        await receiver.start()
        grid = EventGrid(**{"store": None, "schedule": FAST, "seed": 7, **options})
        await grid.start()
        try:
            await story(grid, receiver)
        finally:
            await grid.stop()
            await receiver.stop()

    asyncio.run(tell())


async def subscribe(grid: EventGrid, receiver: Receiver, **changes: Any) -> None:
    await grid.subscribe(Subscription(**{"name": "sub", "endpoint_url": receiver.url, **changes}))
