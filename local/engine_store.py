"""The engine's memory on disk: one SQLite file, written in one transaction per change."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from durabletask.internal import orchestrator_service_pb2 as pb

from local.engine_record import (
    Entity,
    Instance,
    pack_entity,
    pack_events,
    pack_instance,
    unpack_entity,
    unpack_events,
    unpack_instance,
)

LAYOUT = 1

_TABLES = """
CREATE TABLE IF NOT EXISTS instances (id TEXT PRIMARY KEY, body TEXT, pending BLOB);
CREATE TABLE IF NOT EXISTS history (
    id TEXT, position INTEGER, event BLOB, PRIMARY KEY (id, position)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entities (
    id TEXT PRIMARY KEY, body TEXT, pending BLOB, waiting BLOB, delayed BLOB
);
"""


class StoreError(Exception):
    """The store file cannot be used; nothing was changed in it."""


class Store:
    """Writes and reads back instances and entities; the caller serializes the calls.

    What was handed to a worker is written as still pending: after a restart nobody holds it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # The engine's threads take turns under one lock, so SQLite need not check the thread.
        self._database = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, timeout=0
        )
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        try:
            # Exclusive: a second engine on the same file would hand out everything twice.
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            # Survives the death of the process; only a power cut can lose the newest changes.
            self._database.execute("PRAGMA synchronous = NORMAL")
            (layout,) = self._database.execute("PRAGMA user_version").fetchone()
            if layout not in (0, LAYOUT):
                raise StoreError(
                    f"opening the engine's store {str(self._path)!r}: its layout is {layout} "
                    f"(this engine reads layout {LAYOUT})"
                )
            self._database.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            self._database.execute(f"PRAGMA user_version = {LAYOUT}")
        except sqlite3.DatabaseError as error:
            busy = error.sqlite_errorcode == sqlite3.SQLITE_BUSY
            found = "another engine is using it" if busy else str(error)
            raise StoreError(f"opening the engine's store {str(self._path)!r}: {found}") from error

    def close(self) -> None:
        """Give the file back; a later write raises."""
        self._database.close()

    def load_instances(self) -> list[Instance]:
        """Return every instance, in the order of creation."""
        histories: dict[str, list[pb.HistoryEvent]] = {}
        rows = self._database.execute("SELECT id, event FROM history ORDER BY id, position")
        for instance_id, event in rows:
            histories.setdefault(instance_id, []).append(pb.HistoryEvent.FromString(event))
        instances = []
        for instance_id, body, pending in self._database.execute("SELECT * FROM instances"):
            instance = unpack_instance(instance_id, body)
            instance.history = histories.get(instance_id, [])
            instance.stored = len(instance.history)
            instance.pending_events = unpack_events(pending)
            instances.append(instance)
        return sorted(instances, key=lambda each: each.created_at)

    def load_entities(self) -> list[Entity]:
        """Return every entity."""
        entities = []
        for entity_id, body, *events in self._database.execute("SELECT * FROM entities"):
            entity = unpack_entity(entity_id, body)
            entity.pending_operations, entity.waiting, entity.delayed = map(unpack_events, events)
            entities.append(entity)
        return entities

    def write(
        self,
        *,
        instances: Iterable[Instance],
        entities: Iterable[Entity],
        gone_instances: Iterable[str],
        gone_entities: Iterable[str],
    ) -> None:
        """Write all of it or, when this raises, none of it."""
        written = list(instances)
        self._database.execute("BEGIN IMMEDIATE")
        try:
            for instance_id in gone_instances:
                self._database.execute("DELETE FROM instances WHERE id = ?", (instance_id,))
                self._database.execute("DELETE FROM history WHERE id = ?", (instance_id,))
            for entity_id in gone_entities:
                self._database.execute("DELETE FROM entities WHERE id = ?", (entity_id,))
            for instance in written:
                self._write_instance(instance)
            for entity in entities:
                self._write_entity(entity)
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        for instance in written:
            instance.stored, instance.rewritten = len(instance.history), False

    def _write_instance(self, instance: Instance) -> None:
        key = instance.instance_id
        pending = pack_events([*instance.dispatched_events, *instance.pending_events])
        self._database.execute(
            "REPLACE INTO instances VALUES (?, ?, ?)", (key, pack_instance(instance), pending)
        )
        stored = instance.stored
        if instance.rewritten:
            self._database.execute("DELETE FROM history WHERE id = ?", (key,))
            stored = 0
        self._database.executemany(
            "INSERT INTO history VALUES (?, ?, ?)",
            (
                (key, position, event.SerializeToString())
                for position, event in enumerate(instance.history[stored:], stored)
            ),
        )

    def _write_entity(self, entity: Entity) -> None:
        self._database.execute(
            "REPLACE INTO entities VALUES (?, ?, ?, ?, ?)",
            (
                entity.instance_id,
                pack_entity(entity),
                pack_events([*entity.dispatched_operations, *entity.pending_operations]),
                pack_events(entity.waiting),
                pack_events(entity.delayed),
            ),
        )
