"""Gates: what an answer is worth, and that the reason states the figures."""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.codec import decode, encode
from deploy_logic.gate.gate import (
    Answer,
    Judgement,
    Probed,
    Verdict,
    judge_probe,
    judge_probed,
)
from deploy_logic.plan.step import Probe

LONG = "x" * 300


def an_answer(body: str = "[1]", *, status: int | None = 200, milliseconds: int = 12) -> Answer:
    return Answer(status=status, milliseconds=milliseconds, body=body)


@pytest.mark.parametrize(
    ("expected", "answer", "verdict", "reason"),
    [
        ({}, an_answer(), "pass", "status 200 after 12 ms, as expected"),
        ({"status": 202}, an_answer(status=202), "pass", "status 202 after 12 ms, as expected"),
        ({"status": 404}, an_answer(status=404), "pass", "status 404 after 12 ms, as expected"),
        ({"within": "1s"}, an_answer(milliseconds=1000), "pass", "after 1000 ms, as expected"),
        ({"within": "1s"}, an_answer(milliseconds=1001), "fail", "after 1001 ms, which is above"),
        ({"equals": [1]}, an_answer(" [ 1 ]"), "pass", "as expected"),
        ({"equals": {"a": 1, "b": 2}}, an_answer('{"b": 2, "a": 1}'), "pass", "as expected"),
        ({"equals": [1]}, an_answer("[2]"), "fail", "answer [2] is not [1]"),
        ({"equals": 0}, an_answer("1"), "fail", "answer 1 is not 0"),
        ({"equals": [1]}, an_answer("boom"), "fail", "answer boom is not JSON"),
        ({"equals": [1]}, an_answer("["*20000), "fail", "… is not JSON"),
        ({"equals": [1]}, an_answer(""), "fail", "answer  is not JSON"),
        ({"contains": "ok"}, an_answer("all ok"), "pass", "as expected"),
        ({"contains": "ok"}, an_answer("bad"), "fail", "answer bad does not contain 'ok'"),
        ({}, an_answer("boom", status=500), "fail", "status 500 is not 200, answer boom"),
        ({}, an_answer("boom", status=424), "fail", "status 424 is not 200, answer boom"),
        ({}, an_answer(LONG, status=400), "fail", f"status 400 is not 200, answer {LONG[:200]}…"),
        ({"status": 500}, an_answer(), "fail", "status 200 is not 500, answer [1]"),
        *(({}, an_answer("", status=status), "error", f"status {status} is not 200")
          for status in (401, 403, 404, 429, 502, 503, 504)),
        ({}, Answer(status=None, error="refused"), "error", "no answer: refused"),
    ],
)  # fmt: skip
def test_probe_is_judged(
    expected: dict[str, Any], answer: Answer, verdict: str, reason: str
) -> None:
    judged = judge_probe("probe 1", expected, answer)
    assert judged.verdict == verdict
    assert judged.reason.startswith("probe 1: ")
    assert reason in judged.reason
    assert judged.figures["status"] == answer.status
    assert judged.figures["milliseconds"] == answer.milliseconds


def test_figures_of_a_late_answer_have_the_bound() -> None:
    late = judge_probe("probe 1", {"within": "PT0.5S"}, an_answer(milliseconds=501))
    assert late.figures["within"] == "500ms"


def test_probe_is_judged_by_a_length_of_time_that_did_not_travel() -> None:
    judged = judge_probe("p", {"within": timedelta(seconds=1)}, an_answer(milliseconds=1001))
    assert judged.verdict is Verdict.FAIL


# --- JSON Schema

PREDICTION = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["prediction"],
    "properties": {"prediction": {"type": "array", "items": {"$ref": "#/$defs/one"}}},
    "$defs": {"one": {"type": "integer", "minimum": 0}},
}


@pytest.mark.parametrize(
    ("schema", "body", "verdict", "reason"),
    [
        (PREDICTION, '{"prediction": [1, 0]}', "pass", "as expected"),
        (PREDICTION, '{"prediction": [1, -1]}', "fail", "answer at $.prediction[1]: -1 is less"),
        (PREDICTION, "{}", "fail", "answer at $: 'prediction' is a required property"),
        (PREDICTION, "boom", "fail", "answer boom is not JSON"),
        ({"type": "array"}, "[1]", "pass", "as expected"),
        (True, "1", "pass", "as expected"),
        (False, "1", "fail", "answer at $: False schema does not allow 1"),
        ({"type": "nothing"}, "1", "error", "holding the answer against its schema: 'nothing'"),
        ({"$ref": "https://example.org/x"}, "1", "error", "Unresolvable: https://example.org/x"),
        ({"$ref": "#"}, "1", "error", "maximum recursion depth"),
        ({"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1,
          "exclusiveMinimum": True}, "1", "fail", "less than or equal to the minimum of 1"),
    ],
)  # fmt: skip
def test_answer_is_held_against_a_json_schema(
    schema: Any, body: str, verdict: str, reason: str
) -> None:
    judged = judge_probe("probe 1", {"schema": schema}, an_answer(body))
    assert judged.verdict == verdict
    assert reason in judged.reason


@pytest.mark.parametrize(
    ("expected", "verdict"),
    [
        ({}, "pass"),
        ({"contains": "x"}, "error"),
        ({"equals": 1}, "error"),
        ({"schema": {}}, "error"),
        ({"status": 500}, "fail"),
    ],
)
def test_answer_that_was_cut_is_judged_by_its_status_alone(
    expected: dict[str, Any], verdict: str
) -> None:
    answer = Answer(status=200, body="xxx", is_cut=True)
    assert judge_probe("p", expected, answer).verdict == verdict


# --- several requests


def judge_probes(probe: Probe, answers: Sequence[Answer]) -> Judgement:
    """Judge them one by one, as the slices of the activity do."""
    probed = Probed()
    for answer in answers:
        probed = probed.add(answer, judge_probe(probe.name, probe.expect, answer))
    return judge_probed(probe, probed)


def a_probe(count: int, **expect: Any) -> Probe:
    return Probe(name="probe 1", bodies=tuple("1" * count), expect=expect)


def test_one_request_is_judged_as_itself() -> None:
    assert judge_probes(a_probe(1), [an_answer()]) == judge_probe("probe 1", {}, an_answer())


def test_all_answers_as_expected_say_so_with_the_slowest() -> None:
    answers = [an_answer(milliseconds=milliseconds) for milliseconds in (5, 40, 7)]
    judged = judge_probes(a_probe(3), answers)
    assert judged.verdict is Verdict.PASS
    assert judged.reason == "probe 1: all 3 answers are as expected, the slowest after 40 ms"
    assert judged.figures["pass"] == judged.figures["requests"] == 3


@pytest.mark.parametrize(
    ("statuses", "verdict", "reason"),
    [
        ((200, 424, 503, 500), "fail", "status 424 is not 200, answer [1] (2 of 4 not as expected"),
        ((200, 503, 200), "error", "status 503 is not 200, answer [1] (1 of 3 no answer of the"),
    ],
)
def test_worst_verdict_wins_and_says_how_many(
    statuses: tuple[int, ...], verdict: str, reason: str
) -> None:
    judged = judge_probes(a_probe(len(statuses)), [an_answer(status=status) for status in statuses])
    assert judged.verdict == verdict
    assert reason in judged.reason
    assert sum(int(str(judged.figures[word])) for word in Verdict) == len(statuses)


@pytest.mark.parametrize("answers", [[], [an_answer()]], ids=["none", "one of two"])
def test_probe_that_was_not_asked_to_the_end_is_no_pass(answers: list[Answer]) -> None:
    judged = judge_probes(a_probe(2), answers)
    assert judged.verdict is Verdict.INCONCLUSIVE
    assert judged.reason == f"probe 1: {len(answers)} of 2 requests were sent"


# --- laws

statuses = st.none() | st.integers(100, 599)
answers = st.builds(
    Answer, status=statuses, milliseconds=st.integers(0, 10**6), body=st.text(), error=st.text()
)
expectations = st.fixed_dictionaries(
    {},
    optional={
        "status": st.integers(100, 599),
        "within": st.none() | st.just("1s"),
        "equals": st.none() | st.integers() | st.lists(st.text()),
        "contains": st.text(max_size=3),
        "schema": st.none() | st.sampled_from([{"type": "integer"}, PREDICTION]),
    },
)


@given(expectations, answers)
def test_figures_of_a_probe_are_plain_json(expect: dict[str, Any], answer: Answer) -> None:
    judged = judge_probe("p", expect, answer)
    assert json.loads(json.dumps(judged.figures)) == judged.figures
    assert decode(Judgement, json.loads(json.dumps(encode(judged)))) == judged


@given(expectations, answers)
def test_no_answer_is_never_a_pass_and_never_a_fail(expect: dict[str, Any], answer: Answer) -> None:
    judged = judge_probe("p", expect, answer)
    assert (judged.verdict is Verdict.ERROR) or answer.status is not None
    if judged.verdict is Verdict.PASS:
        assert answer.status == expect.get("status", 200)


@given(expectations, st.lists(answers, min_size=1, max_size=8), st.data())
def test_verdict_on_many_answers_does_not_depend_on_slices_or_order(
    expect: dict[str, Any], asked: list[Answer], data: st.DataObject
) -> None:
    probe = Probe(name="p", bodies=("1",) * len(asked), expect=expect)
    whole = judge_probes(probe, asked)
    probed = Probed()
    for answer in data.draw(st.permutations(asked)):
        judged = judge_probe("p", expect, answer)
        probed = decode(Probed, json.loads(json.dumps(encode(probed.add(answer, judged)))))
    assert judge_probed(probe, probed).verdict is whole.verdict
