"""Signing in with a code typed elsewhere (RFC 8628), and again without one as long as it holds."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import requests

from rolloutctl.exit import CommandError, Exit, UnreachableError
from rolloutctl.online.cache import Kept
from rolloutctl.online.http import Asked, check_address, read_object, send
from rolloutctl.words import clean

type Json = dict[str, Any]

_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_PACE, _SLOWER, _LEAST = 5.0, 5.0, 0.05  # seconds between two looks, RFC 8628 section 3.5
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SignIn:
    """How people sign in to the app, as the app says."""

    authority: str
    client_id: str
    scope: str


def sign_in(how: SignIn, say: Callable[[str], None]) -> Kept:
    """Have a person sign in; say tells them where and with which code."""
    with requests.Session() as session:
        places = _discover(session, how)
        form = {"client_id": how.client_id, "scope": f"{how.scope} offline_access"}
        asked = _post(session, places["device_authorization_endpoint"], form)
        device = _expect(asked, "device_code", "user_code", "verification_uri")
        where, code = clean(device["verification_uri"]), clean(device["user_code"])
        say(f"open {where} and enter the code {code}")
        return _wait(session, places["token_endpoint"], how, device)


def renew(kept: Kept) -> Kept | None:
    """Return a fresh token for one that is over, or None when a person must sign in again."""
    how = SignIn(authority=kept.authority, client_id=kept.client_id, scope=kept.scope)
    with requests.Session() as session:
        form = {
            "grant_type": "refresh_token",
            "client_id": kept.client_id,
            "refresh_token": kept.refresh_token,
            "scope": f"{kept.scope} offline_access",
        }
        answer = _post(session, _discover(session, how)["token_endpoint"], form)
        if "access_token" not in answer:
            return None
        return _keep(how, {"refresh_token": kept.refresh_token, **answer})


def _wait(session: requests.Session, endpoint: str, how: SignIn, device: Json) -> Kept:
    pace = max(float(device.get("interval", _PACE)), _LEAST)
    end = time.monotonic() + float(device.get("expires_in", 900))
    form = {"grant_type": _GRANT, "client_id": how.client_id, "device_code": device["device_code"]}
    while time.monotonic() < end:
        time.sleep(pace)
        answer = _post(session, endpoint, form)
        if "access_token" in answer:
            return _keep(how, answer)
        match answer.get("error"):
            case "authorization_pending":
                continue
            case "slow_down":
                pace += _SLOWER
            case error:
                said = clean(answer.get("error_description") or error)
                raise CommandError(f"signing in: {said}", code=Exit.REFUSED, problem=answer)
    raise CommandError("signing in: the code is over (log in again)", code=Exit.REFUSED)


def _discover(session: requests.Session, how: SignIn) -> dict[str, str]:
    authority = check_address(how.authority, "the authority's address")
    asked = Asked(method="GET", url=f"{authority}/.well-known/openid-configuration")
    answer = send(session, asked)
    if answer.status_code != _OK:
        text = f"asking {authority}: status {answer.status_code} (its OpenID configuration)"
        raise UnreachableError(text)
    found = _expect(read_object(answer), "token_endpoint", "device_authorization_endpoint")
    names = ("token_endpoint", "device_authorization_endpoint")
    return {name: check_address(found[name], "the authority's address") for name in names}


def _post(session: requests.Session, url: str, form: dict[str, str]) -> Json:
    return read_object(send(session, Asked(method="POST", url=url, form=form)))


def _expect(body: Json, *keys: str) -> Json:
    missing = [key for key in keys if not isinstance(body.get(key), str)]
    if missing:
        said = clean(body.get("error_description") or body.get("error") or f"no {missing[0]}")
        raise CommandError(f"signing in: {said}", code=Exit.REFUSED, problem=body)
    return body


def _keep(how: SignIn, answer: Json) -> Kept:
    length = timedelta(seconds=float(answer.get("expires_in", 0)))
    return Kept(
        authority=how.authority,
        client_id=how.client_id,
        scope=how.scope,
        access_token=str(answer["access_token"]),
        until=(datetime.now(UTC) + length).isoformat(),
        refresh_token=str(answer.get("refresh_token", "")),
    )
