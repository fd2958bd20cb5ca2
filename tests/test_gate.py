"""Gates: what an answer is worth, and that the reason states the figures."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.gate import Answer, Verdict, judge_probe
from deploy_logic.policy_gate import Expectation

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


statuses = st.none() | st.integers(100, 599)
answers = st.builds(
    Answer, status=statuses, milliseconds=st.integers(0, 10**6), body=st.text(), error=st.text()
)
expectations = st.builds(
    Expectation,
    status=st.integers(100, 599),
    within=st.none() | st.just("1s"),
    equals=st.none() | st.integers() | st.lists(st.text()),
    contains=st.text(max_size=3),
)


@given(expectations, answers)
def test_verdict_does_not_depend_on_how_the_expectation_travelled(
    expect: Expectation, answer: Answer
) -> None:
    travelled = json.loads(json.dumps(expect.model_dump(mode="json")))
    judged = judge_probe("p", travelled, answer)
    assert judged == judge_probe("p", expect.model_dump(), answer)
    assert json.loads(json.dumps(judged.figures)) == judged.figures


@given(expectations, answers)
def test_no_answer_is_never_a_pass_and_never_a_fail(expect: Expectation, answer: Answer) -> None:
    judged = judge_probe("p", expect.model_dump(mode="json"), answer)
    assert (judged.verdict is Verdict.ERROR) or answer.status is not None
    if judged.verdict is Verdict.PASS:
        assert answer.status == expect.status
