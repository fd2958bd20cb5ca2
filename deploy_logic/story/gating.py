"""Step 4 of 5: gates that are asked once: probe, agreement, champion, other people's services."""

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from deploy_logic.codec import Json, encode
from deploy_logic.gate.gate import Judgement, Verdict
from deploy_logic.plan.plan import Plan
from deploy_logic.plan.step import Agreement, Call, Probe
from deploy_logic.ports import Waitable
from deploy_logic.rollout import Phase
from deploy_logic.story.asking import ask
from deploy_logic.story.baking import read_judgement
from deploy_logic.story.diary import Diary
from deploy_logic.story.waiting import Stop

type Story[T] = Generator[Waitable, Any, T]


def pass_gate(diary: Diary, plan: Plan, step: Probe | Agreement | Call) -> Story[None]:
    """Ask the gate, again while it cannot be asked; Stop unless it lets the candidate on."""
    waiting = diary.waiting
    if waiting.hurried is not None and not isinstance(step, Probe):
        diary.note(f"{step.name} is left out: promoted now by {waiting.hurried.by}")
        return
    judged = yield from _judge(diary, plan, step)
    waiting.heed()
    errors = 0
    while judged.verdict is Verdict.ERROR and errors < step.error_budget:
        errors += 1
        diary.judge(step.name, judged, is_dry=step.dry_run)
        yield from waiting.rest(plan.timings.poll_interval)
        judged = yield from _judge(diary, plan, step)
        waiting.heed()
    if judged.verdict is Verdict.ERROR:
        judged = replace(judged, reason=f"{judged.reason} ({errors + 1} times)")
    yield from decide(diary, step.name, judged, is_dry=step.dry_run)


def decide(diary: Diary, name: str, judged: Judgement, *, is_dry: bool) -> Story[None]:
    """Go on, stop, or ask a person who must say what the gate could not."""
    diary.judge(name, judged, is_dry=is_dry)
    if is_dry or judged.verdict is Verdict.PASS:
        return
    if judged.verdict is Verdict.FAIL:
        raise Stop(Phase.FAILED, judged.reason)
    if judged.verdict is Verdict.ERROR:
        raise Stop(Phase.ERRORED, judged.reason)
    text = f"it cannot be said whether the candidate is good: {judged.reason}; approve or reject"
    yield from ask(diary, what="gate", text=text)


def enter(diary: Diary, plan: Plan, phase: Phase, text: str) -> Story[None]:
    """Enter a phase, and tell the services that asked to hear of events."""
    diary.enter(phase, text)
    for call in plan.calls_of_event:
        yield from tell(diary, plan, call)


def tell(diary: Diary, plan: Plan, call: Call) -> Story[None]:
    """Tell somebody else's service; what it answers is written down and changes nothing."""
    answer = yield from diary.waiting.try_once("call", _payload(diary, plan, call))
    diary.judge(call.name, read_judgement(call.name, answer), is_dry=True)


def _judge(diary: Diary, plan: Plan, step: Probe | Agreement | Call) -> Story[Judgement]:
    """Return the verdict; that Azure is out of order for a while is waited out, not judged."""
    payload, within = _payload(diary, plan, step), plan.timings.shift_deadline
    activity = {"probe": "probe", "agreement": "agree", "call": "call"}[step.kind]
    answer = yield from diary.waiting.ask(activity, payload, within=within)
    while answer.get("next") is not None:  # an activity is short: what is long comes in slices
        diary.waiting.heed()
        payload = {**payload, "from": answer["next"], "so_far": answer["so_far"]}
        answer = yield from diary.waiting.ask(activity, payload, within=within)
    return read_judgement(step.name, answer)


def _payload(diary: Diary, plan: Plan, step: Probe | Agreement | Call) -> Json:
    return {
        "workspace": plan.workspace,
        "endpoint": plan.endpoint,
        "deployment": plan.candidate,
        "candidate": plan.candidate,
        "stable": plan.stable or "",
        "rollout_id": plan.rollout_id,
        "model": plan.model,
        "version": plan.version,
        "phase": diary.rollout.phase.value,
        "weight": diary.rollout.weights.get(plan.candidate, 0),
        step.kind: encode(step),
    }
