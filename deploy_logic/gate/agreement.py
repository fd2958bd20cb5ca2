"""Step 4 of 5: the same requests, asked of stable and candidate: how many answers agree. Pure."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from deploy_logic.gate.gate import NOT_ASKED, Answer, Judgement, Verdict, chart, quote
from deploy_logic.plan.step import Agreement

_OK = 200
_MOST_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """How far stable and candidate agreed so far."""

    same: int = 0
    different: int = 0
    unasked: int = 0  # one of the two could not be asked
    unanswered: int = 0  # the stable itself has no good answer: nothing to agree with
    examples: tuple[Mapping[str, object], ...] = ()  # of different answers, the first few
    trouble: str = ""  # why the last one could not be asked

    @property
    def asked(self) -> int:
        """How many requests were sent."""
        return self.same + self.different + self.unasked + self.unanswered

    def add(self, stable: Answer, candidate: Answer, *, tolerance: float) -> "Agreed":
        """Return the same with one request more."""
        for side, answer in (("stable", stable), ("candidate", candidate)):
            if answer.status is None or answer.status in NOT_ASKED or answer.is_cut:
                trouble = f"{side}: {_describe(answer)}"
                return replace(self, unasked=self.unasked + 1, trouble=quote(trouble))
        if stable.status != _OK:
            return replace(self, unanswered=self.unanswered + 1)
        if candidate.status == _OK and agree(stable.body, candidate.body, tolerance=tolerance):
            return replace(self, same=self.same + 1)
        example = {
            "request": self.asked + 1,
            "stable": quote(stable.body),
            "candidate": quote(f"status {candidate.status}: {candidate.body}")
            if candidate.status != _OK
            else quote(candidate.body),
        }
        examples = (*self.examples, example)[:_MOST_EXAMPLES]
        return replace(self, different=self.different + 1, examples=examples)


def judge_agreement(step: Agreement, seen: Agreed) -> Judgement:
    """Return the verdict on all requests; one that could not be asked counts for neither side.

    The requests are all there are, not a sample of them: their share is exact and has no bounds.
    """
    compared = seen.same + seen.different
    figures: dict[str, object] = {
        "at_least": step.at_least,
        "min_samples": step.min_samples,
        "tolerance": step.tolerance,
        "requests": len(step.bodies),
        "same": seen.same,
        "different": seen.different,
        "unasked": seen.unasked,
        "unanswered_by_stable": seen.unanswered,
        "examples": list(seen.examples),
        **chart(
            seen.same / compared if compared else None,
            unit="share",
            samples=compared,
            bound=step.at_least,
        ),
    }
    verdict, said = _decide(step, seen, compared)
    return Judgement(verdict=verdict, reason=f"{step.name}: {said}", figures=figures)


def _decide(step: Agreement, seen: Agreed, compared: int) -> tuple[Verdict, str]:
    wanted = f"{step.at_least * 100:g}%"
    # If all that could not be asked agreed, or none of it did.
    most, least = seen.same + seen.unasked, seen.same
    total = compared + seen.unasked
    said = f"{seen.same} of {compared} answers are the same as the stable's"
    if compared >= max(step.min_samples, 1):
        if least / total >= step.at_least:
            return Verdict.PASS, f"{said}, which is at least {wanted}"
        if most / total < step.at_least:
            return Verdict.FAIL, f"{said}, which is below {wanted}{_first(seen)}"
    if seen.unasked:
        return Verdict.ERROR, f"{said}; {seen.unasked} could not be asked ({seen.trouble})"
    return Verdict.INCONCLUSIVE, f"{said}, which are below {max(step.min_samples, 1)} answers"


def agree(one: str, other: str, *, tolerance: float) -> bool:
    """Whether two answers say the same: as JSON, numbers within the relative tolerance."""
    if one == other:
        return True
    try:
        return _is_same(json.loads(one), json.loads(other), tolerance)
    except (ValueError, RecursionError):  # no JSON, or none that anybody could compare
        return False


def _is_same(one: object, other: object, tolerance: float) -> bool:
    match one, other:
        case (bool(), _) | (_, bool()):  # in Python, true is a number
            return one is other
        case (int() | float(), int() | float()):
            return _is_near(one, other, tolerance)
        case list(), list():
            return len(one) == len(other) and all(
                _is_same(mine, theirs, tolerance) for mine, theirs in zip(one, other, strict=True)
            )
        case dict(), dict():
            return one.keys() == other.keys() and all(
                _is_same(mine, other[key], tolerance) for key, mine in one.items()
            )
        case _:
            return one == other


def _is_near(one: float, other: float, tolerance: float) -> bool:
    if one == other or (one != one and other != other):  # noqa: PLR0124 - only NaN differs from itself
        return True
    try:
        return math.isclose(one, other, rel_tol=tolerance, abs_tol=0)
    except OverflowError:  # a whole number beyond what a float holds
        return False


def _describe(answer: Answer) -> str:
    if answer.is_cut:
        return f"the answer is longer than the {len(answer.body)} characters that are read"
    return answer.error if answer.status is None else f"status {answer.status}: {answer.body}"


def _first(seen: Agreed) -> str:
    if not seen.examples:
        return ""
    first = seen.examples[0]
    both = f"the stable's answer is {first['stable']}, the candidate's {first['candidate']}"
    return f"; to request {first['request']} {both}"
