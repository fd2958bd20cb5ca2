"""What a chart needs of a measurement has the same names whatever the gate."""

from collections.abc import Mapping
from typing import Any

import pytest

from deploy_logic.gate.agreement import Agreed, judge_agreement
from deploy_logic.gate.call import judge_http
from deploy_logic.gate.gate import Answer, Judgement, judge_probe
from deploy_logic.gate.metric import Measured, Reading, judge_logs
from deploy_logic.plan.step import Agreement, LogsSource, Probe, Threshold, Watch
from tests.builders import MONDAY
from tests.test_gate import judge_probes
from tests.test_gate_metric import RELATIVE, UNTIL, a_watch, judge, rate, value

QUICK = Answer(status=200, milliseconds=12, body="1")
SLOW = Answer(status=200, milliseconds=80, body="1")
NAMES = ("value", "stable_value", "bound", "unit", "samples")
LATENCY = a_watch(0.2, metric="latency_p95", kind=RELATIVE)
LOGS = Watch(
    name="logs 1",
    source=LogsSource(query="q", threshold=Threshold(kind="at_most", value=3)),
    min_samples=1,
)


def of(judged: Judgement) -> tuple[Any, ...]:
    figures: Mapping[str, Any] = judged.figures
    return tuple(figures[name] for name in NAMES)


def an_agreement() -> Agreement:
    return Agreement(name="same", bodies=("1", "2"), at_least=0.9, min_samples=1)


def a_probe() -> Probe:
    return Probe(name="probe 1", bodies=("1", "2"), expect={"within": "1s"})


@pytest.mark.parametrize(
    ("judged", "drawn"),
    [
        (judge(a_watch(0.01), rate(3, 300)), (0.01, None, 0.01, "share", 300)),
        (judge(a_watch(0.5), rate(3, 300), rate(1, 300)), (0.01, 1 / 300, 0.5, "share", 300)),
        (judge(LATENCY, value(110), value(100)), (110, 100, 120, "ms", 500)),
        (judge(LATENCY, value(110), Reading()), (110, None, None, "ms", 500)),
        (judge(LATENCY, value(110)), (110, None, None, "ms", 500)),
        (judge(a_watch(9, metric="requests"), Reading()), (None, None, 9, "count", 0)),
        (judge(a_watch(0.9, metric="cpu"), value(0.4, 7)), (0.4, None, 0.9, "share", 7)),
        (
            judge_logs(
                LOGS, Measured(candidate=value(2, 1), stable=None, since=MONDAY, until=UNTIL)
            ),
            (2, None, 3, "count", 1),
        ),
        (judge_probe("probe 1", {}, QUICK), (12, None, None, "ms", 1)),
        (judge_probe("probe 1", {"within": "1s"}, QUICK), (12, None, 1000, "ms", 1)),
        (judge_probes(a_probe(), [QUICK, SLOW]), (80, None, 1000, "ms", 2)),
        (judge_http("http 1", QUICK), (12, None, None, "ms", 1)),
        (
            judge_agreement(an_agreement(), Agreed(same=1, different=1)),
            (0.5, None, 0.9, "share", 2),
        ),
        (judge_agreement(an_agreement(), Agreed(unasked=2)), (None, None, 0.9, "share", 0)),
    ],
)
def test_measurement_can_be_drawn(judged: Judgement, drawn: tuple[Any, ...]) -> None:
    assert of(judged) == pytest.approx(drawn)
