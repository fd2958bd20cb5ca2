"""A rollout that takes a day is carried in few turns of the engine, and asks little."""

from collections import Counter
from datetime import timedelta

import pytest

from deploy_logic.rollout import Operation
from tests.test_orchestrator import shifts
from tests.test_story_gates import ERRORS, Gated

LEADS = {"approvers": ["group:ml-leads"], "deadline": "12h"}
HOUR = timedelta(hours=1)
MOST_ACTS = 30  # activities of a canary of two steps, without its measurements


def a_day(*gates: dict[str, object]) -> Gated:
    """Tell of 15 hours of bakes, and of 9 hours until somebody approves."""
    tale = Gated(
        *gates,
        weights=(10, 50),
        bake="6h",
        final_bake="3h",
        deadline="2d",
        approval={"promote": LEADS},
    )
    tale.offer()
    tale.world.run(21 * HOUR)
    assert tale.run.context.status["phase"] == "waiting"
    tale.answer(Operation.APPROVE, claims=("group:ml-leads",))
    tale.world.run()
    result = tale.result()
    assert (result["phase"], tale.weights()) == ("succeeded", {"fraud-v7": 100})
    assert len(shifts(tale)) == 3
    begin, end = (tale.run.turns[place].now for place in (0, -1))
    assert end - begin > 23 * HOUR
    return tale


def activities(tale: Gated) -> Counter[str]:
    told = (text for kind, text in tale.run.context.actions if kind == "call")
    return Counter(text.partition(" ")[0] for text in told)


def test_day_without_gates_takes_a_turn_for_each_thing_that_happens() -> None:
    tale = a_day()
    acts = activities(tale)
    # Azure takes minutes for some of them: between two looks is a sleep, which ends in a turn too
    assert sum(acts.values()) <= MOST_ACTS
    bakes, approvals = 3, 1
    assert len(tale.run.turns) <= 1 + 2 * sum(acts.values()) + bakes + approvals


@pytest.mark.parametrize("every", ["1m", "5m", "1h"])
def test_day_of_measuring_asks_at_most_sixty_times_in_each_bake(every: str) -> None:
    tale = a_day({**ERRORS, "every": every})
    asked = tale.asked("error_rate 1")
    assert 0 < asked <= 3 * 60
    acts = sum(activities(tale).values())
    assert acts <= MOST_ACTS + asked
    # one turn to measure and one that ends the sleep before
    assert len(tale.run.turns) <= 2 * (MOST_ACTS + asked)


def test_person_who_takes_hours_costs_no_more_turns_than_one_who_answers_at_once() -> None:
    tale = a_day()
    waited = [
        turn for turn in tale.run.turns if 13 * HOUR < turn.now - tale.run.turns[0].now < 20 * HOUR
    ]
    assert waited == []


def test_what_the_engine_keeps_of_a_day_stays_small() -> None:
    tale = a_day(ERRORS)
    shown = len(repr(tale.run.context.status))
    asked = sum(len(text) for _, text in tale.run.context.actions)
    assert shown < 16_000  # what Azure Storage keeps of a custom status
    assert asked < 500_000
