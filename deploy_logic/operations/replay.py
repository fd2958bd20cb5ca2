"""Events once more, by a person's wish: such as those that Event Grid could not deliver.

A dead-lettered record is the event itself with a few fields more, which are not looked at.
"""

from collections.abc import Sequence

from deploy_logic.codec import Json
from deploy_logic.errors import OperationError
from deploy_logic.operations.endpoints import Desk
from deploy_logic.operations.intake import hear

MOST_EVENTS = 100


def replay(desk: Desk, events: object) -> Json:
    """Handle each event as the trigger would; a bad one harms no other."""
    if not isinstance(events, list) or not events:
        raise OperationError("events is no list with something in it", status=400)
    if len(events) > MOST_EVENTS:
        text = f"events: {len(events)} of them (at most {MOST_EVENTS} at once)"
        raise OperationError(text, status=400)
    return {"results": _handle(desk, events)}


def _handle(desk: Desk, events: Sequence[object]) -> list[Json]:
    heard = [
        hear(event, settings=desk.settings, policies=desk.policies, engine=desk.engine)
        for event in events
    ]
    return [
        {
            "event_id": one.event_id,
            "answer": one.answer,
            "rollout_ids": list(one.rollout_ids),
            "reason": one.reason,
        }
        for one in heard
    ]
