"""A rollout at some moments of its life, as the app shows it."""

from collections.abc import Iterator
from typing import Any

type Json = dict[str, Any]

ID = "fraud-fraud-detector-2-232ab0d1e2e3"
FIGURES = "528c8f9de830"
STEPS = [
    "probe: requests/fraud.json",
    "weight 10",
    "bake 10m, watched by error_rate, latency_p95",
    "approval (promote) by group:ml-leads",
    "weight 100",
]
_RATE = "error_rate: error_rate of candidate 0.4 % (2 of 512, 0.1 % to 1.4 %) is at most 2 %"
_SLOW = (
    "latency_p95: candidate 31 ms may be above or below 36 ms, which is 120 % of the stable's 30 ms"
)


def line(at: str, text: str, **figures: Any) -> Json:
    return {"at": f"2026-11-23T{at}.190836Z", "text": text, "figures": figures}


LINES = [
    line("09:41:46", "started: nothing else runs on the endpoint"),
    line("09:44:02", "probe 1 (requests/fraud.json): status 200 after 10 ms, as expected"),
    line("09:44:10", "weights read back: fraud-detector-v1 90, fraud-detector-v2 10"),
    line("09:44:11", "bakes for 10m, watched by error_rate, latency_p95"),
    line(
        "09:50:11",
        _RATE,
        gate="error_rate",
        verdict="pass",
        dry_run=False,
        min_samples=200,
        threshold={"kind": "at_most", "value": 0.02},
        candidate={"value": 0.004, "samples": 512},
        since="2026-11-23T09:44:11Z",
        until="2026-11-23T09:47:11Z",
    ),
    line("09:50:12", _SLOW, gate="latency_p95", verdict="inconclusive", dry_run=False),
]


def rollout(**changes: Any) -> Json:
    """Return the rollout in its first bake."""
    return {
        "rollout_id": ID,
        "workspace": "/subscriptions/s/resourceGroups/g/providers/x/workspaces/local",
        "endpoint": "fraud",
        "model": "fraud-detector",
        "version": "2",
        "policy": "fraud-prod",
        "policy_hash": "528c8f9de830db68",
        "phase": "progressing",
        "reason": "live traffic begins",
        "candidate": "fraud-detector-v2",
        "stable": "fraud-detector-v1",
        "weights": {"fraud-detector-v1": 90, "fraud-detector-v2": 10},
        "mirror": {},
        "steps": STEPS,
        "step": 3,
        "awaits": None,
        "paused_by": "",
        "measured": {
            "error_rate": {"verdict": "pass", "reason": _RATE, "at": LINES[4]["at"]},
            "latency_p95": {"verdict": "inconclusive", "reason": _SLOW, "at": LINES[5]["at"]},
        },
        "attempt": 1,
        "started": "2026-11-23T09:41:46.000000Z",
        "ended": None,
        "possible": ["abort", "pause", "promote_now"],
        "bake": {
            "since": "2026-11-23T09:44:11Z",
            "until": "2026-11-23T09:54:11Z",
            "weight": 10,
        },
        "timeline": LINES,
        "timeline_left_out": 0,
        **changes,
    }


def waiting(**changes: Any) -> Json:
    """Return the rollout as it waits for an approval."""
    awaits = {
        "what": "approval to promote",
        "text": "approval to promote by group:ml-leads",
        "until": "2026-11-23T13:54:11.571981Z",
        "operations": ["approve", "reject"],
        "approvers": ["group:ml-leads"],
        "not_by": "",
        "quorum": 2,
        "approved_by": ["11111111-2222-3333-4444-555555555555"],
        "figures": FIGURES,
    }
    asked = line("09:54:12", "approval to promote by group:ml-leads")
    said = {"phase": "waiting", "reason": awaits["text"], "bake": None, "step": 4}
    possible = ["abort", "approve", "reject", "pause", "promote_now"]
    told = {"awaits": awaits, "possible": possible, "timeline": [*LINES, asked]}
    return rollout(**{**said, **told, **changes})


def promoted(**changes: Any) -> Json:
    """Return the rollout as it succeeded."""
    end = line("09:58:06", "'fraud-detector-v2' is the stable")
    said = {"phase": "succeeded", "reason": end["text"], "ended": end["at"], "bake": None}
    weights = {"fraud-detector-v1": 0, "fraud-detector-v2": 100}
    told = {"weights": weights, "step": 5, "possible": [], "timeline": [*LINES, end]}
    return rollout(**{**said, **told, **changes})


def failed(**changes: Any) -> Json:
    """Return the rollout as a gate ended it."""
    why = "error_rate: error_rate of candidate 31 % (160 of 512, 27 % to 35 %) is above 2 %"
    ends = [line("09:50:14", why), line("09:50:19", "weights read back: fraud-detector-v1 100")]
    said = {"phase": "failed", "reason": why, "ended": ends[1]["at"], "bake": None}
    told = {"weights": {"fraud-detector-v1": 100, "fraud-detector-v2": 0}, "possible": []}
    bad = {"error_rate": {"verdict": "fail", "reason": why, "at": ends[0]["at"]}}
    return rollout(**{**said, **told, "measured": bad, "timeline": [*LINES, *ends], **changes})


def life() -> Iterator[Json]:
    """Give the rollout from its start to its end, line by line."""
    early = {"weights": {"fraud-detector-v1": 100}, "measured": {}, "bake": None}
    yield rollout(phase="pending", step=0, steps=[], timeline=LINES[:1], **early)
    yield rollout(phase="preparing", step=1, timeline=LINES[:2], **early)
    yield rollout(step=2, timeline=LINES[:3], measured={}, bake=None)
    yield rollout(timeline=LINES[:4], measured={})
    yield rollout()
    yield waiting()
    yield promoted(timeline=[*waiting()["timeline"], promoted()["timeline"][-1]])
