"""Rollouts that should have been over: when the sweep says so, and when it does not."""

import json
from typing import Any

import pytest

from tests.builders import a_policy, an_event_text
from tests.desk import HOUR, Counter
from tests.log_lab import listening

LEADS = {"approvers": ["group:ml-leads"], "deadline": "24h"}


def desk_since(hours: float, **policy: Any) -> Counter:
    """Return a desk whose rollout was started so many hours ago, and is alive."""
    desk = Counter(a_policy(**policy))
    desk.handle(an_event_text())
    desk.change(since=desk.clock.now - hours * HOUR)
    desk.engine.alive.add(desk.running.rollout_id)
    return desk


def overdue(desk: Counter) -> list[dict[str, Any]]:
    with listening() as messages:
        desk.sweep()
    lines = [json.loads(message) for message in messages]
    return [line for line in lines if line["event"] == "rollout overdue"]


@pytest.mark.parametrize(
    ("hours", "policy", "is_said"),
    [
        (12.9, {}, False),  # 8 h of its own, one to create, four of grace
        (13.1, {}, True),
        (13.1, {"deadline": "9h"}, False),
        (36.9, {"approval": {"before": LEADS}}, False),
        (37.1, {"approval": {"before": LEADS}}, True),
    ],
    ids=["in time", "late", "a longer deadline", "waits before", "waited before"],
)
def test_what_counts_as_overdue(hours: float, policy: dict[str, Any], *, is_said: bool) -> None:
    assert bool(overdue(desk_since(hours, **policy))) is is_said


def test_a_rollout_beyond_all_its_deadlines_is_said_by_every_sweep() -> None:
    desk = desk_since(48)
    first, second = overdue(desk), overdue(desk)
    assert [line["rollout_id"] for line in (*first, *second)] == [desk.running.rollout_id] * 2
    assert (first[0]["endpoint"], first[0]["policy"], first[0]["hours"]) == (
        "fraud",
        "fraud-prod",
        48.0,
    )


def test_one_whose_policy_is_gone_has_the_usual_deadline() -> None:
    desk = desk_since(13.1, deadline="20h")
    assert overdue(desk) == []
    desk.policies = [a_policy(policy="another-one")]
    assert len(overdue(desk)) == 1


def test_one_that_waits_for_its_turn_has_not_begun() -> None:
    desk = desk_since(48)
    desk.engine.rollouts[desk.running.rollout_id] = {
        "phase": "pending",
        "awaits": {"what": "turn"},
    }
    assert overdue(desk) == []


def test_nothing_runs_and_nothing_is_said() -> None:
    desk = Counter()
    assert overdue(desk) == []
    desk.handle(an_event_text())
    desk.engine.alive.add(desk.running.rollout_id)
    assert overdue(desk) == []
