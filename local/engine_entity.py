"""Entities: operations in order and exactly once, locks that hold, delayed signals, listings."""

import logging
import uuid
from functools import partial

import grpc
from durabletask.entities.entity_instance_id import EntityInstanceId
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb

from local.engine_record import Entity, Instance, is_within, now, stamped, text_of, time_of
from local.engine_stream import Kind, Streams

_logger = logging.getLogger(__name__)


class Entities(Streams):
    """An entity's queue holds operations and lock requests; a lock stops all but its owner."""

    def SignalEntity(  # noqa: N802 - the service's own name
        self, request: pb.SignalEntityRequest, context: grpc.ServicerContext
    ) -> pb.SignalEntityResponse:
        """Queue an operation that answers nobody."""
        try:
            EntityInstanceId.parse(request.instanceId)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        with self._change():
            self._signal(request.instanceId, _signaled(request, request.requestId))
        return pb.SignalEntityResponse()

    def _signal(self, entity_id: str, signal: pb.EntityOperationSignaledEvent) -> None:
        event = stamped(pb.HistoryEvent(eventId=-1, entityOperationSignaled=signal))
        entity = self._entity_for(entity_id)
        due = time_of(signal, "scheduledTime")
        if due is not None and due > now():
            entity.delayed.append(event)
            self._touched_entities.add(entity_id)
            self._arm_signal(entity_id, event)
        else:
            self._queue_entity_operation(entity_id, event)

    def _arm_signal(self, entity_id: str, event: pb.HistoryEvent) -> None:
        due = time_of(event.entityOperationSignaled, "scheduledTime") or now()
        self._alarm.at(due, partial(self._release_signal, entity_id, event))

    def _release_signal(self, entity_id: str, event: pb.HistoryEvent) -> None:
        with self._change():
            entity = self._entity(entity_id)
            if entity is not None and event in entity.delayed:
                entity.delayed.remove(event)
                self._queue_entity_operation(entity_id, event)

    def _entity_for(self, entity_id: str) -> Entity:
        entity = self._entity(entity_id)
        if entity is None:
            EntityInstanceId.parse(entity_id)  # raises for what could never be handed out
            entity = Entity(instance_id=entity_id)
            self._entities[entity_id] = entity
        return entity

    def _queue_entity_operation(self, entity_id: str, event: pb.HistoryEvent) -> None:
        entity = self._entity_for(entity_id)
        entity.waiting.append(event)
        self._admit(entity)

    def _admit(self, entity: Entity) -> None:
        """Let pass, in order, what no lock holds back."""
        self._touched_entities.add(entity.instance_id)
        while entity.waiting and entity.locked_by is None:
            event = entity.waiting.pop(0)
            if event.HasField("entityLockRequested"):
                self._lock_entity(entity, event.entityLockRequested)
            else:
                entity.pending_operations.append(event)
        if entity.locked_by is not None:
            own = [event for event in entity.waiting if _caller(event) == entity.owner]
            entity.waiting = [event for event in entity.waiting if _caller(event) != entity.owner]
            entity.pending_operations.extend(own)
        if entity.pending_operations:
            self._enqueue_entity(entity.instance_id)

    def _lock_entity(self, entity: Entity, request: pb.EntityLockRequestedEvent) -> None:
        entity.locked_by = request.criticalSectionId
        entity.owner = request.parentInstanceId.value
        following = request.position + 1
        if following < len(request.lockSet):
            onward = pb.EntityLockRequestedEvent()
            onward.CopyFrom(request)
            onward.position = following
            event = pb.HistoryEvent(eventId=-1, entityLockRequested=onward)
            self._queue_entity_operation(request.lockSet[following], stamped(event))
            return
        owner = self._instance(entity.owner)
        if owner is not None:
            granted = pb.EntityLockGrantedEvent(criticalSectionId=request.criticalSectionId)
            self._deliver(owner, pb.HistoryEvent(eventId=-1, entityLockGranted=granted))

    def _release_locks(self, instance: Instance) -> None:
        """Free whatever an ended execution has locked or asked for, whatever it said itself."""
        locks, instance.locks = instance.locks, set()
        for entity_id in sorted(locks):
            entity = self._entity(entity_id)
            if entity is not None:
                self._unlock(entity, instance.instance_id)

    def _unlock(self, entity: Entity, owner: str) -> None:
        if entity.owner == owner:
            entity.locked_by, entity.owner = None, ""
        entity.waiting = [
            event
            for event in entity.waiting
            if event.entityLockRequested.parentInstanceId.value != owner
        ]
        self._admit(entity)

    def _send_to_entity(self, instance: Instance, action: pb.OrchestratorAction) -> None:
        message = action.sendEntityMessage
        kind = message.WhichOneof("EntityMessageType")
        confirmation = stamped(pb.HistoryEvent(eventId=action.id))
        getattr(confirmation, kind).CopyFrom(getattr(message, kind))
        instance.history.append(confirmation)
        match kind:
            case "entityOperationSignaled":
                signal = message.entityOperationSignaled
                self._signal(signal.targetInstanceId.value, signal)
            case "entityOperationCalled":
                self._call_entity(instance, message.entityOperationCalled)
            case "entityLockRequested":
                request = message.entityLockRequested
                instance.locks.update(request.lockSet)
                event = pb.HistoryEvent(eventId=-1, entityLockRequested=request)
                self._queue_entity_operation(request.lockSet[0], stamped(event))
            case "entityUnlockSent":
                target = message.entityUnlockSent.targetInstanceId.value
                instance.locks.discard(target)
                self._unlock(self._entity_for(target), instance.instance_id)

    def _call_entity(self, instance: Instance, call: pb.EntityOperationCalledEvent) -> None:
        event = stamped(pb.HistoryEvent(eventId=-1, entityOperationCalled=call))
        # The library leaves it out; without it a late answer would reach the caller's next
        # execution, where the SDK takes it for an error of the orchestrator.
        event.entityOperationCalled.parentExecutionId.value = instance.execution
        self._queue_entity_operation(call.targetInstanceId.value, event)

    def CompleteEntityTask(  # noqa: N802 - the service's own name
        self, request: pb.EntityBatchResult, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take a batch's state, answers, signals and starts: all of it or nothing."""
        with self._change():
            item = self._settle(request.completionToken, context)
            entity = None if item is None else self._entity(item.key)
            if item is None or item.kind is not Kind.ENTITY or entity is None:
                _logger.warning("entity answer ignored: nobody waits for it any more")
                return pb.CompleteTaskResponse()
            operations, entity.dispatched_operations = entity.dispatched_operations, []
            self._entity_in_flight.discard(item.key)
            self._take_results(entity, operations, request)
            for action in request.actions:
                self._act_for_entity(action)
            self._admit(entity)
        return pb.CompleteTaskResponse()

    def _take_results(
        self, entity: Entity, operations: list[pb.HistoryEvent], request: pb.EntityBatchResult
    ) -> None:
        results = list(request.results)
        broken = request.HasField("failureDetails")
        if broken:
            # The entity function itself could not run: nothing was applied beyond the results.
            failure = pb.OperationResultFailure(failureDetails=request.failureDetails)
            missing = len(operations) - len(results)
            results.extend([pb.OperationResult(failure=failure)] * missing)
        if not broken or request.HasField("entityState"):
            entity.serialized_state = request.entityState.value or None
            entity.last_modified_at = now()
        for operation, result in zip(operations, results, strict=False):
            self._answer_caller(operation, result)
        # A worker may stop in the middle of a batch; what it left comes first again.
        entity.pending_operations = [*operations[len(results) :], *entity.pending_operations]

    def _answer_caller(self, operation: pb.HistoryEvent, result: pb.OperationResult) -> None:
        call = operation.entityOperationCalled
        caller = self._instance(call.parentInstanceId.value)
        if not operation.HasField("entityOperationCalled") or caller is None or caller.is_over:
            return
        if call.parentExecutionId.value != caller.execution:
            return  # the caller has continued as new
        if result.HasField("failure"):
            failed = pb.EntityOperationFailedEvent(
                requestId=call.requestId, failureDetails=result.failure.failureDetails
            )
            event = pb.HistoryEvent(eventId=-1, entityOperationFailed=failed)
        else:
            completed = pb.EntityOperationCompletedEvent(
                requestId=call.requestId, output=result.success.result
            )
            event = pb.HistoryEvent(eventId=-1, entityOperationCompleted=completed)
        self._deliver(caller, event)

    def _act_for_entity(self, action: pb.OperationAction) -> None:
        try:
            if action.HasField("sendSignal"):
                signal = action.sendSignal
                self._signal(signal.instanceId, _signaled(signal, uuid.uuid4().hex))
            elif action.HasField("startNewOrchestration"):
                self._start_for_entity(action.startNewOrchestration)
        except ValueError:
            # As in the real hosts, an entity is not told; the other actions must still happen.
            _logger.exception("action of an entity refused")

    def _start_for_entity(self, action: pb.StartNewOrchestrationAction) -> None:
        raise NotImplementedError

    def GetEntity(  # noqa: N802 - the service's own name
        self, request: pb.GetEntityRequest, context: grpc.ServicerContext
    ) -> pb.GetEntityResponse:
        """Return an entity that has a state."""
        del context
        with self._lock:
            entity = self._entity(request.instanceId)
            if entity is None or entity.serialized_state is None:
                return pb.GetEntityResponse(exists=False)
            return pb.GetEntityResponse(exists=True, entity=_metadata(entity, request.includeState))

    def QueryEntities(  # noqa: N802 - the service's own name
        self, request: pb.QueryEntitiesRequest, context: grpc.ServicerContext
    ) -> pb.QueryEntitiesResponse:
        """Return a page of entities in the order of their ids."""
        del context
        query = request.query
        after = query.continuationToken.value
        with self._lock:
            keys = sorted(key for key in self._entities if key > after)
            entities = [each for key in keys if (each := self._entity(key)) is not None]
            found = [each for each in entities if _is_asked_for(each, query)]
            page = found[: query.pageSize.value or None]
            more = page[-1].instance_id if len(page) < len(found) else None
            return pb.QueryEntitiesResponse(
                entities=[_metadata(each, query.includeState) for each in page],
                continuationToken=helpers.get_string_value(more),
            )

    def CleanEntityStorage(  # noqa: N802 - the service's own name
        self, request: pb.CleanEntityStorageRequest, context: grpc.ServicerContext
    ) -> pb.CleanEntityStorageResponse:
        """Forget entities without state or work, free locks whose owner is gone."""
        del context
        emptied = released = 0
        with self._change():
            for key in list(self._entities):
                entity = self._entity_for(key)
                owner = self._instance(entity.owner)
                if request.releaseOrphanedLocks and entity.locked_by and owner is None:
                    self._unlock(entity, entity.owner)
                    released += 1
                is_empty = entity.serialized_state is None and entity.is_idle
                if request.removeEmptyEntities and is_empty:
                    del self._entities[key]
                    self._touched_entities.add(key)
                    emptied += 1
        return pb.CleanEntityStorageResponse(
            emptyEntitiesRemoved=emptied, orphanedLocksReleased=released
        )


def _signaled(
    signal: pb.SignalEntityRequest | pb.SendSignalAction, request_id: str
) -> pb.EntityOperationSignaledEvent:
    event = pb.EntityOperationSignaledEvent(
        requestId=request_id,
        operation=signal.name,
        input=helpers.get_string_value(text_of(signal, "input")),
        targetInstanceId=helpers.get_string_value(signal.instanceId),
    )
    if signal.HasField("scheduledTime"):
        event.scheduledTime.CopyFrom(signal.scheduledTime)
    return event


def _caller(event: pb.HistoryEvent) -> str:
    return str(event.entityOperationCalled.parentInstanceId.value)


def _is_asked_for(entity: Entity, query: pb.EntityQuery) -> bool:
    span = time_of(query, "lastModifiedFrom"), time_of(query, "lastModifiedTo")
    return (
        (query.includeTransient or entity.serialized_state is not None)
        and entity.instance_id.startswith(query.instanceIdStartsWith.value)
        and is_within(entity.last_modified_at, *span)
    )


def _metadata(entity: Entity, include_state: bool) -> pb.EntityMetadata:  # noqa: FBT001 - a flag of the request
    waiting = len(entity.pending_operations) + len(entity.waiting)
    return pb.EntityMetadata(
        instanceId=entity.instance_id,
        lastModifiedTime=helpers.new_timestamp(entity.last_modified_at),
        backlogQueueSize=waiting,
        lockedBy=helpers.get_string_value(entity.owner or None),
        serializedState=helpers.get_string_value(
            entity.serialized_state if include_state else None
        ),
    )
