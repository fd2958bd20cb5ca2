"""Step 4 of 5: measurements and thresholds give a verdict with its figures. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from deploy_logic.duration import print_duration
from deploy_logic.policy_gate import Expectation
from deploy_logic.step import Champion, Watch

# Answers that say nothing about the candidate: not authorised, not routed, too many, platform down.
# https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
_NOT_ASKED = frozenset({401, 403, 404, 429, 502, 503, 504})
_LONGEST_QUOTE = 200


class Verdict(StrEnum):
    """A gate's answer."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"  # asked, and bad
    INCONCLUSIVE = "inconclusive"  # asked, and not enough to say
    ERROR = "error"  # could not ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the candidate answered to one probe request."""

    status: int | None  # None: no answer at all
    milliseconds: int = 0
    body: str = ""
    error: str = ""  # why there was no answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with the reason in words and the figures it rests on."""

    verdict: Verdict
    reason: str
    figures: Mapping[str, object] = field(default_factory=dict)


def judge_probe(name: str, expected: Mapping[str, object], answer: Answer) -> Judgement:
    """Return the verdict on one answer; the reason states the inequality."""
    expect = Expectation.model_validate(expected)
    figures: dict[str, object] = {"status": answer.status, "milliseconds": answer.milliseconds}
    if answer.status is None:
        reason = f"{name}: no answer: {answer.error}"
        return Judgement(verdict=Verdict.ERROR, reason=reason, figures=figures)
    figures["answer"] = _quote(answer.body)
    if answer.status != expect.status:
        could_ask = answer.status not in _NOT_ASKED
        reason = (
            f"{name}: status {answer.status} is not {expect.status}, answer {_quote(answer.body)}"
        )
        verdict = Verdict.FAIL if could_ask else Verdict.ERROR
        return Judgement(verdict=verdict, reason=reason, figures=figures)
    took = timedelta(milliseconds=answer.milliseconds)
    if expect.within is not None and took > expect.within:
        figures["within"] = print_duration(expect.within)
        reason = (
            f"{name}: answered after {answer.milliseconds} ms, which is above "
            f"{print_duration(expect.within)}"
        )
        return Judgement(verdict=Verdict.FAIL, reason=reason, figures=figures)
    unexpected = _compare_body(expect, answer.body)
    if unexpected:
        reason = f"{name}: {unexpected}"
        return Judgement(verdict=Verdict.FAIL, reason=reason, figures=figures)
    reason = f"{name}: status {answer.status} after {answer.milliseconds} ms, as expected"
    return Judgement(verdict=Verdict.PASS, reason=reason, figures=figures)


def _compare_body(expect: Expectation, body: str) -> str:
    """Return what is wrong with the body, or nothing."""
    if expect.contains and expect.contains not in body:
        return f"answer {_quote(body)} does not contain {expect.contains!r}"
    if expect.equals is None:
        return ""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return f"answer {_quote(body)} is not JSON"
    if value != expect.equals:
        return f"answer {_quote(body)} is not {_quote(json.dumps(expect.equals))}"
    return ""


def _quote(text: str) -> str:
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What one watch has counted within one bake."""

    failures: int = 0
    failures_in_a_row: int = 0
    errors_in_a_row: int = 0
    last: Judgement | None = None

    def add(self, judged: Judgement) -> "Tally":
        """Return the tally with one more verdict."""
        failed, erred = judged.verdict is Verdict.FAIL, judged.verdict is Verdict.ERROR
        in_a_row = self.failures_in_a_row + 1 if failed else self.failures_in_a_row * erred
        return Tally(
            failures=self.failures + failed,
            failures_in_a_row=in_a_row,
            errors_in_a_row=self.errors_in_a_row + 1 if erred else 0,
            last=judged,
        )

    def says(self, watch: Watch) -> Verdict:
        """Return what follows from all of them."""
        if watch.dry_run:
            return Verdict.PASS
        bound = watch.failures_in_a_row
        if self.failures > watch.failures or (bound is not None and self.failures_in_a_row > bound):
            return Verdict.FAIL
        if self.errors_in_a_row > watch.error_budget:
            return Verdict.ERROR
        if self.last is None or self.last.verdict is not Verdict.PASS:
            return Verdict.INCONCLUSIVE
        return Verdict.PASS


def judge_champion(
    gate: Champion, new: Mapping[str, str], stable: Mapping[str, str] | None
) -> Judgement:
    """Return whether the new version's tag is better than the stable's by the margin."""
    if stable is None:
        return Judgement(verdict=Verdict.PASS, reason=f"{gate.name}: no stable to compare with")
    one, other = float(new.get(gate.tag, "nan")), float(stable.get(gate.tag, "nan"))
    ahead = one - other if gate.better == "higher" else other - one
    verdict = Verdict.PASS if ahead >= gate.margin else Verdict.FAIL
    return Judgement(verdict=verdict, reason=f"{gate.name}: {one} {other}", figures={"new": one})
