"""What announcements are sent to on this machine: an Event Grid topic, and chats that keep it all.

`python -m local.channels --certificates DIR`: HTTPS on loopback, by the authority in that folder.

    POST /api/events        the topic
    POST /chat/NAME         a chat of that name; there are as many as are asked for
    GET  /received          {"events": [...], "chats": {NAME: [...]}, "refused": {NAME: 0}}
    POST /answers/NAME      what the chat, or `topic`, answers next: a list of objects with status,
                            retry_after, body, hangs, times (0: from now on)
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from aiohttp import web

from local.azure_ml.certificates import server_context
from local.event_grid_topic import EventGridTopic
from local.process import announce, stop_with_stdin

_HOST = "127.0.0.1"
_TOPIC = "topic"
_MOST = 4 * 1024 * 1024  # bytes of a request: more than the topic takes, so that it can refuse


class Channels:
    """The topic and the chats, and what they were told to answer."""

    def __init__(self) -> None:
        self._topic = EventGridTopic()
        self._chats: defaultdict[str, list[Any]] = defaultdict(list)
        self._answers: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._refused: Counter[str] = Counter()
        self._is_over = asyncio.Event()

    def make_app(self) -> web.Application:
        """Return the routes."""
        app = web.Application(client_max_size=_MOST)
        app.router.add_post("/api/events", self._publish)
        app.router.add_post("/chat/{name}", self._post)
        app.router.add_get("/received", self._show)
        app.router.add_post("/answers/{name}", self._turn)
        return app

    def close(self) -> None:
        """Let go of callers who are kept waiting."""
        self._is_over.set()

    async def _publish(self, request: web.Request) -> web.StreamResponse:
        told = await self._told(_TOPIC)
        return told if told is not None else await self._topic.publish(request)

    async def _post(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        told = await self._told(name)
        if told is not None:
            return told
        try:
            body = json.loads(await request.read())
        except ValueError:
            return web.Response(status=400, text="invalid_payload")
        if request.content_type != "application/json" or not isinstance(body, dict):
            return web.Response(status=400, text="invalid_payload")
        self._chats[name].append(body)
        return web.Response(text="ok")

    async def _told(self, name: str) -> web.Response | None:
        """Return what the channel was told to answer, or None where it is to do its work."""
        if not self._answers[name]:
            return None
        told = self._answers[name][0]
        if told.get("times", 1):
            told["times"] = told.get("times", 1) - 1
            if not told["times"]:
                self._answers[name].pop(0)
        self._refused[name] += 1
        if told.get("hangs"):
            await self._is_over.wait()
        after = told.get("retry_after")
        headers = {"Retry-After": str(after)} if after is not None else {}
        return web.Response(
            status=told.get("status", 200), text=told.get("body", ""), headers=headers
        )

    async def _show(self, request: web.Request) -> web.Response:
        del request
        return web.json_response(
            {"events": self._topic.events, "chats": self._chats, "refused": self._refused}
        )

    async def _turn(self, request: web.Request) -> web.Response:
        self._answers[request.match_info["name"]] = await request.json()
        return web.Response()


async def _serve(certificates: Path, port: int) -> int:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    context, ca = server_context(certificates)
    channels = Channels()
    runner = web.AppRunner(channels.make_app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, _HOST, port, ssl_context=context)
    await site.start()
    bound = runner.addresses[0][1]
    announce(url=f"https://localhost:{bound}", port=bound, ca=str(ca), pid=os.getpid())
    await stopped.wait()
    channels.close()
    await runner.cleanup()
    return 0


def main() -> int:
    """Serve until we are told to stop."""
    parser = argparse.ArgumentParser(prog="python -m local.channels")
    parser.add_argument("--certificates", type=Path, required=True, metavar="DIR")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free")
    parser.add_argument("--stop-with-stdin", action="store_true")
    given = parser.parse_args()
    if given.stop_with_stdin:
        stop_with_stdin()
    return asyncio.run(_serve(given.certificates, given.port))


if __name__ == "__main__":
    sys.exit(main())
