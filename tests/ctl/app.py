"""An app to talk to: speaks the HTTP API over a real socket, and says what it was asked.

It knows people by their tokens, and it is their identity provider too.
"""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.ctl.story import Json

OPERATOR, READER, STRANGER = "token-of-operator", "token-of-reader", "token-of-stranger"
RIGHTS: Mapping[str, tuple[str, ...]] = {
    OPERATOR: ("read", "operate"),
    READER: ("read",),
    STRANGER: (),
}
_OPEN = {"health", "sign-in"}


@dataclass(slots=True)
class App:
    """What the app says, and what it was asked."""

    url: str = ""
    rollouts: list[Json] = field(default_factory=list)
    script: list[Json] = field(default_factory=list)  # one rollout, look by look; the last stays
    page: int = 200
    bodies: dict[str, Json] = field(default_factory=dict)  # GET path -> answer
    lines: list[str] = field(default_factory=list)  # of the export
    breaks_off: bool = False
    answers: list[Json] = field(default_factory=list)  # of plan and replay, one after the other
    refusal: Json | None = None  # what every POST gets
    faults: list[int | None] = field(default_factory=list)  # a status for each of the next requests
    dates: list[str] = field(default_factory=list)  # the Date header, when told
    asked: list[tuple[str, str, Any, str]] = field(default_factory=list)
    sign_in: Json = field(default_factory=lambda: {"kind": "platform"})
    pending: int = 0  # looks at the device code that come too early
    sign_in_error: str = ""
    refreshed: int = 0
    lifetime: int = 3600

    def posts(self) -> list[tuple[str, Any]]:
        """Return path and body of everything that was asked for."""
        return [(path, body) for method, path, body, _ in self.asked if method == "POST"]

    def heard_tokens(self) -> set[str]:
        """Return the Authorization headers that came."""
        return {token for *_, token in self.asked}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request of the API."""
        path = request.match_info["path"]
        body = await request.json() if request.can_read_body else None
        query = "&".join(f"{name}={value}" for name, value in sorted(request.query.items()))
        token = request.headers.get("Authorization", "")
        self.asked.append((request.method, f"{path}?{query}" if query else path, body, token))
        status = self.faults.pop(0) if self.faults else None
        if status is not None:
            return fault(request, status)
        rights = RIGHTS.get(token.removeprefix("Bearer "))
        refusal = refuse(path, rights)
        if refusal is not None:
            return refusal
        if request.method == "POST":
            return self._post(path, rights or (), body)
        if path == "export":
            return await self._export(request)
        return self._get(path, request.query, rights or ())

    def _post(self, path: str, rights: tuple[str, ...], body: Any) -> web.Response:
        if self.refusal is not None:
            return problem(**self.refusal)
        if path in {"plan", "replay"}:
            return web.json_response(self.answers.pop(0))
        if "operate" not in rights:
            return problem(403, "operating rollouts: you have no right (Rollouts.Operate)")
        del body
        return web.json_response({"operation": path.rpartition("/")[2], "by": "oid-1"})

    def _get(self, path: str, query: Mapping[str, str], rights: tuple[str, ...]) -> web.Response:
        headers = {"Date": self.dates[0]} if self.dates else {}
        if path == "me":
            said = {"id": "oid-1", "name": "Ada", "rights": list(rights)}
            return web.json_response(said, headers=headers)
        if path == "sign-in":
            return web.json_response(self.sign_in)
        if path == "rollouts":
            return self._list(query)
        if path in self.bodies:
            return web.json_response(self.bodies[path], headers=headers)
        for one in self.script[:1] or self.rollouts:
            if path == f"rollouts/{one['rollout_id']}":
                if len(self.script) > 1:
                    del self.script[0]
                return web.json_response(one)
        return problem(404, f"there is no {path!r}")

    def _list(self, query: Mapping[str, str]) -> web.Response:
        found = [one for one in [*self.script[:1], *self.rollouts] if is_wanted(one, query)]
        start = int(query.get("after", "0"))
        end = start + min(int(query.get("limit", "50")), self.page)
        after = str(end) if end < len(found) else None
        return web.json_response({"rollouts": found[start:end], "next": after})

    async def _export(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        for text in self.lines:
            await response.write(f"{text}\n".encode())
        if self.breaks_off:
            assert request.transport is not None
            request.transport.close()
        return response

    async def identify(self, request: web.Request) -> web.Response:
        """Answer as the identity provider."""
        place = f"{self.url}/idp"
        name = request.match_info["name"]
        if name == ".well-known/openid-configuration":
            found = {
                "token_endpoint": f"{place}/token",
                "device_authorization_endpoint": f"{place}/device",
            }
            return web.json_response(found)
        form = {key: str(value) for key, value in (await request.post()).items()}
        self.asked.append(("IDP", name, form, request.headers.get("Authorization", "")))
        if name in {"device", "elsewhere"}:  # whoever follows a redirect ends at the latter
            device = {"device_code": "secret", "user_code": "ABCD-EFGH", "interval": 0}
            where = {"verification_uri": "https://login.example/device", "expires_in": 60}
            return web.json_response({**device, **where})
        if form["grant_type"] == "refresh_token":
            return self._refresh(form["refresh_token"])
        if self.sign_in_error:
            said = {"error": self.sign_in_error, "error_description": "you said no\x1b[31m"}
            return web.json_response(said, status=400)
        if self.pending:
            self.pending -= 1
            return web.json_response({"error": "authorization_pending"}, status=400)
        return self._token("refresh-1")

    def _refresh(self, given: str) -> web.Response:
        if given != f"refresh-{self.refreshed + 1}":
            return web.json_response({"error": "invalid_grant"}, status=400)
        self.refreshed += 1
        return self._token(f"refresh-{self.refreshed + 1}")

    def _token(self, refresh: str) -> web.Response:
        said = {"access_token": OPERATOR, "expires_in": self.lifetime, "refresh_token": refresh}
        return web.json_response(said)


def refuse(path: str, rights: tuple[str, ...] | None) -> web.Response | None:
    """Return a refusal of whoever asks, or None."""
    if rights is None and path not in _OPEN:
        return problem(401, "nobody is signed in (a token of Entra's)")
    if "read" not in (rights or ()) and path not in {*_OPEN, "me"}:
        return problem(403, "reading rollouts: you have no right (Rollouts.Read)")
    return None


def fault(request: web.Request, status: int) -> web.Response:
    """Return an answer that the app would not give; with 0, break the line."""
    if status == 0:
        assert request.transport is not None
        request.transport.close()
    return web.Response(
        status=status or 200, headers={"Location": f"{request.url.origin()}/idp/elsewhere"}
    )


def is_wanted(one: Json, query: Mapping[str, str]) -> bool:
    """Whether a rollout is among those that a list asks for."""
    named = [key for key in ("endpoint", "model", "policy", "phase") if key in query]
    is_over = one["ended"] is not None
    is_in_state = "state" not in query or (query["state"] == "over") == is_over
    return is_in_state and all(one[key] == query[key] for key in named)


def problem(status: int, title: str, **members: Any) -> web.Response:
    body = {"type": "about:blank", "title": title, "status": status, **members}
    return web.json_response(body, status=status, content_type="application/problem+json")


class Server:
    """Serves an app on loopback, in a thread of its own; which one, may change."""

    def __init__(self) -> None:
        self.app = App()
        self._loop, self._over = asyncio.new_event_loop(), asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _run(self) -> None:
        web_app = web.Application()
        web_app.router.add_route("*", "/api/{path:.*}", self._handle)
        web_app.router.add_route("*", "/idp/{name:.*}", self._identify)
        runner = web.AppRunner(web_app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self._ready.set()
        await self._over.wait()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        return await self.app.handle(request)

    async def _identify(self, request: web.Request) -> web.Response:
        return await self.app.identify(request)
