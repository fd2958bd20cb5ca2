"""Event Grid's two envelopes and what a subscription wants of them. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from local.event_grid_filter import AdvancedFilter

_REQUIRED = ("id", "topic", "subject", "eventType", "eventTime", "data", "dataVersion")


class Schema(StrEnum):
    """The envelope a subscription asked for."""

    EVENT_GRID = "EventGridSchema"
    CLOUD_EVENTS = "CloudEventSchemaV1_0"


class EventGridError(Exception):
    """What the sender refuses: a subscription or an event that is not one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """Who wants which events, and for how long they are tried."""

    name: str
    endpoint_url: str
    schema: str = Schema.EVENT_GRID
    included_event_types: tuple[str, ...] = ()  # none: all of them
    subject_begins_with: str = ""
    subject_ends_with: str = ""
    subject_case_matters: bool = False
    advanced_filters: tuple[AdvancedFilter, ...] = ()
    max_attempts: int = 30
    ttl_minutes: int = 1440
    max_events_per_batch: int = 1

    def __post_init__(self) -> None:
        """Refuse what Event Grid refuses."""
        if self.schema not in set(Schema):
            accepted = ", ".join(Schema)
            raise EventGridError(
                f"subscription {self.name!r}: schema {self.schema!r} is not one of {accepted}"
            )
        for field, highest in (
            ("max_attempts", 30),
            ("ttl_minutes", 1440),
            ("max_events_per_batch", 5000),
        ):
            value = getattr(self, field)
            if not 1 <= value <= highest:
                raise EventGridError(
                    f"subscription {self.name!r}: {field}: {value} is not between 1 and {highest}"
                )

    def wants(self, event: Mapping[str, Any]) -> bool:
        """Tell whether an event passes all filters."""
        fold = str if self.subject_case_matters else str.lower
        subject = fold(str(event["subject"]))
        return (
            (not self.included_event_types or event["eventType"] in self.included_event_types)
            and subject.startswith(fold(self.subject_begins_with))
            and subject.endswith(fold(self.subject_ends_with))
            # The keys of a filter are those of the envelope that is asked for.
            and all(one.fits(convert(event, self.schema)) for one in self.advanced_filters)
        )


def check_event(event: Mapping[str, Any]) -> None:
    """Refuse an event that lacks a field of the Event Grid schema."""
    missing = [name for name in _REQUIRED if name not in event]
    if missing:
        raise EventGridError(f"event {event.get('id')!r}: {', '.join(missing)}: missing")


def convert(event: Mapping[str, Any], schema: str) -> Mapping[str, Any]:
    """Return an event of the Event Grid schema in the one asked for."""
    if schema == Schema.EVENT_GRID:
        return event
    return {
        "id": event["id"],
        "source": event["topic"],
        "specversion": "1.0",
        "type": event["eventType"],
        "subject": event["subject"],
        "time": event["eventTime"],
        "data": event["data"],
    }


def compose(
    subscription: Subscription, events: Sequence[Mapping[str, Any]], attempts: int
) -> tuple[bytes, Mapping[str, str]]:
    """Return body and headers of one delivery; `attempts` were made before it."""
    headers = {
        "aeg-event-type": "Notification",
        "aeg-subscription-name": subscription.name.upper(),
        "aeg-delivery-count": str(attempts),
    }
    converted = [convert(event, subscription.schema) for event in events]
    if subscription.schema == Schema.EVENT_GRID:
        headers["Content-Type"] = "application/json; charset=utf-8"
        headers["aeg-data-version"] = str(events[0]["dataVersion"])
        headers["aeg-metadata-version"] = str(events[0].get("metadataVersion", "1"))
        return json.dumps(converted).encode(), headers  # an array, also of one
    headers["aeg-metadata-version"] = "1.0"
    if subscription.max_events_per_batch == 1:
        headers["Content-Type"] = "application/cloudevents+json; charset=utf-8"
        return json.dumps(converted[0]).encode(), headers
    headers["Content-Type"] = "application/cloudevents-batch+json; charset=utf-8"
    return json.dumps(converted).encode(), headers
