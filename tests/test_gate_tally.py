"""The tally of a watch: what is forgiven, and that not knowing is never a pass."""

import json
from typing import Any

import pytest

from deploy_logic.codec import decode, encode
from deploy_logic.gate.gate import Judgement, Verdict
from deploy_logic.gate.tally import Tally
from deploy_logic.plan.step import MetricSource, Threshold, Watch

SOURCE = MetricSource(metric="error_rate", threshold=Threshold(kind="at_most", value=0.01))
WORDS = {"p": Verdict.PASS, "f": Verdict.FAIL, "i": Verdict.INCONCLUSIVE, "e": Verdict.ERROR}


def tally(said: str) -> Tally:
    """Tally a row of judgements, written as their first letters; through the codec each time."""
    found = Tally()
    for letter in said:
        judgement = Judgement(verdict=WORDS[letter], reason=letter, figures={"value": 1})
        found = decode(Tally, json.loads(json.dumps(encode(found.add(judgement)))))
    return found


@pytest.mark.parametrize(
    ("said", "budget", "verdict"),
    [
        ("", {}, "inconclusive"),
        ("p", {}, "pass"),
        ("f", {}, "fail"),
        ("i", {}, "inconclusive"),
        ("e", {}, "inconclusive"),
        ("pi", {}, "inconclusive"),
        ("pe", {}, "inconclusive"),
        ("pip", {}, "pass"),
        ("ppf", {}, "fail"),
        ("pfp", {"failures": 1}, "pass"),
        ("pf", {"failures": 1}, "pass"),
        ("fpf", {"failures": 1}, "fail"),
        ("f", {"failures": 1}, "inconclusive"),
        ("pff", {"failures": 9, "failures_in_a_row": 1}, "fail"),
        ("pfpfpf", {"failures": 9, "failures_in_a_row": 1}, "pass"),
        ("pfif", {"failures": 9, "failures_in_a_row": 1}, "fail"),
        ("pfef", {"failures": 9, "failures_in_a_row": 1}, "fail"),
        ("peeee", {}, "inconclusive"),
        ("peeeee", {}, "error"),
        ("eeeepeeee", {}, "inconclusive"),
        ("eeeeieeee", {}, "inconclusive"),
        ("e", {"error_budget": 0}, "error"),
        ("fe", {"error_budget": 0}, "fail"),
        ("ffeeeeeeee", {"dry_run": True}, "pass"),
        ("", {"dry_run": True}, "pass"),
    ],
)
def test_tally_says(said: str, budget: dict[str, Any], verdict: str) -> None:
    assert tally(said).says(Watch(name="w", source=SOURCE, **budget)) == verdict


def test_what_is_on_trial_is_still_there_to_be_shown() -> None:
    last = tally("pf").last
    assert last is not None
    assert (last.verdict, last.reason, last.figures) == (Verdict.FAIL, "f", {"value": 1})


def test_tally_counts() -> None:
    found = tally("pffeeif")
    assert (found.passes, found.failures, found.failures_in_a_row) == (1, 3, 3)
    assert (found.errors, found.errors_in_a_row) == (2, 0)
