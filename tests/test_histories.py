"""Stored histories of finished rollouts: the code of today goes on with what older code began.

`make histories` records those of the newest story anew; the difference is reviewed
(docs/decisions/0006-stories-have-versions.md).
"""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.codec import decode, encode
from deploy_logic.ledger.operation import Act
from deploy_logic.matching import STORY, Offer
from deploy_logic.rollout import Operation, Phase
from deploy_logic.story.orchestrator import STORIES
from tests.builders import WORKSPACE, an_offer
from tests.test_orchestrator import BAD, FIRST, Tale
from tests.test_story_gates import ERRORS, FAIL, MIRRORED, OUTSIDE, UNSURE, Gated
from tests.test_story_people import LEADS, drifted
from tests.world import Run, Turn, retell

FOLDER = Path(__file__).parent / "histories"
WRITE = os.environ.get("HISTORIES") == "write"
HOUR = timedelta(hours=1)

type Actions = list[tuple[str, str]]


# The stories that are recorded, each to the end of its rollout


def canary() -> Run:
    asked = {**OUTSIDE, "every": "5m", "when": ["before", "step", "promote"]}
    tale = Gated({**ERRORS, "every": "2m"}, asked, final_bake="10m")
    tale.tell()
    return tale.run


def first_version() -> Run:
    tale = Tale(FIRST)
    tale.workspace.endpoints.clear()
    tale.tell()
    return tale.run


def mirrored() -> Run:
    tale = Gated({**ERRORS, "every": "5m"}, strategy=MIRRORED)
    tale.needs_turn = True
    tale.tell()
    return tale.run


def bad_probe() -> Run:
    tale = Tale()
    tale.workspace.answers["7"] = BAD
    tale.tell()
    return tale.run


def failed_gate() -> Run:
    tale = Gated(ERRORS, keep_failed="2h")
    tale.verdicts["error_rate 1"] = [UNSURE, FAIL]
    tale.tell()
    return tale.run


def aborted() -> Run:
    tale = Gated(ERRORS)
    tale.when("progressing", tale.ask)
    tale.tell()
    return tale.run


def superseded() -> Run:
    tale = Tale()
    tale.offer("7")

    def register_8() -> None:
        tale.workspace.register("8")
        tale.offer("8")

    tale.when("progressing", register_8)
    tale.world.run()
    tale.result()
    return tale.run


def approved() -> Run:
    approval = {"before": LEADS, "promote": {**LEADS, "quorum": 2}}
    tale = Gated(weights=(10,), approval=approval)
    tale.offer()
    for by in ("ann", "ann", "bob"):
        tale.world.run(HOUR)
        tale.answer(Operation.APPROVE, by=by, claims=("group:ml-leads",))
    tale.world.run()
    tale.result()
    return tale.run


def paused_and_promoted_now() -> Run:
    tale = Gated({**ERRORS, "every": "10m"}, bake="1h")
    tale.when("progressing", lambda: tale.ask(Operation.PAUSE))
    tale.offer()
    tale.world.run(HOUR)
    tale.ask(Operation.RESUME)
    tale.world.run(HOUR)
    tale.ask(Operation.PROMOTE_NOW)
    tale.world.run()
    tale.result()
    return tale.run


def frozen() -> Run:
    tale = drifted()
    tale.ask(Operation.FREEZE)
    tale.world.run(HOUR)
    tale.answer(Operation.RESTORE)
    tale.world.run()
    tale.result()
    return tale.run


def asked_a_person() -> Run:
    tale = Gated({**ERRORS, "every": "10m"}, weights=(10,), on_failure="freeze")
    tale.verdicts["error_rate 1"] = [UNSURE]
    tale.offer()
    tale.world.run(5 * HOUR)
    tale.answer(Operation.REJECT)
    tale.world.run()
    tale.result()
    return tale.run


def worker_lost() -> Run:
    tale = Tale()
    left = iter(range(2))

    def fault(called: str, _when: str) -> None:
        if called in {"list_model_versions", "set_traffic"} and next(left, None) is not None:
            raise RuntimeError("worker lost")

    tale.workspace.fault = fault
    tale.tell()
    return tale.run


def no_match() -> Run:
    tale = Tale()
    tale.workspace.serve("9")
    tale.tell()
    return tale.run


def reverted() -> Run:
    tale = Gated(weights=(10,), keep={"old": 1, "for": "24h"})
    tale.offer()
    tale.world.run(2 * HOUR)
    tale.world.act("fraud", Act.REVERT, by="ann")
    tale.world.run(2 * HOUR)
    return tale.world.runs[1]


def let_go() -> Run:
    tale = Gated(weights=(10,), keep={"old": 1, "for": "1h"})
    tale.tell()
    return tale.world.runs[1]


TOLD: Mapping[str, tuple[Callable[[], Run], Phase]] = {
    "canary": (canary, Phase.SUCCEEDED),
    "first_version": (first_version, Phase.SUCCEEDED),
    "mirror": (mirrored, Phase.SUCCEEDED),
    "bad_probe": (bad_probe, Phase.FAILED),
    "failed_gate": (failed_gate, Phase.FAILED),
    "aborted": (aborted, Phase.FAILED),
    "superseded": (superseded, Phase.SUPERSEDED),
    "approved": (approved, Phase.SUCCEEDED),
    "paused": (paused_and_promoted_now, Phase.SUCCEEDED),
    "frozen": (frozen, Phase.SUCCEEDED),
    "asked": (asked_a_person, Phase.FAILED),
    "worker_lost": (worker_lost, Phase.SUCCEEDED),
    "no_match": (no_match, Phase.NO_MATCH),
    "reverted": (reverted, Phase.SUCCEEDED),
    "let_go": (let_go, Phase.SUCCEEDED),
}


# To JSON and back


def record(run: Run) -> dict[str, Any]:
    assert run.result is not None
    turns = [
        {"now": turn.now.isoformat(), "news": [_pack(index, news) for index, news in turn.news]}
        for turn in run.turns
    ]
    offer = encode(run.offer)
    return {
        "offer": offer,
        "phase": run.result["phase"],
        "turns": turns,
        "actions": run.context.actions,
    }


def _pack(index: int | None, news: Any) -> list[Any]:
    if index is None:
        return [None, "asked", news]
    kind, value = news
    return [index, kind, str(value) if kind == "raised" else value]


def _unpack(packed: list[Any]) -> tuple[int | None, Any]:
    index, kind, value = packed
    if index is None:
        return None, value
    return index, (kind, RuntimeError(value) if kind == "raised" else value)


def replay_stored(stored: Mapping[str, Any]) -> Actions:
    turns = [
        Turn(now=datetime.fromisoformat(turn["now"]), news=[_unpack(one) for one in turn["news"]])
        for turn in stored["turns"]
    ]
    return retell(decode(Offer, stored["offer"]), turns)


def differ(old: Actions, new: Actions) -> str:
    """Return the first thing that is asked for otherwise than it was, or nothing.

    A payload may have gained a field, as everything stored may; what it said it must still say.
    """
    for number, (before, now) in enumerate(zip(old, new, strict=False)):
        if before[0] != now[0] or not _says(_read(before[1]), _read(now[1])):
            return f"action {number} was {_quote(before)} and is {_quote(now)}"
    if len(old) == len(new):
        return ""
    surplus = max(old, new, key=len)[min(len(old), len(new))]
    return f"there were {len(old)} actions and are {len(new)}: {_quote(surplus)}"


def _quote(action: tuple[str, str]) -> str:
    kind, text = action
    return f"{kind} {text[:300]}"


def _read(text: str) -> tuple[str, Any]:
    """Return the words of an action and its payload; an action without one is all words."""
    name, brace, rest = text.partition("{")
    return (name, json.loads(brace + rest)) if brace else (text, None)


def _says(old: Any, new: Any) -> bool:
    """Whether the new value has all that the old one has."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and _says(value, new[key]) for key, value in old.items())
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        pairs = zip(old, new, strict=False)
        return len(old) == len(new) and all(_says(one, other) for one, other in pairs)
    return bool(old == new)


# What holds


if WRITE:
    (FOLDER / str(STORY)).mkdir(parents=True, exist_ok=True)
    for name, (story, _) in TOLD.items():
        kept = json.dumps(record(story()), indent=1, sort_keys=True) + "\n"
        (FOLDER / str(STORY) / f"{name}.json").write_text(kept, encoding="utf-8")

STORED = sorted(FOLDER.glob("*/*.json"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_history_is_told_on_as_it_was(path: Path) -> None:
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["offer"]["story"] == int(path.parent.name)
    actions = [(kind, text) for kind, text in stored["actions"]]
    difference = differ(actions, replay_stored(stored))
    assert difference == "", "a rollout in flight would go astray: give the story a new number"


@pytest.mark.parametrize("name", TOLD)
def test_newest_story_has_a_history_that_ended_like_this(name: str) -> None:
    path = FOLDER / str(STORY) / f"{name}.json"
    assert path.exists(), "`make histories` records it"
    assert json.loads(path.read_text(encoding="utf-8"))["phase"] == TOLD[name][1]


def test_every_story_that_can_be_told_has_histories() -> None:
    assert {int(path.parent.name) for path in STORED} == set(STORIES)
    assert max(STORIES) == STORY


def test_what_is_not_of_a_history_is_noticed() -> None:
    stored = json.loads((FOLDER / str(STORY) / "canary.json").read_text(encoding="utf-8"))
    told = replay_stored(stored)
    place = next(number for number, (kind, _) in enumerate(told) if kind == "call")
    name, _, payload = told[place][1].partition(" ")
    gained = json.dumps({**json.loads(payload), "gained": 1})
    assert differ(told, [*told[:place], ("call", f"{name} {gained}"), *told[place + 1 :]]) == ""
    other = [*told[:place], ("call", f"dance {payload}"), *told[place + 1 :]]
    lost = [*told[:place], ("call", f"{name} {{}}"), *told[place + 1 :]]
    for changed in (other, lost, told[:-1], [*told, told[-1]], [told[1], told[0], *told[2:]]):
        assert differ(told, changed) != ""


@pytest.mark.parametrize("number", [0, 2, 99])
def test_story_that_the_app_does_not_know_is_errored_and_the_ledger_hears_of_it(
    number: int,
) -> None:
    tale = Tale()
    tale.world.offer(replace(an_offer(tale.policy), story=number))
    tale.world.run()
    run = tale.run
    assert run.result is not None
    assert run.result["phase"] == "errored"
    assert run.result["reason"] == (
        f"telling story {number}: this app knows 1; the weights stay as they are"
    )
    assert run.context.actions[-1] == ("tell", f"{WORKSPACE} fraud finish")
    book = tale.world.ledgers["fraud"]
    assert (book.running, book.ended[-1].phase) == (None, Phase.ERRORED)
    assert [kind for kind, _ in run.context.actions if kind == "call"] == []
