"""Step 4 of 5: the candidate has traffic, and is measured again and again until it may go on."""

from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from deploy_logic.codec import Json, decode, encode
from deploy_logic.duration import print_duration
from deploy_logic.gate.gate import Judgement, Verdict
from deploy_logic.gate.tally import Tally
from deploy_logic.plan.plan import Plan
from deploy_logic.plan.step import Bake, MetricSource, Watch
from deploy_logic.ports import Waitable
from deploy_logic.rollout import Awaited, Operation, Phase
from deploy_logic.story.asking import YES_OR_NO, Question
from deploy_logic.story.diary import Diary
from deploy_logic.story.settling import settle_weights
from deploy_logic.story.waiting import Stop

type Story[T] = Generator[Waitable, Any, T]

_LONG = timedelta(hours=1)
_SLOWER = 5  # times as seldom is it measured while a person is awaited


@dataclass(slots=True, kw_only=True)
class _Watched:
    """One watch in one bake."""

    watch: Watch
    due: datetime
    tally: Tally = field(default_factory=Tally)

    @property
    def verdict(self) -> Verdict:
        return self.tally.says(self.watch)


def bake(diary: Diary, plan: Plan, step: Bake) -> Story[None]:
    """Stay for the length, longer while it cannot be said; Stop as soon as a gate fails."""
    try:
        yield from _bake(diary, plan, step)
    except Stop:
        diary.end_bake()
        raise
    diary.end_bake()


def _bake(diary: Diary, plan: Plan, step: Bake) -> Story[None]:
    waiting = diary.waiting
    begin = waiting.now
    end = begin + step.length
    weight = diary.rollout.weights.get(plan.candidate, 0)
    diary.bake(begin, end, weight)
    watched = [_begin(watch, plan, begin, end) for watch in step.watches]
    diary.note(_announce(step))
    question: Question | None = None
    while waiting.hurried is None:
        if waiting.frozen is not None:
            yield from settle_weights(diary, plan)
        pace = 1 if question is None else _SLOWER
        yield from _measure_due(diary, plan, watched, since=begin, pace=pace)
        for one in watched:
            if waiting.now < end < one.due:
                one.due = end  # what decides is measured last
        undecided = [one for one in watched if one.verdict is Verdict.INCONCLUSIVE]
        if waiting.now >= end and waiting.paused is None:
            if question is None and not undecided:
                return
            patience = max((one.watch.patience for one in undecided), default=timedelta(0))
            diary.bake(begin, end + patience, weight)
            if question is None and waiting.now >= end + patience:
                question = _ask(diary, undecided)
        if question is not None and _is_settled(question, undecided):
            return
        yield from _rest(diary, watched, end, is_asking=question is not None)
    if question is not None:
        question.close("all that remains is left out")


def _begin(watch: Watch, plan: Plan, begin: datetime, end: datetime) -> _Watched:
    """Set the first measurement: when there can be something to see, or at the end of the bake."""
    lag = plan.timings.metric_lag if isinstance(watch.source, MetricSource) else timedelta(0)
    first = begin + max(watch.initial_delay, lag + watch.every)
    return _Watched(watch=watch, due=min(first, max(end, begin + watch.initial_delay)))


def _announce(step: Bake) -> str:
    names = ", ".join(watch.name for watch in step.watches)
    return f"bakes for {print_duration(step.length)}" + (f", watched by {names}" if names else "")


def _measure_due(
    diary: Diary, plan: Plan, watched: list[_Watched], *, since: datetime, pace: int
) -> Story[None]:
    waiting = diary.waiting
    for one in watched:
        if waiting.now < one.due or waiting.hurried is not None:
            continue
        judged = yield from _measure(diary, plan, one.watch, since)
        waiting.heed()
        one.tally = one.tally.add(judged)
        one.due = waiting.now + one.watch.every * pace
        diary.judge(one.watch.name, judged, is_dry=one.watch.dry_run)
        if one.verdict is Verdict.FAIL:
            raise Stop(Phase.FAILED, judged.reason, is_judged=True)
        if one.verdict is Verdict.ERROR:
            raise Stop(Phase.ERRORED, judged.reason)


def _measure(diary: Diary, plan: Plan, watch: Watch, since: datetime) -> Story[Judgement]:
    payload: Json = {
        "workspace": plan.workspace,
        "endpoint": plan.endpoint,
        "candidate": plan.candidate,
        "stable": plan.stable or "",
        "rollout_id": plan.rollout_id,
        "model": plan.model,
        "version": plan.version,
        "phase": diary.rollout.phase.value,
        "weight": diary.rollout.weights.get(plan.candidate, 0),
        "step": diary.rollout.step,
        "watch": encode(watch),
        "since": since.isoformat(),
        "at": diary.waiting.now.isoformat(),  # tells one measurement from the next
        "lag": plan.timings.metric_lag.total_seconds(),
    }
    answer = yield from diary.waiting.try_once("measure", payload)
    return read_judgement(watch.name, answer)


def read_judgement(name: str, answer: Json) -> Judgement:
    """Return the verdict of an activity; one that could not ask is an error, not a failure."""
    if answer["state"] == "done":
        return decode(Judgement, answer["judgement"])
    reason = f"{name}: could not be asked: {answer['reason']}"
    return Judgement(verdict=Verdict.ERROR, reason=reason, figures={"state": answer["state"]})


def _ask(diary: Diary, undecided: list[_Watched]) -> Question:
    reasons = "; ".join(one.tally.last.reason for one in undecided if one.tally.last)
    text = f"it cannot be said whether the candidate is good: {reasons}; approve or reject"
    return Question(diary, Awaited(what="gate", text=text, operations=YES_OR_NO))


def _is_settled(question: Question, undecided: list[_Watched]) -> bool:
    """Whether a person said to go on, or the measurements do by now."""
    decided = question.read()
    if decided is None:
        if undecided:
            return False
        question.close("the measurements are conclusive by now")
        return True
    if decided.operation is Operation.REJECT:
        raise Stop(Phase.FAILED, f"rejected by {decided.by}: {decided.reason}")
    question.close(f"approved by {decided.by}: {decided.reason}")
    return True


def _rest(diary: Diary, watched: list[_Watched], end: datetime, *, is_asking: bool) -> Story[None]:
    """Sleep until something is due, or somebody says something."""
    waiting = diary.waiting
    moments = [one.due for one in watched]
    if waiting.now < end:
        moments.append(end)
    length = max(min(moments, default=waiting.now + _LONG) - waiting.now, timedelta(0))
    was_paused = waiting.paused is not None

    def is_woken() -> bool:
        return bool(
            waiting.hurried
            or waiting.frozen
            or (is_asking and waiting.answers)
            or (waiting.paused is not None) != was_paused
        )

    yield from waiting.rest(length, until=is_woken)
