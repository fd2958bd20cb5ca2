"""Step 4 of 5: what happens to an endpoint outside a rollout: the way back, and letting go.

A revert is traffic only: the old deployment is warm, and no gate is asked. Letting go deletes a
deployment whose time is over, never one that has weight.
"""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from deploy_logic.codec import Json, decode
from deploy_logic.ledger.record import Kept
from deploy_logic.matching import Offer, Told
from deploy_logic.plan.plan import Timings
from deploy_logic.ports import Waitable
from deploy_logic.rollout import Phase
from deploy_logic.story.diary import Diary
from deploy_logic.story.waiting import Stop

type Story[T] = Generator[Waitable, Any, T]

_PATIENCE = timedelta(hours=1)
_LOOKED_AT = timedelta(hours=24)  # that what was taken back stays, to find out why


def revert(diary: Diary, offer: Offer) -> Story[tuple[Kept, ...]]:
    """Give a kept deployment all the weight again; returns what served before, to be looked at."""
    try:
        seen, timings = yield from _look_back(diary, offer)
        if not seen["is_ready"]:
            reason = f"going back to {offer.target!r}: it is not there, or not ready"
            raise Stop(Phase.ERRORED, f"{reason}; the weights stay as they are")  # noqa: TRY301 - one road out
        by = f"{offer.requested_by}: {offer.reason}"
        diary.enter(Phase.PROMOTING, f"weight 100 to {offer.target!r} again, for {by}")
        diary.announce("started")
        payload = {**_place(offer), "weights": {offer.target: 100}, "must_write": True}
        done = yield from diary.waiting.converge("shift", payload, within=timings.shift_deadline)
    except Stop as stop:
        diary.enter(stop.phase, stop.reason)
        return ()
    diary.weigh(done["weights"], done.get("mirror"))
    diary.enter(Phase.SUCCEEDED, f"{offer.target!r} is the stable again")
    until = diary.waiting.now + _LOOKED_AT
    return tuple(
        Kept(
            deployment=one["name"],
            model=one["model"],
            version=one["version"],
            until=until,
            why="failed",
        )
        for one in seen["serving"]
        if one["name"].lower() != offer.target.lower()
    )


def let_go(diary: Diary, offer: Offer) -> Story[tuple[Kept, ...]]:
    """Delete a deployment that was kept long enough; one that has weight stays."""
    try:
        _, timings = yield from _look_back(diary, offer)
        payload = {
            **_place(offer),
            "deployment": offer.target,
            "must_be_ours": False,
        }
        yield from diary.waiting.converge("retire", payload, within=timings.creation_deadline)
    except Stop as stop:
        diary.enter(stop.phase, stop.reason)
    else:
        diary.enter(Phase.SUCCEEDED, f"{offer.target!r} is let go")
    return ()


def _look_back(diary: Diary, offer: Offer) -> Story[tuple[Json, Timings]]:
    payload = {**_place(offer), "deployment": offer.target, "policy": offer.policy}
    seen = yield from diary.waiting.ask("look_back", payload, within=_PATIENCE)
    # the offer of a way back is the ledger's, which knows no channels
    diary.told = tuple(decode(Told, one) for one in seen.get("announce", ()))
    diary.waiting.deafen()  # it is over in seconds, and its way back is another one
    timings = decode(Timings, seen["timings"])
    diary.waiting.pace(timings.poll_interval)
    return seen, timings


def _place(offer: Offer) -> Json:
    return {
        "workspace": offer.workspace,
        "endpoint": offer.endpoint,
        "rollout_id": offer.rollout_id,
        "model": offer.model,
        "version": offer.version,
    }
