"""One request, one answer: https, or http on this machine; no redirects, and every wait ends."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from rolloutctl.exit import UnreachableError, UsageError
from rolloutctl.words import clean

_CONNECT, _READ = 10.0, 90.0  # seconds; an app that sleeps may take half a minute to wake up
_LONGEST = 200  # characters of what came instead
_LIBRARY = re.compile(r"^\w*Connection\w*\(.*?\): (Failed to establish a new connection: )?")
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request."""

    method: str
    url: str
    query: Mapping[str, str] | None = None
    json: Any = None
    form: Mapping[str, str] | None = None
    token: str = ""
    is_stream: bool = False


class _Bearer(AuthBase):
    """Sets the token, or nothing; without it the client would look for a password in .netrc."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def check_address(text: str, what: str) -> str:
    """Return the address without a slash at its end; UsageError when a token must not go there."""
    right = "https://HOST, or http:// for this machine alone"
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError as error:
        raise UsageError(f"{what} {text!r}: {error} ({right})") from error
    if parts.scheme not in {"https", "http"} or not host or parts.username is not None:
        raise UsageError(f"{what} {text!r} is no address ({right})")
    if parts.query or parts.fragment:
        raise UsageError(f"{what} {text!r} has a query or a fragment ({right})")
    if parts.scheme == "http" and not _is_loopback(host):
        raise UsageError(f"{what} {text!r}: over http anybody could read the token ({right})")
    return text.rstrip("/")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def send(session: requests.Session, asked: Asked) -> requests.Response:
    """Return the answer, whatever its status; UnreachableError when none came."""
    try:
        answer = session.request(
            asked.method,
            asked.url,
            params=asked.query,
            json=asked.json,
            data=asked.form,
            auth=_Bearer(asked.token),
            timeout=(_CONNECT, _READ),
            allow_redirects=False,  # the token is for this address and no other
            stream=asked.is_stream,
            headers={"Accept": "application/json", "User-Agent": "rolloutctl"},
        )
    except requests.RequestException as error:
        raise UnreachableError(f"asking {_site(asked.url)}: {_cause(error)}") from error
    if answer.status_code in _REDIRECTS:
        where = clean(answer.headers.get("Location", "nowhere"))[:_LONGEST]
        text = f"asking {_site(asked.url)}: it sends us on to {where!r} (the app's own address)"
        raise UnreachableError(text)
    return answer


def read_object(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON object of an answer; UnreachableError when it is none."""
    try:
        body = answer.json()
    except requests.RequestException:  # no JSON
        body = None
    if not isinstance(body, dict):
        kind = clean(answer.headers.get("Content-Type", "nothing"))[:_LONGEST]
        text = f"asking {_site(answer.url)}: status {answer.status_code} with {kind}"
        raise UnreachableError(f"{text} (JSON of the app: is this its address?)")
    return body


def _site(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _cause(error: requests.RequestException) -> str:
    """Return the innermost reason, which says most: the outer ones name our libraries."""
    found: BaseException = error
    for _ in range(8):  # a chain, and nobody promises that it ends
        inner = found.args[0] if found.args else None
        reason = getattr(inner, "reason", None)
        following = reason if isinstance(reason, BaseException) else inner
        if not isinstance(following, BaseException):
            break
        found = following
    text = _LIBRARY.sub("", str(found))
    return clean(text)[:_LONGEST] or type(error).__name__
