"""The lowest layer of the engine: typed records, and each change stored before it is answered."""

import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from durabletask.internal import orchestrator_service_pb2 as pb
from durabletask.testing.in_memory_backend import InMemoryOrchestrationBackend

from local.engine_alarm import Alarm
from local.engine_record import Entity, Instance, now, stamped

if TYPE_CHECKING:
    from local.engine_store import Store


class Keeper(InMemoryOrchestrationBackend):
    """The library's backend, holding our records and writing them down."""

    def __init__(self, port: int) -> None:
        # The library refuses a turn beyond its history limit and then never offers it again.
        super().__init__(max_history_size=sys.maxsize, port=port)
        self._news = threading.Condition(self._lock)  # there may be work to hand out
        self._alarm = Alarm()
        self._store: Store | None = None
        self._touched_instances: set[str] = set()
        self._touched_entities: set[str] = set()
        self._depth = 0
        # Tokens of an earlier run of the engine must not be taken for ours.
        self._next_completion_token = secrets.randbits(60)

    def _instance(self, instance_id: str) -> Instance | None:
        return cast("Instance | None", self._instances.get(instance_id))

    def _entity(self, entity_id: str) -> Entity | None:
        return cast("Entity | None", self._entities.get(entity_id))

    def _new_token(self) -> int:
        token = self._next_completion_token
        self._next_completion_token += 1  # in the library's order, which counts here too
        return token

    @contextmanager
    def _change(self) -> Iterator[None]:
        """Hold the lock; at the outermost end write all that was touched, in one transaction."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            if self._depth == 0:
                self._write()

    def _write(self) -> None:
        ids, entity_ids = self._touched_instances, self._touched_entities
        if self._store is not None and (ids or entity_ids):
            instances = [self._instance(key) for key in ids]
            entities = [self._entity(key) for key in entity_ids]
            self._store.write(
                instances=[each for each in instances if each is not None],
                entities=[each for each in entities if each is not None],
                gone_instances=[key for key in ids if key not in self._instances],
                gone_entities=[key for key in entity_ids if key not in self._entities],
            )
        ids.clear()
        entity_ids.clear()

    def _enqueue_orchestration(self, instance_id: str) -> None:
        self._touched_instances.add(instance_id)
        super()._enqueue_orchestration(instance_id)
        self._news.notify_all()

    def _enqueue_entity(self, entity_id: str) -> None:
        self._touched_entities.add(entity_id)
        super()._enqueue_entity(entity_id)
        self._news.notify_all()

    def _deliver(self, instance: Instance, event: pb.HistoryEvent) -> None:
        """Give a live instance one more event to work on."""
        instance.pending_events.append(stamped(event))
        instance.last_updated_at = now()
        self._enqueue_orchestration(instance.instance_id)
