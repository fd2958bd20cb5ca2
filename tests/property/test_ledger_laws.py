"""Laws of the ledger over random stories of all that it is told, and a seeded bug for each."""

import dataclasses
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy_logic.codec import decode, encode
from deploy_logic.ledger import answer as ledger_answer
from deploy_logic.ledger import ledger as ledgers
from deploy_logic.ledger import record as ledger_record
from deploy_logic.ledger.ledger import finish, offer
from deploy_logic.ledger.operation import Act, Asked, decide
from deploy_logic.ledger.record import (
    Barred,
    Decision,
    Ended,
    Kept,
    Ledger,
    Reply,
    Start,
    Tell,
    Wake,
)
from deploy_logic.matching import Offer
from deploy_logic.policy.window import parse_window
from deploy_logic.rollout import Phase
from tests.builders import WORKSPACE, a_policy, an_offer
from tests.property.seeded import is_found

STORIES = 500
LARGEST = 400_000  # characters of JSON
BEGIN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
OFFICE = "Mon-Fri 08:00-17:00 UTC"
DAY = timedelta(days=1)
OVER = [phase for phase in Phase if phase.is_over]
WAYS = ("supersede", "queue", "finish_first")
VERSIONS = [str(number) for number in range(1, 8)]


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that a ledger is told, some hours after the one before."""

    what: str
    version: str = "1"
    way: str = "supersede"
    by: str = ""
    has_window: bool = False
    barred: str = ""
    phase: Phase = Phase.SUCCEEDED
    hours: int = 0


hours = st.sampled_from([0, 0, 0, 1, 12, 30])
versions = st.sampled_from(VERSIONS)
plain = st.builds(Happening, what=st.just("offer"), version=versions, way=st.sampled_from(WAYS))
happenings = st.one_of(
    plain,
    plain,
    st.builds(
        Happening,
        what=st.just("offer"),
        version=versions,
        way=st.sampled_from(WAYS),
        by=st.sampled_from(["", "", "", "ann"]),
        has_window=st.booleans(),
        barred=st.sampled_from(["", "", "", "suspended", "stopped"]),
        hours=hours,
    ),
    st.builds(Happening, what=st.just("end"), phase=st.sampled_from(OVER), hours=hours),
    st.builds(Happening, what=st.just("end"), hours=hours),
    st.builds(Happening, what=st.sampled_from(["retry", "release"]), version=versions, hours=hours),
    st.builds(
        Happening,
        what=st.sampled_from(["hold", "release all", "revert", "stop", "go_on", "wake"]),
        hours=hours,
    ),
)
stories = st.lists(happenings, max_size=40)


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What happened, the ledger before it, and what followed."""

    what: Happening
    at: datetime
    before: Ledger
    decision: Decision

    @property
    def starts(self) -> list[Offer]:
        return [one.offer for one in self.decision.actions if isinstance(one, Start)]

    @property
    def after(self) -> Ledger:
        return self.decision.ledger


def an_offer_of(what: Happening) -> Offer:
    made = an_offer(a_policy(on_new_version=what.way), version=what.version)
    allow = (OFFICE,) if what.has_window else ()
    return replace(made, requested_by=what.by, allow=allow)


def happen(ledger: Ledger, what: Happening, at: datetime) -> Decision:
    if what.what == "offer":
        barred = Barred(reply=Reply(what.barred), reason="so it is") if what.barred else None
        why = {"barred": encode(barred)} if barred is not None else {}
        return decide(ledger, "offer", {**encode(an_offer_of(what)), **why}, at=at)
    if what.what == "end":
        if ledger.running is None:
            return Decision(ledger=ledger)
        return decide(ledger, "finish", encode(ended(ledger, what.phase, at)), at=at)
    if what.what == "wake":
        return decide(ledger, "wake", {}, at=at)
    act = what.what.split()[0]
    asked = Asked(
        act=Act(act),
        by="ann",
        reason="because",
        at=at,
        version=what.version if what.what in {"retry", "release"} else "",
        offer=an_offer_of(what) if act == "retry" else None,
    )
    return decide(ledger, "act", encode(asked), at=at)


def ended(ledger: Ledger, phase: Phase, at: datetime) -> Ended:
    """Return the end of what runs, as an orchestration tells it."""
    running = ledger.running
    assert running is not None
    serving = next(iter(ledger.serves), "")
    candidate = running.target or f"v{running.version}.{running.attempt}"
    if running.kind == "let_go":
        candidate = serving
    has_won = phase is Phase.SUCCEEDED and candidate != serving and running.kind != "let_go"
    stable = ledger.stable
    kept: tuple[Kept, ...] = ()
    if has_won and serving and stable is not None:
        old = Kept(
            deployment=serving,
            model=stable.model,
            version=stable.version,
            until=at + DAY,
            why="old",
        )
        kept = (old,)
    return Ended(
        rollout_id=running.rollout_id,
        model=running.model,
        version=running.version,
        attempt=running.attempt,
        phase=phase,
        reason="so it went",
        at=at,
        kept=kept,
        serves=candidate if has_won else serving,
    )


def tell(story: Sequence[Happening]) -> list[Scene]:
    """Let the story happen; every state travels as JSON."""
    ledger, at, told = Ledger(workspace=WORKSPACE, endpoint="fraud"), BEGIN, []
    for what in story:
        at += timedelta(hours=what.hours)
        decision = happen(ledger, what, at)
        told.append(Scene(what=what, at=at, before=ledger, decision=decision))
        ledger = decode(Ledger, json.loads(json.dumps(encode(decision.ledger))))
        assert ledger == decision.ledger
    return told


def calm_down(told: list[Scene]) -> Ledger:
    """Let everything end that can end, with nobody and nothing in its way."""
    ledger, at = (told[-1].after, told[-1].at) if told else (Ledger(), BEGIN)
    for what in ("go_on", "release all"):
        ledger = happen(ledger, Happening(what=what), at).ledger
    for _ in range(200):
        if not waiting(ledger) and not ledger.kept and ledger.running is None:
            break
        at += timedelta(hours=5)
        ledger = happen(ledger, Happening(what="wake"), at).ledger
        ledger = happen(ledger, Happening(what="end"), at).ledger
    return ledger


# --- the laws: each gives a line for everything that breaks it


def one_runs(told: list[Scene]) -> Iterator[str]:
    """L1."""
    for scene in told:
        for started in scene.starts:
            is_over = scene.what.what == "end" or scene.before.running is None
            if not is_over or scene.after.running != started or len(scene.starts) > 1:
                yield f"L1: {started.rollout_id} started beside another"


def nothing_starts_twice(told: list[Scene]) -> Iterator[str]:
    """L2."""
    starts: Counter[str] = Counter()
    free: Counter[str] = Counter()
    for scene in told:
        running = scene.before.running
        if scene.what.what == "end" and scene.what.phase is Phase.NO_MATCH and running is not None:
            free[running.version] += 1  # it was only looked at
        if scene.what.what in {"retry", "release"}:
            free[scene.what.version] += 1
        starts.update(one.rollout_id for one in scene.starts)
        versions = [one.version for one in scene.starts if one.is_rollout]
        free.subtract(versions)
        yield from (f"L2: version {one} started again" for one in versions if free[one] < -1)
    yield from (f"L2: {one} started again" for one, count in starts.items() if count > 1)


def nobody_is_overruled(told: list[Scene]) -> Iterator[str]:
    """L3."""
    for scene in told:
        for started in scene.starts:
            is_own = started.requested_by != "" or started.kind == "let_go"
            if scene.after.held is not None and not is_own:
                yield f"L3: {started.rollout_id} started on a held endpoint"
            if scene.after.stopped is not None and started.kind != "revert":
                yield f"L3: {started.rollout_id} started while all is stopped"


def nobody_waits_for_ever(told: list[Scene]) -> Iterator[str]:
    """L4."""
    for scene in told:
        waited = {one.rollout_id: one for one in waiting(scene.before)}
        waits = {one.rollout_id for one in waiting(scene.after)}
        ids = {one.rollout_id for one in scene.after.ended}
        said = scene.after.answers[len(scene.before.answers) :]
        answered = {(one.version, one.event_id) for one in said}
        for rollout_id, one in waited.items():
            is_known = rollout_id in waits | ids or (one.version, one.event_id) in answered
            if not is_known and scene.after.running != one:
                yield f"L4: {rollout_id} waits no more, and nobody knows why"
    end = calm_down(told)
    if end.waiting or end.parked or end.kept or end.running:
        yield f"L4: in the end there wait {[*waiting(end), *end.kept, end.running]}"


def waiting(ledger: Ledger) -> list[Offer]:
    return [*ledger.waiting, *([ledger.parked.offer] if ledger.parked is not None else [])]


def quarantine_holds(told: list[Scene]) -> Iterator[str]:
    """L5."""
    for scene in told:
        bad = {one.version for one in scene.after.ended if one.is_quarantined}
        yield from (
            f"L5: version {one.version} started from quarantine"
            for one in scene.starts
            if one.is_rollout and one.version in bad
        )


def newest_wins(told: list[Scene]) -> Iterator[str]:
    """L6."""
    for scene in told:
        stable = scene.after.stable
        for one in scene.starts:
            if one.is_rollout and stable is not None and int(one.version) <= int(stable.version):
                yield f"L6: version {one.version} started after {stable.version}"
        queue = [int(one.version) for one in scene.after.waiting if one.is_rollout]
        if queue != sorted(set(queue)):
            yield f"L6: they wait in the order {queue}"


def windows_hold(told: list[Scene]) -> Iterator[str]:
    """L7."""
    office = parse_window(OFFICE)
    for scene in told:
        for one in scene.starts:
            if one.allow and not one.requested_by and not office.contains(scene.at):
                yield f"L7: {one.rollout_id} started at {scene.at}"


def only_idle_ones_are_let_go_of(told: list[Scene]) -> Iterator[str]:
    """L8."""
    for scene in told:
        for one in scene.starts:
            if one.kind != "let_go":
                continue
            due = {kept.deployment for kept in scene.after.kept if kept.until <= scene.at}
            if one.target not in due or scene.after.serves.get(one.target):
                yield f"L8: {one.target} is let go of"


def the_clock_is_asked(told: list[Scene]) -> Iterator[str]:
    """L9."""
    asked: set[datetime] = set()
    for scene in told:
        asked |= {one.at for one in scene.decision.actions if isinstance(one, Wake)}
        after = scene.after
        times = [one.until for one in after.kept if one.until > scene.at]
        if after.parked is not None and after.parked.opens > scene.at:
            times.append(after.parked.opens)
        if after.stopped is None and times and not any(scene.at < at <= min(times) for at in asked):
            yield f"L9: nobody wakes the ledger at {min(times)}"


def every_word_is_written_down(told: list[Scene]) -> Iterator[str]:
    """L10."""
    for scene in told:
        more = len(scene.after.answers) - len(scene.before.answers)
        if scene.what.what not in {"end", "wake"} and more < 1:
            yield f"L10: {scene.what} got no answer"
        for one in scene.decision.actions:
            if isinstance(one, Tell) and (
                scene.before.running is None or one.rollout_id != scene.before.running.rollout_id
            ):
                yield f"L10: {one} to somebody who does not run"


LAWS = (
    one_runs,
    nothing_starts_twice,
    nobody_is_overruled,
    nobody_waits_for_ever,
    quarantine_holds,
    newest_wins,
    windows_hold,
    only_idle_ones_are_let_go_of,
    the_clock_is_asked,
    every_word_is_written_down,
)


def judge(story: Sequence[Happening]) -> list[str]:
    told = tell(story)
    return [line for law in LAWS for line in law(told)]


@settings(max_examples=STORIES)
@given(stories)
def test_no_story_breaks_a_law(story: list[Happening]) -> None:
    assert judge(story) == []


@given(stories, happenings.filter(lambda one: one.what == "offer"))
def test_same_offer_again_is_answered_without_an_action(
    story: list[Happening], which: Happening
) -> None:
    told = tell(story)
    ledger, at = (told[-1].after, told[-1].at) if told else (Ledger(), BEGIN)
    once = offer(ledger, an_offer_of(which), at=at)
    again = offer(once.ledger, an_offer_of(which), at=at)
    assert again.actions == ()
    assert replace(again.ledger, answers=()) == replace(once.ledger, answers=())


@given(stories, st.sampled_from(OVER))
def test_end_told_twice_changes_nothing(story: list[Happening], phase: Phase) -> None:
    told = tell(story)
    ledger, at = (told[-1].after, told[-1].at) if told else (Ledger(), BEGIN)
    if ledger.running is not None:
        end = ended(ledger, phase, at)
        once = finish(ledger, end).ledger
        assert finish(once, end) == Decision(ledger=once)


def _long_story() -> int:
    """Return the largest state that much and wordy use leads to."""
    ledger, largest = Ledger(workspace=WORKSPACE, endpoint="fraud"), 0
    for number in range(1, 500):
        plain = an_offer(a_policy(on_new_version="queue"), version=str(number))
        one = replace(plain, model="m" * 255, policy="p" * 64, event_id="e" * 100)
        ledger = offer(ledger, one, at=BEGIN).ledger
        if number % 9 == 0:
            assert ledger.running is not None
            over = replace(ended(ledger, Phase.FAILED, BEGIN), reason="größer " * 2000)
            ledger = finish(ledger, over).ledger
        largest = max(largest, len(json.dumps(encode(ledger))))
    return largest


def test_state_stays_small_and_its_seeded_bug_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _long_story() < LARGEST
    monkeypatch.setattr(ledger_record, "shorten", lambda text: text)
    assert _long_story() > LARGEST


# --- a seeded bug for each law

type Seed = Callable[[pytest.MonkeyPatch], None]


def _start_beside(patch: pytest.MonkeyPatch) -> None:
    """What is offered starts, whatever runs."""
    patch.setattr(ledgers, "_place", ledgers.begin)


def _forget_the_past(patch: pytest.MonkeyPatch) -> None:
    """No rollout that is over is remembered."""
    patch.setattr(ledgers, "_remember", lambda book, _ended: book)


def _overrule(patch: pytest.MonkeyPatch) -> None:
    """Neither a hold nor the stop switch is looked at."""
    patch.setattr(ledgers, "bar", lambda _book, _asked, _barred: None)


def _lose_what_waits(patch: pytest.MonkeyPatch) -> None:
    """What makes room for a newer version is forgotten."""
    patch.setattr(ledgers, "_drop", lambda book, _dropped, _reason, _at: book)


def _never_unpark(patch: pytest.MonkeyPatch) -> None:
    """A window opens, and nothing starts."""
    patch.setattr(ledgers, "_unpark", lambda book, _at, _why: Decision(ledger=book))


def _forgive(patch: pytest.MonkeyPatch) -> None:
    """A version in quarantine is as good as any other."""
    real = ledger_answer.refuse

    def refuse(book: Ledger, asked: Offer) -> Any:
        found = real(book, asked)
        return None if found is not None and found[0] is Reply.QUARANTINED else found

    patch.setattr(ledgers, "refuse", refuse)


def _overtake(patch: pytest.MonkeyPatch) -> None:
    """An older version is as welcome as a newer one."""
    real = ledger_answer.refuse

    def refuse(book: Ledger, asked: Offer) -> Any:
        found = real(book, asked)
        return None if found is not None and found[0] is Reply.OLDER else found

    patch.setattr(ledgers, "refuse", refuse)


def _open_always(patch: pytest.MonkeyPatch) -> None:
    """No window is ever closed."""
    patch.setattr(ledgers, "find_opening", lambda _asked, at: at)


def _let_go_early(patch: pytest.MonkeyPatch) -> None:
    """What is kept is let go of before its time."""
    real = ledgers._let_go

    def let_go(book: Ledger, at: datetime, why: str) -> Decision:
        decision = real(book, at + DAY, why)
        return dataclasses.replace(decision)

    patch.setattr(ledgers, "_let_go", let_go)


def _sleep_on(patch: pytest.MonkeyPatch) -> None:
    """Nobody is asked to wake the ledger."""
    patch.setattr(ledgers, "_ask_wake", lambda book, _at, _why: Decision(ledger=book))


def _say_nothing(patch: pytest.MonkeyPatch) -> None:
    """A refusal is not written down."""

    def answer(book: Ledger, _asked: Offer, _at: datetime, reply: Reply, _reason: str) -> Ledger:
        assert reply
        return book

    patch.setattr(ledgers, "answer_offer", answer)


@pytest.mark.parametrize(
    ("law", "seed"),
    [
        ("L1", _start_beside),
        ("L2", _forget_the_past),
        ("L3", _overrule),
        ("L4", _lose_what_waits),
        ("L4", _never_unpark),
        ("L5", _forgive),
        ("L6", _overtake),
        ("L7", _open_always),
        ("L8", _let_go_early),
        ("L9", _sleep_on),
        ("L10", _say_nothing),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__.strip("_"),
)
def test_every_law_catches_its_seeded_bug(
    law: str, seed: Seed, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed(monkeypatch)

    def is_broken(story: list[Happening]) -> bool:
        return any(line.startswith(f"{law}:") for line in judge(story))

    assert is_found(stories, is_broken, most=4 * STORIES), f"nobody noticed: {seed.__doc__}"
