"""Champion gates: the new version's tag against the stable's; nothing unreadable is a pass."""

from typing import Any, Literal

import pytest

from deploy_logic.gate.champion import judge_champion
from deploy_logic.plan.step import Champion


def a_champion(better: Literal["higher", "lower"] = "higher", margin: float = 0) -> Champion:
    return Champion(name="gate 1", tag="auc", better=better, margin=margin)


@pytest.mark.parametrize(
    ("gate", "new", "stable", "verdict", "reason"),
    [
        (a_champion(), "0.91", "0.9", "pass",
         "auc 0.91 is at least 0.9 (0.9 of the stable's version, margin 0)"),
        (a_champion(), "0.9", "0.9", "pass", "is at least 0.9"),
        (a_champion(), "0.89", "0.9", "fail", "auc 0.89 is not at least 0.9"),
        (a_champion(margin=0.1), "0.3", "0.2", "pass", "is at least 0.3"),
        (a_champion(margin=0.1), "0.2999", "0.2", "fail", "is not at least 0.3"),
        (a_champion("lower"), "11", "12", "pass", "auc 11 is at most 12"),
        (a_champion("lower", 2), "11", "12", "fail", "auc 11 is not at most 10"),
        (a_champion(), " -1e-3 ", "-.5", "pass", "is at least -0.5"),
        (a_champion(), None, "0.9", "fail", "the new version has no tag 'auc'"),
        (a_champion(), "good", "0.9", "fail", "has no number in tag 'auc' but 'good'"),
        (a_champion(), "nan", "0.9", "fail", "has no number in tag 'auc' but 'nan'"),
        (a_champion(), "", "0.9", "fail", "but ''"),
        (a_champion(), "1_0", "0.9", "fail", "but '1_0'"),
        (a_champion(), "1e999", "0.9", "fail", "but '1e999'"),
        (a_champion(), "0.9", "inf", "inconclusive", "the stable's version has no number in tag"),
    ],
)  # fmt: skip
def test_champion_is_judged(
    gate: Champion, new: str | None, stable: str, verdict: str, reason: str
) -> None:
    tags = {} if new is None else {"auc": new}
    judged = judge_champion(gate, tags, {"auc": stable})
    assert judged.verdict == verdict
    assert reason in judged.reason
    assert judged.figures["candidate"] == new
    assert judged.figures["stable"] == stable


def test_stable_without_the_tag_is_nothing_to_compare_with() -> None:
    judged = judge_champion(a_champion(), {"auc": "0.9"}, {"AUC": "0.8"})
    assert judged.verdict == "inconclusive"
    assert "the stable's version has no tag 'auc' to compare with" in judged.reason


@pytest.mark.parametrize(
    ("tags", "verdict"), [({"auc": "0.1"}, "pass"), ({}, "fail"), ({"auc": "?"}, "fail")]
)
def test_first_version_has_nobody_to_beat_but_says_what_it_is(
    tags: dict[str, Any], verdict: str
) -> None:
    judged = judge_champion(a_champion(), tags, None)
    assert judged.verdict == verdict
    assert ("no stable to compare with" in judged.reason) == (verdict == "pass")
