"""What a durable client may ask: start, wait, tell, end, list and purge instances."""

import threading
import uuid
from collections.abc import Callable
from enum import StrEnum
from typing import cast

import grpc
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import OrchestrationInstance, StateWaiter

from local.engine_record import Instance, is_within, text_of, time_of
from local.engine_turn import Turns

# The limits of the Azure Storage provider, so that an id refused there is refused here.
LONGEST_ID = 256
FORBIDDEN_IN_ID = frozenset("/\\?#")


class IdReuse(StrEnum):
    """What happens to a start with the id of an instance that exists.

    The client's own reuse policy is not asked: the Functions extension ignores it too.
    """

    REPLACE_FINISHED = "replace-finished"  # as the Functions extension does by default
    REFUSE = "refuse"  # the id of a finished instance too
    TERMINATE_RUNNING = "terminate-running"  # as newer extensions may


class Clients(Turns):
    """The part of the service that faces clients."""

    _id_reuse: IdReuse

    def StartInstance(  # noqa: N802 - the service's own name
        self, request: pb.CreateInstanceRequest, context: grpc.ServicerContext
    ) -> pb.CreateInstanceResponse:
        """Start an instance, or refuse as `IdReuse` says."""
        wanted = pb.CreateInstanceRequest()
        wanted.CopyFrom(request)
        wanted.instanceId = request.instanceId or uuid.uuid4().hex
        complaint = _complaint_about(wanted.instanceId)
        if complaint is not None:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, complaint)
        with self._change():
            try:
                self._make_room(wanted.instanceId)
            except ValueError as error:
                context.abort(grpc.StatusCode.ALREADY_EXISTS, str(error))
            self._create(wanted)
        return pb.CreateInstanceResponse(instanceId=wanted.instanceId)

    def _make_room(self, instance_id: str) -> None:
        existing = self._instance(instance_id)
        if existing is None:
            return
        state = "finished" if existing.is_over else "running"
        if self._id_reuse is IdReuse.REFUSE or (
            not existing.is_over and self._id_reuse is IdReuse.REPLACE_FINISHED
        ):
            raise ValueError(f"an orchestration instance {instance_id!r} already exists: {state}")
        if not existing.is_over:
            event = helpers.new_terminated_event()
            self._end_unstarted(existing, event)

    def WaitForInstanceStart(  # noqa: N802 - the service's own name
        self, request: pb.GetInstanceRequest, context: grpc.ServicerContext
    ) -> pb.GetInstanceResponse:
        """Answer when the instance has had a turn."""
        return self._wait(request, context, _has_begun)

    def WaitForInstanceCompletion(  # noqa: N802 - the service's own name
        self, request: pb.GetInstanceRequest, context: grpc.ServicerContext
    ) -> pb.GetInstanceResponse:
        """Answer when the instance is over."""
        return self._wait(request, context, self._is_terminal_status_check)

    def _wait(
        self,
        request: pb.GetInstanceRequest,
        context: grpc.ServicerContext,
        predicate: Callable[[OrchestrationInstance], bool],
    ) -> pb.GetInstanceResponse:
        """Wait for as long as the client does; the library gives up after 30 s of its own."""
        key = request.instanceId
        waiter = StateWaiter(predicate=predicate)
        with self._lock:
            instance = self._instance(key)
            if instance is not None and predicate(instance):
                return self._build_instance_response(instance, request.getInputsAndOutputs)
            self._state_waiters.setdefault(key, []).append(waiter)
        if context.add_callback(waiter.event.set):
            # Without a deadline gRPC says some 292 billion years, which no lock can wait.
            waiter.event.wait(min(context.time_remaining(), threading.TIMEOUT_MAX))
        # Under the lock, so that nobody is told of an end that is not yet stored.
        with self._lock:
            waiters = [each for each in self._state_waiters.get(key, []) if each is not waiter]
            self._state_waiters[key] = waiters
            if not waiters:
                del self._state_waiters[key]
            instance = self._instance(key)
            if instance is None:
                return pb.GetInstanceResponse(exists=False)
            if predicate(instance):
                return self._build_instance_response(instance, request.getInputsAndOutputs)
        code = grpc.StatusCode.DEADLINE_EXCEEDED
        if self._shutdown_event.is_set():
            code = grpc.StatusCode.UNAVAILABLE
        context.abort(code, f"waiting for instance {key!r}: it is not there yet")
        raise AssertionError

    def RaiseEvent(  # noqa: N802 - the service's own name
        self, request: pb.RaiseEventRequest, context: grpc.ServicerContext
    ) -> pb.RaiseEventResponse:
        """Give an event to an instance; one that is over takes it without effect."""
        with self._change():
            instance = self._instance(request.instanceId)
            if instance is not None and instance.is_over:
                return pb.RaiseEventResponse()
            self._touched_instances.add(request.instanceId)
            return super().RaiseEvent(request, context)

    def TerminateInstance(  # noqa: N802 - the service's own name
        self, request: pb.TerminateRequest, context: grpc.ServicerContext
    ) -> pb.TerminateResponse:
        """End an instance, and its children if the client asks for it."""
        del context
        with self._change():
            self._terminate_instance_internal(
                request.instanceId, text_of(request, "output"), request.recursive
            )
        return pb.TerminateResponse()

    def SuspendInstance(  # noqa: N802 - the service's own name
        self, request: pb.SuspendRequest, context: grpc.ServicerContext
    ) -> pb.SuspendResponse:
        """Suspend an instance that is neither over nor suspended."""
        with self._change():
            instance = self._instance(request.instanceId)
            if instance is not None and (instance.is_over or _will_be_suspended(instance)):
                return pb.SuspendResponse()
            return super().SuspendInstance(request, context)

    def ResumeInstance(  # noqa: N802 - the service's own name
        self, request: pb.ResumeRequest, context: grpc.ServicerContext
    ) -> pb.ResumeResponse:
        """Resume a suspended instance; the SDK fails an instance that is resumed without need."""
        with self._change():
            instance = self._instance(request.instanceId)
            if instance is not None and (instance.is_over or not _will_be_suspended(instance)):
                return pb.ResumeResponse()
            return super().ResumeInstance(request, context)

    def RestartInstance(  # noqa: N802 - the service's own name
        self, request: pb.RestartInstanceRequest, context: grpc.ServicerContext
    ) -> pb.RestartInstanceResponse:
        """Run a finished instance once more with its input."""
        with self._change():
            return super().RestartInstance(request, context)

    def RewindInstance(  # noqa: N802 - the service's own name
        self, request: pb.RewindInstanceRequest, context: grpc.ServicerContext
    ) -> pb.RewindInstanceResponse:
        """Run the failed steps of a failed instance again."""
        with self._change():
            return super().RewindInstance(request, context)

    def PurgeInstances(  # noqa: N802 - the service's own name
        self, request: pb.PurgeInstancesRequest, context: grpc.ServicerContext
    ) -> pb.PurgeInstancesResponse:
        """Forget finished instances, with their finished children if the client asks for it."""
        del context
        with self._change():
            if request.HasField("purgeInstanceFilter"):
                keys = [
                    key
                    for key in self._instances
                    if _is_meant(self._instances[key], request.purgeInstanceFilter)
                ]
            else:
                keys = [request.instanceId, *request.instanceBatch.instanceIds]
            count = sum(self._purge(key, recursive=request.recursive) for key in keys)
        response = pb.PurgeInstancesResponse(deletedInstanceCount=count)
        response.isComplete.value = True
        return response

    def _purge(self, instance_id: str, *, recursive: bool) -> int:
        instance = self._instance(instance_id)
        if instance is None or not instance.is_over:
            return 0
        children = self._children(instance) if recursive else []
        del self._instances[instance_id]
        self._touched_instances.add(instance_id)
        for waiter in self._state_waiters.get(instance_id, []):
            waiter.event.set()
        return 1 + sum(self._purge(each.instance_id, recursive=True) for each in children)

    def QueryInstances(  # noqa: N802 - the service's own name
        self, request: pb.QueryInstancesRequest, context: grpc.ServicerContext
    ) -> pb.QueryInstancesResponse:
        """Return a page of instances in the order of their creation."""
        del context
        query = request.query
        after = query.continuationToken.value
        with self._lock:
            instances = [each for key in self._instances if (each := self._instance(key))]
            found = sorted(
                (each for each in instances if _is_asked_for(each, query) and _place(each) > after),
                key=_place,
            )
            page = found[: query.maxInstanceCount] if query.maxInstanceCount > 0 else found
            more = _place(page[-1]) if len(page) < len(found) else None
            return pb.QueryInstancesResponse(
                orchestrationState=[_state_of(each, query.fetchInputsAndOutputs) for each in page],
                continuationToken=helpers.get_string_value(more),
            )

    def _build_instance_response(
        self,
        instance: OrchestrationInstance,
        include_payloads: bool,  # noqa: FBT001 - the library calls it so
    ) -> pb.GetInstanceResponse:
        state = _state_of(cast("Instance", instance), include_payloads)
        return pb.GetInstanceResponse(exists=True, orchestrationState=state)


def _has_begun(instance: OrchestrationInstance) -> bool:
    return instance.status != pb.ORCHESTRATION_STATUS_PENDING


def _complaint_about(instance_id: str) -> str | None:
    forbidden = sorted({each for each in instance_id if each in FORBIDDEN_IN_ID or each < " "})
    if len(instance_id) > LONGEST_ID:
        return f"instance id of {len(instance_id)} characters: {LONGEST_ID} are allowed"
    if instance_id.startswith("@"):
        return f"instance id {instance_id!r}: only entities begin with '@'"
    if forbidden:
        return f"instance id {instance_id!r}: it must not contain {', '.join(map(repr, forbidden))}"
    return None


def _will_be_suspended(instance: Instance) -> bool:
    suspended = instance.status == pb.ORCHESTRATION_STATUS_SUSPENDED
    for event in [*instance.dispatched_events, *instance.pending_events]:
        if event.HasField("executionSuspended"):
            suspended = True
        elif event.HasField("executionResumed"):
            suspended = False
    return suspended


def _is_meant(
    instance: OrchestrationInstance, wanted: pb.InstanceQuery | pb.PurgeInstanceFilter
) -> bool:
    span = time_of(wanted, "createdTimeFrom"), time_of(wanted, "createdTimeTo")
    return is_within(instance.created_at, *span) and (
        not wanted.runtimeStatus or instance.status in wanted.runtimeStatus
    )


def _is_asked_for(instance: Instance, query: pb.InstanceQuery) -> bool:
    prefix = query.instanceIdPrefix.value
    return _is_meant(instance, query) and instance.instance_id.startswith(prefix)


def _place(instance: Instance) -> str:
    return f"{instance.created_at.isoformat(timespec='microseconds')} {instance.instance_id}"


def _state_of(instance: Instance, include_payloads: bool) -> pb.OrchestrationState:  # noqa: FBT001 - a flag of the request
    text = helpers.get_string_value
    parent = None if instance.parent is None else instance.parent.instance_id
    state = pb.OrchestrationState(
        instanceId=instance.instance_id,
        name=instance.name,
        version=text(instance.version),
        orchestrationStatus=instance.status,
        createdTimestamp=helpers.new_timestamp(instance.created_at),
        lastUpdatedTimestamp=helpers.new_timestamp(instance.last_updated_at),
        input=text(instance.input if include_payloads else None),
        output=text((instance.output or None) if include_payloads else None),
        customStatus=text(instance.custom_status or None),
        failureDetails=instance.failure_details,
        executionId=text(instance.execution),
        parentInstanceId=text(parent),
        tags=instance.tags,
    )
    if instance.completed_at is not None:
        state.completedTimestamp.FromDatetime(instance.completed_at)
    if instance.start_at is not None:
        state.scheduledStartTimestamp.FromDatetime(instance.start_at)
    return state
