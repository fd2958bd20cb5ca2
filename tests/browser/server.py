"""Serves the page with its real policy for content, and answers as the API is told to.

Every request is kept; whatever a test wants to be otherwise, it sets.
"""

import asyncio
import base64
import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from deploy_logic.codec import Json
from deploy_logic.view import summarise
from tests.browser.answers import ME

DASHBOARD = Path(__file__).parents[2] / "dashboard"
_KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
_NO_STORE = {"Cache-Control": "no-store"}
CLIENT, TOKEN = "client-of-the-page", "a-token-of-the-authority"


def content_policy(authority: str) -> str:
    """Return the page's Content-Security-Policy, as the API sends it."""
    parts = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": f"'self' {authority}".strip(),
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in parts.items())


@dataclass(slots=True, kw_only=True)
class Answers:
    """What the API would say now."""

    rollouts: dict[str, Json] = field(default_factory=dict)  # newest first
    endpoints: list[Json] = field(default_factory=list)
    controls: Json = field(default_factory=dict)
    policies: Json = field(default_factory=dict)
    plan: Json = field(default_factory=lambda: {"answers": []})
    me: Json = field(default_factory=dict)
    sign_in: Json = field(default_factory=lambda: {"kind": "platform"})
    refusals: dict[str, tuple[int, Json]] = field(default_factory=dict)  # by `METHOD path`
    stalled: set[str] = field(default_factory=set)  # paths that are never answered
    on_post: Callable[[str, Json], None] = lambda _path, _body: None
    needs_token: bool = False
    asked: list[tuple[str, str, Json]] = field(default_factory=list)  # method, path, body

    def posts(self) -> list[tuple[str, Json]]:
        """Return every POST: its path and its body."""
        return [(path, body) for method, path, body in self.asked if method == "POST"]


def fresh_answers() -> Answers:
    """Return an app on which nothing ever happened, read by somebody with every right."""
    return Answers(
        controls={"stopped": None, "suspended": {}, "lines": [], "max_parallel": 0, "turns": []},
        policies={"policies": [], "complaints": []},
        me={"id": ME, "name": "Ann Operator", "rights": ["read", "operate", "promote_now"]},
    )


class Server:
    """The app and its authority, each on a port of its own."""

    def __init__(self) -> None:
        self.answers = fresh_answers()
        self.url = self.authority = ""
        self._challenge = ""
        self._loop = asyncio.new_event_loop()
        self._is_over = asyncio.Event()
        self._runners: list[web.AppRunner] = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        """Listen on loopback."""
        self._thread.start()
        self.authority = self._run(self._listen(self._make_authority()))
        self.url = self._run(self._listen(self._make_app()))

    def stop(self) -> None:
        """End both."""
        self._loop.call_soon_threadsafe(self._is_over.set)
        for runner in self._runners:
            self._run(runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def page(self) -> str:
        """Where the page is."""
        return f"{self.url}/api/dashboard"

    def ask_for_tokens(self) -> None:
        """Have the page sign in at the authority, and the API refuse who has no token."""
        about = {"kind": "token", "authority": f"{self.authority}/tenant/v2.0"}
        scope = "api://rollouts/.default"
        self.answers.sign_in = {**about, "client_id": CLIENT, "scope": scope}
        self.answers.needs_token = True

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self, app: web.Application) -> str:
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    def _make_app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/api/dashboard", self._serve)
        app.router.add_get("/api/dashboard/{file}", self._serve)
        app.router.add_route("*", "/api/{path:.*}", self._answer)
        return app

    async def _serve(self, request: web.Request) -> web.Response:
        path = DASHBOARD / request.match_info.get("file", "index.html")
        kind = _KINDS[path.suffix]
        headers = {
            "Content-Security-Policy": content_policy(self.authority),
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store" if kind == "text/html" else "max-age=600",
        }
        return web.Response(body=path.read_bytes(), content_type=kind, headers=headers)

    async def _answer(self, request: web.Request) -> web.Response:
        path, answers = request.match_info["path"], self.answers
        body = await request.json() if request.can_read_body else {}
        answers.asked.append((request.method, path, body))
        if path in answers.stalled:
            await self._is_over.wait()
        is_known = request.headers.get("Authorization") == f"Bearer {TOKEN}"
        if answers.needs_token and path != "sign-in" and not is_known:
            return _refuse(401, {"title": "nobody is signed in"})
        if f"{request.method} {path}" in answers.refusals:
            return _refuse(*answers.refusals[f"{request.method} {path}"])
        if request.method == "POST" and path != "plan":
            answers.on_post(path, body)
            return _say({"operation": path.split("/")[-1], "by": answers.me["id"]})
        return self._read(path, request.query)

    def _read(self, path: str, query: Mapping[str, str]) -> web.Response:
        answers = self.answers
        match path.split("/"):
            case ["rollouts"]:
                return _say(_page(list(answers.rollouts.values()), query))
            case ["rollouts", rollout_id] if rollout_id in answers.rollouts:
                return _say(answers.rollouts[rollout_id])
            case ["endpoints"]:
                return _say({"endpoints": answers.endpoints})
            case ["endpoints", name]:
                found = [one for one in answers.endpoints if one["endpoint"] == name]
                missing = {"title": f"nothing was ever offered to an endpoint {name!r}"}
                return _say(found[0]) if found else _refuse(404, missing)
            case ["sign-in" | "me" | "controls" | "policies" | "plan" as name]:
                return _say(getattr(answers, name.replace("-", "_")))
            case _:
                return _refuse(404, {"title": f"there is no {path!r}"})

    def _make_authority(self) -> web.Application:
        """Answer as Entra does for a public client: a code for a challenge, a token for both."""
        app = web.Application()
        base = "/tenant/v2.0"
        app.router.add_get(f"{base}/.well-known/openid-configuration", self._discover)
        app.router.add_get("/tenant/authorize", self._authorize)
        app.router.add_post("/tenant/token", self._redeem)
        return app

    async def _discover(self, _request: web.Request) -> web.Response:
        base = f"{self.authority}/tenant"
        found = {"authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token"}
        return _say(found, {"Access-Control-Allow-Origin": "*"})

    async def _authorize(self, request: web.Request) -> web.Response:
        asked = request.query
        is_right = asked["client_id"] == CLIENT and asked["code_challenge_method"] == "S256"
        self._challenge = asked["code_challenge"]
        said = {"code": "the-code"} if is_right else {"error": "invalid_request"}
        target = f"{asked['redirect_uri']}#{urlencode({**said, 'state': asked['state']})}"
        raise web.HTTPFound(target)

    async def _redeem(self, request: web.Request) -> web.Response:
        said = await request.post()
        digest = hashlib.sha256(str(said["code_verifier"]).encode()).digest()
        is_right = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == self._challenge
        headers = {"Access-Control-Allow-Origin": self.url}
        if said["code"] != "the-code" or not is_right:
            return web.json_response({"error": "invalid_grant"}, status=400, headers=headers)
        return _say({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}, headers)


def _page(rollouts: list[Json], query: Mapping[str, str]) -> Json:
    """Filter and cut as GET rollouts does."""
    if query.get("state") == "in_flight":
        rollouts = [one for one in rollouts if one["ended"] is None]
    for name in ("phase", "endpoint", "model", "policy"):
        rollouts = [one for one in rollouts if query.get(name) in {None, one[name]}]
    begin, limit = int(query.get("after", 0)), int(query.get("limit", 50))
    part = [summarise(one) for one in rollouts[begin : begin + limit]]
    end = begin + limit
    return {"rollouts": part, "next": str(end) if end < len(rollouts) else None}


def _say(body: Json, headers: Mapping[str, str] | None = None) -> web.Response:
    now = formatdate(usegmt=True)
    return web.json_response(body, headers={"Date": now, **_NO_STORE, **(headers or {})})


def _refuse(status: int, body: Json) -> web.Response:
    told = {"type": "about:blank", "status": status, **body}
    kind = "application/problem+json"
    return web.json_response(told, status=status, content_type=kind, headers=_NO_STORE)
