"""Events of the workspace: subscriptions on ARM, and what happened on its way to them.

An event is stored with the change that causes it and leaves afterwards, so none is lost
when the process ends in between; it may then leave twice, as Event Grid's events may.
"""

import asyncio
import contextlib
import uuid
from http import HTTPStatus

from aiohttp import web

from local import event_grid_filter
from local.azure_ml import event_types
from local.azure_ml.errors import ArmError, not_found, user_error
from local.azure_ml.event_types import Dialect, EventType
from local.azure_ml.store import Json, Store
from local.azure_ml.web import Call, answer, nothing, page, section
from local.azure_ml.workspace import PROVIDER, Workspace
from local.event_grid import EventGrid, HandshakeError, Subscription

_SCHEMAS = ("EventGridSchema", "CloudEventSchemaV1_0")
_KIND = "event-subscription"
_OUTBOX = "outbox"


class Events:
    """Keeps subscriptions and sends what happened."""

    def __init__(
        self,
        store: Store,
        workspace: Workspace,
        grid: EventGrid,
        dialect: Dialect,
        *,
        raises_deployed: bool = False,
    ) -> None:
        self._raises_deployed = raises_deployed
        self._store = store
        self._workspace = workspace
        self._grid = grid
        self._dialect = dialect
        self._waiting = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to send, with what an earlier process left."""
        await self._grid.start()
        self._waiting.set()
        self._sender = asyncio.create_task(self._send())

    async def stop(self) -> None:
        """Stop sending; what waits is kept."""
        if self._sender is not None:
            self._sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sender
        await self._grid.stop()

    # --- what happened

    def registered(self, model: Json) -> None:
        """Store the event of a new model version; called inside the version's transaction."""
        if model["properties"]["isAnonymous"]:
            return  # made by a deployment on the way, not registered by anybody
        data = {
            "ModelName": model["name"],
            "ModelVersion": model["version"],
            "ModelTags": model["properties"]["tags"],
            "ModelProperties": model["properties"]["properties"],
        }
        self._raise(EventType.MODEL_REGISTERED, data)

    def deployed(self, endpoint: str, deployment: Json) -> None:
        """Store the event of a deployment that has come up, if it is to be raised at all."""
        if not self._raises_deployed:
            return
        model = str(deployment["properties"]["model"] or "")
        data = {
            "ServiceName": endpoint,
            "ServiceComputeType": deployment["properties"]["endpointComputeType"],
            "ModelIds": event_types.model_ids([model] if model else []),
            "ServiceTags": deployment["tags"],
            "ServiceProperties": deployment["properties"]["properties"],
        }
        self._raise(EventType.MODEL_DEPLOYED, data)

    def raise_any(self, asked: Json) -> None:
        """Raise any event of the workspace: `{"type", "data", "subject"?}`."""
        kind, data = event_types.read(asked)
        subject = asked.get("subject")
        self._raise(kind, data, None if subject is None else str(subject))

    def _raise(self, kind: EventType, data: Json, subject: str | None = None) -> None:
        event: Json = {
            "id": str(uuid.uuid4()),
            "topic": self._workspace.id,
            "subject": event_types.subject(kind, data) if subject is None else subject,
            "eventType": f"{PROVIDER}.{kind}",
            "eventTime": self._workspace.now().replace("+00:00", "Z"),
            "data": event_types.write(data, self._dialect),
            "dataVersion": "",
            "metadataVersion": "1",
        }
        self._store.put(_OUTBOX, event["id"], event)
        self._waiting.set()

    async def _send(self) -> None:
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            for event in self._store.all(_OUTBOX):
                await self._grid.publish(event)  # kept there before it returns
                self._store.delete(_OUTBOX, event["id"])

    # --- subscriptions on ARM

    async def put(self, call: Call) -> web.Response:
        """Subscribe: the handshake must succeed before the subscription exists."""
        existing = self._store.get(_KIND, call.names["name"])
        name = call.names["name"] if existing is None else existing["name"]
        properties = section(call.body, "properties")
        subscription = _read(name, properties)
        try:
            await self._grid.subscribe(subscription)
        except HandshakeError as error:
            message = f"Webhook validation handshake failed for {subscription.endpoint_url}: "
            raise ArmError(400, "Url validation", message + str(error)) from error
        document = {"name": name, "properties": properties}
        self._store.put(_KIND, name, document)
        status = HTTPStatus.CREATED if existing is None else HTTPStatus.OK
        return answer(self._describe(document), status=status)

    async def get(self, call: Call) -> web.Response:
        """`GET eventSubscriptions/{name}`."""
        document = self._store.get(_KIND, call.names["name"])
        if document is None:
            raise not_found(f"Event subscription '{call.names['name']}' was not found")
        return answer(self._describe(document))

    async def list_all(self, call: Call) -> web.Response:
        """`GET eventSubscriptions`."""
        found = self._store.all(_KIND)
        return page(call, self._workspace.base_url, found, self._describe)

    async def delete(self, call: Call) -> web.Response:
        """End a subscription."""
        document = self._store.get(_KIND, call.names["name"])
        if document is None:
            return nothing()
        await self._grid.unsubscribe(document["name"])
        self._store.delete(_KIND, document["name"])
        return web.Response()

    def _describe(self, document: Json) -> Json:
        kind = "Microsoft.EventGrid/eventSubscriptions"
        return {
            "id": f"{self._workspace.id}/providers/{kind}/{document['name']}",
            "name": document["name"],
            "type": kind,
            "properties": {
                **document["properties"],
                "topic": self._workspace.id,
                "provisioningState": "Succeeded",
            },
        }


def _read(name: str, properties: Json) -> Subscription:
    destination = section(properties, "destination")
    if destination.get("endpointType") != "WebHook":
        raise user_error("destination.endpointType must be 'WebHook': no other one is emulated")
    url = section(destination, "properties").get("endpointUrl")
    if not isinstance(url, str) or not url:
        raise user_error("destination.properties.endpointUrl is missing")
    schema = properties.get("eventDeliverySchema") or _SCHEMAS[0]
    if schema not in _SCHEMAS:
        raise user_error(f"eventDeliverySchema {schema!r} is not one of {', '.join(_SCHEMAS)}")
    chosen = section(properties, "filter")
    try:
        advanced = event_grid_filter.read(chosen.get("advancedFilters"))
    except ValueError as error:
        raise user_error(str(error)) from error
    policy = section(properties, "retryPolicy")
    return Subscription(
        name=name,
        endpoint_url=url,
        schema=schema,
        included_event_types=tuple(chosen.get("includedEventTypes") or ()),
        subject_begins_with=chosen.get("subjectBeginsWith") or "",
        subject_ends_with=chosen.get("subjectEndsWith") or "",
        subject_case_matters=chosen.get("isSubjectCaseSensitive") is True,
        advanced_filters=advanced,
        max_attempts=policy.get("maxDeliveryAttempts") or 30,
        ttl_minutes=policy.get("eventTimeToLiveInMinutes") or 1440,
        max_events_per_batch=section(destination, "properties").get("maxEventsPerBatch") or 1,
    )
