"""What the host answers to each work item, to an engine that does nothing but ask."""

import queue
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest
from durabletask.internal import helpers
from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.internal import orchestrator_service_pb2_grpc as stubs

from tests.local.local_host import PATIENCE, ROOT, LocalHost

pytestmark = pytest.mark.e2e


class AskingEngine(stubs.TaskHubSidecarServiceServicer):
    """Hands out the items it is given and keeps the answers; knows nothing of its own."""

    def __init__(self) -> None:
        self._items: queue.Queue[pb.WorkItem | None] = queue.Queue()
        self.answers: queue.Queue[Any] = queue.Queue()
        self._server = grpc.server(futures.ThreadPoolExecutor(8))
        stubs.add_TaskHubSidecarServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]  # generated
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self) -> None:
        self._items.put(None)
        self._server.stop(None).wait()

    def ask(self, **item: Any) -> None:
        self._items.put(pb.WorkItem(**item))

    def next_answer(self) -> Any:
        return self.answers.get(timeout=PATIENCE)

    def Hello(self, request: Any, _context: Any) -> Any:  # noqa: N802 - the service's own name
        return request

    def GetWorkItems(  # noqa: N802 - the service's own name
        self, _request: Any, _context: Any
    ) -> Iterator[pb.WorkItem]:
        yield from iter(self._items.get, None)

    def _complete(self, request: Any, _context: Any) -> pb.CompleteTaskResponse:
        self.answers.put(request)
        return pb.CompleteTaskResponse()

    CompleteActivityTask = _complete
    CompleteOrchestratorTask = _complete
    CompleteEntityTask = _complete


@pytest.fixture(scope="module")
def engine() -> Iterator[AskingEngine]:
    engine = AskingEngine()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def host(engine: AskingEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    tmp_path = tmp_path_factory.mktemp("host")
    (tmp_path / "notes").touch()
    host = LocalHost(
        ROOT / "tests/local/apps/durable",
        tmp_path,
        engine=engine.address,
        env={"SAMPLE_LOG": str(tmp_path / "notes"), "SAMPLE_SCHEDULE": "0 0 0 1 1 *"},
        options=["--no-timers", "--activities", "1"],
    ).start()
    yield host
    host.stop()


def an_activity(name: str, task: int, text: str | None = None) -> pb.ActivityRequest:
    return pb.ActivityRequest(
        name=name,
        taskId=task,
        input=helpers.get_string_value(text),
        orchestrationInstance=pb.OrchestrationInstance(instanceId="flow"),
    )


@pytest.mark.usefixtures("host")
def test_activity_answers_carry_token_task_and_result(engine: AskingEngine) -> None:
    engine.ask(activityRequest=an_activity("say", 3, '"you"'), completionToken="t-1")
    answer = engine.next_answer()
    assert (answer.instanceId, answer.taskId, answer.completionToken) == ("flow", 3, "t-1")
    assert answer.result.value == '"hello you"'
    assert not answer.HasField("failureDetails")


@pytest.mark.usefixtures("host")
def test_activity_without_input_gets_null(engine: AskingEngine) -> None:
    engine.ask(activityRequest=an_activity("say_later", 1))
    assert engine.next_answer().result.value == '{"nothing": true}'


@pytest.mark.usefixtures("host")
def test_failed_activity_tells_type_and_a_message_that_is_never_empty(
    engine: AskingEngine,
) -> None:
    engine.ask(activityRequest=an_activity("fail", 1, '"x"'), completionToken="t-2")
    answer = engine.next_answer()
    assert answer.completionToken == "t-2"
    details = answer.failureDetails
    assert (details.errorType, details.errorMessage) == ("ValueError", "ValueError")
    assert "raise ValueError" in details.stackTrace.value


def test_activities_beyond_the_limit_wait(engine: AskingEngine, host: LocalHost) -> None:
    for task in range(4):
        engine.ask(activityRequest=an_activity("enter_and_leave", task, str(task)))
    assert {engine.next_answer().result.value for _ in range(4)} == {"0", "1", "2", "3"}
    notes = host.log.with_name("notes").read_text(encoding="utf-8").splitlines()
    assert [note for note in notes if note in {"enter", "leave"}] == ["enter", "leave"] * 4


def a_batch(entity: str) -> pb.EntityRequest:
    called = pb.EntityOperationCalledEvent(
        requestId="r-1",
        operation="add",
        input=helpers.get_string_value("5"),
        parentInstanceId=helpers.get_string_value("flow"),
    )
    signaled = pb.EntityOperationSignaledEvent(
        requestId="r-2", operation="add", input=helpers.get_string_value("7")
    )
    return pb.EntityRequest(
        instanceId=f"@{entity}@k",
        entityState=helpers.get_string_value("1"),
        operationRequests=[
            pb.HistoryEvent(entityOperationCalled=called),
            pb.HistoryEvent(entityOperationSignaled=signaled),
        ],
    )


@pytest.mark.usefixtures("host")
def test_entity_answers_say_whom_they_are_for(engine: AskingEngine) -> None:
    engine.ask(entityRequestV2=a_batch("counter"), completionToken="t-3")
    answer = engine.next_answer()
    assert answer.completionToken == "t-3"
    assert answer.entityState.value == "13"
    assert [result.success.result.value for result in answer.results] == ["6", "13"]
    whom = [(info.requestId, info.responseDestination.instanceId) for info in answer.operationInfos]
    assert whom == [("r-1", "flow"), ("r-2", "")]


@pytest.mark.usefixtures("host")
def test_unknown_entity_fails_each_operation_and_keeps_its_state(engine: AskingEngine) -> None:
    engine.ask(entityRequestV2=a_batch("nobody"))
    answer = engine.next_answer()
    assert answer.entityState.value == "1"
    types = [result.failure.failureDetails.errorType for result in answer.results]
    assert types == ["FunctionNotFound"] * 2


@pytest.mark.usefixtures("host")
def test_turn_answers_with_the_orchestrators_actions(engine: AskingEngine) -> None:
    started = pb.HistoryEvent(
        executionStarted=pb.ExecutionStartedEvent(
            name="LINGER", orchestrationInstance=pb.OrchestrationInstance(instanceId="flow")
        )
    )
    first = helpers.new_orchestrator_started_event()
    engine.ask(
        orchestratorRequest=pb.OrchestratorRequest(instanceId="flow", newEvents=[first, started]),
        completionToken="t-4",
    )
    answer = engine.next_answer()
    assert (answer.instanceId, answer.completionToken) == ("flow", "t-4")
    assert [action.scheduleTask.name for action in answer.actions] == ["slow"]
