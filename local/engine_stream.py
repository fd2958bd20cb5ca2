"""Hands work to workers, and hands it out again when a worker goes away or falls silent."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import partial

import grpc
from durabletask.entities.entity_instance_id import EntityInstanceId
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb

from local.engine_keeper import Keeper
from local.engine_record import Activity, Instance, now, stamped, text_of

# The library's worker gives up a stream, and with it what it is working on, after two silent
# minutes (silent_disconnect_timeout_seconds).
PING = timedelta(seconds=30)

type Filter = dict[str, frozenset[str]] | None


class Kind(StrEnum):
    """What a work item asks for."""

    TURN = "turn"
    ACTIVITY = "activity"
    ENTITY = "entity"


@dataclass(kw_only=True, slots=True, eq=False)
class Stream:
    """One connected worker, and the tokens of what it holds."""

    peer: str
    filters: dict[Kind, Filter]
    limits: dict[Kind, int]  # 0: none
    held: dict[Kind, set[str]] = field(default_factory=lambda: {kind: set() for kind in Kind})
    is_open: bool = True
    is_silent: bool = False  # let a lease pass and has answered nothing since

    def has_room(self, kind: Kind) -> bool:
        """Whether this worker may be given one more item of this kind."""
        limit = self.limits[kind]
        return limit == 0 or len(self.held[kind]) < limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something a worker holds."""

    kind: Kind
    key: str  # the instance's or the entity's id
    token: str
    stream: Stream


class Streams(Keeper):
    """Every item handed out is remembered with its stream until it is answered."""

    def __init__(self, port: int, lease: timedelta | None) -> None:
        super().__init__(port)
        self._lease = lease
        self._streams: set[Stream] = set()
        self._handed: dict[str, Item] = {}
        self._ready: deque[Activity] = deque()

    def GetWorkItems(  # noqa: N802 - the service's own name
        self, request: pb.GetWorkItemsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WorkItem]:
        """Stream work to one worker for as long as it stays connected."""
        turns, activities, entities = self._parse_work_item_filters(request)
        stream = Stream(
            peer=context.peer(),
            filters={Kind.TURN: turns, Kind.ACTIVITY: activities, Kind.ENTITY: entities},
            limits={
                Kind.TURN: request.maxConcurrentOrchestrationWorkItems,
                Kind.ACTIVITY: request.maxConcurrentActivityWorkItems,
                Kind.ENTITY: request.maxConcurrentEntityWorkItems,
            },
        )
        with self._lock:
            self._streams.add(stream)
        if not context.add_callback(partial(self._close_stream, stream)):
            self._close_stream(stream)
        while (item := self._next_item(stream)) is not None:
            yield item

    def _next_item(self, stream: Stream) -> pb.WorkItem | None:
        with self._news:
            while stream.is_open and not self._shutdown_event.is_set():
                item = None if stream.is_silent else self._take(stream)
                if item is not None:
                    return item
                if not self._news.wait(PING.total_seconds()):
                    return pb.WorkItem(healthPing=pb.HealthPing())
        return None

    def _take(self, stream: Stream) -> pb.WorkItem | None:
        takes = {
            Kind.TURN: self._take_turn,
            Kind.ACTIVITY: self._take_activity,
            Kind.ENTITY: self._take_entity,
        }
        for kind, take in takes.items():
            if stream.has_room(kind) and (item := take(stream)) is not None:
                return item
        return None

    def _take_turn(self, stream: Stream) -> pb.WorkItem | None:
        for _ in range(len(self._orchestration_queue)):
            key = self._orchestration_queue.popleft()
            self._orchestration_queue_set.discard(key)
            instance = self._instance(key)
            if instance is None or not self._may_run(instance):
                continue  # whatever ends the hindrance enqueues it again
            accepted = stream.filters[Kind.TURN]
            if self._matches_filter(instance.name, instance.version, accepted):
                return self._start_turn(stream, instance)
            self._orchestration_queue.append(key)
            self._orchestration_queue_set.add(key)
        return None

    def _may_run(self, instance: Instance) -> bool:
        is_due = instance.start_at is None or instance.start_at <= now()
        is_free = instance.instance_id not in self._orchestration_in_flight
        return bool(instance.pending_events) and is_due and is_free and not instance.is_over

    def _start_turn(self, stream: Stream, instance: Instance) -> pb.WorkItem:
        events = instance.pending_events
        if not events[0].HasField("orchestratorStarted"):
            events.insert(0, helpers.new_orchestrator_started_event())
        # Also where it is there already: after a redelivery the orchestrator must not read the
        # time of the turn that was lost.
        stamped(events[0])
        instance.dispatched_events, instance.pending_events = events, []
        self._orchestration_in_flight.add(instance.instance_id)
        token = str(instance.completion_token)
        self._hand_out(Kind.TURN, instance.instance_id, token, stream)
        return pb.WorkItem(
            completionToken=token,
            orchestratorRequest=pb.OrchestratorRequest(
                instanceId=instance.instance_id,
                executionId=helpers.get_string_value(instance.execution),
                pastEvents=instance.history,
                newEvents=events,
            ),
        )

    def _take_activity(self, stream: Stream) -> pb.WorkItem | None:
        for _ in range(len(self._ready)):
            activity = self._ready.popleft()
            instance = self._instance(activity.instance_id)
            if instance is None or activity.token not in instance.activities:
                continue  # answered, or purged, while it stood here
            request = activity.request
            accepted = stream.filters[Kind.ACTIVITY]
            if self._matches_filter(request.name, text_of(request, "version"), accepted):
                self._hand_out(Kind.ACTIVITY, activity.instance_id, activity.token, stream)
                return pb.WorkItem(completionToken=activity.token, activityRequest=request)
            self._ready.append(activity)
        return None

    def _take_entity(self, stream: Stream) -> pb.WorkItem | None:
        for _ in range(len(self._entity_queue)):
            key = self._entity_queue.popleft()
            self._entity_queue_set.discard(key)
            entity = self._entity(key)
            if entity is None or not entity.pending_operations or key in self._entity_in_flight:
                continue  # its answer enqueues it again
            name = EntityInstanceId.parse(key).entity
            if not self._matches_filter(name, None, stream.filters[Kind.ENTITY]):
                self._entity_queue.append(key)
                self._entity_queue_set.add(key)
                continue
            entity.dispatched_operations, entity.pending_operations = entity.pending_operations, []
            self._entity_in_flight.add(key)
            token = str(self._new_token())
            self._hand_out(Kind.ENTITY, key, token, stream)
            state = helpers.get_string_value(entity.serialized_state)
            operations = entity.dispatched_operations
            return pb.WorkItem(
                completionToken=token,
                entityRequestV2=pb.EntityRequest(
                    instanceId=key, entityState=state, operationRequests=operations
                ),
            )
        return None

    def _hand_out(self, kind: Kind, key: str, token: str, stream: Stream) -> None:
        item = Item(kind=kind, key=key, token=token, stream=stream)
        self._handed[token] = item
        stream.held[kind].add(token)
        if self._lease is not None:
            self._alarm.at(now() + self._lease, partial(self._end_lease, item))

    def _settle(self, token: str, context: grpc.ServicerContext) -> Item | None:
        """Take an answer's item back; None when nobody is waiting for this answer any more."""
        answering = [each for each in self._streams if each.peer == context.peer()]
        for stream in answering or self._streams:
            stream.is_silent = False
        item = self._take_back(token)
        self._news.notify_all()
        return item

    def _take_back(self, token: str) -> Item | None:
        item = self._handed.pop(token, None)
        if item is not None:
            item.stream.held[item.kind].discard(token)
        return item

    def _close_stream(self, stream: Stream) -> None:
        with self._lock:
            stream.is_open = False
            self._streams.discard(stream)
            for token in [token for tokens in stream.held.values() for token in tokens]:
                self._give_back(token)
            self._news.notify_all()

    def _end_lease(self, item: Item) -> None:
        with self._lock:
            if self._handed.get(item.token) is item:
                item.stream.is_silent = True
                self._give_back(item.token)

    def _give_back(self, token: str) -> None:
        """Queue again what a worker held.

        A turn and a batch get a new token: the old worker may only be frozen, and its late answer
        would be taken while the events are back in the queue. An activity keeps its own: it did
        run, and its first answer counts, whoever sends it.
        """
        item = self._take_back(token)
        if item is None:
            return
        match item.kind:
            case Kind.TURN:
                self._give_back_turn(item)
            case Kind.ACTIVITY:
                self._give_back_activity(item)
            case Kind.ENTITY:
                self._give_back_entity(item)

    def _give_back_turn(self, item: Item) -> None:
        instance = self._instance(item.key)
        if instance is None or str(instance.completion_token) != item.token:
            return  # purged or replaced meanwhile
        instance.pending_events = [*instance.dispatched_events, *instance.pending_events]
        instance.dispatched_events = []
        instance.completion_token = self._new_token()
        self._orchestration_in_flight.discard(item.key)
        self._enqueue_orchestration(item.key)

    def _give_back_activity(self, item: Item) -> None:
        instance = self._instance(item.key)
        activity = None if instance is None else instance.activities.get(item.token)
        if activity is not None:
            self._ready.appendleft(activity)
            self._news.notify_all()

    def _give_back_entity(self, item: Item) -> None:
        entity = self._entity(item.key)
        if entity is None:
            return
        entity.pending_operations = [*entity.dispatched_operations, *entity.pending_operations]
        entity.dispatched_operations = []
        self._entity_in_flight.discard(item.key)
        self._enqueue_entity(item.key)

    def AbandonTaskActivityWorkItem(  # noqa: N802 - the service's own name
        self, request: pb.AbandonActivityTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonActivityTaskResponse:
        """Queue an activity again that a worker gives back."""
        self._abandon(request.completionToken, context)
        return pb.AbandonActivityTaskResponse()

    def AbandonTaskOrchestratorWorkItem(  # noqa: N802 - the service's own name
        self, request: pb.AbandonOrchestrationTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonOrchestrationTaskResponse:
        """Queue a turn again that a worker gives back."""
        self._abandon(request.completionToken, context)
        return pb.AbandonOrchestrationTaskResponse()

    def AbandonTaskEntityWorkItem(  # noqa: N802 - the service's own name
        self, request: pb.AbandonEntityTaskRequest, context: grpc.ServicerContext
    ) -> pb.AbandonEntityTaskResponse:
        """Queue an entity's batch again that a worker gives back."""
        self._abandon(request.completionToken, context)
        return pb.AbandonEntityTaskResponse()

    def _abandon(self, token: str, context: grpc.ServicerContext) -> None:
        with self._lock:
            for stream in self._streams:
                if stream.peer == context.peer():
                    stream.is_silent = False
            self._give_back(token)
