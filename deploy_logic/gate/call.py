"""Step 4 of 5: what somebody else's service answered is its verdict, where it gives one. Pure."""

import json

from deploy_logic.gate.gate import Answer, Judgement, Verdict, chart, quote

_SUCCESS, _REDIRECT, _REFUSED, _BROKEN = 200, 300, 400, 500
_ASK_AGAIN = frozenset({408, 429})
_MAY_SAY = (Verdict.PASS, Verdict.FAIL, Verdict.INCONCLUSIVE)


def judge_http(name: str, answer: Answer) -> Judgement:
    """Return the verdict: 2xx is yes, 4xx is no, and what else there is could not be asked.

    A JSON body of a 2xx may say it itself: {"verdict": "inconclusive", "reason": "still running"}.
    """
    figures: dict[str, object] = {
        "status": answer.status,
        "milliseconds": answer.milliseconds,
        "answer": quote(answer.body),
        **chart(answer.milliseconds, unit="ms", samples=1),
    }
    verdict, said = _read(answer)
    return Judgement(verdict=verdict, reason=f"{name}: {said}", figures=figures)


def _read(answer: Answer) -> tuple[Verdict, str]:
    status = answer.status
    if status is None:
        return Verdict.ERROR, f"no answer: {answer.error}"
    if _SUCCESS <= status < _REDIRECT:
        if answer.is_cut:  # it could have said no further on
            return Verdict.ERROR, f"the answer is longer than {len(answer.body)} characters"
        return _read_verdict(status, answer.body)
    said = f"status {status}, answer {quote(answer.body)}"
    if _REDIRECT <= status < _REFUSED:
        return Verdict.ERROR, f"status {status}: redirects are not followed"
    is_no = _REFUSED <= status < _BROKEN and status not in _ASK_AGAIN
    return (Verdict.FAIL if is_no else Verdict.ERROR), said


def _read_verdict(status: int, body: str) -> tuple[Verdict, str]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict) or "verdict" not in given:
        return Verdict.PASS, f"status {status}"
    word, reason = given["verdict"], given.get("reason", "")
    if word not in _MAY_SAY:
        wanted = ", ".join(_MAY_SAY[:-1]) + f" or {_MAY_SAY[-1]}"
        return Verdict.ERROR, f"its verdict {quote(str(word))!r} is not {wanted}"
    said = f"it says {word}"
    return Verdict(word), f"{said}: {quote(reason)}" if reason and isinstance(reason, str) else said
