"""Everything the emulator must remember: JSON documents in one SQLite file.

A change is one transaction, committed before the answer leaves, so ending the process at any
moment loses nothing that was answered.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, overload

type Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, key TEXT NOT NULL, seq INTEGER NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (kind, key)
);
CREATE TABLE IF NOT EXISTS counter (last INTEGER NOT NULL);
INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter);
"""
# Set while a request is answered from an older state.
_PAST: ContextVar[sqlite3.Connection | None] = ContextVar("past", default=None)
# Sorts after every name: names are ASCII, and "/" separates the parts of a key.
_AFTER_ANY_NAME = "\uffff"


class Store:
    """Documents by kind and key. Keys ignore letter case, as ARM ids do."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        # NORMAL keeps every commit over a killed process; only a power cut could lose the last.
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.executescript(_SCHEMA)
        self._open = False

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make all writes inside land together or not at all; an inner one joins the outer."""
        if self._open:
            yield
            return
        self._database.execute("BEGIN IMMEDIATE")
        self._open = True
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        else:
            self._database.execute("COMMIT")
        finally:
            self._open = False

    def put(self, kind: str, key: str, body: Json) -> None:
        """Write a document; a document written again keeps its place in the order."""
        with self.transaction():
            seq = self._next()
            self._database.execute(
                "INSERT INTO documents VALUES (?, ?, ?, ?)"
                " ON CONFLICT (kind, key) DO UPDATE SET body = excluded.body",
                (kind, key.lower(), seq, json.dumps(body)),
            )

    def get(self, kind: str, key: str) -> Json | None:
        """Give a fresh copy of the document, or None."""
        found = self._reader.execute(
            "SELECT body FROM documents WHERE kind = ? AND key = ?", (kind, key.lower())
        ).fetchone()
        return None if found is None else json.loads(found[0])

    def delete(self, kind: str, key: str) -> None:
        """Forget the document, if it is there."""
        with self.transaction():
            self._database.execute(
                "DELETE FROM documents WHERE kind = ? AND key = ?", (kind, key.lower())
            )

    def all(self, kind: str, within: str = "") -> list[Json]:
        """Give the documents whose key starts with `within/`, oldest first."""
        return self.some(kind, within, skip=0, most=-1)

    def some(self, kind: str, within: str = "", *, skip: int, most: int) -> list[Json]:
        """Give as many of these, after as many; below zero is no bound."""
        low = f"{within.lower()}/" if within else ""
        rows = self._reader.execute(
            "SELECT body FROM documents WHERE kind = ? AND key >= ? AND key < ?"
            " ORDER BY seq LIMIT ? OFFSET ?",
            (kind, low, low + _AFTER_ANY_NAME, most, skip),
        )
        return [json.loads(row[0]) for row in rows]

    def count(self, kind: str) -> int:
        """Count the documents of a kind."""
        query = "SELECT count(*) FROM documents WHERE kind = ?"
        return int(self._reader.execute(query, (kind,)).fetchone()[0])

    def copy(self) -> sqlite3.Connection:
        """Give a copy of everything as it is now."""
        copied = sqlite3.connect(":memory:")
        self._database.backup(copied)
        return copied

    @contextmanager
    def looking_at(self, past: sqlite3.Connection) -> Iterator[None]:
        """Read from a copy in this task; what is written goes where it always goes."""
        token = _PAST.set(past)
        try:
            yield
        finally:
            _PAST.reset(token)

    @property
    def _reader(self) -> sqlite3.Connection:
        return _PAST.get() or self._database

    def _next(self) -> int:
        row = self._database.execute("UPDATE counter SET last = last + 1 RETURNING last").fetchone()
        return int(row[0])


class Documents(Sequence[Json]):
    """The documents of a kind, oldest first; only those that are asked for are read."""

    def __init__(self, store: Store, kind: str) -> None:
        self._store, self._kind = store, kind

    def __len__(self) -> int:
        """Count them."""
        return self._store.count(self._kind)

    @overload
    def __getitem__(self, place: int) -> Json: ...
    @overload
    def __getitem__(self, place: slice) -> list[Json]: ...
    def __getitem__(self, place: int | slice) -> Json | list[Json]:
        """Give one, or a part; counted from the oldest."""
        numbers = range(len(self))[place]
        if isinstance(numbers, int):
            return self._store.some(self._kind, skip=numbers, most=1)[0]
        if numbers.step != 1:
            return [self[number] for number in numbers]
        return self._store.some(self._kind, skip=numbers.start, most=len(numbers))
