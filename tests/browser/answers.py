"""What the API answers in these tests: a recorded run of the demo, or made of its own types."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deploy_logic.codec import Json, decode, encode
from deploy_logic.ledger.record import Ended, Kept, Ledger, Mark
from deploy_logic.rollout import Awaited, Operation, Phase, Rollout, digest_figures, list_possible
from deploy_logic.view import show

_RECORDED = Path(__file__).with_name("recorded.json")
_MOMENT = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))"')
_STRETCH = 60  # the demo bakes for seconds; here the same story lasts as many minutes
ME = "11111111-2222-3333-4444-555555555555"


def now() -> datetime:
    """Return the time to the second, which is as exact as these stories need."""
    return datetime.now(UTC).replace(microsecond=0)


def recorded() -> dict[str, Any]:
    """Return the demo as it was recorded, told as if its canary had just been measured."""
    text = _RECORDED.read_text(encoding="utf-8")
    end = datetime.fromisoformat(json.loads(text)["in_flight"]["timeline"][-1]["at"])
    today = now()

    def shift(found: re.Match[str]) -> str:
        moment = today + (datetime.fromisoformat(found[1]) - end) * _STRETCH
        return f'"{moment.isoformat().replace("+00:00", "Z")}"'

    told: dict[str, Any] = json.loads(_MOMENT.sub(shift, text))
    return told


def a_rollout(**changes: object) -> Rollout:
    """Return the canary in flight, with whatever is different."""
    found = recorded()["in_flight"]
    for added in ("timeline_left_out",):
        found.pop(added, None)
    return replace(decode(Rollout, found), **changes)  # type: ignore[arg-type]  # names are checked


def shown(rollout: Rollout, *, bake: Mapping[str, object] | None = None) -> Json:
    """Return the rollout as GET rollouts/{id} answers."""
    possible = list_possible(rollout.phase, rollout.awaits, is_paused=bool(rollout.paused_by))
    return {**show(rollout), "possible": [one.value for one in possible], "bake": bake}


def baking(*, minutes: int = 3) -> dict[str, object]:
    """Return a bake that goes on for some minutes."""
    since, until = now() - timedelta(minutes=2), now() + timedelta(minutes=minutes)
    return {"since": encode_time(since), "until": encode_time(until), "weight": 30}


def encode_time(moment: datetime) -> str:
    """Return a time as the API writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def awaiting_approval(**changes: Any) -> Rollout:
    """Return the canary as it waits for an approval by two."""
    asked: dict[str, Any] = {
        "what": "approval to promote",
        "text": "approval to promote by 2 of group:ml-leads, user:on-call",
        "until": now() + timedelta(hours=4),
        "operations": (Operation.APPROVE, Operation.REJECT),
        "approvers": ("group:ml-leads", "user:on-call"),
        "quorum": 2,
        "approved_by": ("99999999-2222-3333-4444-555555555555",),
        **changes,
    }
    return _ask(Awaited(**asked))


def frozen() -> Rollout:
    """Return the canary as it asks what to do with weights that somebody else has set."""
    text = (
        "the weights of 'fraud' are {'fraud-detector-v1': 50, 'fraud-detector-v2': 50}, and the "
        "rollout had set {'fraud-detector-v1': 70, 'fraud-detector-v2': 30}: adopt them, restore "
        "ours, or reject to roll back"
    )
    choices = (Operation.ADOPT, Operation.RESTORE, Operation.REJECT)
    return _ask(Awaited(what="weights", text=text, operations=choices))


def _ask(awaited: Awaited) -> Rollout:
    rollout = a_rollout(phase=Phase.WAITING, reason=awaited.text)
    return replace(rollout, awaits=replace(awaited, figures=digest_figures(rollout)))


def a_ledger(name: str, **changes: object) -> Json:
    """Return an endpoint at rest, with whatever is different."""
    ledger = Ledger(workspace="/subscriptions/s/w", endpoint=name, serves={f"{name}-v1": 100})
    changed = replace(ledger, **changes)  # type: ignore[arg-type]  # names are checked
    acts = ["hold", *(["release"] if changed.held else [])]
    acts += ["revert"] if any(one.why == "old" for one in changed.kept) else []
    return {**encode(changed), "possible": acts}


def a_busy_ledger() -> Json:
    """Return an endpoint that is held, keeps a deployment, and has a version in quarantine."""
    kept = Kept(
        deployment="churn-v3",
        model="churn",
        version="3",
        until=now() + timedelta(hours=20),
        why="old",
    )
    ended = Ended(
        rollout_id="churn-churn-5-aaaa",
        model="churn",
        version="5",
        phase=Phase.FAILED,
        reason="error_rate of candidate 43 % is above 10 %",
        at=now() - timedelta(hours=3),
        policy="churn-prod",
    )
    mark = Mark(by=ME, reason="audit until Friday", at=now() - timedelta(hours=2))
    return a_ledger("churn", kept=(kept,), ended=(ended,), held=mark, serves={"churn-v4": 100})


def many_rollouts(count: int) -> list[Json]:
    """Return a long history, newest first."""
    phases = (Phase.SUCCEEDED, Phase.FAILED, Phase.SUCCEEDED, Phase.SUPERSEDED, Phase.ERRORED)
    found, usual = [], replace(a_rollout(), timeline=(), measured={})
    for number in range(count, 0, -1):
        at = now() - timedelta(hours=3 * (count - number + 1))
        rollout = replace(
            usual,
            rollout_id=f"fraud-fraud-detector-{number}",
            version=str(number),
            phase=phases[number % len(phases)],
            reason="error_rate of candidate 43 % is above 10 %",
            started=at,
            ended=at + timedelta(minutes=50),
        )
        found.append(shown(rollout))
    return found


def policies() -> Json:
    """Return what GET policies answers: one policy suspended, one file with a mistake."""
    plain = {
        "policy": "fraud-prod",
        "model": "fraud-detector",
        "version": "latest",
        "endpoint": "fraud",
        "strategy": "canary",
        "gates": ["probe 1", "error_rate 2", "latency_p95 3"],
        "suspended": None,
        "source": "policies/fraud-prod.yaml",
    }
    mark = {"by": ME, "reason": "we retrain", "at": encode_time(now() - timedelta(days=1))}
    other = {
        "policy": "churn-prod",
        "model": "churn",
        "endpoint": "churn",
        "strategy": "all-at-once",
        "gates": [],
        "suspended": mark,
        "source": "policies/churn-prod.yaml",
    }
    complaint = (
        "policies/bad.yaml:4: strategy.steps[1].weight: 120 is not a whole percent between 1 and 99"
    )
    return {"policies": [plain, {**plain, **other}], "complaints": [complaint]}
