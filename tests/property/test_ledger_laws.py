"""Laws of the ledger, over random offers and ends."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.codec import decode, encode
from deploy_logic.ledger import Decision, Ended, Ledger, Start, Tell, finish, offer
from deploy_logic.matching import Offer
from deploy_logic.rollout import Phase
from tests.builders import MONDAY, a_policy, an_offer

OVER = [phase for phase in Phase if phase.is_over]
WAYS = ("supersede", "queue", "finish_first")
OFFERS = {
    (version, way): an_offer(a_policy(on_new_version=way), version=str(version))
    for version in range(1, 8)
    for way in WAYS
}

offers = st.tuples(st.just("offer"), st.sampled_from(sorted(OFFERS)))
ends = st.tuples(st.just("end"), st.sampled_from(OVER))
stories = st.lists(offers | ends, max_size=40)
type Happening = tuple[str, tuple[int, str] | Phase]


def happen(ledger: Ledger, what: Happening) -> Decision:
    _, detail = what
    if isinstance(detail, tuple):
        return offer(ledger, OFFERS[detail], at=MONDAY)
    if ledger.running is None:
        return Decision(ledger=ledger)
    return finish(ledger, ended(ledger.running, detail))


def ended(running: Offer, phase: Phase) -> Ended:
    return Ended(
        rollout_id=running.rollout_id,
        model=running.model,
        version=running.version,
        phase=phase,
        reason="",
        at=MONDAY,
    )


def tell(story: list[Happening]) -> list[tuple[Happening, Ledger, Decision]]:
    """Return what happened, the ledger before it, and the decision; every state travels as JSON."""
    ledger, told = Ledger(), []
    for what in story:
        decision = happen(ledger, what)
        told.append((what, ledger, decision))
        ledger = decode(Ledger, encode(decision.ledger))
        assert ledger == decision.ledger
    return told


@given(stories)
def test_every_offer_has_one_answer_and_at_most_one_action(story: list[Happening]) -> None:
    for (kind, _), before, decision in tell(story):
        assert len(decision.actions) <= 1
        if kind == "offer":
            assert len(decision.ledger.answers) == len(before.answers) + 1


@given(stories)
def test_one_runs_and_what_starts_is_what_runs(story: list[Happening]) -> None:
    for _, before, decision in tell(story):
        for action in decision.actions:
            match action:
                case Start(offer=started):
                    assert decision.ledger.running == started
                    assert before.running is None or before.running != started
                case Tell(rollout_id=rollout_id):
                    assert before.running is not None
                    assert rollout_id == before.running.rollout_id
                    assert not before.is_stopping


@given(stories)
def test_nothing_waits_while_nothing_runs(story: list[Happening]) -> None:
    for _, _, decision in tell(story):
        assert decision.ledger.running is not None or decision.ledger.waiting == ()


@given(stories)
def test_same_version_starts_once_unless_it_was_no_match(story: list[Happening]) -> None:
    starts: Counter[str] = Counter()
    no_match: Counter[str] = Counter()
    for (_, detail), before, decision in tell(story):
        if detail is Phase.NO_MATCH and before.running is not None:
            no_match[before.running.rollout_id] += 1
        starts.update(one.offer.rollout_id for one in decision.actions if isinstance(one, Start))
    assert all(count <= 1 + no_match[rollout_id] for rollout_id, count in starts.items())


@given(stories)
def test_older_version_never_overtakes(story: list[Happening]) -> None:
    for _, before, decision in tell(story):
        for action in decision.actions:
            if isinstance(action, Start) and decision.ledger.stable is not None:
                assert int(action.offer.version) > int(decision.ledger.stable.version)
            if isinstance(action, Tell) and before.running is not None:
                assert int(decision.ledger.waiting[-1].version) > int(before.running.version)


@given(stories)
def test_waiting_ones_rise(story: list[Happening]) -> None:
    for _, _, decision in tell(story):
        versions = [int(one.version) for one in decision.ledger.waiting]
        assert versions == sorted(set(versions))


@given(stories, st.sampled_from(sorted(OFFERS)))
def test_same_offer_again_is_answered_without_an_action(
    story: list[Happening], which: tuple[int, str]
) -> None:
    told = tell(story)
    ledger = told[-1][2].ledger if told else Ledger()
    once = offer(ledger, OFFERS[which], at=MONDAY)
    again = offer(once.ledger, OFFERS[which], at=MONDAY)
    assert again.actions == ()
    assert replace(again.ledger, answers=()) == replace(once.ledger, answers=())


@given(stories, st.sampled_from(OVER))
def test_end_told_twice_changes_nothing(story: list[Happening], phase: Phase) -> None:
    told = tell(story)
    ledger = told[-1][2].ledger if told else Ledger()
    if ledger.running is not None:
        end = ended(ledger.running, phase)
        once = finish(ledger, end).ledger
        assert finish(once, end) == Decision(ledger=once)
