"""Measurements: what they are worth, too little is never a pass, and figures say it all."""

import json
from typing import Any, Literal

import pytest

from deploy_logic.duration import parse_duration
from deploy_logic.gate.gate import Judgement
from deploy_logic.gate.metric import Measured, Reading, bound_rate, judge_logs, judge_metric
from deploy_logic.plan.step import HttpSource, LogsSource, MetricSource, Threshold, Watch
from tests.builders import MONDAY

UNTIL = MONDAY + parse_duration("7m")
Kind = Literal["at_most", "at_least", "worse_than_stable_by_at_most"]
RELATIVE: Kind = "worse_than_stable_by_at_most"


def a_watch(
    value: float, *, metric: str = "error_rate", kind: Kind = "at_most", min_samples: int = 1
) -> Watch:
    source = MetricSource(metric=metric, threshold=Threshold(kind=kind, value=value))
    return Watch(name="gate 1", source=source, min_samples=min_samples)


def rate(hits: int, samples: int) -> Reading:
    return Reading(samples=samples, value=hits / samples, hits=hits)


def value(number: float, samples: int = 500) -> Reading:
    return Reading(samples=samples, value=number)


def judge(watch: Watch, candidate: Reading, stable: Reading | None = None) -> Judgement:
    seen = Measured(candidate=candidate, stable=stable, since=MONDAY, until=UNTIL)
    return judge_metric(watch, seen)


# --- the interval, against the figures of Newcombe 1998 (Statistics in Medicine 17, table I,
# method 3), who computed them with z = 1.959964


@pytest.mark.parametrize(
    ("hits", "samples", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611),
     (1, 29, 0.0061, 0.1718)],
)  # fmt: skip
def test_interval_is_the_one_of_the_literature(
    hits: int, samples: int, low: float, high: float
) -> None:
    assert bound_rate(hits, samples) == pytest.approx((low, high), abs=0.00006)


# --- rates


@pytest.mark.parametrize(
    ("watch", "candidate", "verdict", "reason"),
    [
        (a_watch(0.01), rate(0, 400), "pass",
         "error_rate of candidate 0% (0 of 400, within 0% to 0.9513%) is at most 1%"),
        (a_watch(0.01), rate(0, 200), "inconclusive", "1.885%) may be above or below 1%"),
        (a_watch(0.01), rate(20, 500), "fail",
         "4% (20 of 500, within 2.604% to 6.097%) is above 1%"),
        (a_watch(0.01), rate(8, 500), "inconclusive", "1.6% (8 of 500"),
        (a_watch(0.01, min_samples=200), rate(50, 199), "inconclusive",
         "error_rate of candidate: 199 samples are below 200"),
        (a_watch(0.01, min_samples=200), rate(50, 200), "fail", "is above 1%"),
        (a_watch(0.01), Reading(), "inconclusive", "error_rate of candidate: no data in the"),
        (a_watch(0), rate(0, 5), "pass", "is at most 0%"),
        (a_watch(0), rate(1, 5000), "fail", "is above 0%"),
        (a_watch(1), rate(5, 5), "pass", "is at most 100%"),
        (a_watch(0.9, kind="at_least"), rate(400, 400), "pass", "is at least 90%"),
        (a_watch(0.9, kind="at_least"), rate(300, 400), "fail", "is below 90%"),
        (a_watch(0.9, kind="at_least"), rate(9, 10), "inconclusive", "may be above or below 90%"),
        (a_watch(1, kind="at_least"), rate(10, 10), "pass", "is at least 100%"),
    ],
)  # fmt: skip
def test_rate_is_judged_by_its_interval(
    watch: Watch, candidate: Reading, verdict: str, reason: str
) -> None:
    judged = judge(watch, candidate)
    assert judged.verdict == verdict
    assert judged.reason.startswith("gate 1: ")
    assert reason in judged.reason


# --- values


@pytest.mark.parametrize(
    ("watch", "candidate", "verdict", "reason"),
    [
        (a_watch(500, metric="latency_p95"), value(499.96), "pass",
         "latency_p95 of candidate 500 ms (500 requests) is at most 500 ms"),
        (a_watch(500, metric="latency_p95"), value(500.5), "fail", "500.5 ms (500 requests) is"),
        (a_watch(500, metric="latency_p95", min_samples=501), value(900), "inconclusive",
         "latency_p95 of candidate: 500 samples are below 501"),
        (a_watch(0.8, metric="cpu"), value(0.8123, 7), "fail",
         "cpu of candidate 81.23% (over 7 minutes) is above 80%"),
        (a_watch(0.8, metric="memory"), value(0.5, 7), "pass", "is at most 80%"),
        (a_watch(0.1, metric="gpu", kind="at_least"), value(0.05, 7), "fail", "is below 10%"),
        (a_watch(0.8, metric="cpu", min_samples=8), value(0.1, 7), "inconclusive",
         "cpu of candidate: 7 minutes are below 8"),
        (a_watch(100, metric="requests", kind="at_least"), value(100, 100), "pass",
         "requests of candidate 100 is at least 100"),
        (a_watch(100, metric="requests", kind="at_least"), value(99, 99), "inconclusive",
         "requests of candidate 99 is not yet 100"),
        (a_watch(100, metric="requests"), value(101, 101), "fail", "is above 100"),
    ],
)  # fmt: skip
def test_value_is_judged_as_it_is(
    watch: Watch, candidate: Reading, verdict: str, reason: str
) -> None:
    judged = judge(watch, candidate)
    assert judged.verdict == verdict
    assert reason in judged.reason


# --- against the stable


@pytest.mark.parametrize(
    ("metric", "candidate", "stable", "verdict", "reason"),
    [
        ("error_rate", rate(0, 300), rate(0, 2700), "pass", "is not worse than error_rate"),
        ("error_rate", rate(40, 100), rate(1200, 2700), "pass", "is not worse than"),
        ("error_rate", rate(30, 300), rate(27, 2700), "fail", "is worse by more than 20% than"),
        ("error_rate", rate(3, 300), rate(24, 2700), "inconclusive", "may or may not be worse by"),
        ("error_rate", rate(1010, 10_000), rate(1000, 10_000), "pass",
         "is not worse by more than 20%"),
        ("error_rate", rate(1, 300), Reading(), "inconclusive",
         "error_rate of stable: no data in the window"),
        ("error_rate", rate(1, 300), None, "inconclusive", "there is no stable to compare with"),
        ("error_rate", Reading(), rate(1, 300), "inconclusive", "of candidate: no data"),
        ("error_rate", rate(9, 10), rate(1, 300), "inconclusive", "10 samples are below 50"),
        ("error_rate", rate(90, 100), rate(1, 10), "inconclusive", "of stable: 10 samples are"),
        ("latency_p95", value(120), value(100), "pass", "is not worse by more than 20%"),
        ("latency_p95", value(120.5), value(100), "fail",
         "120.5 ms (500 requests) is worse by more than 20% than latency_p95 of stable 100 ms"),
        ("latency_p95", value(80), value(100), "pass", "is not worse than"),
    ],
)  # fmt: skip
def test_candidate_is_held_against_the_stable(
    metric: str, candidate: Reading, stable: Reading | None, verdict: str, reason: str
) -> None:
    watch = a_watch(0.2, metric=metric, kind=RELATIVE, min_samples=50)
    judged = judge(watch, candidate, stable)
    assert judged.verdict == verdict
    assert reason in judged.reason


def test_figures_say_everything_the_verdict_rests_on() -> None:
    watch = a_watch(0.2, kind=RELATIVE, min_samples=50)
    judged = judge(watch, rate(30, 300), rate(0, 2700))
    figures: Any = json.loads(json.dumps(judged.figures))
    assert figures["metric"] == "error_rate"
    assert figures["threshold"] == {"kind": RELATIVE, "value": 0.2}
    assert figures["min_samples"] == 50
    assert (figures["since"], figures["until"]) == ("2026-11-23T09:00:00Z", "2026-11-23T09:07:00Z")
    low, high = bound_rate(30, 300)
    expected = {"value": 0.1, "samples": 300, "hits": 30, "low": low, "high": high}
    assert figures["candidate"] == expected
    assert figures["stable"]["samples"] == 2700


# --- logs


@pytest.mark.parametrize(
    ("kind", "number", "min_samples", "verdict", "reason"),
    [
        ("at_most", value(0, 1), 1, "pass", "the query's number 0 is at most 3"),
        ("at_most", value(3, 1), 1, "pass", "is at most 3"),
        ("at_most", value(3.5, 1), 1, "fail", "the query's number 3.5 is above 3"),
        ("at_least", value(2, 1), 1, "fail", "is below 3"),
        ("at_least", value(4, 1), 1, "pass", "is at least 3"),
        ("at_most", Reading(), 1, "inconclusive", "the query's number: no data in the window"),
        ("at_most", value(9, 7), 8, "inconclusive", "the query's number: 7 samples are below 8"),
    ],
)
def test_number_of_a_query_is_judged(
    kind: Kind, number: Reading, min_samples: int, verdict: str, reason: str
) -> None:
    source = LogsSource(query="q", threshold=Threshold(kind=kind, value=3))
    watch = Watch(name="gate 1", source=source, min_samples=min_samples)
    judged = judge_logs(watch, Measured(candidate=number, stable=None, since=MONDAY, until=UNTIL))
    assert judged.verdict == verdict
    assert reason in judged.reason
    assert judged.figures["metric"] == "logs"


def test_a_watch_is_judged_by_what_it_watches() -> None:
    seen = Measured(candidate=value(1), stable=None, since=MONDAY, until=UNTIL)
    http = Watch(name="gate 1", source=HttpSource(url="https://gates.contoso.com"))
    with pytest.raises(TypeError, match="watches http, not a metric"):
        judge_metric(http, seen)
    with pytest.raises(TypeError, match="watches metric, not logs"):
        judge_logs(a_watch(1), seen)
