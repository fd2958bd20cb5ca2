"""The activities that ask others: in slices, with figures, and the same question once."""

import json
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.activities.call import ask_watch
from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.codec import encode
from deploy_logic.gate.gate import Answer
from deploy_logic.plan.step import Agreement, Call, HttpSource, LogsSource, Threshold, Watch
from tests.builders import WORKSPACE
from tests.fakes import FakeWeb, out_of_order
from tests.test_activities import BRIEF, CANDIDATE, OURS, Stage, stage

__all__ = ["stage"]

URL = "https://gates.contoso.com/fraud?code=secret"
CALL = Call(name="http 1", url=URL, when="promote")
WATCH = Watch(name="http 1", source=HttpSource(url=URL), every=timedelta(minutes=1))
ABOUT = {
    "workspace": WORKSPACE,
    "endpoint": "fraud",
    "deployment": CANDIDATE,
    "candidate": CANDIDATE,
    "stable": "blue",
    "rollout_id": OURS,
    "model": "fraud",
    "version": "7",
    "phase": "progressing",
    "weight": 10,
}
OF_WATCH = {**ABOUT, "step": 2, "at": "2026-11-23T09:30:00+00:00", "watch": encode(WATCH)}


def travel(value: Any) -> Any:
    return json.loads(json.dumps(value))


def bodies(count: int) -> tuple[str, ...]:
    return tuple(f"[{number}]" for number in range(count))


def ask(stage: Stage, activity: str, payload: dict[str, Any]) -> Any:
    return travel(ACTIVITIES[activity](stage.outside, travel({**ABOUT, **payload})))


def agree(stage: Stage, step: Agreement, **changes: Any) -> Any:
    return ask(stage, "agree", {"agreement": encode(step), **changes})


def agree_to_the_end(stage: Stage, step: Agreement) -> tuple[Any, list[int]]:
    """Ask slice by slice, as the story does; return the judgement and where each slice ended."""
    answer, ends = agree(stage, step), []
    while answer.get("next") is not None:
        ends.append(answer["next"])
        answer = agree(stage, step, **{"from": answer["next"], "so_far": answer["so_far"]})
    return answer["judgement"], ends


@pytest.fixture
def both(stage: Stage) -> Stage:
    """Stable and candidate, ready to answer."""
    stage.put(CANDIDATE, rollout_id=OURS, model_id="x/versions/7")
    return stage


# --- agreement


def test_stable_and_candidate_are_asked_the_same(both: Stage) -> None:
    step = Agreement(name="agreement 1", bodies=("[1]", "[2]"), at_least=0.98)
    judged, ends = agree_to_the_end(both, step)
    assert judged["verdict"] == "pass"
    assert judged["figures"]["same"] == 2
    assert ends == []
    sides = [(name, body) for body in step.bodies for name in ("blue", CANDIDATE)]
    assert both.workspace.scored == sides


def test_many_requests_are_asked_in_slices_and_counted_as_one(both: Stage) -> None:
    step = Agreement(name="agreement 1", bodies=bodies(100), at_least=0.95)
    for number in (3, 39, 40, 99):
        both.workspace.answers_to["7", f"[{number}]"] = Answer(status=200, body="[2]")
    judged, ends = agree_to_the_end(both, step)
    assert ends == [40, 80]
    assert judged["verdict"] == "pass"
    assert (judged["figures"]["same"], judged["figures"]["different"]) == (96, 4)
    assert [one["request"] for one in judged["figures"]["examples"]] == [4, 40, 41]
    assert both.workspace.scored[::2] == [("blue", body) for body in step.bodies]
    assert both.workspace.scored[1::2] == [(CANDIDATE, body) for body in step.bodies]


@pytest.mark.parametrize(("count", "ends"), [(40, []), (41, [40]), (1, [])])
def test_no_slice_is_empty(both: Stage, count: int, ends: list[int]) -> None:
    step = Agreement(name="agreement 1", bodies=bodies(count), at_least=1)
    judged, found = agree_to_the_end(both, step)
    assert (judged["figures"]["same"], found) == (count, ends)


def test_slow_answers_make_short_slices(both: Stage) -> None:
    both.workspace.answers["6"] = Answer(status=200, body="[1]", milliseconds=9_000)
    both.workspace.answers["7"] = Answer(status=200, body="[1]", milliseconds=6_000)
    _, ends = agree_to_the_end(both, Agreement(name="a", bodies=bodies(5), at_least=1))
    assert ends == [2, 4]


def test_the_candidate_is_not_asked_what_the_stable_gave_no_answer_to(both: Stage) -> None:
    both.workspace.answers["6"] = Answer(status=None, error="no route", milliseconds=31_000)
    step = Agreement(name="agreement 1", bodies=bodies(2), at_least=1)
    judged, ends = agree_to_the_end(both, step)
    assert ends == [1]
    assert judged["verdict"] == "error"
    assert "2 could not be asked (stable: no route)" in judged["reason"]
    assert {name for name, _ in both.workspace.scored} == {"blue"}


def test_other_answers_are_refused_with_an_example(both: Stage) -> None:
    both.workspace.answers["7"] = Answer(status=200, body="[2]")
    judged, _ = agree_to_the_end(both, Agreement(name="a", bodies=bodies(50), at_least=0.98))
    assert judged["verdict"] == "fail"
    assert "0 of 50 answers are the same as the stable's, which is below 98%" in judged["reason"]
    assert judged["figures"]["examples"] == [
        {"request": number, "stable": "[1]", "candidate": "[2]"} for number in (1, 2, 3)
    ]


def test_a_slice_that_azure_refuses_is_asked_again_as_it_was(both: Stage) -> None:
    step = Agreement(name="agreement 1", bodies=bodies(45), at_least=1)
    first = agree(both, step)
    again = {"from": first["next"], "so_far": first["so_far"]}

    def refuse(method: str, _when: str) -> None:
        if method == "score":
            raise out_of_order()

    both.workspace.fault = refuse
    assert agree(both, step, **again)["state"] == "busy"
    both.workspace.fault = lambda _method, _when: None
    assert agree(both, step, **again)["judgement"]["figures"]["same"] == 45


# --- probes come in the same slices


def test_a_probe_of_many_requests_comes_in_slices(both: Stage) -> None:
    probe = {"name": "probe 1", "bodies": bodies(90), "expect": {"equals": [1]}}
    both.workspace.answers_to["7", "[12]"] = Answer(status=200, body="[2]")
    answer, ends = both.call("probe", {**BRIEF, "probe": probe}), []
    while answer.get("next") is not None:
        ends.append(answer["next"])
        rest = {"from": answer["next"], "so_far": answer["so_far"]}
        answer = both.call("probe", {**BRIEF, "probe": probe, **rest})
    assert ends == [40, 80]
    figures = answer["judgement"]["figures"]
    assert (figures["requests"], figures["pass"], figures["fail"]) == (90, 89, 1)
    assert [body for _, body in both.workspace.scored] == list(bodies(90))


# --- other people's services


def web(stage: Stage, *answers: Answer) -> FakeWeb:
    stage.web = FakeWeb(*answers)
    return stage.web


def test_a_service_is_told_what_it_is_asked_about(stage: Stage) -> None:
    asked = web(stage).asked
    ask(stage, "call", {"call": encode(CALL)})
    ((url, body, key),) = asked
    assert url == URL
    assert body == {
        "specversion": "1.0",
        "type": "rollout.gate",
        "id": key,
        "source": f"{WORKSPACE}/onlineEndpoints/fraud",
        "datacontenttype": "application/json",
        "data": {
            "rollout_id": OURS,
            "endpoint": "fraud",
            "model": "fraud",
            "version": "7",
            "candidate": CANDIDATE,
            "stable": "blue",
            "phase": "progressing",
            "weight": 10,
            "moment": "promote",
            "gate": "http 1",
        },
    }
    assert len(key) == 64


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (Answer(status=200, body="fine"), "pass", "status 200"),
        (Answer(status=204), "pass", "status 204"),
        (Answer(status=200, body='{"verdict": "pass"}'), "pass", "it says pass"),
        (
            Answer(status=200, body='{"verdict": "fail", "reason": "biased"}'),
            "fail",
            "it says fail: biased",
        ),
        (
            Answer(status=202, body='{"verdict": "inconclusive", "reason": "still running"}'),
            "inconclusive",
            "it says inconclusive: still running",
        ),
        (Answer(status=200, body='{"verdict": "maybe"}'), "error", "its verdict 'maybe' is not"),
        (Answer(status=200, body='{"verdict": null}'), "error", "its verdict 'None' is not"),
        (Answer(status=200, body='{"verdict": "pa', is_cut=True), "error", "is longer than 15"),
        (Answer(status=307), "error", "redirects are not followed"),
        (Answer(status=400, body="no"), "fail", "status 400, answer no"),
        (Answer(status=429), "error", "status 429"),
        (Answer(status=503, body="later"), "error", "status 503, answer later"),
        (Answer(status=None, error="no answer within 10 s"), "error", "no answer within 10 s"),
    ],
)
def test_what_a_service_answers_is_its_verdict(
    stage: Stage, answer: Answer, verdict: str, said: str
) -> None:
    web(stage, answer)
    for told in (
        ask(stage, "call", {"call": encode(CALL)}),
        travel(ask_watch(stage.outside, OF_WATCH)),
    ):
        assert told["state"] == "done"
        assert told["judgement"]["verdict"] == verdict
        assert told["judgement"]["reason"].startswith("http 1: ")
        assert said in told["judgement"]["reason"]
        assert told["judgement"]["figures"]["status"] == answer.status


def key_of(stage: Stage, **changes: Any) -> str:
    call = replace(CALL, **changes.pop("call", {}))
    asked = web(stage).asked
    ask(stage, "call", {"call": encode(call), **changes})
    return asked[0][2]


def key_of_watch(stage: Stage, **changes: Any) -> str:
    asked = web(stage).asked
    ask_watch(stage.outside, {**OF_WATCH, **changes})
    return asked[0][2]


def test_the_same_question_has_the_same_key_and_another_has_another(stage: Stage) -> None:
    assert key_of(stage) == key_of(stage) == key_of(stage, weight=50)
    keys = [
        key_of(stage),
        key_of(stage, rollout_id="another"),
        key_of(stage, call={"name": "http 2"}),
        key_of(stage, call={"when": "before"}),
        key_of(stage, call={"when": "step"}),
        key_of_watch(stage),
        key_of_watch(stage, step=3),
        key_of_watch(stage, at="2026-11-23T09:31:00+00:00"),
    ]
    assert len(set(keys)) == len(keys)
    assert key_of_watch(stage) == key_of_watch(stage)


def test_a_watch_tells_its_moment(stage: Stage) -> None:
    asked = web(stage).asked
    ask_watch(stage.outside, OF_WATCH)
    ((url, body, _),) = asked
    assert (url, body["data"]["moment"], body["data"]["gate"]) == (URL, "step", "http 1")


def test_what_is_no_service_is_not_asked(stage: Stage) -> None:
    threshold = Threshold(kind="at_most", value=0)
    logs = replace(WATCH, source=LogsSource(query="x", threshold=threshold))
    with pytest.raises(TypeError, match="http 1 is not measured by asking a service"):
        ask_watch(stage.outside, {**OF_WATCH, "watch": encode(logs)})


def test_nothing_is_logged_of_questions_and_answers(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    web(stage, Answer(status=500, body="secret"))
    with caplog.at_level(logging.DEBUG):
        told = ask(stage, "call", {"call": encode(CALL)})
    assert caplog.records == []
    assert "code=" not in json.dumps(told)
