"""The durable extension: takes work items from the engine, runs them, hands back the answers.

The host holds no work of its own: what it took and did not answer, the engine hands out again as
soon as the stream ends. It looks for the engine for ever, so either may be restarted at any time.
"""

import asyncio
import base64
import json
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import grpc
import grpc.aio
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]  # has no stubs

from local.functions_host.protos import TypedData
from local.functions_host.worker import Function, InvocationFailedError, Trigger, Worker

logger = logging.getLogger(__name__)

type Complete = Callable[..., Awaitable[object]]

_CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.enable_http_proxy", 0),
    # gRPC's own back-off grows to two minutes; a restarted engine is found within a second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
]
_RETRY_PAUSE = timedelta(milliseconds=100)
_DELIVERY_PATIENCE = timedelta(seconds=60)  # an engine away for longer hands the item out again


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many work items run at once; turns are orchestrator turns and entity batches."""

    turns: int
    activities: int


def client_binding(*, hub: str, engine: str, url: str) -> str:
    """Return what the extension gives a durable client parameter in gRPC mode."""
    return json.dumps(
        {
            "taskHubName": hub,
            "connectionName": "Storage",
            "creationUrls": None,
            "managementUrls": None,
            "baseUrl": None,
            "requiredQueryStringParameters": f"taskHub={hub}&connection=Storage&code=local",
            "rpcBaseUrl": f"http://{engine}",
            "httpBaseUrl": f"{url}/runtime/webhooks/durabletask",
            # Without it a client cannot read more than 4 MB.
            "maxGrpcMessageSizeInBytes": 2**31 - 1,
        }
    )


class Pump:
    """One work stream and the tasks it feeds; `up` is set while the stream stands."""

    def __init__(self, worker: Worker, *, engine: str, limits: Limits) -> None:
        self._worker = worker
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.turns)
        self._activities = asyncio.Semaphore(limits.activities)
        self._running: set[asyncio.Task[None]] = set()
        self._channel = grpc.aio.insecure_channel(engine, options=_CHANNEL_OPTIONS)
        self._stub: Any = stubs.TaskHubSidecarServiceStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._stream: asyncio.Task[None] | None = None
        self.up = asyncio.Event()

    def start(self) -> None:
        """Begin to take work."""
        self._stream = asyncio.create_task(self._read_for_ever())

    async def stop(self, patience: timedelta) -> None:
        """Take no more work, let what runs end and be delivered, then close the channel."""
        if not self.up.is_set():
            patience = timedelta()  # nobody is there to deliver to
        if self._stream is not None:
            self._stream.cancel()
            await asyncio.wait({self._stream})
        if self._running:
            _, left = await asyncio.wait(self._running, timeout=patience.total_seconds())
            for task in left:
                task.cancel()
        await self._channel.close()

    async def _read_for_ever(self) -> None:
        request = pb.GetWorkItemsRequest(
            maxConcurrentOrchestrationWorkItems=self._limits.turns,
            maxConcurrentEntityWorkItems=self._limits.turns,
            maxConcurrentActivityWorkItems=self._limits.activities,
        )
        while True:
            try:
                await self._stub.Hello(Empty(), wait_for_ready=True)
                stream = self._stub.GetWorkItems(request)
                self.up.set()
                async for item in stream:
                    self._begin(item)
                logger.warning("engine ended the work stream; connecting again")
            except grpc.aio.AioRpcError as error:
                logger.warning("engine is away (%s); connecting again", error.code().name)
            finally:
                self.up.clear()
            await asyncio.sleep(_RETRY_PAUSE.total_seconds())

    def _begin(self, item: pb.WorkItem) -> None:
        kind = item.WhichOneof("request")
        token = item.completionToken
        work: Coroutine[Any, Any, None]
        match kind:
            case "orchestratorRequest":
                work = self._take(self._turns, self._turn(item.orchestratorRequest, token))
            case "activityRequest":
                work = self._take(self._activities, self._activity(item.activityRequest, token))
            case "entityRequest":
                work = self._take(self._turns, self._entity(item.entityRequest, [], token))
            case "entityRequestV2":
                # The scheduler service and the local engine send V2; the trigger wants a batch.
                batch, infos = helpers.convert_to_entity_batch_request(item.entityRequestV2)
                work = self._take(self._turns, self._entity(batch, infos, token))
            case "healthPing":
                return
            case _:
                logger.error("engine sent a work item of unknown kind %r", kind)
                return
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a work item was not answered", exc_info=task.exception())

    async def _take(self, permits: asyncio.Semaphore, work: Coroutine[Any, Any, None]) -> None:
        try:
            async with permits:
                await work
        finally:
            work.close()  # never begun when the host stops while it waits

    async def _turn(self, request: pb.OrchestratorRequest, token: str) -> None:
        try:
            function = self._find(Trigger.ORCHESTRATION, _orchestrator_name(request))
            answer = await self._invoke_encoded(function, request.SerializeToString())
            response = pb.OrchestratorResponse.FromString(answer)
        except InvocationFailedError as error:
            # The call failed, not the orchestrator: an orchestrator that raises answers normally.
            action = helpers.new_complete_orchestration_action(
                -1, pb.ORCHESTRATION_STATUS_FAILED, failure_details=_details(error)
            )
            response = pb.OrchestratorResponse(instanceId=request.instanceId, actions=[action])
        response.completionToken = token
        await self._deliver(self._stub.CompleteOrchestratorTask, response)

    async def _entity(
        self, request: pb.EntityBatchRequest, infos: list[pb.OperationInfo], token: str
    ) -> None:
        try:
            name = request.instanceId.removeprefix("@").partition("@")[0]
            function = self._find(Trigger.ENTITY, name)
            answer = await self._invoke_encoded(function, request.SerializeToString())
            result = pb.EntityBatchResult.FromString(answer)
        except InvocationFailedError as error:
            result = _failed_batch(request, error)
        # Without them callers never get their answers.
        result.operationInfos.extend(infos)
        result.completionToken = token
        await self._deliver(self._stub.CompleteEntityTask, result)

    async def _activity(self, request: pb.ActivityRequest, token: str) -> None:
        response = pb.ActivityResponse(
            instanceId=request.orchestrationInstance.instanceId,
            taskId=request.taskId,
            completionToken=token,
        )
        # An unset input sent as an empty value makes the SDK's converter fail: say null.
        text = request.input.value if request.HasField("input") else "null"
        try:
            function = self._find(Trigger.ACTIVITY, request.name)
            answer = await self._worker.invoke(function, TypedData(string=text))
        except InvocationFailedError as error:
            response.failureDetails.CopyFrom(_details(error))
        else:
            result = answer.value.text if answer.value is not None else None
            if result is not None and result != "null":
                response.result.value = result
        await self._deliver(self._stub.CompleteActivityTask, response)

    def _find(self, kind: Trigger, name: str) -> Function:
        function = self._worker.find(kind, name)
        if function is None:
            raise InvocationFailedError(
                f"FunctionNotFound: the app has no {kind} function called {name!r}", ""
            )
        return function

    async def _invoke_encoded(self, function: Function, message: bytes) -> bytes:
        data = TypedData(string=base64.b64encode(message).decode())
        answer = await self._worker.invoke(function, data)
        if answer.value is None or answer.value.text is None:
            raise InvocationFailedError(f"NoAnswer: {function.name} returned nothing", "")
        return base64.b64decode(answer.value.text)

    async def _deliver(self, complete: Complete, response: object) -> None:
        """Hand in an answer; it survives a restart of the engine that is over soon."""
        deadline = asyncio.get_running_loop().time() + _DELIVERY_PATIENCE.total_seconds()
        while True:
            left = deadline - asyncio.get_running_loop().time()
            try:
                await complete(response, wait_for_ready=True, timeout=max(left, 0.001))
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE or left <= 0:
                    raise
                await asyncio.sleep(_RETRY_PAUSE.total_seconds())
            else:
                return


def _orchestrator_name(request: pb.OrchestratorRequest) -> str:
    """Return the name of the newest execution: one id may have had several."""
    for events in (request.newEvents, request.pastEvents):
        for event in reversed(events):
            if event.HasField("executionStarted"):
                return str(event.executionStarted.name)
    raise InvocationFailedError("NoExecutionStarted: the history does not say what to run", "")


def _details(error: InvocationFailedError) -> pb.TaskFailureDetails:
    return pb.TaskFailureDetails(
        errorType=error.kind,
        errorMessage=error.message,
        stackTrace=helpers.get_string_value(error.stack),
    )


def _failed_batch(
    request: pb.EntityBatchRequest, error: InvocationFailedError
) -> pb.EntityBatchResult:
    """Fail every operation and keep the state, so that callers hear of it."""
    failure = pb.OperationResult(failure=pb.OperationResultFailure(failureDetails=_details(error)))
    state = request.entityState if request.HasField("entityState") else None
    return pb.EntityBatchResult(results=[failure for _ in request.operations], entityState=state)


def read_limits(host: Mapping[str, Any], *, turns: int | None, activities: int | None) -> Limits:
    """Return the limits asked for, else host.json's, else the extension's: ten per core."""
    durable = host.get("extensions", {}).get("durableTask", {})
    default = 10 * (os.cpu_count() or 1)
    return Limits(
        turns=turns or int(durable.get("maxConcurrentOrchestratorFunctions", default)),
        activities=activities or int(durable.get("maxConcurrentActivityFunctions", default)),
    )


def read_hub(host: Mapping[str, Any]) -> str:
    """Return host.json's hubName; the extension's default is TestHubName."""
    return str(host.get("extensions", {}).get("durableTask", {}).get("hubName", "TestHubName"))
