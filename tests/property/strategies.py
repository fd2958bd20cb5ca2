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
from deploy_logic.rollout import Operation, Phase, Request
from tests.builders import a_policy, an_offer, policy_files
from tests.fakes import FakeEndpoint, out_of_order
from tests.world import FINE, Run, World, replay

JUDGED = {"gate", "verdict", "dry_run"}  # what stands beside the figures of a verdict
ENDS = frozenset(phase.value for phase in Phase if phase.is_over)
KINDS = ("good", "bad answer", "measures badly", "does not start", "no quota", "never ready")
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
    events: tuple[int, ...]  # seconds after registration


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


_DAY = 24 * 3600

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
        more["gates"].append({**WATCH, "patience": draw(st.sampled_from(["0s", "20m"]))})
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
def arrivals(draw: st.DrawFn, version: int, *, late: int, with_people: bool) -> Arrival:
    kinds = (*KINDS, NOBODY) if with_people else KINDS
    return Arrival(
        version=version,
        kind=draw(st.sampled_from(KINDS[:4]) | st.sampled_from(kinds)),
        at=draw(st.integers(0, late)),
        events=tuple(draw(st.lists(st.integers(0, 7200), min_size=1, max_size=4))),
    )


@st.composite
def troubles(draw: st.DrawFn) -> Trouble:
    return Trouble(
        begins=draw(st.integers(0, 6 * 3600)),
        lasts=draw(st.sampled_from([1, 30, 300, 1200])),
        when=draw(st.sampled_from(["before", "after"])),
    )


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
    return Tale(
        policy=draw(policies(with_people=with_people)),
        has_stable=draw(st.booleans()),
        arrivals=tuple(
            draw(arrivals(version, late=_DAY // 4, with_people=with_people))
            for version in range(2, 2 + count)
        ),
        asked=tuple(asked),
        troubles=tuple(draw(st.lists(troubles(), max_size=4))),
        crashes=draw(st.sampled_from([0, 0, 20])),
        slow=draw(st.sampled_from([0, 0, 30, 60])),
        seed=draw(st.integers(0, 2**16)),
    )


@st.composite
def interrupted_tales(draw: st.DrawFn) -> Tale:
    """Stories in which a person comes in while an effect is slow, beside a stable that can suffer.

    Among all stories these are rare: a person seldom hits those few minutes.
    """
    moments = st.tuples(
        st.sampled_from(["create_candidate", "shift"]),
        st.integers(1, 4),
        st.sampled_from(["abort", "reject"]),
    )
    asked = draw(st.lists(moments, min_size=1, max_size=3))
    return replace(draw(tales()), asked=tuple(asked), has_stable=True, slow=60)


def tell(tale: Tale) -> World:
    """Let the story happen, to its end."""
    chance = random.Random(tale.seed)  # noqa: S311 - a story, not a secret

    def delay() -> float:
        if chance.randrange(100) < tale.slow:
            return chance.uniform(5, 240)
        return chance.uniform(0.01, 3)

    world = World([policy_files(tale.policy)], delay=delay)
    world.crashes = lambda _activity: chance.randrange(100) < tale.crashes
    begin = world.clock.now
    if tale.has_stable:
        world.workspace.serve("1")
    else:
        world.workspace.endpoints["fraud"] = FakeEndpoint()

    def fault(method: str, when: str) -> None:
        passed = (world.clock.now - begin).total_seconds()
        for trouble in tale.troubles:
            is_now = trouble.begins <= passed < trouble.begins + trouble.lasts
            if is_now and (trouble.when == when or method.startswith(("get", "list"))):
                raise out_of_order()

    world.workspace.fault = fault
    kinds = {str(arrival.version): arrival.kind for arrival in tale.arrivals}
    world.judge = lambda _gate, version: VERDICTS.get(kinds.get(version, ""), FINE)
    for arrival in tale.arrivals:
        _announce(world, tale.policy, arrival)
    for kind, number, what in tale.asked:
        if kind == "second":
            world.after(timedelta(seconds=number), partial(_ask, world, what))
        else:
            world.at_activity.setdefault((kind, number), []).append(partial(_ask, world, what))
    world.run()
    return world


def _announce(world: World, policy: Policy, arrival: Arrival) -> None:
    version = str(arrival.version)
    codes = {"does not start": "ResourceNotReady", "no quota": "OutOfQuota", "never ready": "never"}
    if arrival.kind == "bad answer":
        world.workspace.answers[version] = Answer(status=424, milliseconds=9, body="boom")
    if arrival.kind in codes:
        world.workspace.broken[version] = codes[arrival.kind]
    world.after(timedelta(seconds=arrival.at), partial(world.workspace.register, version))
    for number, late in enumerate(arrival.events):
        offer = an_offer(policy, version=version, event_id=f"{version}/{number}")
        world.after(timedelta(seconds=arrival.at + late), partial(world.offer, offer))


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


def judge(world: World) -> list[str]:
    """Return every law that the world saw broken."""
    broken = list(world.violations)
    for run in world.runs:
        if run.result is None:
            # letting go of what Azure never finishes is tried again and again, an hour each time
            is_young = world.clock.now - run.turns[0].now < timedelta(hours=3)
            if run.offer.is_rollout or not is_young:
                broken.append(f"P6: {run.offer.rollout_id} never ends")
            continue
        if Phase(run.result["phase"]) is Phase.ROLLING_BACK or not run.result["ended"]:
            broken.append("P6: ended in the middle")
        broken += [
            f"P7: verdict without figures: {entry}"
            for entry in run.result["timeline"]
            if "verdict" in entry["figures"] and not set(entry["figures"]) - JUDGED
        ]
        if replay(run) != run.context.actions:
            broken.append("P10: a replay asks for something else")
    return [*broken, *_judge_ends(world), *_judge_verdicts(world), *_judge_letters(world)]


def _judge_letters(world: World) -> list[str]:
    """Every line of every timeline is posted once, in its order, and every end is told of."""
    broken = []
    for run in world.runs:
        if run.result is None or run.result["phase"] == Phase.NO_MATCH:
            continue
        letters = [one for one in world.posted if one.rollout_id == run.offer.rollout_id]
        lines = [
            (letter.first + number, encode(line))
            for letter in letters
            for number, line in enumerate(letter.lines)
        ]
        if lines != list(enumerate(run.result["timeline"])):
            broken.append(f"O1: posted {len(lines)} lines of {len(run.result['timeline'])}")
        ends = [kind for one in letters for kind in one.kinds.values() if kind in ENDS]
        shown = [one.rollout["phase"] for one in letters if one.rollout is not None]
        is_listed = run.offer.kind != "let_go"
        if ends != [run.result["phase"]] or shown[-1:] != ends[: int(is_listed)]:
            broken.append(f"O2: ended as {run.result['phase']}, and told of {ends}, {shown[-1:]}")
    return broken


def _judge_verdicts(world: World) -> list[str]:
    """No rollout succeeds against its gates, or without those whom its policy asks."""
    broken = []
    for run in world.runs:
        if run.result is None or Phase(run.result["phase"]) is not Phase.SUCCEEDED:
            continue
        texts = [entry["text"] for entry in run.result["timeline"]]
        approvals = sum(text.startswith("approved by") for text in texts)
        if any("promote_now by" in text for text in texts):
            continue
        verdict = getattr(world.judge("", run.offer.version), "verdict", Verdict.PASS)
        is_watched = any("watched by" in text for text in texts)
        asked = [text for text in texts if text.startswith("approval ")]
        is_answered = approvals > len(asked) or any(text.startswith("approve by") for text in texts)
        if is_watched and verdict is not Verdict.PASS and not is_answered:
            broken.append(f"V1: went on although its gate says {verdict}")
        if len(asked) > approvals or (run.asks and not asked):
            broken.append("V2: went on without its approval")
    return broken


def _judge_ends(world: World) -> list[str]:
    """P5 and P8 rest on what the endpoint was read to be when each rollout ended."""
    broken = []
    for run in world.runs:
        result = run.result
        if result is None or not result["candidate"]:
            continue
        nonzero = {name: weight for name, weight in result["weights"].items() if weight}
        stable = {result["stable"]: 100} if result["stable"] else {}
        phase = Phase(result["phase"])
        seen = world.ended_with.get(result["rollout_id"], {})
        if phase is Phase.SUCCEEDED and (nonzero != {result["candidate"]: 100} or seen != nonzero):
            broken.append(f"P8: succeeded with weights {nonzero}, really {seen}")
        if phase in {Phase.FAILED, Phase.SUPERSEDED} and (nonzero != stable or seen != stable):
            broken.append(f"P5: {phase} with weights {nonzero}, really {seen}")
        left = _left_behind(world, run)
        texts = [entry["text"] for entry in result["timeline"]]
        told = any("an operator must" in one or "to be looked at until" in one for one in texts)
        if phase in {Phase.FAILED, Phase.SUPERSEDED} and left and not told:
            broken.append(f"P5: {phase}, and {left} is left behind")
    return broken


def _left_behind(world: World, run: Run) -> list[str]:
    """Return the deployments of a rollout that are there after everything has ended."""
    world.workspace.settled_weights(run.offer.endpoint)  # lets a deletion that is over be seen
    endpoint = world.workspace.endpoints[run.offer.endpoint]
    ours = run.offer.rollout_id
    return [name for name, one in endpoint.deployments.items() if one.rollout_id == ours]
