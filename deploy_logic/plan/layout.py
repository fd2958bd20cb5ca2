"""Step 3 of 5: a policy's strategy, gates and approvals become steps in their order. Pure.

Canary, blue-green and all-at-once differ here only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Literal, assert_never

from deploy_logic.duration import print_duration
from deploy_logic.plan.step import (
    Agreement,
    Approve,
    Bake,
    Call,
    Champion,
    HttpSource,
    LogsSource,
    MetricSource,
    Mirror,
    Moment,
    Probe,
    Shift,
    Source,
    Step,
    Threshold,
    Watch,
)
from deploy_logic.policy import gate as policy_gate
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.policy.gate_metric import LogsGate, MetricGate
from deploy_logic.policy.gate_part import RepeatedGate
from deploy_logic.policy.people import Approval
from deploy_logic.policy.strategy import AllAtOnce, BlueGreen, Canary, find_mirror

_MOST_MEASUREMENTS = 60  # of one gate in one bake: the engine keeps each in the rollout's history
_RELATIVE: Final = "worse_than_stable_by_at_most"
_THRESHOLDS: tuple[Literal["at_most", "at_least", "worse_than_stable_by_at_most"], ...] = (
    "at_most",
    "at_least",
    _RELATIVE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Everything that is done, in its order."""

    preparation: tuple[Step, ...]  # before anything is created
    steps: tuple[Step, ...]  # before promotion
    promotion: tuple[Step, ...]  # the last shift gives all weight to the candidate
    calls_of_roll_back: tuple[Call, ...]
    calls_of_event: tuple[Call, ...]


def lay_out(files: PolicyFiles, *, is_first: bool) -> Layout:
    """Return the steps of a policy.

    The first version on an empty endpoint goes straight to 100: there is nobody to compare with,
    and no traffic to divide.
    """
    approval, calls = files.policy.approval, _calls(files)
    watches = _watches(files)
    once = [_ask(number, gate, files) for number, gate in _gates(files) if _is_asked_once(gate)]
    at_zero = [one for one in once if not isinstance(one, Champion)]
    if is_first:
        at_zero = [one for one in at_zero if not isinstance(one, Agreement)]
    # At 100 the stable answers nobody: what is measured against it has nothing to say.
    alone = [watch for watch in watches if not _is_relative(watch)]
    return Layout(
        preparation=(
            *(one for one in once if isinstance(one, Champion)),
            *(call for call in calls if call.when == "before"),
            *_approve("before", approval.before if approval else None),
        ),
        steps=(*at_zero, *(() if is_first else _rises(files, watches))),
        promotion=(
            *(call for call in calls if call.when == "promote"),
            *_approve("promote", approval.promote if approval else None),
            Shift(weight=100),
            *_bake(_final_bake(files), alone),
        ),
        calls_of_roll_back=tuple(call for call in calls if call.when == "roll_back"),
        calls_of_event=tuple(call for call in calls if call.when == "event"),
    )


def _gates(files: PolicyFiles) -> list[tuple[int, policy_gate.AnyGate]]:
    return list(enumerate(files.policy.gates, 1))


def _watches(files: PolicyFiles) -> list[Watch]:
    """Return the gates that are measured while the candidate bakes."""
    return [
        _watch(number, gate, files)
        for number, gate in _gates(files)
        if isinstance(gate, MetricGate | LogsGate)
        or (isinstance(gate, policy_gate.HttpGate) and "step" in gate.when)
    ]


def _calls(files: PolicyFiles) -> list[Call]:
    """Return the questions to other people's services, one for each of their moments."""
    return [
        Call(
            name=gate.name or f"http {number}",
            url=gate.url,
            when=moment,
            error_budget=gate.error_budget,
            dry_run=gate.dry_run,
        )
        for number, gate in _gates(files)
        if isinstance(gate, policy_gate.HttpGate)
        for moment in gate.when
        if moment != "step"
    ]


def print_step(step: Step) -> str:
    """Return the step in words, for people."""
    match step:
        case Champion() | Probe() | Agreement():
            words = f"{step.kind}: {step.name}"
        case Call():
            words = f"ask {step.name} ({step.when})"
        case Approve():
            words = f"approval ({step.when}) by {', '.join(step.approvers)}"
        case Mirror():
            words = f"mirror {step.percent} %" if step.percent else "end the mirror"
        case Shift():
            words = f"weight {step.weight}"
        case Bake():
            names = f", watched by {', '.join(one.name for one in step.watches)}"
            words = f"bake {print_duration(step.length)}" + (names if step.watches else "")
        case _:
            assert_never(step)
    return words


def _rises(files: PolicyFiles, watches: Sequence[Watch]) -> list[Step]:
    """Return the steps from mirror to the last weight below 100."""
    strategy = files.policy.strategy
    rises: list[Step] = []
    mirror = find_mirror(strategy)
    if mirror is not None:
        # Azure allows no mirror beside live weight on the same deployment: it ends before.
        rises += [Mirror(percent=mirror.percent), *_bake(mirror.bake, watches), Mirror(percent=0)]
    match strategy:
        case Canary():
            for step in strategy.levels:
                rises += [Shift(weight=step.weight), *_bake(step.bake, watches)]
        case BlueGreen() | AllAtOnce():
            pass
        case _:
            assert_never(strategy)
    return rises


def _final_bake(files: PolicyFiles) -> timedelta:
    strategy = files.policy.strategy
    return timedelta(0) if isinstance(strategy, AllAtOnce) else strategy.final_bake


def _bake(length: timedelta, watches: Sequence[Watch]) -> tuple[Bake, ...]:
    if length <= timedelta(0):
        return ()
    return (Bake(length=length, watches=tuple(_slow_down(watch, length) for watch in watches)),)


def _slow_down(watch: Watch, length: timedelta) -> Watch:
    return replace(watch, every=max(watch.every, length / _MOST_MEASUREMENTS))


def _is_relative(watch: Watch) -> bool:
    source = watch.source
    return isinstance(source, MetricSource) and source.threshold.kind == _RELATIVE


def _is_asked_once(gate: policy_gate.AnyGate) -> bool:
    return isinstance(gate, policy_gate.Champion | policy_gate.Probe | policy_gate.Agreement)


def _ask(number: int, gate: policy_gate.AnyGate, files: PolicyFiles) -> Step:
    name = gate.name or f"{gate.kind} {number}"
    match gate:
        case policy_gate.Champion():
            return Champion(
                name=name,
                tag=gate.tag,
                better=gate.better,
                margin=gate.margin,
                dry_run=gate.dry_run,
            )
        case policy_gate.Probe():
            return Probe(
                name=gate.name or f"probe {number} ({gate.request or gate.requests})",
                bodies=_bodies(gate.request, gate.requests, files),
                expect=_expect(gate, files),
                error_budget=gate.error_budget,
                dry_run=gate.dry_run,
            )
        case policy_gate.Agreement():
            return Agreement(
                name=name,
                bodies=_bodies(None, gate.requests, files),
                at_least=gate.at_least,
                min_samples=gate.min_samples,
                error_budget=gate.error_budget,
                dry_run=gate.dry_run,
            )
        case _:
            raise AssertionError(f"{gate.kind} is not asked once")


def _bodies(request: str | None, requests: str | None, files: PolicyFiles) -> tuple[str, ...]:
    if request is not None:
        return (files.requests[request],)
    lines = files.requests[requests or ""].splitlines()
    return tuple(line for line in lines if line.strip())


def _expect(gate: policy_gate.Probe, files: PolicyFiles) -> dict[str, object]:
    expect: dict[str, object] = gate.expect.model_dump(mode="json", exclude={"answer_schema"})
    if gate.expect.answer_schema is not None:
        expect["schema"] = json.loads(files.schemas[gate.expect.answer_schema])
    return expect


def _watch(number: int, gate: RepeatedGate, files: PolicyFiles) -> Watch:
    budget = gate.failure_budget
    total = budget.total if budget and budget.total is not None else None
    in_a_row = budget.consecutive if budget else None
    source, name = _source(gate, files)
    return Watch(
        name=gate.name or f"{name} {number}",
        source=source,
        every=gate.every,
        initial_delay=gate.initial_delay,
        min_samples=gate.min_samples,
        patience=gate.patience,
        failures=_forgiven(total, in_a_row),
        failures_in_a_row=in_a_row,
        error_budget=gate.error_budget,
        dry_run=gate.dry_run,
    )


def _forgiven(total: int | None, in_a_row: int | None) -> int:
    """Without a budget of its own in all, the one in a row alone counts."""
    if total is not None:
        return total
    return 0 if in_a_row is None else 1_000_000


def _source(gate: RepeatedGate, files: PolicyFiles) -> tuple[Source, str]:
    match gate:
        case MetricGate():
            return MetricSource(metric=gate.metric, threshold=_threshold(gate)), gate.metric
        case LogsGate():
            query = files.queries[gate.query]
            return LogsSource(query=query, threshold=_threshold(gate)), "logs"
        case policy_gate.HttpGate():
            return HttpSource(url=gate.url), "http"
        case _:
            raise AssertionError(f"{type(gate).__name__} is not measured")


def _threshold(gate: MetricGate | LogsGate) -> Threshold:
    """Return the one that is given: a share as 0 to 1, a length of time in milliseconds."""
    for kind in _THRESHOLDS:
        value = getattr(gate, kind, None)
        if value is not None:
            number = value / timedelta(milliseconds=1) if isinstance(value, timedelta) else value
            return Threshold(kind=kind, value=float(number))
    raise AssertionError("a gate without a threshold is refused when it is read")


def _approve(when: Moment, approval: Approval | None) -> tuple[Approve, ...]:
    if approval is None or when not in {"before", "promote"}:
        return ()
    return (
        Approve(
            when="before" if when == "before" else "promote",
            approvers=approval.approvers,
            quorum=approval.quorum,
            not_by_requester=approval.not_by_requester,
            deadline=approval.deadline,
        ),
    )
