"""The smallest app: one Event Grid trigger and a few routes, nothing durable."""
# The decorators of azure.functions carry no types.
# mypy: disable-error-code="untyped-decorator"

import asyncio
import json
import logging
import os

import azure.functions as func
from azure_functions_runtime import invocation_id_cv

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
seen: list[str] = []
print("what an app prints is not the host's first line")  # noqa: T201 - the point
meeting = asyncio.Barrier(2)


@app.function_name("hello")
@app.event_grid_trigger(arg_name="event")
def hello(event: func.EventGridEvent) -> None:
    if event.subject == "models/bad:1":
        raise ValueError("a bad event")
    seen.append(f"{type(event).__name__} {event.id} {event.subject}")
    logging.getLogger("hello").info("greeted %s", event.id)


@app.function_name("hello_cloud")
@app.event_grid_trigger(arg_name="event")
async def hello_cloud(event: func.CloudEvent) -> None:
    seen.append(f"{type(event).__name__} {event.id} {event.source}")


@app.function_name("hello_text")
@app.event_grid_trigger(arg_name="event")
def hello_text(event: str) -> None:
    seen.append(f"text {json.loads(event)['id']}")


@app.function_name("meet")
@app.event_grid_trigger(arg_name="event")
async def meet(event: func.EventGridEvent) -> None:
    """End only when another invocation runs at the same time."""
    async with asyncio.timeout(30):
        await meeting.wait()
    seen.append(f"met {event.id}")


@app.route("seen", methods=["GET"])
def get_seen(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route("items/{name}")
def get_named_item(req: func.HttpRequest) -> str:
    return f"named {req.route_params['name']}"


@app.route("items/{id:int}/{*rest}", methods=["GET", "POST"])
async def get_item(req: func.HttpRequest) -> func.HttpResponse:
    echo = {
        "method": req.method,
        "url": req.url,
        "params": dict(req.route_params),
        "query": dict(req.params),
        "headers": dict(req.headers),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(
        json.dumps(echo),
        status_code=201,
        mimetype="application/json",
        headers={"X-Local": "yes", "Set-Cookie": "flavour=oat; Path=/; HttpOnly"},
    )


@app.route("broken")
def get_broken(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001 - the binding
    raise RuntimeError("a secret that stays in the log")


@app.route("setting/{name:maxlength(40)}")
def get_setting(req: func.HttpRequest) -> str:
    return os.environ.get(req.route_params["name"], "not set")


@app.route("invocation")
async def get_invocation(
    req: func.HttpRequest,  # noqa: ARG001 - the binding
    context: func.Context,
) -> func.HttpResponse:
    ids = {"of the context": context.invocation_id, "of the logs": invocation_id_cv.get()}
    return func.HttpResponse(json.dumps(ids), mimetype="application/json")
