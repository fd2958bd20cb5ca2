"""Triggers, routes and auth levels: a table of contents. Bodies are one call into deploy_logic."""

import os
from collections.abc import Callable
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.adapters import durable, durable_entity, durable_outbox
from deploy_logic.adapters.durable import DurableEngine, bind_activity
from deploy_logic.adapters.http import break_off, read_visit, respond
from deploy_logic.api.door import serve
from deploy_logic.api.route import Route
from deploy_logic.api.table import ROUTES
from deploy_logic.app import App
from deploy_logic.operations import intake
from deploy_logic.operations import sweep as sweeping
from deploy_logic.operations.purge import purge
from deploy_logic.telemetry.line import write_as_json

# Who may do what is decided in code, per route and person: a key of the host is nobody's identity.
app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
write_as_json()
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
        now=this.now(),
    )
    retention = this.settings.engine_retention
    purge(past=DurableEngine(client), archive=this.archive, retention=retention, now=this.now())


def bind_route(route: Route) -> Callable[..., func.HttpResponse]:
    """Return the function of a route, under the route's name: the host knows functions by it."""

    def answer(req: func.HttpRequest, client: df.SyncDurableFunctionsClient) -> func.HttpResponse:
        try:
            office = this.open_office(DurableEngine(client))
            return respond(serve(route, office, read_visit(req)))
        except Exception:  # noqa: BLE001 - whatever broke, no text of it leaves the app
            return respond(break_off(route.name))

    answer.__name__ = answer.__qualname__ = route.name
    return answer


for _route in ROUTES:
    _bound = app.durable_client_input(client_name="client")(bind_route(_route))
    app.route(_route.path, methods=[_route.method])(_bound)
for _story in (
    durable.roll_out,
    durable.relay_operation,
    durable.wake_ledger,
    durable_outbox.archive_rows,
    durable_outbox.announce_message,
):
    app.orchestration_trigger(context_name="context")(_story)
for _entity in (
    durable_entity.endpoint_ledger,
    durable_entity.rollout_controls,
    durable_entity.bind_turns(this.settings.max_parallel),
    durable_outbox.outbox,
):
    app.entity_trigger(context_name="context", entity_name=_entity.__name__)(_entity)
for _name, _activity in ACTIVITIES.items():
    app.activity_trigger(input_name="payload")(bind_activity(_activity, _name, this.open_outside))
