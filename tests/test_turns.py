"""The cap on rollouts in parallel: who has a turn, and who is called."""

from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.codec import decode, encode
from deploy_logic.ledger.turns import Called, Place, Turns, enter, leave
from tests.builders import MONDAY


def place(rollout_id: str) -> Place:
    return Place(rollout_id=rollout_id, endpoint="fraud", since=MONDAY)


def after(*ids: str, cap: int) -> Turns:
    turns = Turns()
    for one in ids:
        turns = enter(turns, place(one), cap=cap).turns
    return turns


def having(turns: Turns) -> list[str]:
    return [one.rollout_id for one in turns.places if one.has_turn]


def test_turns_are_given_in_order_as_far_as_the_cap_allows() -> None:
    assert having(after("a", "b", "c", cap=2)) == ["a", "b"]
    assert enter(after("a", cap=2), place("b"), cap=2).called == ("b",)
    assert enter(after("a", "b", cap=2), place("c"), cap=2).called == ()


def test_who_leaves_makes_room_for_the_next() -> None:
    called = leave(after("a", "b", "c", "d", cap=2), "a", cap=2)
    assert (called.called, having(called.turns)) == (("c",), ["b", "c"])


def test_who_waits_may_leave_too() -> None:
    called = leave(after("a", "b", "c", cap=1), "b", cap=1)
    assert (called.called, having(called.turns)) == ((), ["a"])
    assert leave(called.turns, "a", cap=1).called == ("c",)


def test_stranger_leaves_nothing_behind() -> None:
    turns = after("a", "b", cap=1)
    assert leave(turns, "x", cap=1) == Called(turns=turns)


def test_to_enter_twice_is_harmless_and_tells_again_who_has_a_turn() -> None:
    turns = after("a", "b", cap=1)
    assert enter(turns, place("a"), cap=1) == Called(turns=turns, called=("a",))
    assert enter(turns, place("b"), cap=1) == Called(turns=turns)


def test_without_a_cap_everybody_has_a_turn() -> None:
    assert having(after("a", "b", "c", cap=0)) == ["a", "b", "c"]


def test_cap_that_was_raised_or_lowered_counts_from_the_next_change_on() -> None:
    turns = after("a", "b", "c", "d", cap=1)
    assert leave(turns, "a", cap=3).called == ("b", "c", "d")
    assert leave(after("a", "b", "c", cap=2), "a", cap=1).called == ()


moves = st.lists(st.tuples(st.sampled_from(["enter", "leave"]), st.sampled_from("abcdef")))


@given(moves, st.integers(1, 3))
def test_never_more_than_the_cap_and_nobody_is_left_while_there_is_room(
    story: list[tuple[str, str]], cap: int
) -> None:
    turns, told = Turns(), set[str]()
    for what, who in story:
        before = {one.rollout_id for one in turns.places}
        called = (
            enter(turns, place(who), cap=cap) if what == "enter" else leave(turns, who, cap=cap)
        )
        turns = decode(Called, encode(called)).turns
        told = (told | set(called.called)) & {one.rollout_id for one in turns.places}
        assert set(having(turns)) == told
        assert len(told) == min(cap, len(turns.places))
        assert {one.rollout_id for one in turns.places} == (
            before | {who} if what == "enter" else before - {who}
        )
