"""The engine: Durable Functions behind the Context and Engine ports. The only room that knows it.

Payloads are plain JSON, names are strings, nothing depends on the back end chosen in host.json.
"""

import json
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from azure.durable_functions import SyncDurableFunctionsClient
from durabletask.client import EntityQuery, OrchestrationQuery, OrchestrationState
from durabletask.client import OrchestrationStatus as Status
from durabletask.entities import EntityInstanceId
from durabletask.task import OrchestrationContext, Task, TimerTask, when_any

from deploy_logic.codec import Json, decode, encode
from deploy_logic.ledger.controls import Controls, Turned
from deploy_logic.ledger.ledger import LET_GO
from deploy_logic.ledger.record import Barred, Ended
from deploy_logic.ledger.turns import Turns
from deploy_logic.matching import Offer, endpoint_key
from deploy_logic.outbox import Letter
from deploy_logic.ports import Waitable
from deploy_logic.rollout import Phase, Request
from deploy_logic.story import orchestrator
from deploy_logic.telemetry import facts

LEDGER = "endpoint_ledger"
OUTBOX = "outbox"
CONTROLS = EntityInstanceId("rollout_controls", "all")
TURNS = EntityInstanceId("rollout_turns", "all")
ROLL_OUT = "roll_out"
RELAY = "relay_operation"
WAKE = "wake_ledger"
_OPERATION = "operation"  # the external event that carries a Request
# How the ids begin of what serves rollouts: shorten_id makes them.
_SERVANTS = ("archive-", "announce-", "relay-", "wake-")
_OVER = (Status.COMPLETED, Status.FAILED, Status.TERMINATED)
_ALIVE = frozenset({Status.PENDING, Status.RUNNING, Status.SUSPENDED, Status.CONTINUED_AS_NEW})


class DurableContext:
    """The Context port on a durable orchestration."""

    def __init__(self, context: OrchestrationContext) -> None:
        """Wrap the engine's context for one turn."""
        self._context = context
        self._status: Callable[[], Json] = dict

    @property
    def now(self) -> datetime:
        """The time of this turn; the engine gives it in UTC, without saying so."""
        return self._context.current_utc_datetime.replace(tzinfo=UTC)

    def call(self, activity: str, payload: Json) -> Waitable:
        """Start an activity."""
        return self._context.call_activity(activity, input=payload)

    def timer(self, at: datetime) -> Waitable:
        """Start a timer."""
        return self._context.create_timer(at)

    def cancel(self, timer: Waitable) -> None:
        """Let go of a timer that nobody waits for any more."""
        if isinstance(timer, TimerTask):
            timer.cancel()

    def operation(self) -> Waitable:
        """Wait for the next operation that is asked for."""
        return self._context.wait_for_external_event(_OPERATION)

    def any(self, waitables: Iterable[Waitable]) -> Waitable:
        """Wait for the first of several."""
        return when_any([one for one in waitables if isinstance(one, Task)])

    def show(self, status: Callable[[], Json]) -> None:
        """Make this what people see of the rollout; it is asked at the end of every turn."""
        self._status = status

    def publish(self) -> None:
        """Hand the status to the engine, unless the turn is still a replay."""
        if not self._context.is_replaying:
            self._context.set_custom_status(self._status())

    def tell_ledger(self, workspace: str, endpoint: str, operation: str, payload: Json) -> None:
        """Signal the endpoint's ledger, once."""
        self._context.signal_entity(ledger_id(workspace, endpoint), operation, payload)

    def tell_turns(self, operation: str, payload: Json) -> None:
        """Signal the turns, once."""
        self._context.signal_entity(TURNS, operation, payload)

    def post(self, letter: Letter) -> None:
        """Signal the outbox of the endpoint, once."""
        self._context.signal_entity(_outbox_id(letter), "post", encode(letter))


def roll_out(context: OrchestrationContext, payload: Json) -> Generator[Any, Any, Json]:
    """Carry one rollout from start to end."""
    ours = DurableContext(context)
    story = orchestrator.roll_out(ours, payload)
    try:
        waits_for = next(story)
        while True:
            ours.publish()
            try:
                result = yield waits_for
            except Exception as error:  # noqa: BLE001 - of an activity: the story knows what to do
                waits_for = story.throw(error)
            else:
                waits_for = story.send(result)
    except StopIteration as end:
        ours.publish()
        done: Json = end.value
        if not context.is_replaying:
            facts.tell_stages(done)
        return done


def relay_operation(context: OrchestrationContext, payload: Json) -> None:
    """Hand an operation to a rollout: an entity cannot raise an event itself."""
    context.send_event(payload["rollout_id"], _OPERATION, data=payload["request"])


def wake_ledger(context: OrchestrationContext, payload: Json) -> Generator[Any, Any]:
    """Sleep until something is due on an endpoint, then tell its ledger."""
    yield context.create_timer(datetime.fromisoformat(payload["at"]))
    ledger = ledger_id(payload["workspace"], payload["endpoint"])
    context.signal_entity(ledger, "wake", {"at": payload["at"]})


class DurableEngine:
    """The Engine port on the durable client."""

    def __init__(self, client: SyncDurableFunctionsClient) -> None:
        """Wrap the client that a binding supplies."""
        self._client = client

    def offer(self, offer: Offer, *, barred: Barred | None = None) -> None:
        """Ask the endpoint's ledger; the answer is recorded there."""
        why = {"barred": encode(barred)} if barred is not None else {}
        self.tell_ledger(offer.workspace, offer.endpoint, "offer", {**encode(offer), **why})

    def tell_ledger(self, workspace: str, endpoint: str, operation: str, payload: Json) -> None:
        """Tell a ledger anything else that ledger_operation.decide knows."""
        told = {**payload, "workspace": workspace, "endpoint": endpoint}
        self._client.signal_entity(ledger_id(workspace, endpoint), operation, told)

    def show_controls(self) -> Controls:
        """Return what is stopped and suspended now."""
        state = self._show(CONTROLS)
        return decode(Controls, state) if state else Controls()

    def turn_control(self, turned: Turned) -> None:
        """Stop, go on, suspend or resume."""
        self._client.signal_entity(CONTROLS, "turn", encode(turned))

    def show_turns(self) -> Turns:
        """Return whose turn it is, where there is a cap on rollouts in parallel."""
        state = self._show(TURNS)
        return decode(Turns, state) if state else Turns()

    def leave_turn(self, rollout_id: str) -> None:
        """Take out a rollout that is gone."""
        self._client.signal_entity(TURNS, "leave", {"rollout_id": rollout_id})

    def ask(self, rollout_id: str, request: Request) -> None:
        """Ask a rollout in flight for an operation."""
        self._client.raise_orchestration_event(rollout_id, _OPERATION, data=encode(request))

    def show_rollout(self, rollout_id: str) -> Json | None:
        """Return the rollout as it last showed itself, or None when nobody knows it."""
        state = self._client.get_orchestration_state(rollout_id)
        return None if state is None or state.name != ROLL_OUT else _shown(state)

    def list_rollouts(self) -> list[Json]:
        """Return every rollout that the engine remembers, newest first."""
        return self._list(None)

    def list_running(self) -> list[Json]:
        """Return the rollouts that the engine still carries."""
        return self._list(_ALIVE)

    def note_sweep(self, at: datetime) -> None:
        """Remember when the sweep ran last."""
        self._client.signal_entity(CONTROLS, "swept", {"at": at.isoformat()})

    def show_ledger(self, workspace: str, endpoint: str) -> Json | None:
        """Return the endpoint's ledger, or None when nothing was ever offered."""
        return self._show(ledger_id(workspace, endpoint))

    def list_ledgers(self) -> list[Json]:
        """Return every ledger, with workspace and endpoint."""
        query = EntityQuery(instance_id_starts_with=f"@{LEDGER}@")
        states = [_state(found.get_state()) for found in self._client.get_all_entities(query)]
        return [state for state in states if state is not None]

    def is_alive(self, rollout_id: str) -> bool:
        """Whether the engine still carries the rollout and will end it."""
        state = self._client.get_orchestration_state(rollout_id, fetch_payloads=False)
        return state is not None and state.runtime_status in _ALIVE

    def bury(self, offer: Offer, *, reason: str) -> None:
        """Tell the ledger that a rollout is over whose orchestration is gone."""
        shown = self.show_rollout(offer.rollout_id) or {}
        phase = Phase(shown.get("phase", Phase.ERRORED))
        ended = Ended(
            rollout_id=offer.rollout_id,
            model=offer.model,
            version=offer.version,
            attempt=offer.attempt,
            phase=phase if phase.is_over else Phase.ERRORED,
            reason=shown.get("reason", "") if phase.is_over else reason,
            at=datetime.now(UTC),
        )
        self.tell_ledger(offer.workspace, offer.endpoint, "finish", encode(ended))

    def _list(self, statuses: Collection[Status] | None) -> list[Json]:
        """Return what rollouts show, newest first; of the back ends, all filter by status."""
        query = OrchestrationQuery(
            runtime_status=None if statuses is None else list(statuses),
            fetch_inputs_and_outputs=True,  # without them the status of ours is not told either
        )
        states = self._client.get_all_orchestration_states(query)
        found = [state for state in states if state.name == ROLL_OUT and _is_rollout(state)]
        found.sort(key=lambda state: state.created_at, reverse=True)
        return [shown for state in found if (shown := _shown(state)) is not None]

    def list_over(self, before: datetime) -> list[str]:
        """Return the instances of both kinds that were over before that time, oldest first."""
        return [state.instance_id for state in self._find_over(before, None)]

    def list_served(self, before: datetime) -> list[str]:
        """Return those alone that served a rollout, and were over before that time."""
        return [
            state.instance_id
            for prefix in _SERVANTS
            for state in self._find_over(before, prefix)
            if state.name != ROLL_OUT  # of an endpoint that is called like one of these
        ]

    def _find_over(self, before: datetime, prefix: str | None) -> list[OrchestrationState]:
        query = OrchestrationQuery(
            created_time_to=before, runtime_status=list(_OVER), instance_id_prefix=prefix
        )
        found = [
            state
            for state in self._client.get_all_orchestration_states(query)
            if _utc(state.last_updated_at) < before and not state.instance_id.startswith("@")
        ]
        return sorted(found, key=lambda state: state.created_at)

    def show_over(self, instance: str) -> Json | None:
        """Return what a rollout showed at its end; None when the instance is none."""
        return self.show_rollout(instance)

    def purge(self, instance: str) -> None:
        """Have the engine forget it."""
        self._client.purge_orchestration(instance, recursive=False)

    def _show(self, entity: EntityInstanceId) -> Json | None:
        found = self._client.get_entity(entity)
        return None if found is None else _state(found.get_state())


def bind_activity[T](
    activity: Callable[[T, Json], Json], name: str, outside: Callable[[], T]
) -> Callable[[Json], Json]:
    """Return the activity as the engine calls it: one argument, its own name.

    outside is opened at the first call, so that starting the app opens nothing.
    """

    def bound(payload: Json) -> Json:
        with facts.in_activity(name, payload) as said:
            answer = activity(outside(), payload)
            facts.tell_answer(said, name, payload, answer)
            return answer

    bound.__name__ = bound.__qualname__ = name
    bound.__annotations__ = {}  # the worker refuses annotations that are not classes
    return bound


def ledger_id(workspace: str, endpoint: str) -> EntityInstanceId:
    """Return the entity that keeps the endpoint's ledger."""
    return EntityInstanceId(LEDGER, endpoint_key(workspace, endpoint))


def _outbox_id(letter: Letter) -> EntityInstanceId:
    # One for each endpoint: they are few, and one for all would be in everybody's way.
    return EntityInstanceId(OUTBOX, endpoint_key(letter.workspace, letter.endpoint))


def _utc(moment: datetime) -> datetime:
    """Return the time with its zone; the engine gives it in UTC, without saying so."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _is_rollout(state: OrchestrationState) -> bool:
    """Whether people see it in lists; letting go of a deployment is no rollout."""
    return not state.instance_id.startswith(LET_GO)


def _shown(state: OrchestrationState) -> Json | None:
    """Return the result when it is over, else the status; one that broke is errored."""
    if state.runtime_status == Status.COMPLETED:
        return _state(state.serialized_output)
    shown = _state(state.serialized_custom_status)
    if shown is not None and state.runtime_status not in _ALIVE:
        why = state.failure_details.message if state.failure_details else "it was terminated"
        return {**shown, "phase": Phase.ERRORED.value, "reason": f"the orchestration ended: {why}"}
    return shown


def _state(text: str | Mapping[str, Any] | None) -> Json | None:
    value = json.loads(text) if isinstance(text, str) and text else text
    return dict(value) if isinstance(value, Mapping) else None
