"""The outbox: what rollouts post is delivered by orchestrations of its own, again until it is.

The entity keeps nothing: it is there because an orchestration cannot start another one without
waiting for it (docs/decisions/0007-outbox.md). What it starts is named after what it delivers, so
that a letter that is posted again is delivered once.
"""

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from durabletask.entities import EntityContext
from durabletask.task import OrchestrationContext

from deploy_logic.adapters.durable_entity import shorten_id
from deploy_logic.codec import Json, decode
from deploy_logic.outbox import Letter, list_messages, list_rows

ARCHIVE, ANNOUNCE = "archive_rows", "announce_message"
_FIRST_REST, _LONGEST_REST = timedelta(seconds=5), timedelta(minutes=15)
_ARCHIVE_WITHIN, _ANNOUNCE_WITHIN = timedelta(days=1), timedelta(hours=1)


def outbox(context: EntityContext, payload: Json) -> None:
    """Send off what a rollout has posted."""
    if context.operation != "post":
        raise ValueError(f"{context.operation!r} is not something that the outbox does")
    letter = decode(Letter, payload)
    rollout_id = letter.rollout_id
    rows = {"rollout_id": rollout_id, "rows": list_rows(letter)}
    first = str(letter.first)
    context.schedule_new_orchestration(ARCHIVE, rows, shorten_id("archive", rollout_id, first))
    for message in list_messages(letter):
        place = (str(message["line"]["index"]), message["kind"], message["channel"])
        instance = shorten_id("announce", rollout_id, *place)
        context.schedule_new_orchestration(ANNOUNCE, message, instance)


def archive_rows(context: OrchestrationContext, payload: Json) -> Generator[Any, Any, str]:
    """Have rows archived, for as long as a day."""
    return (yield from _deliver(context, "archive", payload, within=_ARCHIVE_WITHIN))


def announce_message(context: OrchestrationContext, payload: Json) -> Generator[Any, Any, str]:
    """Have one channel told of one message, for as long as an hour."""
    return (yield from _deliver(context, "announce", payload, within=_ANNOUNCE_WITHIN))


def _deliver(
    context: OrchestrationContext, activity: str, payload: Json, *, within: timedelta
) -> Generator[Any, Any, str]:
    """Call an activity until it is done; says how it ended."""
    give_up = context.current_utc_datetime + within
    rest = _FIRST_REST
    while True:
        is_last = context.current_utc_datetime >= give_up
        try:
            answer: Json = yield context.call_activity(
                activity, input={**payload, "is_last": is_last}
            )
        except Exception as error:  # noqa: BLE001 - of an activity: the engine erases its type
            answer = {"state": "busy", "reason": f"{activity}: {error}"}
        # What the archive refuses is asked again too: a role that is missing may be given.
        is_hopeless = answer["state"] == "broke" and activity == "announce"
        if answer["state"] == "done" or is_hopeless or is_last:
            return str(answer["state"])
        asked = timedelta(seconds=answer.get("retry_after") or 0)
        length = min(max(rest, asked), _LONGEST_REST)
        until = min(context.current_utc_datetime + length, give_up)
        yield context.create_timer(until)
        rest = min(rest * 2, _LONGEST_REST)
