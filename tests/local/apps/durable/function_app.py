"""Every durable feature the host carries: flows, activities, entities, timers, both clients."""
# The decorators of azure.functions carry no types.
# mypy: disable-error-code="untyped-decorator"

import json
import os
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func
from durabletask.entities import EntityContext, EntityInstanceId
from durabletask.task import OrchestrationContext, RetryPolicy, Task, when_all, when_any

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
LOG = Path(os.environ["SAMPLE_LOG"])

type Story = Generator[Any, Any, Any]


def note(line: str) -> None:
    """Append a line that outlives a killed host."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")


# Event Grid triggers ------------------------------------------------------------------------------


@app.event_grid_trigger(arg_name="event")
@app.durable_client_input(client_name="client")
async def start_by_event(event: func.EventGridEvent, client: df.DurableFunctionsClient) -> None:
    await client.schedule_new_orchestration("greet", input=event.get_json(), instance_id=event.id)


@app.event_grid_trigger(arg_name="event")
@app.durable_client_input(client_name="client")
def count_by_event(event: func.CloudEvent, client: df.SyncDurableFunctionsClient) -> None:
    client.signal_entity(EntityInstanceId("counter", event.subject), "add", input=1)


# HTTP ---------------------------------------------------------------------------------------------


@app.route("start/{name}/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    instance = req.route_params["id"]
    body = req.get_body()
    await client.schedule_new_orchestration(
        req.route_params["name"],
        input=json.loads(body) if body else None,
        instance_id=instance,
    )
    return client.create_check_status_response(req, instance)


@app.route("raise/{id}/{event}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def raise_event(
    req: func.HttpRequest, client: df.DurableFunctionsClient
) -> func.HttpResponse:
    await client.raise_orchestration_event(
        req.route_params["id"], req.route_params["event"], data=req.get_json()
    )
    return func.HttpResponse(status_code=202)


@app.route("status/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def status(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
    state = await client.get_orchestration_state(req.route_params["id"])
    if state is None:
        return func.HttpResponse(status_code=404)
    answer = {
        "status": state.runtime_status.name,
        "output": state.serialized_output,
        "custom": state.serialized_custom_status,
        "failure": None
        if state.failure_details is None
        else f"{state.failure_details.error_type}: {state.failure_details.message}",
    }
    return func.HttpResponse(json.dumps(answer), mimetype="application/json")


@app.route("entity/{name}/{*key}", methods=["GET"])
@app.durable_client_input(client_name="client")
def entity(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    found = client.get_entity(EntityInstanceId(req.route_params["name"], req.route_params["key"]))
    if found is None:
        return func.HttpResponse(status_code=404)
    return func.HttpResponse(found.get_state(str) or "", mimetype="application/json")


@app.route("signal/{name}/{key}/{operation}", methods=["POST"])
@app.durable_client_input(client_name="client")
def signal(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    target = EntityInstanceId(req.route_params["name"], req.route_params["key"])
    client.signal_entity(target, req.route_params["operation"], input=req.get_json())
    return func.HttpResponse(status_code=202)


# Timer --------------------------------------------------------------------------------------------


@app.timer_trigger(arg_name="tick", schedule="%SAMPLE_SCHEDULE%")
def on_tick(tick: func.TimerRequest) -> None:
    note(f"tick past_due={tick.past_due}")
    if os.environ.get("SAMPLE_TICK") == "fail":
        raise RuntimeError("the tick failed")


# Orchestrations -----------------------------------------------------------------------------------


@app.orchestration_trigger(context_name="context")
def greet(context: OrchestrationContext, _payload: object) -> Story:
    first = yield context.call_activity("say", input="you")
    second = yield context.call_activity("say_later")
    context.set_custom_status("said")
    third = yield context.call_sub_orchestrator("double", input=7)
    return [first, second, third]


@app.orchestration_trigger(context_name="context")
def double(context: df.DurableOrchestrationContext) -> Story:
    """Written in the first version's style: one argument."""
    yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=200))
    return context.get_input() * 2


@app.orchestration_trigger(context_name="context")
def decide(context: OrchestrationContext, _payload: object) -> Story:
    decision = context.wait_for_external_event("decision")
    deadline = context.create_timer(timedelta(minutes=5))
    winner = yield when_any([decision, deadline])
    return decision.get_result() if winner is decision else "nobody decided"


@app.orchestration_trigger(context_name="context")
def stumble(context: OrchestrationContext, _payload: object) -> Story:
    retry = RetryPolicy(first_retry_interval=timedelta(milliseconds=50), max_number_of_attempts=3)
    return (yield context.call_activity("fail", input=context.instance_id, retry_policy=retry))


@app.orchestration_trigger(context_name="context")
def miss(context: OrchestrationContext, _payload: object) -> Story:
    return (yield context.call_activity("no_such_activity"))


@app.orchestration_trigger(context_name="context")
def ask(context: OrchestrationContext, key: str) -> Story:
    counter = EntityInstanceId("counter", key)
    yield context.call_entity(counter, "add", 5)
    return (yield context.call_entity(counter, "get"))


@app.orchestration_trigger(context_name="context")
def ask_nobody(context: OrchestrationContext, _payload: object) -> Story:
    return (yield context.call_entity(EntityInstanceId("nobody", "1"), "get"))


@app.orchestration_trigger(context_name="context")
def linger(context: OrchestrationContext, _payload: object) -> Story:
    return (yield context.call_activity("slow", input=context.instance_id))


@app.orchestration_trigger(context_name="context")
def nap(context: OrchestrationContext, _payload: object) -> Story:
    yield context.create_timer(timedelta(seconds=1))
    return (yield context.call_activity("say", input="the rested"))


@app.orchestration_trigger(context_name="context")
def echo(context: OrchestrationContext, payload: object) -> Story:
    yield context.call_activity("say", input="nobody")
    return payload


@app.orchestration_trigger(context_name="context")
def crowd(context: OrchestrationContext, _payload: object) -> Story:
    tasks: list[Task[Any]] = [
        context.call_activity("enter_and_leave", input=number) for number in range(4)
    ]
    return (yield when_all(tasks))


# Activities ---------------------------------------------------------------------------------------


@app.activity_trigger(input_name="payload")
def say(payload: str) -> str:
    return f"hello {payload}"


@app.activity_trigger(input_name="payload")
async def say_later(payload: object) -> dict[str, bool]:
    return {"nothing": payload is None}


@app.activity_trigger(input_name="payload")
def fail(payload: str) -> None:
    note(f"failing {payload}")
    raise ValueError


@app.activity_trigger(input_name="payload")
def slow(payload: str) -> str:
    """Block until the test opens the gate, or kills the host."""
    note(f"slow {payload}")
    gate = LOG.with_name("gate")
    while not gate.exists():
        time.sleep(0.02)
    return "done"


@app.activity_trigger(input_name="payload")
def enter_and_leave(payload: int) -> int:
    note("enter")
    time.sleep(0.05)
    note("leave")
    return payload


# Entities -----------------------------------------------------------------------------------------


@app.entity_trigger(context_name="context")
def counter(context: EntityContext, amount: int | None) -> int:
    total = context.get_state(int, 0)
    if context.operation == "add":
        total += amount or 0
        context.set_state(total)
    return total


@app.entity_trigger(context_name="context", entity_name="Nursery")
def starter(context: EntityContext, _payload: object) -> None:
    child = f"child-of-{context.entity_id.key}"
    context.schedule_new_orchestration("greet", None, instance_id=child)
    context.set_state(child)
