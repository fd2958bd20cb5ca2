"""Agreement of stable and candidate: what is the same, and what could not be asked."""

import json
from typing import Any

import pytest

from deploy_logic.codec import decode, encode
from deploy_logic.gate.agreement import Agreed, agree, judge_agreement
from deploy_logic.gate.gate import Answer
from deploy_logic.plan.step import Agreement


def ok(body: str) -> Answer:
    return Answer(status=200, body=body)


@pytest.mark.parametrize(
    ("one", "other", "tolerance", "is_same"),
    [
        ("[1]", "[1]", 0, True),
        ('{"a": 1, "b": 2}', '{"b":2,"a":1}', 0, True),
        ("1", "1.0", 0, True),
        ("1", "true", 0, False),
        ("true", "true ", 0, True),
        ("0", "false", 1, False),
        ("[1, 2]", "[1]", 1, False),
        ('{"a": 1}', '{"b": 1}', 1, False),
        ('{"a": [0.1]}', '{"a": [0.1000001]}', 0, False),
        ('{"a": [0.1]}', '{"a": [0.1000001]}', 0.001, True),
        ("100", "101", 0.0099, False),
        ("100", "101", 0.01, True),
        ("-100", "-101", 0.01, True),
        ("0", "0.000001", 0.01, False),
        ("NaN", "NaN ", 0, True),
        ("NaN", "1", 1, False),
        ("Infinity", "1", 0.5, False),
        ("1" * 400, "1" * 399, 0.5, False),
        ('"1"', "1", 1, False),
        ("null", "null ", 0, True),
        ("cat", "cat", 0, True),
        ("cat", "dog", 1, False),
        ("[" * 20_000, "[" * 20_000 + "]", 0, False),
    ],
    ids=lambda value: str(value)[:12],
)
def test_answers_are_compared_as_json(
    one: str, other: str, tolerance: float, *, is_same: bool
) -> None:
    assert agree(one, other, tolerance=tolerance) is is_same
    assert agree(other, one, tolerance=tolerance) is is_same


@pytest.mark.parametrize(
    ("stable", "candidate", "counted"),
    [
        (ok("[1]"), ok("[1]"), "same"),
        (ok("[1]"), ok("[2]"), "different"),
        (ok("[1]"), Answer(status=424, body="[1]"), "different"),
        (ok("[1]"), Answer(status=408), "different"),
        (ok("[1]"), Answer(status=503), "unasked"),
        (ok("[1]"), Answer(status=None, error="reset"), "unasked"),
        (ok("[1]"), Answer(status=200, body="[1]", is_cut=True), "unasked"),
        (Answer(status=429), ok("[1]"), "unasked"),
        (Answer(status=424), ok("[1]"), "unanswered"),
        (Answer(status=424), Answer(status=424), "unanswered"),
    ],
)
def test_request_counts_as(stable: Answer, candidate: Answer, counted: str) -> None:
    seen = Agreed().add(stable, candidate, tolerance=0)
    found = {key: value for key, value in encode(seen).items() if value == 1}
    assert found == {counted: 1}
    assert seen.asked == 1


def seen(*, same: int = 0, different: int = 0, unasked: int = 0, unanswered: int = 0) -> Agreed:
    return Agreed(
        same=same, different=different, unasked=unasked, unanswered=unanswered, trouble="stable: x"
    )


@pytest.mark.parametrize(
    ("found", "min_samples", "verdict", "reason"),
    [
        (seen(same=98, different=2), 1, "pass",
         "98 of 100 answers are the same as the stable's, which is at least 98%"),
        (seen(same=97, different=3), 1, "fail", "which is below 98%"),
        (seen(same=99, unasked=1), 1, "pass", "at least 98%"),  # whatever the last one says
        (seen(same=95, unasked=5), 1, "error", "5 could not be asked (stable: x)"),
        (seen(same=90, different=5, unasked=5), 1, "fail", "which is below 98%"),
        (seen(unasked=100), 1, "error", "0 of 0 answers"),
        (seen(unanswered=100), 1, "inconclusive", "which are below 1 answers"),
        (seen(same=50, unanswered=50), 50, "pass", "50 of 50"),
        (seen(same=49, unanswered=50), 50, "inconclusive", "which are below 50 answers"),
        (seen(different=49), 50, "inconclusive", "which are below 50 answers"),
        (seen(), 0, "inconclusive", "which are below 1 answers"),
    ],
)  # fmt: skip
def test_agreement_is_judged(found: Agreed, min_samples: int, verdict: str, reason: str) -> None:
    step = Agreement(
        name="gate 1", bodies=("1",) * found.asked, at_least=0.98, min_samples=min_samples
    )
    judged = judge_agreement(step, found)
    assert judged.verdict == verdict
    assert reason in judged.reason
    assert judged.figures["same"] == found.same
    assert judged.figures["requests"] == found.asked


def test_reason_shows_the_first_difference_and_the_figures_the_first_three() -> None:
    found = Agreed()
    for number in range(5):
        candidate = Answer(status=424, body="boom") if number == 0 else ok(f"[{number + 1}]")
        found = found.add(ok(f"[{number}]"), candidate, tolerance=0)
        found = decode(Agreed, json.loads(json.dumps(encode(found))))
    judged = judge_agreement(Agreement(name="g", bodies=("1",) * 5, at_least=0.5), found)
    says = "to request 1 the stable's answer is [0], the candidate's status 424: boom"
    assert says in judged.reason
    examples: Any = judged.figures["examples"]
    assert [one["request"] for one in examples] == [1, 2, 3]
    assert json.loads(json.dumps(judged.figures)) == judged.figures
