"""Step 4 of 5: the story of one rollout, replayed by the engine after every wait.

It decides and never touches: no clock, random, environment, file or network; whatever it does goes
through the context. Every "no" becomes one private Stop, so that one road leads to roll back.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, assert_never

from deploy_logic.codec import Json, decode, encode
from deploy_logic.gate.champion import judge_champion
from deploy_logic.ledger.record import Ended, Kept
from deploy_logic.matching import Offer
from deploy_logic.plan.layout import print_step
from deploy_logic.plan.plan import NoPlan, Plan, Sight, make_plan
from deploy_logic.plan.step import (
    Agreement,
    Approve,
    Bake,
    Call,
    Champion,
    Mirror,
    Probe,
    Shift,
    Step,
)
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.ports import Context, Waitable
from deploy_logic.rollout import Awaited, Phase
from deploy_logic.story import asking, baking, gating, reverting
from deploy_logic.story.asking import ask, stay_while_paused
from deploy_logic.story.diary import Diary
from deploy_logic.story.settling import assert_weights, shift
from deploy_logic.story.waiting import Stop
from deploy_logic.view import show

type Story[T] = Generator[Waitable, Any, T]

_LOOK_PATIENCE = timedelta(hours=1)
_TURN_PATIENCE = timedelta(hours=1)  # after which it asks again, for the signal may be lost
_ROLL_BACK_PATIENCE = timedelta(hours=2)  # Azure may be out of order for a while
_ALL = 100


def roll_out(context: Context, payload: Json) -> Story[Json]:
    """Carry out what was offered, start to end; returns the rollout as people see it.

    A rollout in flight is told on by the story that it began with.
    """
    offer = decode(Offer, payload)
    diary = Diary(context, offer)
    kept: tuple[Kept, ...] = ()
    if offer.story in STORIES:
        kept = yield from STORIES[offer.story](context, diary, offer)
    else:  # of a newer app, which was taken back
        known = ", ".join(map(str, STORIES))
        reason = (
            f"telling story {offer.story}: this app knows {known}; the weights stay as they are"
        )
        diary.enter(Phase.ERRORED, reason)
    diary.waiting.close()
    diary.post()
    ended = encode(_ended(diary, kept))
    context.tell_ledger(offer.workspace, offer.endpoint, "finish", ended)
    return show(diary.rollout)


def tell(context: Context, diary: Diary, offer: Offer) -> Story[tuple[Kept, ...]]:
    """Do what was offered; returns the deployments that stay for a while."""
    match offer.kind:
        case "roll_out":
            return (yield from replace_stable(context, diary, offer))
        case "revert":
            return (yield from reverting.revert(diary, offer))
        case "let_go":
            return (yield from reverting.let_go(diary, offer))
        case _:
            assert_never(offer.kind)


# Everything that a rollout may have begun with. tests/histories holds each to what it has told.
STORIES: Mapping[int, Callable[[Context, Diary, Offer], Story[tuple[Kept, ...]]]] = {1: tell}


def replace_stable(context: Context, diary: Diary, offer: Offer) -> Story[tuple[Kept, ...]]:
    """Roll one model version out; returns the deployments that stay for a while."""
    plan: Plan | None = None
    try:
        yield from take_turn(context, diary, offer)
        plan = yield from look(diary, offer)
        yield from prepare(diary, plan)
        for step in plan.steps:
            yield from take_or_freeze(diary, plan, step)
        yield from promote(diary, plan)
    except Stop as stop:
        kept = yield from roll_back(diary, plan, stop)
    except Exception as error:  # noqa: BLE001 - also our own mistakes must lead back to the stable
        broken = Stop(Phase.ERRORED, f"the rollout broke: {type(error).__name__}: {error}")
        kept = yield from roll_back(diary, plan, broken)
    else:
        kept = yield from let_go(diary, plan)
    if offer.needs_turn:
        context.tell_turns("leave", {"rollout_id": offer.rollout_id})
    return kept


def take_turn(context: Context, diary: Diary, offer: Offer) -> Story[None]:
    """Wait until no more rollouts run at once than are allowed."""
    if not offer.needs_turn:
        return
    waiting = diary.waiting
    diary.wait_on(Awaited(what="turn", text="as many rollouts run as may run at once"))
    while not waiting.has_turn:
        context.tell_turns("enter", {"rollout_id": offer.rollout_id, "endpoint": offer.endpoint})
        yield from waiting.rest(_TURN_PATIENCE, until=lambda: waiting.has_turn)
    diary.wait_on(None)


def look(diary: Diary, offer: Offer) -> Story[Plan]:
    """Read back what the event hinted at, and fix the plan."""
    seen = yield from diary.waiting.ask("look", encode(offer), within=_LOOK_PATIENCE)
    if seen.get("files") is None:
        raise Stop(Phase.NO_MATCH, f"policy {offer.policy!r} is not among the policies any more")
    files = PolicyFiles.model_validate(seen["files"])
    plan = make_plan(offer, files, decode(Sight, seen["sight"]))
    if isinstance(plan, NoPlan):
        raise Stop(Phase.NO_MATCH if plan.is_no_match else Phase.ERRORED, plan.reason)
    diary.waiting.heed()
    steps = (*plan.preparation, *plan.steps, *plan.promotion)
    diary.plan(plan, tuple(print_step(step) for step in steps))
    diary.waiting.pace(plan.timings.poll_interval)
    return plan


def prepare(diary: Diary, plan: Plan) -> Story[None]:
    """Ask whoever is asked before, then create the candidate at weight 0.

    The endpoint is created before it where the policy says so. The deadline of the whole counts
    from here: people asked before have one of their own.
    """
    waiting = diary.waiting
    asked = (step.deadline for step in plan.preparation if isinstance(step, Approve))
    waiting.limit(sum(asked, plan.deadline))
    for step in plan.preparation:
        yield from take(diary, plan, step)
    if plan.preparation:
        waiting.limit(plan.deadline)
    yield from check_capacity(diary, plan)
    beside = f"beside {plan.stable!r}" if plan.stable else "as the first version"
    yield from gating.enter(diary, plan, Phase.PREPARING, f"creating {plan.candidate!r} {beside}")
    yield from stay_while_paused(diary)
    within = plan.timings.creation_deadline
    whole, brief = {"plan": encode(plan)}, _brief(plan, plan.candidate)
    if plan.creation.endpoint_template:
        yield from waiting.converge("create_endpoint", whole, within=within)
    diary.has_created = True
    created = yield from waiting.converge(
        "create_candidate", whole, within=within, watch=("watch_candidate", brief)
    )
    if created["state"] == "failed":
        diary.note("the end of its log", log=created.get("log", ""))
        raise Stop(Phase.FAILED, created["reason"])
    diary.note(f"{plan.candidate!r} is ready at weight 0")


def check_capacity(diary: Diary, plan: Plan) -> Story[None]:
    """Create nothing that has no room; what cannot be known is tried."""
    within = plan.timings.shift_deadline
    seen = yield from diary.waiting.ask("check_capacity", {"plan": encode(plan)}, within=within)
    diary.waiting.heed()
    if seen["text"]:
        diary.note(seen["text"])
    if seen["is_short"]:
        raise Stop(Phase.ERRORED, f"no quota: {seen['text']}; nothing was created")


def take_or_freeze(diary: Diary, plan: Plan, step: Step) -> Story[None]:
    """Take one step; where the policy says so, a gate that fails asks a person first."""
    try:
        yield from take(diary, plan, step)
    except Stop as stop:
        if not stop.is_judged or plan.on_failure != "freeze":
            raise
        text = f"{stop.reason}; frozen: the weights stay until somebody approves or rejects"
        yield from ask(diary, what="failure", text=text)


def take(diary: Diary, plan: Plan, step: Step) -> Story[None]:
    """Take one step of the plan."""
    if not isinstance(step, Bake):  # which goes on measuring while it is paused
        yield from stay_while_paused(diary)
    diary.begin_step()
    match step:
        case Champion():
            judged = judge_champion(step, plan.tags, plan.stable_tags)
            yield from gating.decide(diary, step.name, judged, is_dry=step.dry_run)
        case Probe() | Agreement() | Call():
            yield from gating.pass_gate(diary, plan, step)
        case Approve():
            yield from asking.approve(diary, plan, step)
        case Mirror():
            yield from reflect(diary, plan, step)
        case Shift():
            yield from advance(diary, plan, step)
        case Bake():
            yield from baking.bake(diary, plan, step)
        case _:
            assert_never(step)


def reflect(diary: Diary, plan: Plan, step: Mirror) -> Story[None]:
    """Begin or end to copy live requests to the candidate."""
    if diary.waiting.hurried is not None and step.percent > 0:
        return
    if step.percent > 0:
        text = f"{step.percent} % mirrored to {plan.candidate!r}"
        yield from gating.enter(diary, plan, Phase.PROGRESSING, text)
    mirror = {plan.candidate: step.percent} if step.percent > 0 else {}
    yield from shift(diary, plan, diary.rollout.weights, mirror=mirror)


def advance(diary: Diary, plan: Plan, step: Shift) -> Story[None]:
    """Give the candidate its next weight."""
    if step.weight < _ALL:
        if diary.waiting.hurried is not None:
            return
        text = f"weight {step.weight} to {plan.candidate!r}"
        yield from gating.enter(diary, plan, Phase.PROGRESSING, text)
    rest = {plan.stable: _ALL - step.weight} if plan.stable else {}
    yield from shift(diary, plan, {**rest, plan.candidate: step.weight})


def promote(diary: Diary, plan: Plan) -> Story[None]:
    """Give the very deployment that was tested all the weight, bake, and read back once more."""
    text = f"{plan.candidate!r} is to become the stable"
    yield from gating.enter(diary, plan, Phase.PROMOTING, text)
    for step in plan.promotion:
        yield from take_or_freeze(diary, plan, step)
    if not isinstance(plan.promotion[-1], Shift):
        yield from shift(diary, plan, {plan.candidate: _ALL})
    diary.waiting.deafen()  # promotion is complete: from here on the way back is a revert
    diary.note(f"{plan.candidate!r} is promoted", weights=dict(diary.rollout.weights))
    diary.announce("promoted")


def let_go(diary: Diary, plan: Plan) -> Story[tuple[Kept, ...]]:
    """Retire the old stable, or keep it warm; what cannot be retired undoes no promotion."""
    kept: tuple[Kept, ...] = ()
    if plan.stable and plan.keep_old > 0:
        until = diary.waiting.now + plan.keep_for
        diary.note(f"{plan.stable!r} is kept warm until {until.isoformat()}")
        kept = (
            Kept(
                deployment=plan.stable,
                model=plan.stable_model,
                version=plan.stable_version,
                until=until,
                why="old",
            ),
        )
    elif plan.stable:
        yield from retire(diary, plan, plan.stable, must_be_ours=False)
    text = f"{plan.candidate!r} is the stable"
    yield from gating.enter(diary, plan, Phase.SUCCEEDED, text)
    return kept


def roll_back(diary: Diary, plan: Plan | None, stop: Stop) -> Story[tuple[Kept, ...]]:
    """Give the stable all the weight, read back, then retire the candidate.

    Weights are asserted whatever we believe they are: a call that broke may have landed.
    """
    diary.waiting.deafen()
    diary.wait_on(None)
    if plan is None:
        diary.enter(stop.phase, stop.reason)
        return ()
    diary.enter(Phase.ROLLING_BACK, stop.reason)
    weights = {plan.stable: _ALL} if plan.stable else {}
    mirror: Mapping[str, int] | None = {} if plan.has_mirror else None
    patient = replace(plan, timings=replace(plan.timings, shift_deadline=_ROLL_BACK_PATIENCE))
    try:
        yield from assert_weights(diary, patient, weights, mirror=mirror)
    except Stop as broken:
        # Whoever is healthy keeps serving; deciding blindly here could take down the only one.
        reason = f"{stop.reason}; rolling back: {broken.reason}; an operator must set the weights"
        diary.enter(Phase.ERRORED, reason)
        return ()
    for call in plan.calls_of_roll_back:
        yield from gating.tell(diary, plan, call)
    kept: tuple[Kept, ...] = ()
    if plan.keep_failed > timedelta(0) and stop.phase is Phase.FAILED:
        until = diary.waiting.now + plan.keep_failed
        diary.note(f"{plan.candidate!r} is kept to be looked at until {until.isoformat()}")
        kept = (
            Kept(
                deployment=plan.candidate,
                model=plan.model,
                version=plan.version,
                until=until,
                why="failed",
            ),
        )
    else:
        yield from retire(diary, plan, plan.candidate, must_be_ours=True)
    yield from gating.enter(diary, plan, stop.phase, stop.reason)
    return kept


def retire(diary: Diary, plan: Plan, deployment: str, *, must_be_ours: bool) -> Story[None]:
    """Delete a deployment that has no weight; when Azure will not, say who must."""
    within = plan.timings.creation_deadline  # a deployment still being created has to finish first
    payload = {**_brief(plan, deployment), "must_be_ours": must_be_ours}
    payload["is_made"] = diary.has_created
    try:
        yield from diary.waiting.converge("retire", payload, within=within)
    except Stop as broken:
        diary.note(f"{broken.reason}; an operator must retire {deployment!r}")
    else:
        diary.note(f"{deployment!r} is retired")


def _brief(plan: Plan, deployment: str) -> Json:
    return {
        "workspace": plan.workspace,
        "endpoint": plan.endpoint,
        "deployment": deployment,
        "rollout_id": plan.rollout_id,
        "model": plan.model,
        "version": plan.version,
    }


def _ended(diary: Diary, kept: tuple[Kept, ...]) -> Ended:
    rollout = diary.rollout
    serves = [name for name, weight in rollout.weights.items() if weight == _ALL]
    return Ended(
        rollout_id=rollout.rollout_id,
        model=rollout.model,
        version=rollout.version,
        attempt=rollout.attempt,
        phase=rollout.phase,
        reason=rollout.reason,
        at=rollout.ended or rollout.started,
        kept=kept,
        serves=serves[0] if serves else "",
    )
