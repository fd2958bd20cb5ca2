"""The ports in memory: an Azure ML workspace, strict as the real one, and a durable engine.

The workspace records what must never happen. Its operations take time on a clock that the test
owns; while one runs, the old values are visible and another is refused with 409, as the service
does.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from deploy_logic.announcement.channel import Channel
from deploy_logic.codec import Json, decode, encode
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.gate import Answer
from deploy_logic.gate.metric import Measured, Reading
from deploy_logic.ledger.controls import Controls, Turned, turn
from deploy_logic.ledger.operation import decide
from deploy_logic.ledger.record import Barred, Ended, Ledger, Start, Tell, Wake
from deploy_logic.ledger.turns import Turns
from deploy_logic.matching import Offer
from deploy_logic.plan.plan import Deployment, ModelVersion, Plan
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.ports import (
    Announcing,
    Capacity,
    DeploymentState,
    EndpointState,
    Outside,
    Workspace,
)
from deploy_logic.rollout import Phase, Request
from tests.builders import MONDAY, TIMINGS, model_id
from tests.fake_archive import FakeArchive

NEVER = timedelta(days=1000)


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now: datetime = MONDAY

    def advance(self, length: timedelta) -> None:
        self.now += length


@dataclass(slots=True, kw_only=True)
class FakeDeployment:
    model_id: str
    rollout_id: str
    ready_at: datetime
    ends: str = "Succeeded"
    code: str = ""


@dataclass(slots=True, kw_only=True)
class FakeEndpoint:
    weights: dict[str, int] = field(default_factory=dict)
    deployments: dict[str, FakeDeployment] = field(default_factory=dict)
    busy_until: datetime = MONDAY
    state: str = "Succeeded"  # in which its last operation left it
    coming: dict[str, int] | None = None  # weights that become visible when the operation is over
    mirror: dict[str, int] = field(default_factory=dict)
    deleting: str = ""
    operation: str = ""  # the last one


class FakeWorkspace:
    """The Workspace port in memory. fault(method) may raise; it is asked before and after."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.models: dict[tuple[str, str], ModelVersion] = {}
        self.endpoints: dict[str, FakeEndpoint] = {}
        self.calls: list[str] = []
        self.violations: list[str] = []
        self.written: list[dict[str, int]] = []  # weights, in order
        self.creation_takes = timedelta(minutes=9)
        self.traffic_takes = timedelta(seconds=20)
        self.broken: dict[str, str] = {}  # version -> code with which its creation fails
        self.answers: dict[str, Answer] = {}  # version -> what it answers
        self.answers_to: dict[tuple[str, str], Answer] = {}  # version and body; goes before that
        self.scored: list[tuple[str, str]] = []  # deployment and body
        self.capacity: Capacity | None = None  # None: not known
        self.logs: dict[str, str] = {}  # deployment -> its log, if it is not the usual one
        self.fault: Callable[[str, str], None] = lambda _method, _when: None

    def register(self, version: str, *, model: str = "fraud", by: str = "", **tags: str) -> None:
        self.models[model, version] = ModelVersion(
            version=version, id=model_id(version, model=model), tags=tags, created_by=by
        )

    def serve(self, version: str, *, endpoint: str = "fraud", name: str = "blue") -> None:
        """Have this version serve all the traffic, as if it had always done so."""
        self.register(version)
        made = FakeDeployment(model_id=model_id(version), rollout_id="", ready_at=self.clock.now)
        found = self.endpoints.setdefault(endpoint, FakeEndpoint())
        found.deployments[name] = made
        found.weights = {name: 100}

    # The port

    def get_model_version(self, model: str, version: str) -> ModelVersion | None:
        self._enter("get_model_version")
        return self.models.get((model, version))

    def list_models(self) -> tuple[str, ...]:
        self._enter("list_models")
        return tuple(dict.fromkeys(name for name, _ in self.models))

    def list_model_versions(self, model: str, *, newest: int) -> tuple[ModelVersion, ...]:
        self._enter("list_model_versions")
        found = [one for (name, _), one in self.models.items() if name == model]
        return tuple(reversed([one for one in found if not one.is_archived][-newest:]))

    def get_endpoint(self, endpoint: str) -> EndpointState | None:
        self._enter("get_endpoint")
        found = self._settle(endpoint)
        if found is None:
            return None
        state = "Updating" if found.busy_until > self.clock.now else found.state
        return EndpointState(
            provisioning_state=state,
            traffic=dict(found.weights),
            mirror=dict(found.mirror),
            region="westeurope",
            operation=found.operation,
        )

    def list_deployments(self, endpoint: str) -> tuple[Deployment, ...]:
        self._enter("list_deployments")
        found = self._settle(endpoint)
        return tuple(
            Deployment(name=name, model_id=one.model_id, rollout_id=one.rollout_id)
            for name, one in (found.deployments if found else {}).items()
        )

    def get_deployment(self, endpoint: str, deployment: str) -> DeploymentState | None:
        self._enter("get_deployment")
        found = self._settle(endpoint)
        name = _own(found.deployments, deployment) if found else deployment
        one = found.deployments.get(name) if found else None
        if found is None or one is None:
            return None
        state = one.ends if one.ready_at <= self.clock.now else "Creating"
        if found.deleting == name:
            state = "Deleting"
        return DeploymentState(
            provisioning_state=state,
            rollout_id=one.rollout_id,
            code=one.code if state == "Failed" else "",
            message="it is bad" if state == "Failed" else "",
        )

    def find_capacity(self, plan: Plan) -> Capacity | None:
        self._enter("find_capacity")
        return self.capacity if plan.creation.template else None

    def create_endpoint(self, plan: Plan) -> None:
        self._enter("create_endpoint")
        made = FakeEndpoint(busy_until=self.clock.now + self.traffic_takes)
        if self._settle(plan.endpoint) is None:
            self.endpoints[plan.endpoint] = made
        else:
            self._idle(plan.endpoint)
        self._leave("create_endpoint")

    def create_deployment(self, plan: Plan) -> None:
        self._enter("create_deployment")
        endpoint = self._idle(plan.endpoint)
        code = self.broken.get(plan.version, "")
        endpoint.deployments[_own(endpoint.deployments, plan.candidate)] = FakeDeployment(
            model_id=plan.model_id,
            rollout_id=plan.rollout_id,
            ready_at=self.clock.now + (NEVER if code == "never" else self.creation_takes),
            ends="Failed" if code else "Succeeded",
            code=code,
        )
        self._leave("create_deployment")

    def set_traffic(
        self,
        endpoint: str,
        weights: Mapping[str, int],
        *,
        mirror: Mapping[str, int] | None = None,
        seen: EndpointState | None = None,
    ) -> str:
        del seen  # the real one saves a request with it
        self._enter("set_traffic")
        found = self._idle(endpoint)
        if mirror is not None:
            found.mirror = dict(mirror)
        if sum(found.mirror.values()) > 50 or any(weights.get(name) for name in found.mirror):
            self.violations.append(f"P1: mirror {found.mirror} beside weights {weights}")
        own = {_own(found.deployments, name): weight for name, weight in weights.items()}
        weighted = {name: weight for name, weight in own.items() if weight != 0}
        if sum(weighted.values()) not in {0, 100}:
            self.violations.append(f"P1: weights {weights}")
            raise WorkspaceError(f"setting weights: {weights} do not sum to 0 or 100", status=400)
        if not weighted and found.weights and self._was_somebody_else_stable(found):
            self.violations.append("P5: all weight taken from a stable")
        missing = set(own) - set(found.deployments)
        if missing:
            raise WorkspaceError(f"setting weights: no deployment {missing}", status=400)
        for name in weighted:
            one = found.deployments[name]
            if one.ready_at > self.clock.now or one.ends != "Succeeded":
                self.violations.append(f"P9: weight to {name}, which does not serve")
        found.coming, found.state = weighted, "Succeeded"
        self.written.append(dict(weights))
        found.busy_until = self.clock.now + self.traffic_takes
        found.operation = f"oe-{len(self.written)}"
        self._leave("set_traffic")
        return found.operation

    def delete_deployment(self, endpoint: str, deployment: str) -> None:
        self._enter("delete_deployment")
        there = self._settle(endpoint)
        name = _own(there.deployments, deployment) if there else deployment
        if there is None or name not in there.deployments:
            return
        if there.weights.get(name, 0) != 0:
            self.violations.append(f"P2: {name} deleted with weight")
            raise WorkspaceError(f"deleting {name}: it has weight", status=400)
        found = self._idle(endpoint)
        found.deleting = name
        found.busy_until = self.clock.now + self.traffic_takes
        self._leave("delete_deployment")

    def get_logs(self, endpoint: str, deployment: str, *, lines: int) -> str:
        self._enter("get_logs")
        found = self._settle(endpoint)
        name = _own(found.deployments, deployment) if found else deployment
        if found is None or name not in found.deployments:
            return ""
        log = self.logs.get(name, f"the end of the log of {endpoint} {name}\nready\n")
        return "".join(log.splitlines(keepends=True)[-lines:])

    def score(self, endpoint: str, deployment: str, body: str) -> Answer:
        self._enter("score")
        self.scored.append((deployment, body))
        found = self._settle(endpoint)
        if found is None:
            raise WorkspaceError(f"scoring: no endpoint {endpoint}", status=404)
        one = found.deployments.get(_own(found.deployments, deployment))
        if one is None or one.ready_at > self.clock.now:
            return Answer(status=404, body=f"no deployment {deployment} for {body}")
        version = one.model_id.rpartition("/")[2]
        usual = self.answers.get(version, Answer(status=200, milliseconds=12, body="[1]"))
        return self.answers_to.get((version, body), usual)

    # Inside

    def _was_somebody_else_stable(self, found: FakeEndpoint) -> bool:
        ours = {name for name, one in found.deployments.items() if one.rollout_id}
        return any(name not in ours for name, weight in found.weights.items() if weight == 100)

    def _enter(self, method: str) -> None:
        self.calls.append(method)
        self.fault(method, "before")

    def _leave(self, method: str) -> None:
        self.fault(method, "after")

    def settled_weights(self, endpoint: str) -> dict[str, int]:
        """Return the weights that callers meet now."""
        found = self._settle(endpoint)
        return {name: weight for name, weight in found.weights.items() if weight} if found else {}

    def _settle(self, endpoint: str) -> FakeEndpoint | None:
        found = self.endpoints.get(_own(self.endpoints, endpoint))
        if found is not None and found.busy_until <= self.clock.now:
            if found.coming is not None:
                found.weights, found.coming = found.coming, None
            if found.deleting:
                found.deployments.pop(found.deleting, None)
                found.weights.pop(found.deleting, None)
                found.deleting = ""
        return found

    def _idle(self, endpoint: str) -> FakeEndpoint:
        found = self._settle(endpoint)
        if found is None:
            raise WorkspaceError(f"no endpoint {endpoint}", status=404)
        creating = [one for one in found.deployments.values() if one.ready_at > self.clock.now]
        if found.busy_until > self.clock.now or creating:
            raise WorkspaceError("another operation is running", code="Conflict", status=409)
        return found


class FakeMonitor:
    """The Monitor port in memory: it is told of every request, and of utilisation by the minute."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, str, str | None]] = []  # metric, candidate, stable
        self.endpoints: set[str] = set()
        self.fault: Callable[[], None] = lambda: None
        self._requests: list[tuple[datetime, str, str, int, float]] = []
        self._used: list[tuple[datetime, str, str, str, float]] = []

    def note(
        self, endpoint: str, deployment: str, *, status: int = 200, milliseconds: float = 12
    ) -> None:
        """Note a request that has just ended."""
        self.endpoints.add(endpoint.lower())
        key = (endpoint.lower(), deployment.lower())
        self._requests.append((self.clock.now, *key, status, milliseconds))

    def note_use(self, endpoint: str, deployment: str, metric: str, share: float) -> None:
        """Note a minute of cpu, memory or gpu."""
        self.endpoints.add(endpoint.lower())
        key = (endpoint.lower(), deployment.lower())
        self._used.append((self.clock.now, *key, metric, share))

    # The port

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
        self.asked.append((metric, candidate, stable))
        self.fault()
        begin = since.replace(second=0, microsecond=0) if until > since else until

        def of(deployment: str) -> Reading:
            return self._read(metric, (endpoint.lower(), deployment.lower()), begin, until)

        if until > since and endpoint.lower() not in self.endpoints:
            raise WorkspaceError(f"reading {metric}: no endpoint {endpoint}", status=404)
        of_stable = None if stable is None else of(stable)
        return Measured(candidate=of(candidate), stable=of_stable, since=begin, until=until)

    # Inside

    def _read(self, metric: str, key: tuple[str, str], begin: datetime, until: datetime) -> Reading:
        if metric in {"cpu", "memory", "gpu"}:
            used = [
                share
                for at, *whose, name, share in self._used
                if tuple(whose) == key and name == metric and begin <= at < until
            ]
            return Reading(samples=len(used), value=sum(used) / len(used)) if used else Reading()
        seen = [
            (status, took)
            for at, *whose, status, took in self._requests
            if tuple(whose) == key and begin <= at < until
        ]
        if not seen:
            return Reading()
        if metric.startswith("latency_"):
            rank = -(-len(seen) * int(metric.removeprefix("latency_p")) // 100)
            slowest_first = sorted(took for _, took in seen)
            return Reading(samples=len(seen), value=slowest_first[rank - 1])
        if metric == "requests":
            return Reading(samples=len(seen), value=float(len(seen)))
        is_hit = {"error_rate": lambda status: status // 100 != 2}.get(metric)
        hits = sum(1 for status, _ in seen if (is_hit(status) if is_hit else status == 424))
        return Reading(samples=len(seen), value=hits / len(seen), hits=hits)


class FakeLogs:
    """The Logs port in memory: every query gives the same number."""

    def __init__(self, number: float | None = None) -> None:
        self.number = number
        self.asked: list[tuple[str, datetime, datetime]] = []

    def count(self, query: str, *, since: datetime, until: datetime) -> float | None:
        self.asked.append((query, since, until))
        return self.number


def an_outside(
    workspace: FakeWorkspace,
    policies: Callable[[], Sequence[PolicyFiles]],
    *,
    monitor: FakeMonitor | None = None,
    logs: FakeLogs | None = None,
    web: "Callable[[], FakeWeb] | None" = None,
    open_workspace: Callable[[str], Workspace] | None = None,
) -> Outside:
    """Return what the activities act on: the fakes, on the clock of the workspace."""
    clock = workspace.clock
    the_monitor, the_logs = monitor or FakeMonitor(clock), logs or FakeLogs()
    the_web, the_archive = FakeWeb(), FakeArchive()
    return Outside(
        open_workspace=open_workspace or (lambda _id: workspace),
        open_monitor=lambda _id: the_monitor,
        open_logs=lambda: the_logs,
        web=web or (lambda: the_web),
        announcing=FakeChannels().open,
        archive=lambda: the_archive,
        policies=policies,
        timings=TIMINGS,
        now=lambda: clock.now,
    )


class FakeWeb:
    """The Web port in memory: gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers) or [Answer(status=200)]
        self.asked: list[tuple[str, Json, str]] = []  # address, body, idempotency key

    def post(self, url: str, body: Json, *, idempotency_key: str) -> Answer:
        self.asked.append((url, json.loads(json.dumps(body)), idempotency_key))
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)


class FakeTopic:
    """The Publisher port in memory; a fault is raised in place of publishing."""

    def __init__(self) -> None:
        self.published: list[Json] = []
        self.fault: Exception | None = None

    def publish(self, event: Json) -> None:
        if self.fault is not None:
            raise self.fault
        self.published.append(json.loads(json.dumps(event)))


class FakeChannels:
    """Channels, one topic for all endpoints, and one web for all chats."""

    def __init__(self, *channels: Channel, public_url: str = "") -> None:
        self.channels = {channel.name: channel for channel in channels}
        self.public_url = public_url
        self.topic = FakeTopic()
        self.opened: list[str] = []  # endpoints
        self.chats = FakeWeb()

    def open(self) -> Announcing:
        return Announcing(
            channels=self.channels,
            public_url=self.public_url,
            open_topic=self._open_topic,
            chats=lambda: self.chats,
        )

    def _open_topic(self, endpoint: str) -> FakeTopic:
        self.opened.append(endpoint)
        return self.topic


class FakeEngine:
    """The Engine port in memory: ledgers decide, orchestrations are only noted."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.offered: list[Offer] = []
        self.barred: list[Barred | None] = []  # one for each offer
        self.asked: list[tuple[str, Request]] = []
        self.told: list[tuple[str, str, Json]] = []  # endpoint, operation, payload
        self.buried: list[tuple[str, str]] = []
        self.left: list[str] = []
        self.wakes: list[datetime] = []
        self.ledgers: dict[tuple[str, str], Ledger] = {}  # by workspace and endpoint
        self.rollouts: dict[str, Json] = {}
        self.controls = Controls()
        self.turns = Turns()
        self.reads: list[str] = []  # entities that were read
        self.alive: set[str] = set()
        self.is_down = False

    def offer(self, offer: Offer, *, barred: Barred | None = None) -> None:
        if self.is_down:
            raise ConnectionError("no engine")
        self.offered.append(offer)
        self.barred.append(barred)
        why = {"barred": encode(barred)} if barred is not None else {}
        self._decide((offer.workspace, offer.endpoint), "offer", {**encode(offer), **why})

    def tell_ledger(self, workspace: str, endpoint: str, operation: str, payload: Json) -> None:
        self.told.append((endpoint, operation, payload))
        place = {"workspace": workspace, "endpoint": endpoint}
        self._decide((workspace, endpoint), operation, {**payload, **place})

    def show_controls(self) -> Controls:
        self.reads.append("controls")
        return self.controls

    def turn_control(self, turned: Turned) -> None:
        self.controls = turn(self.controls, turned)

    def show_turns(self) -> Turns:
        return self.turns

    def leave_turn(self, rollout_id: str) -> None:
        self.left.append(rollout_id)

    def end(self, offer: Offer, phase: Phase, reason: str = "", **changes: Any) -> None:
        """Tell the ledger that the rollout is over, as its orchestration does."""
        self.alive.discard(offer.rollout_id)
        ended = Ended(
            rollout_id=offer.rollout_id,
            model=offer.model,
            version=offer.version,
            attempt=offer.attempt,
            phase=phase,
            reason=reason,
            at=self.clock.now,
            **changes,
        )
        self._decide((offer.workspace, offer.endpoint), "finish", encode(ended))

    def ask(self, rollout_id: str, request: Request) -> None:
        self.asked.append((rollout_id, request))

    def show_rollout(self, rollout_id: str) -> Json | None:
        return self.rollouts.get(rollout_id)

    def list_rollouts(self) -> list[Json]:
        return list(reversed(self.rollouts.values()))

    def list_running(self) -> list[Json]:
        return [one for one in self.rollouts.values() if not Phase(one["phase"]).is_over]

    def note_sweep(self, at: datetime) -> None:
        self.controls = replace(self.controls, swept=at)

    def show_ledger(self, workspace: str, endpoint: str) -> Json | None:
        key = (workspace, endpoint)
        return self._show(key) if key in self.ledgers else None

    def list_ledgers(self) -> list[Json]:
        return [self._show(key) for key in self.ledgers]

    def is_alive(self, rollout_id: str) -> bool:
        return rollout_id in self.alive

    def bury(self, offer: Offer, *, reason: str) -> None:
        self.buried.append((offer.rollout_id, reason))
        self.end(offer, Phase.ERRORED, reason)

    def _show(self, key: tuple[str, str]) -> Json:
        return encode(self.ledgers[key])

    def _decide(self, key: tuple[str, str], operation: str, payload: Json) -> None:
        book = self.ledgers.get(key, Ledger())
        travelled = json.loads(json.dumps(payload))
        decision = decide(book, operation, travelled, at=self.clock.now)
        self.ledgers[key] = decode(Ledger, json.loads(json.dumps(encode(decision.ledger))))
        for action in decision.actions:
            match action:
                case Start(offer=started):
                    self.alive.add(started.rollout_id)
                case Tell(rollout_id=rollout_id, request=request):
                    self.ask(rollout_id, request)
                case Wake(at=at):
                    self.wakes.append(at)


def _own(known: Mapping[str, object], name: str) -> str:
    """Return the name in the case in which it is known: Azure compares names without case."""
    return next((one for one in known if one.lower() == name.lower()), name)


def out_of_order() -> TransientError:
    """Return what the adapter raises when Azure answers 503."""
    return TransientError("asking Azure: 503", code="ServiceUnavailable")
