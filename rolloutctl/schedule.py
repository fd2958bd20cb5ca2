"""A plan as dated acts: what is written when, and between which times each of them ends. Pure.

Times count from the start of the rollout. Earliest: Azure takes no time. Latest: it takes all that
the settings allow, and the plan's deadline cuts everything before promotion is complete.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, assert_never

from deploy_logic.duration import print_duration
from deploy_logic.plan.layout import print_step
from deploy_logic.plan.plan import Plan
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

type Json = dict[str, Any]

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
_ALL_WEIGHT = 100
_NOTHING = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that the rollout does, and how long it may take."""

    kind: str
    text: str
    weight: int  # of the candidate, afterwards
    bake: timedelta | None = None
    gates: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    writes: tuple[Json, ...] = ()
    least: timedelta = _NOTHING
    most: timedelta = _NOTHING
    is_cut_by_deadline: bool = True


def schedule(plan: Plan) -> Json:
    """Return the steps with their times, and every write with the earliest moment it can come."""
    steps: list[Json] = []
    writes: list[Json] = []
    earliest = latest = _NOTHING
    for number, act in enumerate(_acts(plan), 1):
        writes += [{"step": number, **moment("at_earliest", earliest), **w} for w in act.writes]
        earliest, latest = earliest + act.least, latest + act.most
        if act.is_cut_by_deadline:
            latest = min(latest, plan.deadline)
        steps.append(
            {
                "number": number,
                "kind": act.kind,
                "text": act.text,
                "weight": act.weight,
                "bake": None if act.bake is None else print_iso(act.bake),
                "gates": list(act.gates),
                "approvals": list(act.approvals),
                "writes": [write["write"] for write in act.writes],
                **moment("earliest_end", earliest),
                **moment("latest_end", latest),
            }
        )
    ends = {**moment("earliest_end", earliest), **moment("latest_end", latest)}
    return {"steps": steps, "writes": writes, **ends}


def moment(key: str, length: timedelta) -> Json:
    """Return a length of time twice: in ISO 8601, and in words."""
    return {key: print_iso(length), f"{key}_words": print_words(length)}


def print_iso(length: timedelta) -> str:
    """Return the length in ISO 8601, such as PT1H30M."""
    if length.microseconds:
        return f"PT{length.total_seconds():f}S"
    written = print_duration(length).upper()
    days, has_days, rest = written.partition("D")
    if not has_days:
        return f"PT{written}"
    return f"P{days}D" + (f"T{rest}" if rest else "")


def print_words(length: timedelta) -> str:
    """Return the length as people say it, such as 1 hour 30 minutes."""
    rest = round(length.total_seconds())
    parts = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}" + ("s" if count > 1 else ""))
    return " ".join(parts) or "at once"


def _acts(plan: Plan) -> Iterator[Act]:
    """Give everything that orchestrator.roll_out does when all goes well, in its order."""
    create, timings = plan.timings.creation_deadline, plan.timings
    for step in plan.preparation:
        yield _act(plan, step, 0)
    if plan.creation.endpoint_template:
        write = {"write": "create_endpoint", "name": plan.endpoint}
        text = f"create endpoint {plan.endpoint!r} from the policy's template"
        yield Act(kind="create_endpoint", text=text, weight=0, writes=(write,), most=create)
    write = {"write": "create_deployment", "name": plan.candidate}
    text = f"create candidate {plan.candidate!r} at weight 0"
    yield Act(kind="create_candidate", text=text, weight=0, writes=(write,), most=create)
    weight = 0
    for step in (*plan.steps, *plan.promotion):
        act = _act(plan, step, weight)
        weight = act.weight
        yield act
    if not isinstance(plan.promotion[-1], Shift):
        text = "read the weights back once more"
        yield Act(kind="read_back", text=text, weight=weight, most=timings.shift_deadline)
    if plan.stable and not plan.keep_old:
        write = {"write": "delete_deployment", "name": plan.stable}
        text = f"retire {plan.stable!r}, which has weight 0"
        yield Act(
            kind="retire",
            text=text,
            weight=weight,
            writes=(write,),
            most=create,
            is_cut_by_deadline=False,
        )


def _act(plan: Plan, step: Step, weight: int) -> Act:
    timings = plan.timings
    match step:
        case Shift():
            return _shift(plan, step)
        case Mirror():
            mirror = {plan.candidate: step.percent} if step.percent else {}
            write = {"write": "set_mirror", "name": plan.endpoint, "mirror": mirror}
            return Act(
                kind=step.kind,
                text=print_step(step),
                weight=weight,
                writes=(write,),
                most=timings.shift_deadline,
            )
        case Bake():
            return _bake(step, weight)
        case Approve():
            return Act(
                kind=step.kind,
                text=print_step(step),
                weight=weight,
                approvals=step.approvers,
                most=step.deadline,
                is_cut_by_deadline=step.when == "promote",
            )
        case Champion():
            return Act(kind=step.kind, text=print_step(step), weight=weight, gates=(step.name,))
        case Probe() | Agreement() | Call():
            most = (timings.shift_deadline + timings.poll_interval) * (step.error_budget + 1)
            text = print_step(step)
            gates = (step.name,)
            return Act(kind=step.kind, text=text, weight=weight, gates=gates, most=most)
        case _:
            assert_never(step)


def _shift(plan: Plan, step: Shift) -> Act:
    rest = {plan.stable: _ALL_WEIGHT - step.weight} if plan.stable else {}
    weights = {**rest, plan.candidate: step.weight}
    return Act(
        kind=step.kind,
        text="weights " + ", ".join(f"{name} {value}" for name, value in weights.items()),
        weight=step.weight,
        writes=({"write": "set_traffic", "name": plan.endpoint, "weights": weights},),
        most=plan.timings.shift_deadline,
    )


def _bake(step: Bake, weight: int) -> Act:
    """Count in that a bake is extended while its gates cannot say."""
    names = ", ".join(watch.name for watch in step.watches)
    patience = max((watch.patience for watch in step.watches), default=_NOTHING)
    return Act(
        kind=step.kind,
        text=f"bake for {print_words(step.length)} at weight {weight}"
        + (f", watched by {names}" if names else ""),
        weight=weight,
        bake=step.length,
        gates=tuple(watch.name for watch in step.watches),
        least=step.length,
        most=step.length + patience,
    )
