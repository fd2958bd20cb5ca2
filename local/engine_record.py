"""What the engine remembers of an instance and of an entity, and its form in the store."""

import base64
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import EntityState, OrchestrationInstance


class Message(Protocol):
    """As much of a protobuf message as is used here; the library comes without types."""

    def HasField(self, field_name: str) -> bool: ...  # noqa: D102, N802 - protobuf's
    def SerializeToString(self) -> bytes: ...  # noqa: D102, N802 - protobuf's


TERMINAL = frozenset(
    {
        pb.ORCHESTRATION_STATUS_COMPLETED,
        pb.ORCHESTRATION_STATUS_FAILED,
        pb.ORCHESTRATION_STATUS_TERMINATED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """Who waits for a sub-orchestration, and as which of its tasks."""

    instance_id: str
    execution: str
    task_id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """A call of an activity that has not been answered."""

    token: str
    execution: str
    request: pb.ActivityRequest

    @property
    def instance_id(self) -> str:
        """The instance that made the call."""
        return self.request.orchestrationInstance.instanceId


# The two below stay mutable because the library changes them in place.


@dataclass(kw_only=True)
class Instance(OrchestrationInstance):
    """An orchestration instance, with what redelivery and restarts need."""

    execution: str = ""  # new at creation and at each continue-as-new
    parent: Parent | None = None
    start_at: datetime | None = None
    timers: dict[int, datetime] = field(default_factory=dict)  # not yet fired
    activities: dict[str, Activity] = field(default_factory=dict)  # by token, not yet answered
    locks: set[str] = field(default_factory=set)  # entities locked, or asked to be
    stored: int = 0  # so many events of the history are in the store
    rewritten: bool = True  # the stored history, if any, is not a beginning of this one

    @property
    def is_over(self) -> bool:
        """Whether this instance has reached its end."""
        return self.status in TERMINAL


@dataclass(kw_only=True)
class Entity(EntityState):
    """An entity: `pending_operations` may run now, `waiting` stands behind a lock."""

    owner: str = ""  # the instance that holds the lock
    waiting: list[pb.HistoryEvent] = field(default_factory=list)
    delayed: list[pb.HistoryEvent] = field(default_factory=list)  # signals with a time to come

    @property
    def is_idle(self) -> bool:
        """Whether nothing is asked of this entity, now or later."""
        work = (self.pending_operations, self.dispatched_operations, self.waiting, self.delayed)
        return self.locked_by is None and not any(work)


def now() -> datetime:
    """Return the present, with its zone."""
    return datetime.now(UTC)


def stamped(event: pb.HistoryEvent) -> pb.HistoryEvent:
    """Return the event with its time, which the library leaves at the epoch."""
    event.timestamp.FromDatetime(now())
    return event


def text_of(message: Message, name: str) -> str | None:
    """Return an optional text field; None when it was not sent, also where empty text was."""
    return str(getattr(message, name).value) if message.HasField(name) else None


def time_of(message: Message, name: str) -> datetime | None:
    """Return an optional point in time; None when it was not sent."""
    if not message.HasField(name):
        return None
    moment: datetime = getattr(message, name).ToDatetime(tzinfo=UTC)
    return moment


def is_within(moment: datetime, since: datetime | None, until: datetime | None) -> bool:
    """Whether a moment lies in a span whose ends may be open; the later end does not belong."""
    return (since is None or moment >= since) and (until is None or moment < until)


def pack_events(events: Iterable[pb.HistoryEvent]) -> bytes:
    """Return the stored form of a list of events."""
    return bytes(pb.HistoryChunk(events=events).SerializeToString())


def unpack_events(packed: bytes) -> list[pb.HistoryEvent]:
    """Return the events that `pack_events` was given."""
    return list(pb.HistoryChunk.FromString(packed).events)


def pack_instance(instance: Instance) -> str:
    """Return all of an instance but its events."""
    failure = instance.failure_details
    return json.dumps(
        {
            "name": instance.name,
            "status": int(instance.status),
            "version": instance.version,
            "input": instance.input,
            "output": instance.output,
            "custom_status": instance.custom_status,
            "created_at": instance.created_at.isoformat(),
            "last_updated_at": instance.last_updated_at.isoformat(),
            "completed_at": _time_text(instance.completed_at),
            "failure_details": None if failure is None else _pack(failure),
            "tags": instance.tags,
            "execution": instance.execution,
            "parent": None if instance.parent is None else asdict(instance.parent),
            "start_at": _time_text(instance.start_at),
            "timers": {str(key): due.isoformat() for key, due in instance.timers.items()},
            "activities": [
                [each.token, each.execution, _pack(each.request)]
                for each in instance.activities.values()
            ],
            "locks": sorted(instance.locks),
        }
    )


def unpack_instance(instance_id: str, packed: str) -> Instance:
    """Return the instance that `pack_instance` was given, without its events."""
    body: dict[str, Any] = json.loads(packed)
    failure = body.pop("failure_details")
    parent = body.pop("parent")
    activities = [
        Activity(
            token=token,
            execution=execution,
            request=_unpack(pb.ActivityRequest.FromString, request),
        )
        for token, execution, request in body.pop("activities")
    ]
    return Instance(
        instance_id=instance_id,
        created_at=datetime.fromisoformat(body.pop("created_at")),
        last_updated_at=datetime.fromisoformat(body.pop("last_updated_at")),
        completed_at=_time(body.pop("completed_at")),
        start_at=_time(body.pop("start_at")),
        failure_details=None
        if failure is None
        else _unpack(pb.TaskFailureDetails.FromString, failure),
        parent=None if parent is None else Parent(**parent),
        timers={int(key): datetime.fromisoformat(due) for key, due in body.pop("timers").items()},
        activities={each.token: each for each in activities},
        locks=set(body.pop("locks")),
        rewritten=False,
        **body,
    )


def pack_entity(entity: Entity) -> str:
    """Return all of an entity but its events."""
    return json.dumps(
        {
            "serialized_state": entity.serialized_state,
            "last_modified_at": entity.last_modified_at.isoformat(),
            "locked_by": entity.locked_by,
            "owner": entity.owner,
        }
    )


def unpack_entity(entity_id: str, packed: str) -> Entity:
    """Return the entity that `pack_entity` was given, without its events."""
    body: dict[str, Any] = json.loads(packed)
    modified = datetime.fromisoformat(body.pop("last_modified_at"))
    return Entity(instance_id=entity_id, last_modified_at=modified, **body)


def _pack(message: Message) -> str:
    return base64.b64encode(message.SerializeToString()).decode()


def _unpack[M](parse: Callable[[bytes], M], packed: str) -> M:
    return parse(base64.b64decode(packed))


def _time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
