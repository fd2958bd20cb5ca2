"""The addresses of Entra ID for one tenant: discovery, keys, authorize, token, device code.

Loopback only, in what it listens on, whom it answers, and where it sends people back to.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from local.identity import page
from local.identity.grant import (
    DEVICE_LIFE,
    Grant,
    GrantError,
    Grants,
    check_challenge,
    check_client,
    check_scope,
)
from local.identity.issuer import LIFE, Issuer
from local.identity.registration import PEOPLE, TENANT

_HERE = frozenset({"127.0.0.1", "localhost"})
_BACK = ("/api/dashboard", "/")  # where the registration lets people be sent, on any port
_INTERVAL = 1  # seconds between two questions of a device; Entra's are 5
_OAUTH = f"/{TENANT}/oauth2/v2.0"
_NO_STORE = {"Cache-Control": "no-store"}
_AS_IN_REQUEST = (
    *("client_id", "response_type", "redirect_uri", "scope", "state", "nonce", "response_mode"),
    *("code_challenge", "code_challenge_method"),
)

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Provider:
    """The routes, over what was granted and who signs."""

    def __init__(self, issuer: Issuer, grants: Grants, *, url: str) -> None:
        self._issuer, self._grants, self._url = issuer, grants, url

    def application(self) -> web.Application:
        """Return all of it as one application."""
        app = web.Application(middlewares=[_guard])
        app.add_routes(
            [
                web.get(f"/{TENANT}/v2.0/.well-known/openid-configuration", self._discovery),
                web.get(f"/{TENANT}/discovery/v2.0/keys", self._keys),
                web.get(f"{_OAUTH}/authorize", self._authorize),
                web.post(f"{_OAUTH}/authorize", self._sign_in),
                web.post(f"{_OAUTH}/token", self._token),
                web.post(f"{_OAUTH}/devicecode", self._device_code),
                web.get(f"{_OAUTH}/logout", _log_out),
                web.get("/devicelogin", _ask_for_code),
                web.post("/devicelogin", self._device_login),
                web.get("/token/{person}", self._shortcut),
            ]
        )
        return app

    async def _discovery(self, _request: web.Request) -> web.Response:
        oauth = f"{self._url}{_OAUTH}"
        return web.json_response(
            {
                "issuer": self._issuer.issuer,
                "authorization_endpoint": f"{oauth}/authorize",
                "token_endpoint": f"{oauth}/token",
                "device_authorization_endpoint": f"{oauth}/devicecode",
                "end_session_endpoint": f"{oauth}/logout",
                "jwks_uri": f"{self._url}/{TENANT}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "response_modes_supported": ["query", "fragment"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
                "token_endpoint_auth_methods_supported": ["none"],
            }
        )

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response(self._issuer.key_set())

    async def _authorize(self, request: web.Request) -> web.Response:
        """Show who there is; or, without a person to ask, say so where the client hears it."""
        query = request.query
        _check_way_back(query)
        try:
            _check_request(query)
            _check_prompt(query)
        except GrantError as refusal:
            return _send_back(query, _tell(refusal))
        return _page(page.choose({name: query[name] for name in _AS_IN_REQUEST if name in query}))

    async def _sign_in(self, request: web.Request) -> web.Response:
        form = await _form(request)
        _check_way_back(form)
        try:
            return _send_back(form, {"code": self._open_code(form)})
        except GrantError as refusal:
            return _send_back(form, _tell(refusal))

    def _open_code(self, form: Mapping[str, str]) -> str:
        challenge = _check_request(form)
        person = PEOPLE.get(form.get("person", ""))
        if person is None:
            raise GrantError("access_denied", 65004, "nobody has signed in")
        grant = Grant(person=person, scope=form["scope"], nonce=form.get("nonce", ""))
        where = form["redirect_uri"]
        return self._grants.open_code(grant, redirect_uri=where, challenge=challenge)

    async def _token(self, request: web.Request) -> web.Response:
        form = await _form(request)
        check_client(form.get("client_id", ""))
        match form.get("grant_type", ""):
            case "authorization_code":
                grant = self._grants.redeem_code(form)
            case "urn:ietf:params:oauth:grant-type:device_code":
                grant = self._grants.redeem_device(form)
            case "refresh_token":
                grant = self._grants.redeem_refresh(form)
            case other:
                text = f"grant type {other!r} is not supported"
                raise GrantError("unsupported_grant_type", 70003, text)
        return web.json_response(self._answer(grant), headers=_NO_STORE)

    def _answer(self, grant: Grant) -> dict[str, object]:
        scopes = grant.scope.split()
        answer: dict[str, object] = {
            "token_type": "Bearer",
            "scope": grant.scope,
            "expires_in": LIFE,
            "ext_expires_in": LIFE,
            "access_token": self._issuer.access_token(grant.person),
        }
        if "openid" in scopes:
            answer["id_token"] = self._issuer.id_token(grant.person, nonce=grant.nonce)
        if "offline_access" in scopes:
            answer["refresh_token"] = self._grants.open_refresh(grant)
        return answer

    async def _device_code(self, request: web.Request) -> web.Response:
        form = await _form(request)
        check_client(form.get("client_id", ""))
        device_code, user_code = self._grants.open_device(check_scope(form.get("scope", "")))
        where = f"{self._url}/devicelogin"
        answer = {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": where,
            "expires_in": int(DEVICE_LIFE),
            "interval": _INTERVAL,
            "message": f"To sign in, open the page {where} and enter the code {user_code}.",
        }
        return web.json_response(answer, headers=_NO_STORE)

    async def _device_login(self, request: web.Request) -> web.Response:
        form = await _form(request)
        person = PEOPLE.get(form.get("person", ""))
        if not self._grants.answer_device(form.get("user_code", ""), person):
            text = "No device waits for that code. Ask for a new one, and try again."
            return _page(page.tell("That code is not known", text), status=HTTPStatus.BAD_REQUEST)
        if person is None:
            return _page(page.tell("Declined", "Nobody is signed in on the device."))
        text = f"You are signed in on the device as {person.name}. You can close this page."
        return _page(page.tell("Done", text))

    async def _shortcut(self, request: web.Request) -> web.Response:
        """Give a token for a command line, as `az account get-access-token` does."""
        person = PEOPLE.get(request.match_info["person"])
        if person is None:
            raise GrantError("invalid_grant", 50034, f"there are {', '.join(PEOPLE)}", status=404)
        return web.Response(text=self._issuer.access_token(person), headers=_NO_STORE)


async def _ask_for_code(request: web.Request) -> web.Response:
    code = request.query.get("user_code", "")
    return _page(page.choose({"user_code": code}, asks_for_code=True))


async def _log_out(request: web.Request) -> web.Response:
    where = request.query.get("post_logout_redirect_uri", "")
    if where and _is_way_back(where):
        return web.Response(status=HTTPStatus.FOUND, headers={"Location": where})
    return _page(page.tell("Signed out", "Nothing is remembered here: you can close this page."))


@web.middleware
async def _guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer this machine only, let its pages read the answers, and put refusals into JSON."""
    # A name that somebody else's page made point here must not get a token.
    if urlsplit(f"//{request.host}").hostname not in _HERE:
        return web.Response(status=HTTPStatus.MISDIRECTED_REQUEST)
    if request.method == "OPTIONS":
        answer: web.StreamResponse = web.Response(status=HTTPStatus.NO_CONTENT)
    else:
        try:
            answer = await handler(request)
        except GrantError as refusal:
            answer = _refusal(refusal)
    origin = request.headers.get("Origin", "")
    # As Entra lets the pages of a registration's redirect addresses; never a shortcut's token.
    if _is_way_back(f"{origin}/") and not request.path.startswith("/token/"):
        answer.headers["Access-Control-Allow-Origin"] = origin
        answer.headers["Access-Control-Allow-Headers"] = "content-type"
        answer.headers["Vary"] = "Origin"
    return answer


def _refusal(refusal: GrantError) -> web.Response:
    body = {
        **_tell(refusal),
        "error_codes": [refusal.number],
        "timestamp": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ}",
    }
    return web.Response(
        text=json.dumps(body),
        status=refusal.status,
        content_type="application/json",
        headers=_NO_STORE,
    )


def _tell(refusal: GrantError) -> dict[str, str]:
    return {"error": refusal.error, "error_description": str(refusal)}


def _check_way_back(asked: Mapping[str, str]) -> None:
    """Refuse, on a page and not by sending anybody anywhere, what no redirect may tell."""
    check_client(asked.get("client_id", ""))
    where = asked.get("redirect_uri", "")
    if not _is_way_back(where):
        text = f"redirect_uri {where!r} is not among those of the application"
        raise GrantError("invalid_request", 50011, text)


def _check_request(asked: Mapping[str, str]) -> str:
    """Return the PKCE challenge of a request to authorize that can be granted."""
    if asked.get("response_type") != "code":
        raise GrantError("unsupported_response_type", 700051, "response_type is not 'code'")
    check_scope(asked.get("scope", ""))
    return check_challenge(asked)


def _check_prompt(asked: Mapping[str, str]) -> None:
    """Refuse to sign anybody in behind their back: nobody stays signed in here."""
    if asked.get("prompt") == "none":
        raise GrantError("login_required", 50058, "nobody is signed in here")


def _is_way_back(where: str) -> bool:
    parts = urlsplit(where)
    is_here = parts.scheme == "http" and parts.hostname in _HERE and parts.username is None
    is_bare = not parts.query and not parts.fragment
    return is_here and is_bare and (parts.path in _BACK or parts.path.startswith("/api/dashboard/"))


def _send_back(asked: Mapping[str, str], said: Mapping[str, str]) -> web.Response:
    values = {**said, "state": asked["state"]} if "state" in asked else dict(said)
    joint = "#" if asked.get("response_mode") == "fragment" else "?"
    where = f"{asked['redirect_uri']}{joint}{urlencode(values)}"
    return web.Response(status=HTTPStatus.FOUND, headers={"Location": where, **_NO_STORE})


def _page(text: str, *, status: int = HTTPStatus.OK) -> web.Response:
    return web.Response(text=text, status=status, content_type="text/html", headers=page.HEADERS)


async def _form(request: web.Request) -> dict[str, str]:
    found = await request.post()
    return {name: value for name, value in found.items() if isinstance(value, str)}
