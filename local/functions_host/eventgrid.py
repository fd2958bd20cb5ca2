"""The Event Grid webhook, answering as the current extension does. No queue, no de-duplication."""

import asyncio
import json
from typing import Any

from aiohttp import web

from local.functions_host.protos import TypedData
from local.functions_host.worker import Function, InvocationFailedError, Trigger, Worker

PATH = "/runtime/webhooks/eventgrid"

_DEFAULT_ORIGIN = "eventgrid.azure.net"
_ORIGINS = frozenset({_DEFAULT_ORIGIN, "eventgrid.azure.us", "eventgrid.azure.cn"})


async def answer(worker: Worker, request: web.BaseRequest) -> web.Response:
    """Answer one request to the webhook; keys are not enforced."""
    function = worker.find(Trigger.EVENT_GRID, request.query.get("functionName", ""))
    if function is None:
        return web.Response(status=404)
    if request.method == "OPTIONS":
        origin = request.headers.get("WebHook-Request-Origin", "").lower()
        allowed = origin if origin in _ORIGINS else _DEFAULT_ORIGIN
        return web.Response(headers={"Webhook-Allowed-Origin": allowed})
    kind = request.headers.get("aeg-event-type") if request.method == "POST" else None
    match kind:
        case "SubscriptionValidation":
            response = _validate(await _read(request))
        case "Notification":
            response = await _deliver(worker, function, await _read(request))
        case "Unsubscribe":
            response = web.Response(status=202)
        case _:
            response = web.Response(status=400, text=f"aeg-event-type {kind!r} is not known")
    return response


async def _read(request: web.BaseRequest) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(await request.read())
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"body: not JSON: {error}") from error


def _validate(body: Any) -> web.Response:  # noqa: ANN401 - JSON
    try:
        # An array in the Event Grid schema; one CloudEvent carries its data as JSON text.
        data = body[0]["data"] if isinstance(body, list) else json.loads(body["data"])
        code = data["validationCode"]
    except (LookupError, TypeError, ValueError) as error:
        raise web.HTTPBadRequest(text="validation event: no data.validationCode found") from error
    return web.json_response({"validationResponse": code})


async def _deliver(worker: Worker, function: Function, body: Any) -> web.Response:  # noqa: ANN401
    """Run the function once per event, all at once: one failure and the sender repeats the body."""
    events = body if isinstance(body, list) else [body]
    if len(events) == 1:
        delivered = [await _invoke(worker, function, events[0])]
    else:
        delivered = await asyncio.gather(*(_invoke(worker, function, event) for event in events))
    return web.Response(status=202 if all(delivered) else 500)


async def _invoke(worker: Worker, function: Function, event: Any) -> bool:  # noqa: ANN401 - JSON
    try:
        await worker.invoke(function, TypedData(json=json.dumps(event)))
    except InvocationFailedError:
        return False  # the worker has logged it
    return True
