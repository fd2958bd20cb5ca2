"""Step 4 of 5: the new version's own figures against those of the stable's version. Pure."""

import re
from collections.abc import Mapping
from decimal import Decimal

from deploy_logic.gate.gate import Judgement, Verdict, quote
from deploy_logic.plan.step import Champion

_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?", re.ASCII)


def judge_champion(
    gate: Champion, new: Mapping[str, str], stable: Mapping[str, str] | None
) -> Judgement:
    """Return the verdict on the tags of the new version, held against those of the stable's.

    None as the stable means that there is none: the first version has nobody to beat.
    """
    written = new.get(gate.tag)
    theirs = None if stable is None else stable.get(gate.tag)
    figures: dict[str, object] = {
        "tag": gate.tag,
        "better": gate.better,
        "margin": gate.margin,
        "candidate": written,
        "stable": theirs,
    }

    def say(verdict: Verdict, reason: str) -> Judgement:
        return Judgement(verdict=verdict, reason=f"{gate.name}: {reason}", figures=figures)

    number = _read(written)
    if number is None:
        what = _describe(gate.tag, written)
        return say(Verdict.FAIL, f"the new version {what}, so nobody can say that it is better")
    if stable is None:
        return say(Verdict.PASS, f"{gate.tag} {written}, and no stable to compare with")
    bar = _read(theirs)
    if bar is None:
        what = _describe(gate.tag, theirs)
        return say(Verdict.INCONCLUSIVE, f"the stable's version {what} to compare with")
    margin = Decimal(str(gate.margin))
    wanted = bar + margin if gate.better == "higher" else bar - margin
    is_better = number >= wanted if gate.better == "higher" else number <= wanted
    least = "least" if gate.better == "higher" else "most"
    held = f"at {least} {wanted} ({theirs} of the stable's version, margin {gate.margin})"
    if is_better:
        return say(Verdict.PASS, f"{gate.tag} {written} is {held}")
    return say(Verdict.FAIL, f"{gate.tag} {written} is not {held}")


def _read(written: str | None) -> Decimal | None:
    """Return the number, exactly: in binary, 0.3 is not 0.1 above 0.2."""
    text = "" if written is None else written.strip()
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def _describe(tag: str, written: str | None) -> str:
    if written is None:
        return f"has no tag {tag!r}"
    return f"has no number in tag {tag!r} but {quote(written)!r}"
