"""Laws of measuring gates, each of which must catch the bug that is seeded against it.

A law takes the judge it is held against, so that the same text is held against a broken one.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from deploy_logic.gate.gate import Judgement, Verdict
from deploy_logic.gate.metric import (
    RATES,
    Measured,
    Reading,
    bound_rate,
    judge_metric,
)
from deploy_logic.plan.step import MetricSource, Threshold, Watch
from tests.builders import MONDAY
from tests.property.seeded import is_found

type Kind = Literal["at_most", "at_least", "worse_than_stable_by_at_most"]
type Judge = Callable[[Watch, Measured], Judgement]
type Bound = Callable[[float, float], tuple[float, float]]

SEARCHED = 5_000
METRICS = ("error_rate", "model_error_rate", "requests", "latency_p95", "cpu", "memory", "gpu")
KINDS: tuple[Kind, ...] = ("at_most", "at_least", "worse_than_stable_by_at_most")


def a_watch(metric: str, kind: Kind, value: float, *, min_samples: int = 1) -> Watch:
    source = MetricSource(metric=metric, threshold=Threshold(kind=kind, value=value))
    return Watch(name="w", source=source, min_samples=min_samples)


def rate(hits: int, samples: int) -> Reading:
    return Reading(samples=samples, value=hits / samples, hits=hits)


def see(judge: Judge, watch: Watch, candidate: Reading, stable: Reading | None = None) -> Verdict:
    seen = Measured(candidate=candidate, stable=stable, since=MONDAY, until=MONDAY)
    return judge(watch, seen).verdict


shares = st.floats(0, 1)
counts = st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
few = st.integers(1, 60)
rates = counts.map(lambda pair: rate(*pair))
readings = st.builds(
    Reading, samples=st.integers(0, 10_000), value=st.none() | st.floats(0, 10_000)
)
watches = st.builds(
    a_watch,
    st.sampled_from(METRICS),
    st.sampled_from(KINDS),
    shares,
    min_samples=st.integers(1, 5_000),
)


def holds(
    watch: Watch, candidate: Reading, stable: Reading | None
) -> tuple[Reading, Reading | None]:
    """Return the readings as the watch's metric has them: a rate is one of counts."""
    metric = watch.source.metric if isinstance(watch.source, MetricSource) else ""

    def fit(reading: Reading) -> Reading:
        if metric not in RATES or reading.value is None or reading.samples == 0:
            return reading
        return rate(min(round(reading.value), reading.samples), reading.samples)

    return fit(candidate), None if stable is None else fit(stable)


# --- the interval


def interval_holds_the_rate(bound: Bound, pair: tuple[int, int]) -> bool:
    hits, samples = pair
    low, high = bound(hits, samples)
    return 0 <= low <= hits / samples <= high <= 1


def more_hits_move_it_up(bound: Bound, pair: tuple[int, int]) -> bool:
    hits, samples = pair
    if hits == samples:
        return True
    less, more = bound(hits, samples), bound(hits + 1, samples)
    return less[0] <= more[0] and less[1] <= more[1]


def more_samples_narrow_it(bound: Bound, pair: tuple[int, int]) -> bool:
    hits, samples = pair
    few, many = bound(hits, samples), bound(10 * hits, 10 * samples)
    return few[0] <= many[0] + 1e-12 and many[1] <= few[1] + 1e-12


def hits_and_misses_mirror(bound: Bound, pair: tuple[int, int]) -> bool:
    hits, samples = pair
    low, high = bound(hits, samples)
    other_low, other_high = bound(samples - hits, samples)
    return abs(low - (1 - other_high)) < 1e-9 and abs(high - (1 - other_low)) < 1e-9


def no_width(hits: float, samples: float) -> tuple[float, float]:
    return hits / samples, hits / samples - 1e-6  # the bounds exchanged


def upside_down(hits: float, samples: float) -> tuple[float, float]:
    return bound_rate(samples - hits, samples)


def few_is_enough(hits: float, samples: float) -> tuple[float, float]:
    low, high = bound_rate(hits, samples)
    return (hits / samples,) * 2 if samples < 30 else (low, high)


def only_the_upper_end(hits: float, samples: float) -> tuple[float, float]:
    return 0.0, bound_rate(hits, samples)[1]


INTERVAL_LAWS = [
    (interval_holds_the_rate, no_width),
    (more_hits_move_it_up, upside_down),
    (more_samples_narrow_it, few_is_enough),
    (hits_and_misses_mirror, only_the_upper_end),
]


@pytest.mark.parametrize("law", [law for law, _ in INTERVAL_LAWS])
@given(pair=counts)
def test_interval(law: Callable[[Bound, tuple[int, int]], bool], pair: tuple[int, int]) -> None:
    assert law(bound_rate, pair)


@pytest.mark.parametrize(("law", "bug"), INTERVAL_LAWS)
def test_seeded_bug_of_the_interval_is_caught(
    law: Callable[[Bound, tuple[int, int]], bool], bug: Bound
) -> None:
    assert is_found(counts, lambda pair: not law(bug, pair), most=SEARCHED)


# --- the judge

cases = st.tuples(watches, readings, st.none() | readings).map(
    lambda case: (case[0], *holds(*case))
)
type Case = tuple[Watch, Reading, Reading | None]
type Law = Callable[[Judge, Case], bool]

# A rate of a few samples, and a watch that is content with as few.
few_samples: st.SearchStrategy[Case] = st.tuples(
    st.builds(
        a_watch, st.sampled_from(sorted(RATES)), st.sampled_from(KINDS), shares, min_samples=few
    ),
    few.flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))).map(lambda pair: rate(*pair)),
    st.none() | rates,
)


def no_data_is_inconclusive(judge: Judge, case: Case) -> bool:
    watch, candidate, stable = case
    is_there = candidate.value is not None and candidate.samples > 0
    return is_there or see(judge, watch, candidate, stable) is Verdict.INCONCLUSIVE


def too_little_is_inconclusive(judge: Judge, case: Case) -> bool:
    watch, candidate, stable = case
    is_enough = candidate.samples >= watch.min_samples
    return is_enough or see(judge, watch, candidate, stable) is Verdict.INCONCLUSIVE


def nobody_to_compare_with_is_inconclusive(judge: Judge, case: Case) -> bool:
    watch, candidate, stable = case
    source = watch.source
    assert isinstance(source, MetricSource)
    is_compared = source.threshold.kind == "worse_than_stable_by_at_most"
    is_there = stable is not None and stable.value is not None and stable.samples > 0
    if not is_compared or is_there:
        return True
    return see(judge, watch, candidate, stable) is Verdict.INCONCLUSIVE


def more_of_the_same_never_mends(judge: Judge, case: Case) -> bool:
    """Ten times the samples at the same rate turn no fail into a pass, and no pass into a fail."""
    watch, candidate, stable = case
    source = watch.source
    assert isinstance(source, MetricSource)
    if source.metric not in RATES or candidate.hits is None:
        return True
    more = rate(10 * candidate.hits, 10 * candidate.samples)
    both = {see(judge, watch, candidate, stable), see(judge, watch, more, stable)}
    return both != {Verdict.PASS, Verdict.FAIL}


def not_worse_is_never_a_fail(judge: Judge, case: Case) -> bool:
    """However bad the stable is, its cure is let through."""
    watch, candidate, stable = case
    source = watch.source
    assert isinstance(source, MetricSource)
    if source.threshold.kind != "worse_than_stable_by_at_most" or stable is None:
        return True
    if candidate.value is None or stable.value is None or candidate.value > stable.value:
        return True
    return see(judge, watch, candidate, stable) is not Verdict.FAIL


def most_and_least_mirror(judge: Judge, case: Case) -> bool:
    """At most 1 % errors is at least 99 % of the opposite."""
    watch, candidate, _ = case
    source = watch.source
    assert isinstance(source, MetricSource)
    if source.metric not in RATES or candidate.hits is None:
        return True
    bound = round(source.threshold.value, 2)
    low, high = bound_rate(candidate.hits, candidate.samples)
    assume(min(abs(low - bound), abs(high - bound)) > 1e-9)  # where rounding decides
    most = a_watch(source.metric, "at_most", bound)
    least = a_watch(source.metric, "at_least", 1 - bound)
    opposite = rate(candidate.samples - candidate.hits, candidate.samples)
    return see(judge, most, candidate) is see(judge, least, opposite)


def instead(wrong: Verdict, when: Callable[[Watch, Measured], bool]) -> Judge:
    """Return a judge that is wrong where it says."""

    def judge(watch: Watch, seen: Measured) -> Judgement:
        judged = judge_metric(watch, seen)
        return Judgement(verdict=wrong, reason="") if when(watch, seen) else judged

    return judge


def kind_of(watch: Watch) -> str:
    return watch.source.threshold.kind if isinstance(watch.source, MetricSource) else ""


def is_small(seen: Measured) -> bool:
    return 0 < seen.candidate.samples < 50


JUDGE_LAWS = [
    (no_data_is_inconclusive, instead(Verdict.PASS, lambda _, seen: seen.candidate.value is None)),
    (
        too_little_is_inconclusive,
        instead(Verdict.FAIL, lambda watch, seen: 0 < seen.candidate.samples < watch.min_samples),
    ),
    (
        nobody_to_compare_with_is_inconclusive,
        instead(
            Verdict.PASS,
            lambda watch, seen: kind_of(watch) not in {"at_most", "at_least"} and not seen.stable,
        ),
    ),
    (
        more_of_the_same_never_mends,
        instead(Verdict.FAIL, lambda watch, seen: kind_of(watch) == "at_most" and is_small(seen)),
    ),
    (
        not_worse_is_never_a_fail,
        instead(Verdict.FAIL, lambda _, seen: seen.stable is not None),
    ),
    (
        most_and_least_mirror,
        instead(Verdict.FAIL, lambda watch, seen: kind_of(watch) == "at_most" and is_small(seen)),
    ),
]


@pytest.mark.parametrize("law", [law for law, _ in JUDGE_LAWS])
@given(case=cases)
def test_judge(law: Law, case: Case) -> None:
    assert law(judge_metric, case)


# Where to look for a bug that shows only in cases which are rare among all of them.
WHERE: Mapping[Law, st.SearchStrategy[Case]] = {
    more_of_the_same_never_mends: few_samples,
    most_and_least_mirror: few_samples,
}


@pytest.mark.parametrize("law", WHERE)
@given(data=st.data())
def test_judge_where_its_bug_is_looked_for(law: Law, data: st.DataObject) -> None:
    assert law(judge_metric, data.draw(WHERE[law]))


@pytest.mark.parametrize(("law", "bug"), JUDGE_LAWS)
def test_seeded_bug_of_the_judge_is_caught(law: Law, bug: Judge) -> None:
    assert is_found(WHERE.get(law, cases), lambda case: not law(bug, case), most=SEARCHED)


@given(case=cases)
def test_every_reason_names_what_was_measured_and_figures_are_plain(case: Case) -> None:
    watch, candidate, stable = case
    seen = Measured(candidate=candidate, stable=stable, since=MONDAY, until=MONDAY)
    judged = judge_metric(watch, seen)
    assert isinstance(watch.source, MetricSource)
    assert watch.source.metric in judged.reason
    assert judged.figures["threshold"] == {
        "kind": watch.source.threshold.kind,
        "value": watch.source.threshold.value,
    }
