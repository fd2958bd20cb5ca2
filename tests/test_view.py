"""Views: the whole of a rollout, and what fits into the engine's status."""

import json
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy_logic.codec import decode, encode
from deploy_logic.rollout import Entry, Phase, Rollout
from deploy_logic.view import show, show_status, summarise
from tests.builders import MONDAY, WORKSPACE

LONGEST = 8_192  # characters: 16 KB of UTF-16


def a_rollout(lines: int = 0, *, length: int = 100, **changes: Any) -> Rollout:
    timeline = tuple(
        Entry(at=MONDAY + timedelta(minutes=number), text=f"{number} " + "x" * length)
        for number in range(lines)
    )
    given = {
        "rollout_id": "fraud-fraud-7-0123456789ab",
        "workspace": WORKSPACE,
        "endpoint": "fraud",
        "model": "fraud",
        "version": "7",
        "policy": "fraud-prod",
        "started": MONDAY,
        "timeline": timeline,
    }
    return Rollout(**{**given, **changes})


def test_show_tells_everything() -> None:
    rollout = a_rollout(300)
    assert decode(Rollout, show(rollout)) == rollout


def test_short_rollout_is_shown_whole() -> None:
    rollout = a_rollout(3)
    assert show_status(rollout) == {**encode(rollout), "timeline_left_out": 0}


def test_old_lines_go_first_and_are_counted() -> None:
    rollout = a_rollout(300)
    shown = show_status(rollout)
    left_out = shown["timeline_left_out"]
    assert 0 < left_out < 300
    assert shown["timeline"] == encode(rollout)["timeline"][left_out:]
    # one more line would not have fitted
    more = {**shown, "timeline": encode(rollout)["timeline"][left_out - 1 :]}
    assert len(json.dumps(more)) > 7_500


def test_line_that_does_not_fit_alone_is_left_out() -> None:
    shown = show_status(a_rollout(2, length=9_000, reason="it is bad"))
    assert (shown["timeline"], shown["timeline_left_out"]) == ([], 2)
    assert shown["reason"] == "it is bad"


def test_reason_that_does_not_fit_is_cut_at_its_end() -> None:
    reason = "container crashed: " + "x" * 20_000
    shown = show_status(a_rollout(1, length=20_000, reason=reason, phase=Phase.FAILED))
    assert len(json.dumps(shown)) <= LONGEST
    assert shown["reason"].startswith("container crashed: ")
    assert shown["reason"].endswith("x…")
    assert shown["phase"] == "failed"


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=255)
lines = st.builds(
    Entry,
    at=st.just(MONDAY),
    text=st.text(max_size=40) | st.integers(0, 9_000).map("é".__mul__),
    figures=st.dictionaries(st.sampled_from(["log", "answer"]), st.text(max_size=200)),
)


@settings(max_examples=100)
@given(
    names,
    names,
    st.text(max_size=40) | st.integers(0, 30_000).map("😀".__mul__),
    st.lists(lines, max_size=12).map(tuple),
)
def test_status_never_exceeds_the_engines_limit(
    model: str, version: str, reason: str, timeline: tuple[Entry, ...]
) -> None:
    rollout = a_rollout(model=model, version=version, reason=reason, timeline=timeline)
    shown = show_status(rollout)
    assert len(json.dumps(shown)) <= LONGEST
    assert len(shown["timeline"]) + shown["timeline_left_out"] == len(timeline)
    assert summarise(shown) == {
        key: value
        for key, value in {**encode(rollout), "reason": shown["reason"]}.items()
        if key != "timeline"
    }


def test_summary_leaves_out_the_timeline_alone() -> None:
    shown = show_status(a_rollout(3))
    assert set(shown) - set(summarise(shown)) == {"timeline", "timeline_left_out"}
