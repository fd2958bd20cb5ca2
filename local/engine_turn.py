"""Turns: what an orchestrator's answer sets in motion, each thing bound to its execution."""

import logging
import uuid
from datetime import UTC
from functools import partial
from typing import cast

import grpc
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import OrchestrationInstance

from local.engine_entity import Entities
from local.engine_record import Activity, Instance, Parent, now, stamped, text_of, time_of

_logger = logging.getLogger(__name__)

CONTINUED_AS_NEW = pb.ORCHESTRATION_STATUS_CONTINUED_AS_NEW

# What is meant for the instance and not for one of its executions.
_LASTING = ("eventRaised", "executionTerminated", "executionSuspended", "executionResumed")


class Turns(Entities):
    """Timers, activities and children remember the execution that asked for them."""

    def _create(self, request: pb.CreateInstanceRequest, parent: Parent | None = None) -> Instance:
        """Make an instance, in place of one of the same id if there is one."""
        key = request.instanceId
        tags = dict(request.tags) or None
        instance = Instance(
            instance_id=key,
            name=request.name,
            status=pb.ORCHESTRATION_STATUS_PENDING,
            version=text_of(request, "version"),
            input=text_of(request, "input"),
            completion_token=self._new_token(),
            tags=tags,
            execution=uuid.uuid4().hex,
        )
        trace = request.parentTraceContext if request.HasField("parentTraceContext") else None
        started = helpers.new_execution_started_event(
            request.name, key, instance.input, tags, instance.version, trace
        )
        instance.pending_events = [
            stamped(helpers.new_orchestrator_started_event()),
            stamped(started),
        ]
        self._name_execution(instance, parent)
        self._instances[key] = instance
        self._orchestration_in_flight.discard(key)
        instance.start_at = time_of(request, "scheduledStartTimestamp")
        self._arm_start(instance)
        self._enqueue_orchestration(key)
        return instance

    def _create_instance_internal(
        self,
        instance_id: str,
        name: str,
        encoded_input: str | None = None,
        version: str | None = None,
    ) -> None:
        """Make an instance for the library's own code: restart and rewind."""
        request = pb.CreateInstanceRequest(
            instanceId=instance_id,
            name=name,
            input=helpers.get_string_value(encoded_input),
            version=helpers.get_string_value(version),
        )
        self._create(request)

    def _name_execution(self, instance: Instance, parent: Parent | None) -> None:
        """Write into the first event what the library leaves out: execution, parent, tags."""
        instance.parent = parent
        started = instance.pending_events[1].executionStarted
        started.orchestrationInstance.executionId.value = instance.execution
        started.tags.update(instance.tags or {})
        if parent is not None:
            started.parentInstance.taskScheduledId = parent.task_id
            started.parentInstance.name.value = parent.name
            started.parentInstance.orchestrationInstance.instanceId = parent.instance_id
            started.parentInstance.orchestrationInstance.executionId.value = parent.execution

    def _arm_start(self, instance: Instance) -> None:
        if instance.start_at is not None and instance.start_at > now():
            self._alarm.at(instance.start_at, partial(self._wake, instance.instance_id))

    def _wake(self, instance_id: str) -> None:
        with self._change():
            if instance_id in self._instances:
                self._enqueue_orchestration(instance_id)

    def CompleteOrchestratorTask(  # noqa: N802 - the service's own name
        self, request: pb.OrchestratorResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take a turn's result, unless the turn was handed out again in the meantime."""
        with self._change():
            item = self._settle(request.completionToken, context)
            instance = self._instance(request.instanceId)
            token = None if instance is None else str(instance.completion_token)
            if item is None or instance is None or token != request.completionToken:
                # Not to the library: it would clear the mark of the turn running elsewhere.
                _logger.warning("turn's answer ignored: nobody waits for it any more")
                return pb.CompleteTaskResponse()
            self._touched_instances.add(request.instanceId)
            known, execution = len(instance.history), instance.execution
            recursive = any(each.executionTerminated.recurse for each in instance.dispatched_events)
            response = super().CompleteOrchestratorTask(request, context)
            for event in instance.history[known:]:
                if event.timestamp.seconds == 0:
                    stamped(event)
            if instance.execution != execution:
                instance.status = pb.ORCHESTRATION_STATUS_RUNNING
            if instance.is_over:
                self._end(instance, recursive=recursive)
            elif instance.pending_events:
                self._enqueue_orchestration(request.instanceId)
            return response

    def _end(self, instance: Instance, *, recursive: bool) -> None:
        """Do what the end of an instance asks for: report, free locks, take children along."""
        instance.timers.clear()
        self._release_locks(instance)
        self._report(instance)
        if recursive and instance.status == pb.ORCHESTRATION_STATUS_TERMINATED:
            for child in self._children(instance):
                self._terminate_instance_internal(
                    child.instance_id, instance.output, recursive=True
                )

    def _children(self, instance: Instance) -> list[Instance]:
        children = []
        for event in instance.history:
            child = self._instance(event.subOrchestrationInstanceCreated.instanceId)
            parent = None if child is None else child.parent
            if child is not None and parent is not None:
                is_own = parent.instance_id == instance.instance_id
                children.extend([child] if is_own and child not in children else [])
        return children

    def _terminate_instance_internal(
        self,
        instance_id: str,
        output: str | None,
        recursive: bool = False,  # noqa: FBT001, FBT002 - the library calls it so
    ) -> None:
        instance = self._instance(instance_id)
        if instance is None or instance.is_over:
            return
        event = stamped(helpers.new_terminated_event(encoded_output=output))
        event.executionTerminated.recurse = recursive
        if instance.history or instance_id in self._orchestration_in_flight:
            self._deliver(instance, event)
        else:
            self._end_unstarted(instance, event)

    def _end_unstarted(self, instance: Instance, terminated: pb.HistoryEvent) -> None:
        """End an instance without a turn: a worker would first run it up to its first wait."""
        instance.status = pb.ORCHESTRATION_STATUS_TERMINATED
        instance.output = text_of(terminated.executionTerminated, "input")
        instance.completed_at = instance.last_updated_at = now()
        completed = helpers.new_execution_completed_event(instance.status, instance.output)
        started = [each for each in instance.pending_events if each.HasField("executionStarted")]
        instance.history = [*started, terminated, stamped(completed)]
        instance.pending_events = []
        instance.completion_token = self._new_token()
        self._touched_instances.add(instance.instance_id)
        self._notify_waiters(instance.instance_id)
        self._end(instance, recursive=False)

    def _report(self, child: Instance) -> None:
        """Tell the parent how its child ended, if that execution of the parent still waits."""
        link = child.parent
        parent = None if link is None else self._instance(link.instance_id)
        if link is None or parent is None or parent.is_over or parent.execution != link.execution:
            return
        if child.status == pb.ORCHESTRATION_STATUS_COMPLETED:
            event = helpers.new_sub_orchestration_completed_event(link.task_id, child.output)
        else:
            event = _failed_child(link.task_id, child)
        self._deliver(parent, event)

    def _watch_sub_orchestration(
        self, parent_instance_id: str, sub_instance_id: str, task_id: int
    ) -> None:
        """Make a rewound child report to its parent again; the library waits in a thread."""
        parent, child = self._instance(parent_instance_id), self._instance(sub_instance_id)
        if parent is None or child is None:
            return
        child.parent = Parent(
            instance_id=parent_instance_id,
            execution=parent.execution,
            task_id=task_id,
            name=parent.name,
        )
        self._touched_instances.add(sub_instance_id)
        if child.is_over:
            self._report(child)

    def _start_child(self, instance: Instance, action: pb.OrchestratorAction) -> None:
        create = action.createSubOrchestration
        created = helpers.new_sub_orchestration_created_event(
            action.id,
            create.name,
            create.instanceId,
            text_of(create, "input"),
            text_of(create, "version"),
        )
        request = pb.CreateInstanceRequest(
            instanceId=create.instanceId,
            name=create.name,
            input=helpers.get_string_value(text_of(create, "input")),
            version=helpers.get_string_value(text_of(create, "version")),
            tags=create.tags,
        )
        if create.HasField("parentTraceContext"):
            request.parentTraceContext.CopyFrom(create.parentTraceContext)
            child_trace = created.subOrchestrationInstanceCreated.parentTraceContext
            child_trace.CopyFrom(create.parentTraceContext)
        instance.history.append(stamped(created))
        link = Parent(
            instance_id=instance.instance_id,
            execution=instance.execution,
            task_id=action.id,
            name=instance.name,
        )
        existing = self._instance(create.instanceId)
        if existing is None or existing.is_over:
            self._create(request, link)
        else:
            error = ValueError(f"orchestration instance {create.instanceId!r} already exists")
            self._deliver(instance, helpers.new_sub_orchestration_failed_event(action.id, error))

    def _create_timer(self, instance: Instance, action: pb.OrchestratorAction) -> None:
        due = action.createTimer.fireAt.ToDatetime(tzinfo=UTC)
        instance.history.append(stamped(helpers.new_timer_created_event(action.id, due)))
        instance.timers[action.id] = due
        self._arm_timer(instance, action.id)

    def _arm_timer(self, instance: Instance, timer_id: int) -> None:
        fire = partial(self._fire_timer, instance.instance_id, instance.execution, timer_id)
        self._alarm.at(instance.timers[timer_id], fire)

    def _fire_timer(self, instance_id: str, execution: str, timer_id: int) -> None:
        with self._change():
            instance = self._instance(instance_id)
            if instance is None or instance.execution != execution:
                return
            due = instance.timers.pop(timer_id, None)
            if due is not None:
                self._deliver(instance, helpers.new_timer_fired_event(timer_id, due))

    def _call_activity(self, instance: Instance, action: pb.OrchestratorAction) -> None:
        schedule = action.scheduleTask
        request = pb.ActivityRequest(
            name=schedule.name,
            taskId=action.id,
            input=helpers.get_string_value(text_of(schedule, "input")),
            version=helpers.get_string_value(text_of(schedule, "version")),
            orchestrationInstance=pb.OrchestrationInstance(
                instanceId=instance.instance_id,
                executionId=helpers.get_string_value(instance.execution),
            ),
            tags=schedule.tags,
        )
        scheduled = helpers.new_task_scheduled_event(
            action.id, schedule.name, text_of(schedule, "input")
        )
        if schedule.HasField("parentTraceContext"):
            request.parentTraceContext.CopyFrom(schedule.parentTraceContext)
            scheduled.taskScheduled.parentTraceContext.CopyFrom(schedule.parentTraceContext)
        instance.history.append(stamped(scheduled))
        token = str(self._new_token())
        activity = Activity(token=token, execution=instance.execution, request=request)
        instance.activities[token] = activity
        self._ready.append(activity)
        self._news.notify_all()

    def CompleteActivityTask(  # noqa: N802 - the service's own name
        self, request: pb.ActivityResponse, context: grpc.ServicerContext
    ) -> pb.CompleteTaskResponse:
        """Take the first answer to a call, if the execution that made it still goes on."""
        with self._change():
            self._settle(request.completionToken, context)
            instance = self._instance(request.instanceId)
            activities = {} if instance is None else instance.activities
            activity = activities.pop(request.completionToken, None)
            if instance is None or activity is None:
                _logger.warning("activity's answer ignored: nobody waits for it any more")
                return pb.CompleteTaskResponse()
            self._touched_instances.add(request.instanceId)
            if not instance.is_over and activity.execution == instance.execution:
                self._deliver(instance, _answer(request))
        return pb.CompleteTaskResponse()

    def _process_action(
        self, instance: OrchestrationInstance, action: pb.OrchestratorAction
    ) -> None:
        own = cast("Instance", instance)
        match action.WhichOneof("orchestratorActionType"):
            case "scheduleTask":
                self._call_activity(own, action)
            case "createTimer":
                self._create_timer(own, action)
            case "createSubOrchestration":
                self._start_child(own, action)
            case "sendEntityMessage":
                self._send_to_entity(own, action)
            case "completeOrchestration" if (
                action.completeOrchestration.orchestrationStatus == CONTINUED_AS_NEW
            ):
                self._continue_as_new(own, action)
            case "rewindOrchestration":
                super()._process_action(instance, action)
                own.rewritten = True
            case _:
                super()._process_action(instance, action)

    def _continue_as_new(self, instance: Instance, action: pb.OrchestratorAction) -> None:
        instance.pending_events = [
            event for event in instance.pending_events if event.WhichOneof("eventType") in _LASTING
        ]
        super()._process_action(instance, action)
        instance.execution = uuid.uuid4().hex
        instance.rewritten = True
        instance.timers.clear()
        self._release_locks(instance)
        self._name_execution(instance, instance.parent)

    def _prepare_rewind(self, instance: OrchestrationInstance, reason: str | None = None) -> None:
        super()._prepare_rewind(instance, reason)
        instance.completed_at = None
        self._touched_instances.add(instance.instance_id)

    def _start_for_entity(self, action: pb.StartNewOrchestrationAction) -> None:
        key = action.instanceId or uuid.uuid4().hex
        request = pb.CreateInstanceRequest(
            instanceId=key,
            name=action.name,
            input=helpers.get_string_value(text_of(action, "input")),
            version=helpers.get_string_value(text_of(action, "version")),
        )
        if action.HasField("scheduledTime"):
            request.scheduledStartTimestamp.CopyFrom(action.scheduledTime)
        if action.HasField("parentTraceContext"):
            request.parentTraceContext.CopyFrom(action.parentTraceContext)
        self._make_room(key)
        self._create(request)

    def _make_room(self, instance_id: str) -> None:
        """Raise ValueError if a new instance of this id is refused."""
        raise NotImplementedError


def _failed_child(task_id: int, child: Instance) -> pb.HistoryEvent:
    ended = pb.OrchestrationStatus.Name(child.status).removeprefix("ORCHESTRATION_STATUS_").lower()
    failure = child.failure_details or pb.TaskFailureDetails(
        errorType="SubOrchestrationFailed",
        errorMessage=f"sub-orchestration {child.instance_id!r} was {ended}",
    )
    failed = pb.SubOrchestrationInstanceFailedEvent(taskScheduledId=task_id, failureDetails=failure)
    return pb.HistoryEvent(eventId=-1, subOrchestrationInstanceFailed=failed)


def _answer(response: pb.ActivityResponse) -> pb.HistoryEvent:
    # By presence: the library takes a failure with an empty message for a success.
    if response.HasField("failureDetails"):
        failed = pb.TaskFailedEvent(
            taskScheduledId=response.taskId, failureDetails=response.failureDetails
        )
        return pb.HistoryEvent(eventId=-1, taskFailed=failed)
    return helpers.new_task_completed_event(response.taskId, text_of(response, "result"))
