"""The proof that an endpoint wants Event Grid's events, asked for before any is sent."""

import uuid
from datetime import UTC, datetime

import aiohttp

from local.event_grid_schema import EventGridError, Schema, Subscription

_ORIGIN = "eventgrid.azure.net"
_ANSWER_TIME = aiohttp.ClientTimeout(total=30)


class HandshakeError(EventGridError):
    """The endpoint did not prove that it wants our events."""


async def shake_hands(subscription: Subscription) -> None:
    """Ask the endpoint as its schema demands; raises HandshakeError."""
    ask = _validate if subscription.schema == Schema.EVENT_GRID else _ask_permission
    url = subscription.endpoint_url
    try:
        async with aiohttp.ClientSession(timeout=_ANSWER_TIME) as session:
            complaint = await ask(session, url)
    except TimeoutError as error:
        raise HandshakeError(f"handshake with {url}: no answer within 30 s") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise HandshakeError(f"handshake with {url}: {error}") from error
    if complaint:
        raise HandshakeError(f"handshake with {url}: {complaint}")


async def _validate(session: aiohttp.ClientSession, url: str) -> str:
    """Send a code that the answer must repeat."""
    code = str(uuid.uuid4())
    event = {
        "id": str(uuid.uuid4()),
        "topic": "",
        "subject": "",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": datetime.now(UTC).isoformat(),
        "data": {"validationCode": code},
        "dataVersion": "2",
        "metadataVersion": "1",
    }
    headers = {"aeg-event-type": "SubscriptionValidation"}
    async with session.post(url, json=[event], headers=headers, allow_redirects=False) as response:
        if response.status != 200:  # noqa: PLR2004 - HTTP's OK
            return f"answered {response.status} to the validation event"
        answer = await response.json(content_type=None)
    if not isinstance(answer, dict) or answer.get("validationResponse") != code:
        return "did not send the validation code back"
    return ""


async def _ask_permission(session: aiohttp.ClientSession, url: str) -> str:
    """Ask as the CloudEvents webhook specification says: with OPTIONS."""
    headers = {"WebHook-Request-Origin": _ORIGIN}
    async with session.options(url, headers=headers, allow_redirects=False) as response:
        if response.status != 200:  # noqa: PLR2004 - HTTP's OK
            return f"answered {response.status} to OPTIONS"
        allowed = response.headers.get("WebHook-Allowed-Origin", "")
    if allowed not in {_ORIGIN, "*"}:
        return f"allows origin {allowed!r}, not {_ORIGIN!r}"
    return ""
