"""An Event Grid custom topic as its publishers see it: the data plane, for CloudEvents.

https://learn.microsoft.com/azure/event-grid/post-to-custom-topic
https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import base64
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from aiohttp import web

API_VERSION = "2018-01-01"
AUDIENCE = "https://eventgrid.azure.net"
BATCH = "application/cloudevents-batch+json"
_MOST = 1024 * 1024  # bytes of one request
_NAME = re.compile(r"[a-z0-9]{1,20}")
_REQUIRED = ("id", "source", "type", "specversion")
_TEXTS = (*_REQUIRED, "subject", "datacontenttype", "dataschema", "time")
# RFC 3339: a date alone, or a time without a zone, is none.
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


class Refusal(Exception):  # noqa: N818 - what the service answers, not a mistake of ours
    """What the topic answers to what it does not take."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def answer(self) -> web.Response:
        """Return the refusal as the service words it."""
        error = {"error": {"code": self.code, "message": self.message}}
        return web.json_response(error, status=self.status)


class EventGridTopic:
    """Takes events of whoever has a token for Event Grid, and keeps them for reading."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []  # in the order of their arrival, repeats too

    async def publish(self, request: web.Request) -> web.Response:
        """`POST /api/events?api-version=2018-01-01`: all of the batch, or none of it."""
        try:
            _check_token(request.headers.get("Authorization", ""))
            _check_version(request.query.get("api-version"))
            self.events += _read_batch(request.content_type, await request.read())
        except Refusal as refusal:
            return refusal.answer()
        return web.Response()


def _check_token(authorization: str) -> None:
    """Refuse whoever has no token, or one for another service; who signed it does not matter."""
    scheme, _, token = authorization.partition(" ")
    parts = token.strip().split(".")
    if scheme.lower() != "bearer" or len(parts) != len(("head", "claims", "signature")):
        raise Refusal(401, "Unauthorized", "a bearer token of Entra is needed")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        audience = str(claims["aud"])
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(401, "Unauthorized", "the token cannot be read") from error
    if audience.rstrip("/") != AUDIENCE:
        raise Refusal(401, "Unauthorized", f"the token is for {audience!r}, not for {AUDIENCE}")


def _check_version(version: str | None) -> None:
    if version != API_VERSION:
        raise Refusal(400, "BadRequest", f"api-version {version!r} is not {API_VERSION!r}")


def _read_batch(content_type: str, body: bytes) -> list[dict[str, Any]]:
    if content_type != BATCH:
        raise Refusal(415, "UnsupportedMediaType", f"{content_type!r} is not {BATCH}")
    if len(body) > _MOST:
        raise Refusal(413, "RequestEntityTooLarge", f"{len(body)} bytes are more than {_MOST}")
    try:
        events = json.loads(body)
    except ValueError as error:
        raise Refusal(400, "BadRequest", f"not JSON: {error}") from error
    if not isinstance(events, list) or not events:
        raise Refusal(400, "BadRequest", "not an array of events")
    for number, event in enumerate(events):
        wrong = find_wrong(event)
        if wrong:
            raise Refusal(400, "BadRequest", f"events[{number}]: {wrong}")
    return events


def find_wrong(event: object) -> str:
    """Return why this is no CloudEvent 1.0, or nothing."""
    if not isinstance(event, dict):
        return "not an object"
    return next(_find_wrongs(event), "")


def _find_wrongs(event: dict[str, Any]) -> Iterator[str]:
    for name in _REQUIRED:
        if not event.get(name):
            yield f"{name}: missing or empty"
    for name in _TEXTS:
        if name in event and (not isinstance(event[name], str) or not event[name]):
            yield f"{name}: {event[name]!r} is no text"
    if event["specversion"] != "1.0":
        yield f"specversion: {event['specversion']!r} is not '1.0'"
    if "time" in event and not _is_time(event["time"]):
        yield f"time: {event['time']!r} is not of RFC 3339"
    if "data" in event and "data_base64" in event:
        yield "both data and data_base64"
    for name in event:
        if _NAME.fullmatch(name) is None and name != "data_base64":
            yield f"{name!r} is no name of an attribute"


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text.upper())
    except ValueError:
        return False
    return _TIME.fullmatch(text) is not None
