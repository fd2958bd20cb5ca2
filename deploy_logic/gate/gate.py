"""Step 4 of 5: an answer and an expectation give a verdict with its figures. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

from deploy_logic.duration import parse_duration, print_duration
from deploy_logic.plan.step import Probe

# Answers that say nothing about the candidate: not authorised, not routed, too many, platform down.
# https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints
NOT_ASKED = frozenset({401, 403, 404, 429, 502, 503, 504})
_LONGEST_QUOTE = 200


class Verdict(StrEnum):
    """A gate's answer."""

    PASS = "pass"  # noqa: S105 - a verdict, not a password
    FAIL = "fail"  # asked, and bad
    INCONCLUSIVE = "inconclusive"  # asked, and not enough to say
    ERROR = "error"  # could not ask


# One bad answer outweighs all that could not be asked, and that outweighs all that were good.
_WORST_FIRST = (Verdict.FAIL, Verdict.ERROR, Verdict.INCONCLUSIVE, Verdict.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody answered to one request."""

    status: int | None  # None: no answer at all
    milliseconds: int = 0
    body: str = ""
    error: str = ""  # why there was no answer
    is_cut: bool = False  # the body was longer than what is kept of it
    retry_after: timedelta = timedelta(0)  # how long it asks to be left alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict with the reason in words and the figures it rests on."""

    verdict: Verdict
    reason: str
    figures: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """How the answers to the requests of one probe were judged so far."""

    verdicts: Mapping[Verdict, int] = field(default_factory=dict)
    slowest: int = 0  # milliseconds
    worst: Judgement | None = None  # the first of the worst ones

    def add(self, answer: Answer, judged: Judgement) -> "Probed":
        """Return the same with one answer more."""
        count = self.verdicts.get(judged.verdict, 0) + 1
        rank = _WORST_FIRST.index
        is_worse = self.worst is None or rank(judged.verdict) < rank(self.worst.verdict)
        return Probed(
            verdicts={**self.verdicts, judged.verdict: count},
            slowest=max(self.slowest, answer.milliseconds),
            worst=judged if is_worse else self.worst,
        )


def chart(
    value: float | None,
    *,
    unit: str,
    samples: int,
    stable_value: float | None = None,
    bound: float | None = None,
) -> dict[str, object]:
    """Return the figures that every gate has under the same names, so that one chart draws all.

    bound is the number that the value was held against; unit is share, ms or count.
    """
    return {
        "value": value,
        "stable_value": stable_value,
        "bound": bound,
        "unit": unit,
        "samples": samples,
    }


def judge_probed(probe: Probe, probed: Probed) -> Judgement:
    """Return the verdict on a probe whose answers were judged one by one."""
    worst, asked = probed.worst, sum(probed.verdicts.values())
    if worst is None or asked < len(probe.bodies):
        reason = f"{probe.name}: {asked} of {len(probe.bodies)} requests were sent"
        return Judgement(verdict=Verdict.INCONCLUSIVE, reason=reason, figures={"requests": asked})
    if asked == 1:
        return worst
    figures = {
        **worst.figures,
        "requests": asked,
        **{verdict.value: probed.verdicts.get(verdict, 0) for verdict in _WORST_FIRST},
        "slowest": probed.slowest,
        "value": probed.slowest,
        "samples": asked,
    }
    count = probed.verdicts[worst.verdict]
    if worst.verdict is Verdict.PASS:
        slowest = f"the slowest after {probed.slowest} ms"
        reason = f"{probe.name}: all {asked} answers are as expected, {slowest}"
    else:
        word = "not as expected" if worst.verdict is Verdict.FAIL else "no answer of the candidate"
        reason = f"{worst.reason} ({count} of {asked} {word})"
    return replace(worst, reason=reason, figures=figures)


def judge_probe(name: str, expected: Mapping[str, object], answer: Answer) -> Judgement:
    """Return the verdict on one answer; the reason states the inequality.

    Expected may say status, within, schema (the JSON Schema itself), equals and contains.
    """
    status, within = expected.get("status", 200), _length(expected.get("within"))
    figures: dict[str, object] = {"status": answer.status, "milliseconds": answer.milliseconds}
    if answer.status is None:
        reason = f"{name}: no answer: {answer.error}"
        return Judgement(verdict=Verdict.ERROR, reason=reason, figures=figures)
    figures["answer"] = quote(answer.body)
    bound = None if within is None else within.total_seconds() * 1_000
    figures |= chart(answer.milliseconds, unit="ms", samples=1, bound=bound)
    if answer.status != status:
        could_ask = answer.status not in NOT_ASKED
        reason = f"{name}: status {answer.status} is not {status}, answer {quote(answer.body)}"
        verdict = Verdict.FAIL if could_ask else Verdict.ERROR
        return Judgement(verdict=verdict, reason=reason, figures=figures)
    if within is not None:
        figures["within"] = print_duration(within)
        if timedelta(milliseconds=answer.milliseconds) > within:
            took = f"{answer.milliseconds} ms, which is above {print_duration(within)}"
            reason = f"{name}: answered after {took}"
            return Judgement(verdict=Verdict.FAIL, reason=reason, figures=figures)
    verdict, unexpected = _compare_body(expected, answer)
    said = unexpected or f"status {answer.status} after {answer.milliseconds} ms, as expected"
    return Judgement(verdict=verdict, reason=f"{name}: {said}", figures=figures)


def quote(text: str) -> str:
    """Return the text, cut to what a reason can hold."""
    return text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "…"


def _length(written: object) -> timedelta | None:
    return (
        written
        if written is None or isinstance(written, timedelta)
        else parse_duration(str(written))
    )


def _compare_body(expected: Mapping[str, object], answer: Answer) -> tuple[Verdict, str]:
    """Return the verdict on the body, and what is wrong with it, or nothing."""
    body, contains = answer.body, str(expected.get("contains") or "")
    is_json = expected.get("equals") is not None or expected.get("schema") is not None
    if answer.is_cut and (contains or is_json):
        return Verdict.ERROR, f"the answer is longer than the {len(body)} characters that are read"
    if contains and contains not in body:
        return Verdict.FAIL, f"answer {quote(body)} does not contain {contains!r}"
    return _compare_json(expected, body) if is_json else (Verdict.PASS, "")


def _compare_json(expected: Mapping[str, object], body: str) -> tuple[Verdict, str]:
    equals, schema = expected.get("equals"), expected.get("schema")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return Verdict.FAIL, f"answer {quote(body)} is not JSON"
    if equals is not None and value != equals:
        return Verdict.FAIL, f"answer {quote(body)} is not {quote(json.dumps(equals))}"
    return (Verdict.PASS, "") if schema is None else _hold_against(schema, value)


def _hold_against(schema: object, value: object) -> tuple[Verdict, str]:
    """Hold the value against a JSON Schema; one that is no schema itself cannot be judged by."""
    # The library takes a tenth of a second to import, and the orchestration imports this module.
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415
    from jsonschema.validators import validator_for  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415

    kind = validator_for(schema, default=Draft202012Validator)
    try:
        kind.check_schema(schema)
        # A registry of its own, as the library would fetch what a `$ref` names from the network.
        found = next(kind(schema, registry=Registry()).iter_errors(value), None)
    except (SchemaError, RecursionError, Unresolvable) as error:
        said = str(getattr(error, "message", "") or error or type(error).__name__)
        return Verdict.ERROR, f"holding the answer against its schema: {quote(said)}"
    if found is None:
        return Verdict.PASS, ""
    return Verdict.FAIL, f"answer at {found.json_path}: {quote(found.message)}"
