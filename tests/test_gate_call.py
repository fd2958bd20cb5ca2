"""Other people's services: what their answers mean."""

import pytest

from deploy_logic.gate.call import judge_http
from deploy_logic.gate.gate import Answer


@pytest.mark.parametrize(
    ("status", "body", "verdict", "reason"),
    [
        (200, "", "pass", "status 200"),
        (204, "", "pass", "status 204"),
        (200, "fine", "pass", "status 200"),
        (200, "[1]", "pass", "status 200"),
        (200, '{"ok": true}', "pass", "status 200"),
        (200, '{"verdict": "pass"}', "pass", "it says pass"),
        (200, '{"verdict": "fail", "reason": "drift 0.3"}', "fail", "it says fail: drift 0.3"),
        (202, '{"verdict": "inconclusive", "reason": "runs"}', "inconclusive", "says inconclusive"),
        (200, '{"verdict": "fail", "reason": 7}', "fail", "it says fail"),
        (200, '{"verdict": "maybe"}', "error",
         "its verdict 'maybe' is not pass, fail or inconclusive"),
        (200, '{"verdict": "error"}', "error", "its verdict 'error' is not"),
        (200, '{"verdict": ["pass"]}', "error", "its verdict \"['pass']\" is not"),
        (200, '{"verdict": null}', "error", "its verdict 'None' is not"),
        (200, "[" * 20_000, "pass", "status 200"),
        (403, '{"verdict": "pass"}', "fail", 'status 403, answer {"verdict": "pass"}'),
        (404, "", "fail", "status 404"),
        (302, "", "error", "status 302: redirects are not followed"),
        (408, "", "error", "status 408"),
        (429, "", "error", "status 429"),
        (500, "boom", "error", "status 500, answer boom"),
        (503, "", "error", "status 503"),
        (100, "", "error", "status 100"),
    ],
)  # fmt: skip
def test_answer_is_judged(status: int, body: str, verdict: str, reason: str) -> None:
    judged = judge_http("gate 1", Answer(status=status, milliseconds=3, body=body))
    assert judged.verdict == verdict
    assert judged.reason.startswith("gate 1: ")
    assert reason in judged.reason
    assert judged.figures["status"] == status


def test_no_answer_could_not_be_asked() -> None:
    judged = judge_http("gate 1", Answer(status=None, error="refused"))
    assert (judged.verdict, judged.reason) == ("error", "gate 1: no answer: refused")
