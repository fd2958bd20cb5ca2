"""The Archive port in a folder of this machine: one SQLite file that several processes may use."""

import contextlib
import json
import sqlite3
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy_logic.archive import check_kinds, name_place, normalise, rank, read_place, show_line
from deploy_logic.codec import Json
from deploy_logic.errors import TransientError
from deploy_logic.ports import Wanted

_PATIENCE = 10  # seconds that another writer may take
_LAYOUT = """
CREATE TABLE IF NOT EXISTS rollouts (
    id TEXT PRIMARY KEY, place TEXT, rank TEXT, phase TEXT, endpoint TEXT, model TEXT, policy TEXT,
    body TEXT
);
CREATE INDEX IF NOT EXISTS rollouts_by_place ON rollouts (place);
CREATE TABLE IF NOT EXISTS lines (
    id TEXT, number INTEGER, at TEXT, body TEXT, PRIMARY KEY (id, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lines_by_time ON lines (at, id, number);
CREATE TABLE IF NOT EXISTS audits (id TEXT PRIMARY KEY, at TEXT, body TEXT);
CREATE INDEX IF NOT EXISTS audits_by_time ON audits (at, id);
"""
_ADD_LINE = "INSERT OR IGNORE INTO lines VALUES (?, ?, ?, ?)"
_ADD_AUDIT = "INSERT OR IGNORE INTO audits VALUES (?, ?, ?)"
_RAISE_ROLLOUT = """
INSERT INTO rollouts VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET
    place = excluded.place, rank = excluded.rank, phase = excluded.phase,
    endpoint = excluded.endpoint, model = excluded.model, policy = excluded.policy,
    body = excluded.body
WHERE excluded.rank > rank
"""
_FIRST, _LAST = "", "9"  # before and after every time


class ArchiveFile:
    """The Archive port. A connection lives as long as one call, so threads share none."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is made when something is first kept."""
        self._folder = folder
        self._path = folder / "archive.db"
        self._is_held = False

    def append(self, rows: Sequence[Json]) -> None:
        """Keep all of the rows or, when this raises, none."""
        check_kinds(rows)
        self._hold()
        with self._open("appending to the archive") as database, database:
            for row in rows:
                _append(database, row)

    def list_rollouts(
        self, wanted: Wanted, *, after: str = "", limit: int
    ) -> tuple[list[Json], str]:
        """Return a page of rollouts, newest first, and where the next one begins."""
        conditions, values = _ask(wanted)
        if after:
            conditions.append("place < ?")
            values.append(read_place(after))
        where = f"WHERE {' AND '.join(conditions)} " if conditions else ""
        query = f"SELECT body, place FROM rollouts {where}ORDER BY place DESC LIMIT ?"  # noqa: S608 - of our own words; values are bound
        with self._open("listing the archive") as database:
            found = database.execute(query, [*values, limit + 1]).fetchall()
        page = found[:limit]
        rollouts: list[Json] = [json.loads(body) for body, _ in page]
        return rollouts, page[-1][1] if len(found) > limit else ""

    def read_rollout(self, rollout_id: str) -> Json | None:
        """Return the rollout as it was last appended."""
        query = "SELECT body FROM rollouts WHERE id = ?"
        with self._open("reading the archive") as database:
            found = database.execute(query, [rollout_id]).fetchone()
        return None if found is None else _load(found[0])

    def read_timeline(self, rollout_id: str) -> list[Json]:
        """Return the lines of the rollout, oldest first."""
        query = "SELECT body FROM lines WHERE id = ? ORDER BY number"
        with self._open("reading the archive") as database:
            found = database.execute(query, [rollout_id]).fetchall()
        return [show_line(json.loads(body)) for (body,) in found]

    def export(self, *, since: str = "", until: str = "") -> Iterator[Json]:
        """Give every line and then every audit row of that time, oldest first."""
        span = [
            normalise(since) if since else _FIRST,
            normalise(until) if until else _LAST,
        ]
        for query in (
            "SELECT body FROM lines WHERE at >= ? AND at < ? ORDER BY at, id, number",
            "SELECT body FROM audits WHERE at >= ? AND at < ? ORDER BY at, id",
        ):
            with self._open("exporting the archive") as database:
                for (body,) in database.execute(query, span):
                    yield _load(body)

    def _hold(self) -> None:
        """Keep one connection open: whoever closes the last one moves all that is new to the file.

        That takes longer than everything else; nobody uses this connection, so no thread minds.
        """
        if not self._is_held:
            with self._open("opening the archive"):
                held = sqlite3.connect(self._path, check_same_thread=False)
                weakref.finalize(self, held.close)
                held.execute("SELECT count(*) FROM rollouts LIMIT 1").fetchone()
            self._is_held = True

    @contextlib.contextmanager
    def _open(self, what: str) -> Iterator[sqlite3.Connection]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with contextlib.closing(sqlite3.connect(self._path, timeout=_PATIENCE)) as database:
                # Writers do not stop readers. Survives the death of the process; only a power cut
                # can lose the newest rows.
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.executescript(_LAYOUT)
                yield database
        except (sqlite3.Error, OSError) as error:  # a full disk may have room again
            raise TransientError(f"{what} {str(self._path)!r}: {error}") from error


def _append(database: sqlite3.Connection, row: Json) -> None:
    at, body = normalise(row["at"]), json.dumps(row)
    match row["kind"]:
        case "line":
            database.execute(_ADD_LINE, (row["rollout_id"], row["index"], at, body))
        case "audit":
            database.execute(_ADD_AUDIT, (row["id"], at, body))
        case _:
            rollout = row["rollout"]
            told = (rollout["rollout_id"], name_place(rollout), rank(row), rollout["phase"])
            names = (rollout["endpoint"].lower(), rollout["model"], rollout["policy"])
            database.execute(_RAISE_ROLLOUT, (*told, *names, json.dumps(rollout)))


def _ask(wanted: Wanted) -> tuple[list[str], list[str]]:
    """Return the conditions of a list, and the values that they are bound to."""
    phases = sorted(wanted.phases)
    asked = {
        f"phase IN ({', '.join('?' * len(phases))})": phases,
        "endpoint = ?": [wanted.endpoint.lower()] if wanted.endpoint else [],
        "model = ?": [wanted.model] if wanted.model else [],
        "policy = ?": [wanted.policy] if wanted.policy else [],
        # a slash comes after every time of the same beginning, and before none of them
        "place >= ?": [normalise(wanted.since)] if wanted.since else [],
        "place < ?": [normalise(wanted.until)] if wanted.until else [],
    }
    conditions = [condition for condition, values in asked.items() if values]
    return conditions, [value for values in asked.values() for value in values]


def _load(body: str) -> Json:
    row: Json = json.loads(body)
    return row
