"""Random stories: policies, versions and how good they are, and everything that goes wrong."""

import random
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from hypothesis import strategies as st

from deploy_logic.codec import encode
from deploy_logic.gate.gate import Answer, Judgement, Verdict
from deploy_logic.ledger.operation import Act
from deploy_logic.policy.policy import Policy
from deploy_logic.rollout import Operation, Request
from tests.builders import a_policy, an_offer, policy_files
from tests.fakes import Clock, FakeEndpoint, FakeWorkspace, out_of_order
from tests.stale import StaleWorkspace
from tests.world import FINE, Run, World
from tests.world_engine import sweep_world

KINDS = ("good", "bad answer", "measures badly", "does not start", "no quota", "never ready")
WAVERS = "measures now so, now so"
NOBODY = "nobody calls it"  # no traffic: no gate can say anything
PEOPLE = (
    *("abort", "abort", "nonsense", "approve", "approve", "approve", "reject", "pause", "resume"),
    *(
        "promote_now",
        "freeze",
        "adopt",
        "restore",
        "tamper",
        "revert",
        "hold",
        "release",
        "release",
    ),
)
VERDICTS = {
    "measures badly": Judgement(verdict=Verdict.FAIL, reason="12 % is above", figures={"v": 0.12}),
    NOBODY: Judgement(verdict=Verdict.INCONCLUSIVE, reason="too few", figures={"samples": 3}),
}
# What the gates of one that wavers say, one time this and one time that; a text: not to be asked.
WAVERING: tuple[Judgement | str, ...] = (
    *[FINE] * 6,
    VERDICTS["measures badly"],
    VERDICTS[NOBODY],
    "503",
    "503",
)
FORGIVING = ({"total": 1}, {"total": 2, "consecutive": 1}, {"consecutive": 1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """From here on, for so long, every call of Azure fails: before or after it took effect."""

    begins: int  # seconds
    lasts: int
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A version is registered, and its event comes some times, some time after."""

    version: int
    kind: str
    at: int  # seconds
    events: tuple[int, ...]  # seconds after registration; none: they are lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Tale:
    """One story."""

    policy: Policy
    has_stable: bool
    arrivals: tuple[Arrival, ...]
    asked: tuple[tuple[str, int, str], ...]  # second or activity, which, abort or nonsense
    troubles: tuple[Trouble, ...]
    crashes: int  # percent of activities whose answer is lost
    slow: int  # percent of effects that take minutes
    seed: int
    sweeps: tuple[int, ...] = ()  # seconds
    lag: int = 0  # seconds that a read of an endpoint may be behind


UNDISTURBED: dict[str, Any] = {
    "has_stable": True,
    "troubles": (),
    "crashes": 0,
    "sweeps": (),
    "lag": 0,
}
_DAY = 24 * 3600
_CALM = 11 * 3600  # by then every version is registered, and Azure is well again

_strategies: st.SearchStrategy[dict[str, Any] | None] = st.sampled_from(
    [
        None,
        {"kind": "blue-green", "final_bake": "20m"},
        {"kind": "all-at-once"},
        {
            "kind": "canary",
            "mirror": {"percent": 20, "bake": "10m"},
            "steps": [{"weight": 10, "bake": "10m"}],
        },
    ]
)


WATCH = {"kind": "metric", "metric": "error_rate", "at_most": "1%", "every": "5m"}
LEADS = {"approvers": ["group:leads"], "deadline": "3h"}


def _more(draw: st.DrawFn) -> dict[str, Any]:
    """Return the parts of a policy that bring in gates, people and what is kept."""
    more: dict[str, Any] = {"gates": [{"kind": "probe", "request": "request.json"}]}
    if draw(st.booleans()):
        watch = {**WATCH, "patience": draw(st.sampled_from(["0s", "20m"]))}
        forgiving = draw(st.sampled_from([None, None, *FORGIVING]))
        more["gates"].append(watch if forgiving is None else {**watch, "failure_budget": forgiving})
    approvals = draw(st.sampled_from([None, None, {"before": LEADS}, {"promote": LEADS}]))
    if approvals is not None:
        more["approval"] = approvals
    more["on_failure"] = draw(st.sampled_from(["roll_back", "roll_back", "freeze"]))
    if draw(st.integers(0, 3)) == 0:
        more["keep"] = {"old": 1, "for": "2h"}
    if draw(st.integers(0, 3)) == 0:
        more["keep_failed"] = "1h"
    return more


@st.composite
def policies(draw: st.DrawFn, *, with_people: bool = True) -> Policy:
    more = _more(draw) if with_people else {}
    shortest = "3m" if len(more.get("gates", ())) > 1 else "0s"
    weights = draw(st.lists(st.integers(1, 99), min_size=1, max_size=4, unique=True))
    return a_policy(
        weights=tuple(sorted(weights)),
        bake=draw(st.sampled_from([shortest, "3m", "10m", "1h"])),
        final_bake=draw(st.sampled_from(["0s", "15m"])),
        strategy=draw(_strategies),
        **more,
        on_new_version=draw(st.sampled_from(["supersede", "queue", "finish_first"])),
    )


@st.composite
def arrivals(
    draw: st.DrawFn, version: int, *, late: int, with_people: bool, fewest: int = 1
) -> Arrival:
    kinds = (*KINDS, NOBODY, WAVERS, WAVERS) if with_people else KINDS
    return Arrival(
        version=version,
        kind=draw(st.sampled_from(KINDS[:4]) | st.sampled_from(kinds)),
        at=draw(st.integers(0, late)),
        events=tuple(draw(st.lists(st.integers(0, 7200), min_size=fewest, max_size=4))),
    )


@st.composite
def troubles(draw: st.DrawFn) -> Trouble:
    return Trouble(
        begins=draw(st.integers(0, 6 * 3600)),
        lasts=draw(st.sampled_from([1, 30, 300, 1200])),
        when=draw(st.sampled_from(["before", "after"])),
    )


# Most stories go without: each of these costs time.
sweeps: st.SearchStrategy[list[int]] = st.one_of(
    *[st.just([])] * 4,
    st.lists(st.integers(0, 10 * 3600), max_size=3).map(lambda some: [*some, _CALM, _CALM + 3600]),
)
lags = st.sampled_from([0, 0, 0, 0, 0, 40])


@st.composite
def tales(draw: st.DrawFn, *, most_versions: int = 4, with_people: bool = True) -> Tale:
    count = draw(st.integers(1, most_versions))
    what = st.sampled_from(PEOPLE)
    operations = st.one_of(
        st.tuples(st.just("second"), st.integers(0, _DAY // 4), what),
        st.tuples(st.just(""), st.integers(1, 60), what),
        st.tuples(st.sampled_from(["create_candidate", "shift"]), st.integers(1, 4), what),
    )
    asked = draw(st.lists(operations, max_size=6)) if with_people else []
    swept = draw(sweeps)
    return Tale(
        policy=draw(policies(with_people=with_people)),
        has_stable=draw(st.booleans()),
        arrivals=tuple(
            draw(
                arrivals(
                    version,
                    late=_DAY // 4,
                    with_people=with_people,
                    fewest=0 if swept else 1,  # an event that is lost is what the sweep is for
                )
            )
            for version in range(2, 2 + count)
        ),
        asked=tuple(asked),
        troubles=tuple(draw(st.lists(troubles(), max_size=4))),
        crashes=draw(st.sampled_from([0, 0, 20])),
        slow=draw(st.sampled_from([0, 0, 30, 60])),
        seed=draw(st.integers(0, 2**16)),
        sweeps=tuple(swept),
        lag=draw(lags),
    )


@st.composite
def interrupted_tales(draw: st.DrawFn) -> Tale:
    """Stories in which a person comes in while a shift is slow, beside a stable that can suffer.

    Among all stories these are rare: a person seldom hits those few minutes.
    """
    tale = draw(tales(most_versions=1))
    return replace(
        tale,
        arrivals=tuple(replace(one, kind="good", events=(0,)) for one in tale.arrivals),
        asked=(("shift", draw(st.integers(1, 3)), "abort"),),
        slow=draw(st.sampled_from([20, 40, 80])),
        **UNDISTURBED,
    )


@st.composite
def unseen_tales(draw: st.DrawFn) -> Tale:
    """Stories of versions that nobody calls, so that their gates can say nothing."""
    tale = draw(tales().filter(lambda tale: len(tale.policy.gates) > 1))
    unseen = tuple(replace(one, kind=NOBODY) for one in tale.arrivals)
    return replace(tale, arrivals=unseen, asked=(), troubles=())


@st.composite
def lagging_tales(draw: st.DrawFn) -> Tale:
    """Stories in which somebody comes in right after a shift, while reads show the time before."""
    moments = st.tuples(st.just("shift"), st.integers(1, 4), st.just("abort"))
    asked = draw(st.lists(moments, min_size=1, max_size=3))
    return replace(draw(tales()), asked=tuple(asked), lag=40, troubles=(), slow=0)


@st.composite
def wavering_tales(draw: st.DrawFn) -> Tale:
    """Stories of versions that measure now so, now so."""
    tale = draw(tales().filter(lambda tale: len(tale.policy.gates) > 1))
    wavering = tuple(replace(one, kind=WAVERS) for one in tale.arrivals)
    return replace(tale, arrivals=wavering, asked=(), troubles=())


def tell(tale: Tale) -> World:
    """Let the story happen, to its end."""
    chance = random.Random(tale.seed)  # noqa: S311 - a story, not a secret

    def delay() -> float:
        if chance.randrange(100) < tale.slow:
            return chance.uniform(5, 240)
        return chance.uniform(0.01, 3)

    world = World([policy_files(tale.policy)], delay=delay, workspace=_workspace(tale, chance))
    world.crashes = lambda _activity: chance.randrange(100) < tale.crashes
    _furnish(world, tale)
    _disturb(world, tale)
    _let_gates_judge(world, tale, chance)
    for arrival in tale.arrivals:
        _announce(world, tale.policy, arrival)
    for second in tale.sweeps:
        world.after(timedelta(seconds=second), partial(sweep_world, world))
    world.is_swept = bool(tale.sweeps) and max(tale.sweeps) >= _CALM
    for kind, number, what in tale.asked:
        if kind == "second":
            world.after(timedelta(seconds=number), partial(_ask, world, what))
        else:
            world.at_activity.setdefault((kind, number), []).append(partial(_ask, world, what))
    world.run()
    return world


def _furnish(world: World, tale: Tale) -> None:
    if tale.has_stable:
        world.workspace.serve("1")
    else:
        world.workspace.endpoints["fraud"] = FakeEndpoint()
    if isinstance(world.workspace, StaleWorkspace):
        world.workspace.remember()


def _disturb(world: World, tale: Tale) -> None:
    begin = world.clock.now

    def fault(method: str, when: str) -> None:
        passed = (world.clock.now - begin).total_seconds()
        for trouble in tale.troubles:
            is_now = trouble.begins <= passed < trouble.begins + trouble.lasts
            if is_now and (trouble.when == when or method.startswith(("get", "list"))):
                raise out_of_order()

    world.workspace.fault = fault


def _let_gates_judge(world: World, tale: Tale, chance: random.Random) -> None:
    kinds = {str(arrival.version): arrival.kind for arrival in tale.arrivals}
    world.wavers = {version for version, kind in kinds.items() if kind == WAVERS}

    def judge(_gate: str, version: str) -> Judgement | str:
        kind = kinds.get(version, "")
        return chance.choice(WAVERING) if kind == WAVERS else VERDICTS.get(kind, FINE)

    world.judge = judge


def _announce(world: World, policy: Policy, arrival: Arrival) -> None:
    version = str(arrival.version)
    codes = {"does not start": "ResourceNotReady", "no quota": "OutOfQuota", "never ready": "never"}
    if arrival.kind == "bad answer":
        world.workspace.answers[version] = Answer(status=424, milliseconds=9, body="boom")
    if arrival.kind in codes:
        world.workspace.broken[version] = codes[arrival.kind]
    world.after(timedelta(seconds=arrival.at), partial(_register, world, version))
    world.wanted.append(an_offer(policy, version=version))
    for number, late in enumerate(arrival.events):
        offer = an_offer(policy, version=version, event_id=f"{version}/{number}")
        world.after(timedelta(seconds=arrival.at + late), partial(world.offer, offer))


def _workspace(tale: Tale, chance: random.Random) -> FakeWorkspace:
    if tale.lag == 0:
        return FakeWorkspace(Clock())
    return StaleWorkspace(Clock(), lag=lambda: timedelta(seconds=chance.uniform(0, tale.lag)))


def _register(world: World, version: str) -> None:
    world.workspace.register(version)
    made = world.workspace.models["fraud", version]
    world.workspace.models["fraud", version] = replace(made, created=world.clock.now)


def _ask(world: World, what: str) -> None:
    if what in {"revert", "hold", "release"}:
        world.act("fraud", Act(what), by="ann")
        return
    for run in world.runs:
        if run.result is not None:
            continue
        if what == "nonsense":
            run.context.receive({"operation": "dance"})
        elif what == "tamper":
            _tamper(world, run)
        else:
            awaits = run.context.status.get("awaits") or {}
            request = Request(
                operation=Operation(what),
                by="ann",
                reason="looks wrong",
                claims=("group:leads",),
                figures=awaits.get("figures", ""),
            )
            run.context.receive(encode(request))


def _tamper(world: World, run: Run) -> None:
    """Change the weights by hand, as the portal does, while the rollout has live traffic."""
    shown, endpoint = run.context.status, world.workspace.endpoints[run.offer.endpoint]
    is_idle = endpoint.busy_until <= world.clock.now
    if shown["phase"] == "progressing" and is_idle and len(endpoint.weights) > 1:
        endpoint.weights = {shown["stable"]: 60, shown["candidate"]: 40}
        if isinstance(world.workspace, StaleWorkspace):
            world.workspace.remember()
