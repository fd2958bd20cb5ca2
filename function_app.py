"""Triggers, routes and auth levels: a table of contents. Bodies are one call into deploy_logic."""

import os
from datetime import UTC, datetime
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.adapters import durable, durable_entity
from deploy_logic.adapters.durable import DurableEngine, bind_activity
from deploy_logic.adapters.http import answer, read_said
from deploy_logic.adapters.identity import Principal, read_principal
from deploy_logic.app import App
from deploy_logic.ledger.controls import Control
from deploy_logic.operations import endpoints, intake, rollouts
from deploy_logic.operations import sweep as sweeping
from deploy_logic.operations.endpoints import Desk

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)
this = App(environment=os.environ, folder=Path(__file__).parent)


# The annotation asks for the event's text: a time that cannot be read would fail in the binding,
# before any code of ours, and be sent again until it expires.
@app.event_grid_trigger(arg_name="event")
@app.durable_client_input(client_name="client")
def on_model_registered(event: str, client: df.SyncDurableFunctionsClient) -> None:
    """Event Grid has something to say: usually that a model version was registered."""
    intake.handle_event(
        event, settings=this.settings, policies=this.policies, engine=DurableEngine(client)
    )


# Only where Event Grid may not call in: a trigger needs its queue.
if this.settings.event_queue:

    @app.queue_trigger(
        arg_name="message",
        queue_name=this.settings.event_queue,
        connection="AzureWebJobsStorage",
    )
    @app.durable_client_input(client_name="client")
    def on_event_queued(message: func.QueueMessage, client: df.SyncDurableFunctionsClient) -> None:
        """Hear the same by way of a Storage queue."""
        intake.handle_event(
            # what is no text is no event: it is refused with its reason, and not sent again
            message.get_body().decode(errors="replace"),
            settings=this.settings,
            policies=this.policies,
            engine=DurableEngine(client),
        )


@app.timer_trigger(arg_name="timer", schedule="%ROLLOUT_SWEEP_SCHEDULE%")
@app.durable_client_input(client_name="client")
def sweep(timer: func.TimerRequest, client: df.SyncDurableFunctionsClient) -> None:
    """Offer what was lost, heal what is gone, notice what was changed by hand."""
    del timer
    sweeping.sweep(
        settings=this.settings,
        policies=this.policies,
        engine=DurableEngine(client),
        open_workspace=this.open_workspace,
        now=datetime.now(UTC),
    )


@app.route("rollouts", methods=["GET"])
@app.durable_client_input(client_name="client")
def list_rollouts(
    req: func.HttpRequest, client: df.SyncDurableFunctionsClient
) -> func.HttpResponse:
    """Every rollout, newest first."""
    del req
    return answer(lambda: rollouts.list_rollouts(DurableEngine(client)))


@app.route("rollouts/{rollout_id}", methods=["GET"])
@app.durable_client_input(client_name="client")
def show_rollout(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    """One rollout with its timeline."""
    rollout_id = req.route_params["rollout_id"]
    return answer(lambda: rollouts.show_rollout(DurableEngine(client), rollout_id))


@app.route("rollouts/{rollout_id}/retry", methods=["POST"])
@app.durable_client_input(client_name="client")
def retry(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    """Try the version of a rollout that is over once more."""
    rollout_id = req.route_params["rollout_id"]
    return answer(lambda: endpoints.retry_rollout(desk(client, req), rollout_id, read_said(req)))


# A literal segment goes before a parameter in routing, so retry is not taken for one of these.
@app.route("rollouts/{rollout_id}/{operation}", methods=["POST"])
@app.durable_client_input(client_name="client")
def ask_rollout(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    """Abort, approve, reject, pause, resume, promote now, adopt or restore."""
    place = (req.route_params["rollout_id"], req.route_params["operation"])

    def ask() -> object:
        who, engine = known(req), DurableEngine(client)
        return rollouts.ask(engine, *place, by=who.id, claims=who.claims, said=read_said(req))

    return answer(ask)


@app.route("start", methods=["POST"])
@app.durable_client_input(client_name="client")
def start(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    """Start a version by hand."""
    return answer(lambda: endpoints.start(desk(client, req), read_said(req)))


@app.route("endpoints", methods=["GET"])
@app.durable_client_input(client_name="client")
def list_endpoints(
    req: func.HttpRequest, client: df.SyncDurableFunctionsClient
) -> func.HttpResponse:
    """Every endpoint's ledger."""
    del req
    return answer(lambda: endpoints.list_endpoints(DurableEngine(client)))


@app.route("endpoints/{endpoint}", methods=["GET"])
@app.durable_client_input(client_name="client")
def show_endpoint(
    req: func.HttpRequest, client: df.SyncDurableFunctionsClient
) -> func.HttpResponse:
    """One endpoint's ledger: what runs, waits and was answered."""
    endpoint = req.route_params["endpoint"]
    return answer(lambda: endpoints.show_endpoint(desk(client), endpoint))


@app.route("endpoints/{endpoint}/{act}", methods=["POST"])
@app.durable_client_input(client_name="client")
def ask_endpoint(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    """Hold an endpoint, release it, retry a version on it, or revert it."""
    place = (req.route_params["endpoint"], req.route_params["act"])
    return answer(lambda: endpoints.ask_endpoint(desk(client, req), *place, read_said(req)))


@app.route("policies/{policy}/{control}", methods=["POST"])
@app.durable_client_input(client_name="client")
def turn_policy(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    """Suspend a policy, or resume it."""
    place = (req.route_params["policy"], req.route_params["control"])
    return answer(lambda: endpoints.turn_policy(desk(client, req), *place, read_said(req)))


@app.route("stop", methods=["POST"])
@app.durable_client_input(client_name="client")
def stop(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    """Stop everything."""
    act = endpoints.turn_control
    return answer(lambda: act(desk(client, req), Control.STOP, read_said(req)))


@app.route("go-on", methods=["POST"])
@app.durable_client_input(client_name="client")
def go_on(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
    """Let everything go on."""
    act = endpoints.turn_control
    return answer(lambda: act(desk(client, req), Control.GO_ON, read_said(req)))


@app.route("controls", methods=["GET"])
@app.durable_client_input(client_name="client")
def show_controls(
    req: func.HttpRequest, client: df.SyncDurableFunctionsClient
) -> func.HttpResponse:
    """Show what is stopped or suspended, and whose turn it is."""
    del req
    return answer(lambda: endpoints.show_controls(desk(client)))


def desk(client: df.SyncDurableFunctionsClient, req: func.HttpRequest | None = None) -> Desk:
    """Return what an operation needs; with the request, also who asks."""
    by = known(req).id if req is not None else ""
    engine = DurableEngine(client)
    return Desk(settings=this.settings, policies=this.policies, engine=engine, by=by)


def known(req: func.HttpRequest) -> Principal:
    """Return who asks, as the platform says."""
    return read_principal(req.headers, is_trusted=this.settings.trust_platform_identity)


for _story in (durable.roll_out, durable.relay_operation, durable.wake_ledger):
    app.orchestration_trigger(context_name="context")(_story)
for _entity in (
    durable_entity.endpoint_ledger,
    durable_entity.rollout_controls,
    durable_entity.bind_turns(this.settings.max_parallel),
):
    app.entity_trigger(context_name="context", entity_name=_entity.__name__)(_entity)
for _name, _activity in ACTIVITIES.items():
    app.activity_trigger(input_name="payload")(bind_activity(_activity, _name, this.open_outside))
