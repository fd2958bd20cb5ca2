"""What has happened, as lines, figures and spans: told by ledgers, activities and ends.

Each is told where it is decided or done, never where it is replayed. The engine may do any of it
twice when a machine dies in the middle, so a count can be one too high and is never one too low.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Any

from deploy_logic.codec import Json
from deploy_logic.ledger.record import Decision, Ended, Ledger, Start
from deploy_logic.matching import Offer
from deploy_logic.rollout import Phase
from deploy_logic.telemetry.recorder import Figure, Span, count, measure, span

_LOG = logging.getLogger("rollout")
_GATES = ("watch", "probe", "agreement", "call")  # where payloads have their gate
_SPOKEN = ("rollout_id", "endpoint", "model", "version", "policy", "phase", "weight")


def tell_started(decision: Decision) -> None:
    """Tell of the rollouts that a ledger starts; letting go of a deployment is none."""
    for action in decision.actions:
        if isinstance(action, Start) and action.offer.kind != "let_go":
            offer = action.offer
            count(Figure.ROLLOUTS_STARTED, kind=offer.kind)
            _LOG.info("rollout started", extra=_name(offer) | {"event_id": offer.event_id})


def tell_ended(before: Ledger, decision: Decision, ended: Ended) -> None:
    """Tell of a rollout that is over; the ledger takes an end once, and so it is told once."""
    offer = before.running
    after = decision.ledger.running
    is_taken = offer is not None and offer.rollout_id == ended.rollout_id and after != offer
    if offer is None or not is_taken or offer.kind == "let_go":
        return
    count(Figure.ROLLOUTS_FINISHED, outcome=ended.phase.value, kind=offer.kind)
    extra = _name(offer) | {"phase": ended.phase.value, "reason": ended.reason}
    if ended.phase is Phase.ERRORED:
        _LOG.error("rollout errored", extra=extra)
    else:
        _LOG.info("rollout ended", extra=extra)


def tell_stages(shown: Json) -> None:
    """Tell how long a rollout that is over was in which phase; a roll back is a line of its own."""
    for phase, what, seconds in list_stages(shown["timeline"]):
        measure(Figure.STAGE_DURATION, seconds, stage=phase)
        if what.startswith("approval"):
            measure(Figure.APPROVAL_WAIT_SECONDS, seconds, what=what)
        if phase == Phase.ROLLING_BACK:
            measure(Figure.ROLLBACK_SECONDS, seconds, outcome=str(shown["phase"]))
            extra = {key: shown[key] for key in (*_SPOKEN[:5], "phase", "reason")}
            _LOG.warning("rolled back", extra=extra | {"seconds": round(seconds, 3)})


def list_stages(timeline: list[Json]) -> Iterator[tuple[str, str, float]]:
    """Give each phase of a timeline, what was awaited in it, and the seconds that it took.

    A phase that is entered again at once, as by the next step, is one stage.
    """
    entered: list[tuple[str, str, str]] = []
    for entry in timeline:
        figures = entry["figures"]
        phase, what = str(figures.get("phase", "")), str(figures.get("awaited", ""))
        if phase and (not entered or entered[-1][:2] != (phase, what)):
            entered.append((phase, what, entry["at"]))
    for (phase, what, since), (_, _, until) in pairwise(entered):
        length = datetime.fromisoformat(until) - datetime.fromisoformat(since)
        yield phase, what, length.total_seconds()


def in_activity(name: str, payload: Json) -> Any:  # noqa: ANN401 - a context manager of a span
    """Begin the span of an activity, named like it, with what its payload is about."""
    about = {**payload.get("plan", {}), **payload}
    return span(name, **{key: about[key] for key in _SPOKEN if about.get(key) not in {None, ""}})


def tell_answer(said: Span, name: str, payload: Json, answer: Json) -> None:
    """Tell what an activity answered: its state, a verdict, the weights that it has read."""
    said.say({"state": str(answer.get("state", "done"))})
    judged = answer.get("judgement")
    if isinstance(judged, Mapping):
        asked: Json = next((payload[key] for key in _GATES if key in payload), {})
        gate = str(asked.get("name", name))
        said.say({"verdict": str(judged["verdict"]), "gate": gate})
        count(Figure.BAKE_DECISION, verdict=str(judged["verdict"]), activity=name)
    if answer.get("state") == "done" and name in {"shift", "weigh"}:
        for deployment, weight in answer["weights"].items():
            place = {"endpoint": str(payload["endpoint"]), "deployment": str(deployment)}
            measure(Figure.TRAFFIC_PERCENT, weight, **place)


def _name(offer: Offer) -> dict[str, object]:
    return {
        "rollout_id": offer.rollout_id,
        "endpoint": offer.endpoint,
        "model": offer.model,
        "version": offer.version,
        "policy": offer.policy,
        "kind": offer.kind,
    }
