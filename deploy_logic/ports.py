"""Step 5 of 5: what we need from outside, as a few small Protocols in Azure's words."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from deploy_logic.announcement.channel import Channel
from deploy_logic.codec import Json
from deploy_logic.gate.gate import Answer
from deploy_logic.gate.metric import Measured
from deploy_logic.ledger.controls import Controls, Turned
from deploy_logic.ledger.record import Barred
from deploy_logic.ledger.turns import Turns
from deploy_logic.matching import Offer
from deploy_logic.outbox import Letter
from deploy_logic.plan.plan import Deployment, ModelVersion, Plan, Timings
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.rollout import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointState:
    """An online endpoint as Azure shows it now; while it updates, traffic is still the old one."""

    provisioning_state: str  # Creating, Updating, Succeeded, Failed, Deleting, Canceled
    traffic: Mapping[str, int] = field(default_factory=dict)
    mirror: Mapping[str, int] = field(default_factory=dict)  # percent of copies, by deployment
    region: str = ""
    operation: str = ""  # the last one that has changed it; empty: Azure does not say
    whole: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)  # as it came


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentState:
    """An online deployment as Azure shows it now."""

    provisioning_state: str  # as an endpoint's, and Scaling
    rollout_id: str = ""  # our receipt in its tags
    code: str = ""  # of the failure, such as ImageBuildFailure
    message: str = ""  # of the failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Cores of one family of machines in the endpoint's region."""

    family: str
    needed: int  # by the candidate, with what Azure reserves for upgrades
    free: int


class Workspace(Protocol):
    """One Azure ML workspace. Every method raises WorkspaceError, or TransientError."""

    def get_model_version(self, model: str, version: str) -> ModelVersion | None:
        """Return the registered version, or None when there is none."""
        ...

    def list_models(self) -> tuple[str, ...]:
        """Return the name of every model that is not archived."""
        ...

    def list_model_versions(self, model: str, *, newest: int) -> tuple[ModelVersion, ...]:
        """Return the versions registered last, newest first, archived ones left out."""
        ...

    def get_endpoint(self, endpoint: str) -> EndpointState | None:
        """Return the endpoint, or None when there is none."""
        ...

    def list_deployments(self, endpoint: str) -> tuple[Deployment, ...]:
        """Return the endpoint's deployments."""
        ...

    def get_deployment(self, endpoint: str, deployment: str) -> DeploymentState | None:
        """Return the deployment, or None; a failed one with code and message of the failure."""
        ...

    def find_capacity(self, plan: Plan) -> Capacity | None:
        """Return what the candidate needs and what is free; None when that does not apply.

        It does not to Kubernetes, nor to machines that the region does not list.
        """
        ...

    def create_endpoint(self, plan: Plan) -> None:
        """Ask for the endpoint of the plan's template; does not wait."""
        ...

    def create_deployment(self, plan: Plan) -> None:
        """Ask for the candidate at weight 0 from the plan's template; does not wait."""
        ...

    def set_traffic(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        *,
        mirror: Mapping[str, int] | None = None,
        seen: EndpointState | None = None,
    ) -> str:
        """Ask for these weights and change nothing else; deployments not named get none.

        Returns the operation that the endpoint names once a read shows it.

        mirror: likewise the percentages that are copied; None leaves the mirror as it is. seen: the
        endpoint as it was read just now; without it, it is read again.
        """
        ...

    def delete_deployment(self, endpoint: str, deployment: str) -> None:
        """Ask for the deployment to be deleted; does not wait."""
        ...

    def get_logs(self, endpoint: str, deployment: str, *, lines: int) -> str:
        """Return the end of the inference server's log; empty when there is none."""
        ...

    def score(self, endpoint: str, deployment: str, body: str) -> Answer:
        """Send one request to this very deployment, whatever the weights are."""
        ...


class Web(Protocol):
    """Other people's services."""

    def post(self, url: str, body: Json, *, idempotency_key: str) -> Answer:
        """Send a question; who may not be called, and who does not answer, is an Answer too."""
        ...


class Monitor(Protocol):
    """What Azure Monitor measured of the endpoints of one workspace. Raises as Workspace does."""

    def read(
        self,
        metric: str,
        *,
        endpoint: str,
        candidate: str,
        stable: str | None,
        since: datetime,
        until: datetime,
    ) -> Measured:
        """Return candidate and stable in that window; where nothing was seen, empty readings.

        metric is one that step.MetricSource names; the window begins with a full minute.
        """
        ...


class Logs(Protocol):
    """One Log Analytics workspace. Raises as Workspace does."""

    def count(self, query: str, *, since: datetime, until: datetime) -> float | None:
        """Return the number that the query gives over that time; None when it gives none."""
        ...


class Publisher(Protocol):
    """One Event Grid topic. Raises as Workspace does."""

    def publish(self, event: Json) -> None:
        """Send one CloudEvent."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcing:
    """The channels that the settings define, and the ways to them."""

    channels: Mapping[str, Channel]
    public_url: str  # where people find the app; empty where nobody said
    open_topic: Callable[[str], Publisher]  # by its endpoint
    chats: Callable[[], Web]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """What the activities act on."""

    open_workspace: Callable[[str], Workspace]  # by ARM id
    open_monitor: Callable[[str], Monitor]  # by the workspace's ARM id
    open_logs: Callable[[], Logs]  # WorkspaceError where the settings name none
    web: Callable[[], Web]
    announcing: Callable[[], Announcing]
    archive: Callable[[], "Archive"]
    policies: Callable[[], Sequence[PolicyFiles]]
    timings: Timings
    now: Callable[[], datetime]


class Engine(Protocol):
    """The durable engine, as the trigger, the sweep and the HTTP routes see it."""

    def offer(self, offer: Offer, *, barred: Barred | None = None) -> None:
        """Ask the endpoint's ledger; the answer is recorded there."""
        ...

    def tell_ledger(self, workspace: str, endpoint: str, operation: str, payload: Json) -> None:
        """Tell a ledger anything else that ledger_operation.decide knows."""
        ...

    def show_controls(self) -> Controls:
        """Return what is stopped and suspended now."""
        ...

    def turn_control(self, turned: Turned) -> None:
        """Stop, go on, suspend or resume."""
        ...

    def show_turns(self) -> Turns:
        """Return whose turn it is, where there is a cap on rollouts in parallel."""
        ...

    def leave_turn(self, rollout_id: str) -> None:
        """Take out a rollout that is gone."""
        ...

    def ask(self, rollout_id: str, request: Request) -> None:
        """Ask a rollout in flight for an operation."""
        ...

    def show_rollout(self, rollout_id: str) -> Json | None:
        """Return the rollout as it last showed itself, or None when nobody knows it."""
        ...

    def list_rollouts(self) -> list[Json]:
        """Return every rollout that the engine remembers, newest first."""
        ...

    def list_running(self) -> list[Json]:
        """Return the rollouts that the engine still carries, in no order."""
        ...

    def note_sweep(self, at: datetime) -> None:
        """Remember when the sweep ran last."""
        ...

    def show_ledger(self, workspace: str, endpoint: str) -> Json | None:
        """Return the endpoint's ledger, or None when nothing was ever offered."""
        ...

    def list_ledgers(self) -> list[Json]:
        """Return every ledger, with workspace and endpoint."""
        ...

    def is_alive(self, rollout_id: str) -> bool:
        """Whether the engine still carries the rollout and will end it."""
        ...

    def bury(self, offer: Offer, *, reason: str) -> None:
        """Tell the ledger that a rollout is over whose orchestration is gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rollouts a list is to have; what is empty asks for nothing."""

    phases: frozenset[str] = frozenset()
    endpoint: str = ""  # without letter case, as Azure ML compares names
    model: str = ""
    policy: str = ""
    since: str = ""  # started at or after; ISO 8601 in UTC, as in Rollout.started
    until: str = ""  # started before


class Archive(Protocol):
    """What outlives the engine's memory: rollouts, their timelines, and who asked for what.

    Rows are plain JSON, only ever added; the same row twice is one. Raises as Workspace does.
    """

    def append(self, rows: Sequence[Json]) -> None:
        """Keep the rows: of a rollout (kind rollout or line), or of the audit (kind audit)."""
        ...

    def list_rollouts(
        self, wanted: Wanted, *, after: str = "", limit: int
    ) -> tuple[list[Json], str]:
        """Return rollouts as they were last appended, newest first, and where the next page begins.

        after is such a place; empty is the start, and an empty place is the end. It is STARTED/ID
        of a rollout ("2026-11-23T15:10:11.123456Z/ID"), and whoever knows one may make one.
        """
        ...

    def read_rollout(self, rollout_id: str) -> Json | None:
        """Return the rollout as it was last appended, without its timeline; None when unknown."""
        ...

    def read_timeline(self, rollout_id: str) -> list[Json]:
        """Return its lines, oldest first: at, text, figures; none when nobody knows it."""
        ...

    def export(self, *, since: str = "", until: str = "") -> Iterator[Json]:
        """Return every line and every audit row of that time, oldest first within each kind."""
        ...


class Past(Protocol):
    """What is over and the engine still remembers: rollouts, and what served them."""

    def list_over(self, before: datetime) -> list[str]:
        """Return the instances of both kinds that were over before that time, oldest first."""
        ...

    def list_served(self, before: datetime) -> list[str]:
        """Return those alone that served a rollout, and were over before that time."""
        ...

    def show_over(self, instance: str) -> Json | None:
        """Return what a rollout showed at its end; None when the instance is none."""
        ...

    def purge(self, instance: str) -> None:
        """Have the engine forget it."""
        ...


class Waitable(Protocol):
    """Something the orchestration can wait for."""

    @property
    def is_complete(self) -> bool:
        """Whether it has happened."""
        ...

    def get_result(self) -> Any:  # noqa: ANN401 - plain JSON, or nothing
        """Return what came of it; raises when it failed."""
        ...


class Context(Protocol):
    """What the orchestration may use of the engine. Everything it yields is a Waitable."""

    @property
    def now(self) -> datetime:
        """The time of this turn, the same in every replay."""
        ...

    def call(self, activity: str, payload: Json) -> Waitable:
        """Start an activity."""
        ...

    def timer(self, at: datetime) -> Waitable:
        """Start a timer."""
        ...

    def cancel(self, timer: Waitable) -> None:
        """Let go of a timer that nobody waits for any more."""
        ...

    def operation(self) -> Waitable:
        """Wait for the next operation that is asked for."""
        ...

    def any(self, waitables: Iterable[Waitable]) -> Waitable:
        """Wait for the first of several."""
        ...

    def show(self, status: Callable[[], Json]) -> None:
        """Make this what people see of the rollout; it is asked at the end of every turn."""
        ...

    def tell_ledger(self, workspace: str, endpoint: str, operation: str, payload: Json) -> None:
        """Signal the endpoint's ledger, once."""
        ...

    def tell_turns(self, operation: str, payload: Json) -> None:
        """Signal the turns, once: enter (rollout_id and endpoint) or leave (rollout_id)."""
        ...

    def post(self, letter: Letter) -> None:
        """Hand a letter to the outbox, once; nothing waits for what becomes of it."""
        ...
