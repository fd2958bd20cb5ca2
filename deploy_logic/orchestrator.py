"""Step 4 of 5: the story of one rollout, replayed by the engine after every wait.

It decides and never touches: no clock, random, environment, file or network; whatever it does goes
through the context. Every "no" becomes one private Stop, so that one road leads to roll back.
"""

from collections.abc import Generator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, assert_never

from deploy_logic.codec import Json, decode, encode
from deploy_logic.duration import print_duration
from deploy_logic.gate import Answer, Verdict, judge_probe
from deploy_logic.ledger_record import Ended
from deploy_logic.matching import Offer
from deploy_logic.plan import Bake, NoPlan, Plan, Probe, Shift, Sight, Step, make_plan
from deploy_logic.policy_files import PolicyFiles
from deploy_logic.ports import Context, Waitable
from deploy_logic.rollout import Phase, Rollout
from deploy_logic.view import show, show_status
from deploy_logic.waiting import Stop, Waiting

type Story[T] = Generator[Waitable, Any, T]

PROBE_ATTEMPTS = 3  # when the candidate could not be asked at all
_LOOK_PATIENCE = timedelta(hours=1)
_ROLL_BACK_PATIENCE = timedelta(hours=2)  # Azure may be out of order for a while


class Diary:
    """Keeps the record and shows it after every change."""

    def __init__(self, context: Context, offer: Offer) -> None:
        """Open the record of a rollout that was just started."""
        self._context = context
        self.rollout = Rollout(
            rollout_id=offer.rollout_id,
            workspace=offer.workspace,
            endpoint=offer.endpoint,
            model=offer.model,
            version=offer.version,
            policy=offer.policy,
            attempt=offer.attempt,
            started=context.now,
        )
        self._show()

    def enter(self, phase: Phase, text: str) -> None:
        """Write down that another phase begins, and why."""
        self.rollout = self.rollout.enter(phase, at=self._context.now, text=text)
        self._show()

    def note(self, text: str, **figures: object) -> None:
        """Write down what was decided or seen."""
        self.rollout = self.rollout.note(text, at=self._context.now, **figures)
        self._show()

    def weigh(self, weights: Mapping[str, int]) -> None:
        """Write down the weights that were read back."""
        self.rollout = replace(self.rollout, weights=dict(weights))
        self.note(f"weights read back: {_words(weights)}", weights=dict(weights))

    def plan(self, plan: Plan) -> None:
        """Write down what the plan fixed."""
        self.rollout = replace(
            self.rollout,
            policy_hash=plan.policy_hash,
            candidate=plan.candidate,
            stable=plan.stable or "",
        )

    def _show(self) -> None:
        self._context.show(show_status(self.rollout))


def roll_out(context: Context, payload: Json) -> Story[Json]:
    """Roll one model version out, start to end; returns the rollout as people see it."""
    offer = decode(Offer, payload)
    diary = Diary(context, offer)
    waiting = Waiting(context, note=diary.note)
    plan: Plan | None = None
    try:
        plan = yield from look(waiting, offer)
        diary.plan(plan)
        waiting.limit(plan.deadline)
        yield from prepare(waiting, diary, plan)
        for step in plan.steps:
            yield from take(waiting, diary, plan, step)
        yield from promote(waiting, diary, plan)
    except Stop as stop:
        yield from roll_back(waiting, diary, plan, stop)
    except Exception as error:  # noqa: BLE001 - also our own mistakes must lead back to the stable
        broken = Stop(Phase.ERRORED, f"the rollout broke: {type(error).__name__}: {error}")
        yield from roll_back(waiting, diary, plan, broken)
    else:
        yield from let_go(waiting, diary, plan)
    waiting.close()
    context.tell_ledger(offer.workspace, offer.endpoint, "finish", encode(_ended(diary.rollout)))
    return show(diary.rollout)


def look(waiting: Waiting, offer: Offer) -> Story[Plan]:
    """Read back what the event hinted at, and fix the plan."""
    seen = yield from waiting.ask("look", encode(offer), within=_LOOK_PATIENCE)
    if seen.get("files") is None:
        raise Stop(Phase.NO_MATCH, f"policy {offer.policy!r} is not among the policies any more")
    files = PolicyFiles.model_validate(seen["files"])
    plan = make_plan(offer, files, decode(Sight, seen["sight"]))
    if isinstance(plan, NoPlan):
        raise Stop(Phase.NO_MATCH if plan.is_no_match else Phase.ERRORED, plan.reason)
    waiting.heed()
    return plan


def prepare(waiting: Waiting, diary: Diary, plan: Plan) -> Story[None]:
    """Create the candidate at weight 0, and the endpoint before it where the policy says so."""
    waiting.pace(plan.timings.poll_interval)
    beside = f"beside {plan.stable!r}" if plan.stable else "as the first version"
    diary.enter(Phase.PREPARING, f"creating {plan.candidate!r} {beside}")
    within = plan.timings.creation_deadline
    whole, brief = {"plan": encode(plan)}, _brief(plan, plan.candidate)
    if plan.creation.endpoint_template:
        yield from waiting.converge("create_endpoint", whole, within=within)
    created = yield from waiting.converge(
        "create_candidate", whole, within=within, watch=("watch_candidate", brief)
    )
    if created["state"] == "failed":
        diary.note("the end of its log", log=created.get("log", ""))
        raise Stop(Phase.FAILED, created["reason"])
    diary.note(f"{plan.candidate!r} is ready at weight 0")


def take(waiting: Waiting, diary: Diary, plan: Plan, step: Step) -> Story[None]:
    """Take one step of the plan."""
    match step:
        case Probe():
            yield from probe(waiting, diary, plan, step)
        case Shift():
            if step.weight < 100:  # noqa: PLR2004 - all of it is promotion, which has its own phase
                text = f"weight {step.weight} to {plan.candidate!r}"
                diary.enter(Phase.PROGRESSING, text)
            rest = {plan.stable: 100 - step.weight} if plan.stable else {}
            yield from shift(waiting, diary, plan, {**rest, plan.candidate: step.weight})
        case Bake():
            diary.note(f"bakes for {print_duration(step.length)}")
            yield from waiting.rest(step.length)
        case _:
            assert_never(step)


def probe(waiting: Waiting, diary: Diary, plan: Plan, step: Probe) -> Story[None]:
    """Call the candidate directly; it goes on only if the answer is what the policy expects."""
    payload = {**_brief(plan, plan.candidate), "body": step.body}
    for attempt in range(1, PROBE_ATTEMPTS + 1):
        seen = yield from waiting.ask("probe", payload, within=plan.timings.shift_deadline)
        waiting.heed()
        judged = judge_probe(step.name, step.expect, decode(Answer, seen["answer"]))
        diary.note(judged.reason, verdict=judged.verdict.value, attempt=attempt, **judged.figures)
        if judged.verdict is Verdict.PASS:
            return
        if judged.verdict is Verdict.FAIL:
            raise Stop(Phase.FAILED, judged.reason)
        yield from waiting.rest(plan.timings.poll_interval)
    raise Stop(Phase.ERRORED, f"{judged.reason} ({PROBE_ATTEMPTS} times)")


def shift(waiting: Waiting, diary: Diary, plan: Plan, weights: Mapping[str, int]) -> Story[None]:
    """Set the weights and read them back."""
    payload = {"workspace": plan.workspace, "endpoint": plan.endpoint, "weights": dict(weights)}
    within = plan.timings.shift_deadline
    done = yield from waiting.converge("shift", payload, within=within)
    diary.weigh(done["weights"])


def promote(waiting: Waiting, diary: Diary, plan: Plan) -> Story[None]:
    """Give the very deployment that was tested all the weight, bake, and read back once more."""
    diary.enter(Phase.PROMOTING, f"weight 100 to {plan.candidate!r}")
    for step in plan.promotion:
        yield from take(waiting, diary, plan, step)
    if isinstance(plan.promotion[-1], Bake):
        yield from shift(waiting, diary, plan, {plan.candidate: 100})
    waiting.deafen()  # promotion is complete: from here on the way back is a revert


def let_go(waiting: Waiting, diary: Diary, plan: Plan) -> Story[None]:
    """Retire the old stable; what cannot be retired does not undo a promotion."""
    if plan.stable:
        yield from retire(waiting, diary, plan, plan.stable, must_be_ours=False)
    diary.enter(Phase.SUCCEEDED, f"{plan.candidate!r} is the stable")


def roll_back(waiting: Waiting, diary: Diary, plan: Plan | None, stop: Stop) -> Story[None]:
    """Give the stable all the weight, read back, then retire the candidate.

    Weights are asserted whatever we believe they are: a call that broke may have landed.
    """
    waiting.deafen()
    if plan is None:
        diary.enter(stop.phase, stop.reason)
        return
    diary.enter(Phase.ROLLING_BACK, stop.reason)
    waiting.pace(plan.timings.poll_interval)
    weights = {plan.stable: 100} if plan.stable else {}
    patient = replace(plan, timings=replace(plan.timings, shift_deadline=_ROLL_BACK_PATIENCE))
    try:
        yield from shift(waiting, diary, patient, weights)
    except Stop as broken:
        # Whoever is healthy keeps serving; deciding blindly here could take down the only one.
        reason = f"{stop.reason}; rolling back: {broken.reason}; an operator must set the weights"
        diary.enter(Phase.ERRORED, reason)
        return
    yield from retire(waiting, diary, plan, plan.candidate, must_be_ours=True)
    diary.enter(stop.phase, stop.reason)


def retire(
    waiting: Waiting, diary: Diary, plan: Plan, deployment: str, *, must_be_ours: bool
) -> Story[None]:
    """Delete a deployment that has no weight; when Azure will not, say who must."""
    within = plan.timings.creation_deadline  # a deployment still being created has to finish first
    payload = {**_brief(plan, deployment), "must_be_ours": must_be_ours}
    try:
        yield from waiting.converge("retire", payload, within=within)
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
    }


def _ended(rollout: Rollout) -> Ended:
    return Ended(
        rollout_id=rollout.rollout_id,
        model=rollout.model,
        version=rollout.version,
        attempt=rollout.attempt,
        phase=rollout.phase,
        reason=rollout.reason,
        at=rollout.ended or rollout.started,
    )


def _words(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {weight}" for name, weight in sorted(weights.items())) or "none"
