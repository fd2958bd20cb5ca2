"""A toy world on virtual time: ledgers, any number of rollouts, a fake workspace, and its troubles.

It drives the generators of `roll_out` themselves, no engine, and records violations; a test asserts
after everything has ended.
"""

import collections
import functools
import heapq
import itertools
import json
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.codec import Json, decode, encode
from deploy_logic.gate.gate import Judgement, Verdict
from deploy_logic.ledger import ledger as ledgers
from deploy_logic.ledger.operation import Act, Asked, decide
from deploy_logic.ledger.record import Decision, Ended, Ledger, Start, Tell, Wake
from deploy_logic.ledger.turns import Called, Place, Turns, enter, leave
from deploy_logic.matching import Offer
from deploy_logic.outbox import Letter
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.ports import Waitable
from deploy_logic.rollout import Operation, Phase, Request
from deploy_logic.story import orchestrator
from tests.builders import WORKSPACE
from tests.fakes import Clock, FakeWorkspace, an_outside

GATES = frozenset({"measure", "agree", "call"})
FINE = Judgement(verdict=Verdict.PASS, reason="it is fine", figures={"value": 0.0})
LONGEST = timedelta(days=3)  # virtual; every rollout of the stories must be over by then


class SimTask:
    """A Waitable of the toy engine."""

    def __init__(self, children: Iterable["SimTask"] = ()) -> None:
        self.children = list(children)
        self.outcome: tuple[str, Any] | None = None
        self.order = -1

    @property
    def is_complete(self) -> bool:
        return self.outcome is not None or any(child.is_complete for child in self.children)

    def get_result(self) -> Any:
        if self.children:
            return min(
                (child for child in self.children if child.is_complete), key=lambda c: c.order
            )
        assert self.outcome is not None
        kind, value = self.outcome
        if kind == "raised":
            raise value
        return value


@dataclass(slots=True, kw_only=True)
class Turn:
    """What was new when the generator was resumed: enough to replay it."""

    now: datetime
    news: list[tuple[int | None, Any]]  # task and outcome; None and what came into the inbox


class SimContext:
    """The Context of one rollout. Without a world it only replays."""

    def __init__(self, world: "World | None", rollout_id: str, now: datetime) -> None:
        self._world = world
        self._rollout_id = rollout_id
        self._now = now
        self._order = itertools.count()
        self.tasks: list[SimTask] = []
        self.actions: list[tuple[str, str]] = []
        self.inbox_waiting: list[SimTask] = []
        self.inbox_buffer: list[Any] = []
        self.fresh: list[tuple[int | None, Any]] = []
        self._status: Callable[[], Json] = dict

    @property
    def now(self) -> datetime:
        return self._now

    def begin_turn(self, now: datetime) -> None:
        self._now = now

    def call(self, activity: str, payload: Json) -> SimTask:
        task = self._task("call", f"{activity} {json.dumps(payload, sort_keys=True)}")
        if self._world is not None:
            self._world.run_activity(self, task, activity, json.loads(json.dumps(payload)))
        return task

    def timer(self, at: datetime) -> SimTask:
        task = self._task("timer", at.isoformat())
        if self._world is not None:
            self._world.at(at, lambda: self.complete(task, ("value", None)))
        return task

    def cancel(self, timer: Waitable) -> None:
        assert isinstance(timer, SimTask)
        self.actions.append(("cancel", str(self.tasks.index(timer))))

    def operation(self) -> SimTask:
        task = self._task("operation", "")
        self.inbox_waiting.append(task)
        if self.inbox_buffer:
            self._finish(self.inbox_waiting.pop(0), ("value", self.inbox_buffer.pop(0)))
        return task

    def any(self, waitables: Iterable[Waitable]) -> SimTask:
        return SimTask(task for task in waitables if isinstance(task, SimTask))

    def show(self, status: Callable[[], Json]) -> None:
        self._status = status

    @property
    def status(self) -> Json:
        shown: Json = json.loads(json.dumps(self._status()))
        return shown

    def tell_ledger(self, workspace: str, endpoint: str, operation: str, payload: Json) -> None:
        self.actions.append(("tell", f"{workspace} {endpoint} {operation}"))
        if self._world is not None:
            self._world.tell_ledger(endpoint, operation, json.loads(json.dumps(payload)))

    def tell_turns(self, operation: str, payload: Json) -> None:
        self.actions.append(("turns", f"{operation} {json.dumps(payload, sort_keys=True)}"))
        if self._world is not None:
            self._world.tell_turns(operation, json.loads(json.dumps(payload)))

    def post(self, letter: Letter) -> None:
        self.actions.append(("outbox", ""))  # what it says may change: texts are no history
        if self._world is not None:
            # through JSON and back, as a signal goes
            self._world.posted.append(decode(Letter, json.loads(json.dumps(encode(letter)))))

    def complete(self, task: SimTask, outcome: tuple[str, Any]) -> None:
        if task.outcome is None:
            self.fresh.append((self.tasks.index(task), outcome))
            self._finish(task, outcome)

    def receive(self, asked: Any) -> None:
        self.fresh.append((None, asked))
        if self.inbox_waiting:
            self._finish(self.inbox_waiting.pop(0), ("value", asked))
        else:
            self.inbox_buffer.append(asked)

    def _finish(self, task: SimTask, outcome: tuple[str, Any]) -> None:
        task.outcome = outcome
        task.order = next(self._order)

    def _task(self, kind: str, text: str) -> SimTask:
        task = SimTask()
        self.tasks.append(task)
        self.actions.append((kind, text))
        return task


@dataclass(slots=True, kw_only=True)
class Run:
    """One rollout in flight or over."""

    offer: Offer
    context: SimContext
    story: Generator[Waitable, Any, Json]
    asks: bool = False  # whether its policy asks for an approval
    waits_for: SimTask | None = None
    result: Json | None = None
    turns: list[Turn] = field(default_factory=list)


class World:
    """Everything, on one clock."""

    def __init__(
        self,
        policies: list[PolicyFiles],
        *,
        delay: Callable[[], float],
        workspace: FakeWorkspace | None = None,
    ) -> None:
        self.policies = policies
        self.clock = workspace.clock if workspace is not None else Clock()
        self.workspace = workspace or FakeWorkspace(self.clock)
        self.outside = an_outside(self.workspace, lambda: policies)
        self.delay = delay  # seconds that an activity takes
        # what happens while the n-th call of an activity runs; of any, when the name is empty
        self.at_activity: dict[tuple[str, int], list[Callable[[], None]]] = {}
        self.called: collections.Counter[str] = collections.Counter()
        self.crashes: Callable[[str], bool] = lambda _activity: False
        # what a gate that asks others says; a text: it could not be asked
        self.judge: Callable[[str, str], Judgement | str] = lambda _gate, _version: FINE
        self.asked: list[tuple[str, Json]] = []  # of these gates, with the payload
        self.ledgers: dict[str, Ledger] = {}
        self.turns = Turns()
        self.cap = 0  # rollouts in parallel
        self.runs: list[Run] = []
        self.posted: list[Letter] = []  # in the order of their posting
        self.ended_with: dict[str, dict[str, int]] = {}  # rollout id -> weights that callers met
        self.wanted: list[Offer] = []  # for which an answer is due in the end
        self.wavers: set[str] = set()  # versions of which a gate says now this, now that
        self.is_swept = False  # often enough, and to the end
        self.released = 0  # how often a person has let something go on
        self.violations = self.workspace.violations
        self._queue: list[tuple[datetime, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def at(self, when: datetime, act: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (max(when, self.clock.now), next(self._count), act))

    def after(self, length: timedelta, act: Callable[[], None]) -> None:
        self.at(self.clock.now + length, act)

    def run(self, length: timedelta = LONGEST) -> None:
        """Let everything happen that is due within the time."""
        end = self.clock.now + length
        while self._queue and self._queue[0][0] <= end:
            when, _, act = heapq.heappop(self._queue)
            self.clock.now = when
            act()
            self._resume_all()
        self.clock.now = end

    # Ledgers, as the entity and its relay do it

    def offer(self, asked: Offer) -> None:
        book = self.ledgers.get(asked.endpoint.lower(), Ledger())
        self.apply(asked.endpoint, ledgers.offer(book, asked, at=self.clock.now))

    def tell_ledger(self, endpoint: str, operation: str, payload: Json) -> None:
        assert operation == "finish"
        book = self.ledgers[endpoint.lower()]
        self.apply(endpoint, ledgers.finish(book, decode(Ended, payload)))

    def act(self, endpoint: str, act: Act, *, by: str, **said: Any) -> None:
        """Have a person ask something of an endpoint."""
        book = self.ledgers.get(endpoint.lower(), Ledger())
        self.released += act is Act.RELEASE
        asked = Asked(act=act, by=by, reason="complaints came in", at=self.clock.now, **said)
        told = {"workspace": WORKSPACE, "endpoint": endpoint, **encode(asked)}
        self.apply(endpoint, decide(book, "act", told, at=self.clock.now))

    def wake(self, endpoint: str) -> None:
        book = self.ledgers[endpoint.lower()]
        self.apply(endpoint, ledgers.wake(book, at=self.clock.now))

    def tell_turns(self, operation: str, payload: Json) -> None:
        assert operation in {"enter", "leave"}
        if operation == "enter":
            place = Place(**payload, since=self.clock.now)
            called = enter(self.turns, place, cap=self.cap)
        else:
            called = leave(self.turns, payload["rollout_id"], cap=self.cap)
        self.turns = decode(Called, encode(called)).turns
        having = [place for place in self.turns.places if place.has_turn]
        if self.cap and len(having) > self.cap:
            self.violations.append(f"the cap of {self.cap} is passed: {having}")
        request = Request(operation=Operation.TURN, by="turns", reason="its turn has come")
        for rollout_id in called.called:
            asked_for = functools.partial(self.ask, rollout_id, encode(request))
            self.after(timedelta(seconds=self.delay()), asked_for)

    def apply(self, endpoint: str, decision: Decision) -> None:
        # through JSON and back, as the entity's state goes
        self.ledgers[endpoint.lower()] = decode(Ledger, encode(decision.ledger))
        for action in decision.actions:
            match action:
                case Start(offer=asked):
                    self.after(
                        timedelta(seconds=self.delay()), functools.partial(self.start, asked)
                    )
                case Tell(rollout_id=rollout_id, request=request):
                    asked_for = functools.partial(self.ask, rollout_id, encode(request))
                    self.after(timedelta(seconds=self.delay()), asked_for)
                case Wake(at=at):
                    self.at(at, functools.partial(self.wake, endpoint))

    # Rollouts, as the engine does it

    def start(self, asked: Offer) -> None:
        if any(run.offer.rollout_id == asked.rollout_id for run in self.runs if self.touched(run)):
            self.violations.append(f"P4: {asked.rollout_id} started again")
        if any(run.result is None for run in self.runs if run.offer.endpoint == asked.endpoint):
            self.violations.append(f"P3: {asked.rollout_id} started beside another")
        context = SimContext(self, asked.rollout_id, self.clock.now)
        story = orchestrator.roll_out(context, encode(asked))
        asks = any(
            one.policy.approval for one in self.policies if one.policy.policy == asked.policy
        )
        self.runs.append(Run(offer=asked, context=context, story=story, asks=asks))

    def ask(self, rollout_id: str, asked: Any) -> None:
        for run in self.runs:
            if run.offer.rollout_id == rollout_id and run.result is None:
                run.context.receive(asked)

    def touched(self, run: Run) -> bool:
        return run.result is None or run.result["phase"] != Phase.NO_MATCH

    def run_activity(self, context: SimContext, task: SimTask, name: str, payload: Json) -> None:
        def act() -> None:
            try:
                answer = self._carry_out(name, payload)
                if self.crashes(name):  # it landed, its answer was lost, the engine runs it again
                    again = timedelta(seconds=self.delay())
                    self.after(again, act)
                    return
                outcome: tuple[str, Any] = ("value", json.loads(json.dumps(answer)))
            except Exception as error:  # noqa: BLE001 - the engine hands on whatever it was
                outcome = ("raised", RuntimeError(str(error)))
            context.complete(task, outcome)

        for called in ("", name):
            self.called[called] += 1
            for meanwhile in self.at_activity.get((called, self.called[called]), ()):
                self.after(timedelta(milliseconds=1), meanwhile)
        self.after(timedelta(seconds=self.delay()), act)

    def _carry_out(self, name: str, payload: Json) -> Json:
        """Carry an activity out; gates that ask others are judged as the story says."""
        if name not in GATES:
            return ACTIVITIES[name](self.outside, payload)
        gate = payload.get("watch") or payload.get("agreement") or payload["call"]
        self.asked.append((gate["name"], payload))
        found = self.judge(gate["name"], payload["version"])
        if isinstance(found, Judgement):
            return {"state": "done", "judgement": encode(found)}
        return {"state": "busy", "reason": found}

    def _resume_all(self) -> None:
        for run in self.runs:
            while run.result is None and (run.waits_for is None or run.waits_for.is_complete):
                self._resume(run)

    def _resume(self, run: Run) -> None:
        run.turns.append(Turn(now=self.clock.now, news=list(run.context.fresh)))
        run.context.fresh.clear()
        run.context.begin_turn(self.clock.now)
        run.waits_for, run.result = step(run.story, run.waits_for)
        if run.result is not None:
            weights = self.workspace.settled_weights(run.offer.endpoint)
            self.ended_with[run.offer.rollout_id] = weights


def step(
    story: Generator[Waitable, Any, Json], done: SimTask | None
) -> tuple[SimTask | None, Json | None]:
    """Resume the generator with what it waited for; return what it waits for now, or its result."""
    try:
        if done is None:
            waits_for = next(story)
        elif done.children or done.outcome is None or done.outcome[0] == "value":
            waits_for = story.send(done.get_result())
        else:
            waits_for = story.throw(done.outcome[1])
    except StopIteration as end:
        result: Json = end.value
        return None, result
    assert isinstance(waits_for, SimTask)
    return waits_for, None


def replay(run: Run) -> list[tuple[str, str]]:
    """Tell the story again from what was recorded, and return what it asked for this time."""
    return retell(run.offer, run.turns)


def retell(offer: Offer, turns: list[Turn]) -> list[tuple[str, str]]:
    """Tell a story from its turns, and return what it asks for."""
    context = SimContext(None, offer.rollout_id, turns[0].now)
    story = orchestrator.roll_out(context, encode(offer))
    waits_for: SimTask | None = None
    for turn in turns:
        for index, outcome in turn.news:
            if index is None:
                context.receive(outcome)
            else:
                context.complete(context.tasks[index], outcome)
        context.begin_turn(turn.now)
        waits_for, _ = step(story, waits_for)
    return context.actions
