"""Remembers what happened, minute by minute, on disk: what was counted outlives the process.

The last minutes are kept entry by entry, because how many of them may be seen depends on the lag;
older ones are summed up. An entry is written before its request is answered.
"""

import json
import sqlite3
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from local.azure_ml.clock import Clock
from local.azure_ml.metrics.minute import Gauge, Minute, Request, load, sum_up
from local.azure_ml.store import Json

_MINUTE = 60
_RETENTION = 93 * 86_400.0
_LOGGED = 86_400.0  # seconds for which single requests are kept, for the logs
_TABLES = """
CREATE TABLE IF NOT EXISTS entry (
    seq INTEGER PRIMARY KEY, at REAL NOT NULL, endpoint TEXT NOT NULL, deployment TEXT NOT NULL,
    is_request INTEGER NOT NULL, body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS entry_at ON entry (at);
CREATE TABLE IF NOT EXISTS border (at REAL NOT NULL);
INSERT INTO border SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM border);
CREATE TABLE IF NOT EXISTS minute (
    endpoint TEXT NOT NULL, start INTEGER NOT NULL, deployment TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (endpoint, start, deployment)
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    at: float
    deployment: str
    what: Request | Gauge


class Record:
    """Takes in what happened and gives the minutes of an endpoint."""

    def __init__(self, path: Path, clock: Clock, lag: Callable[[], float]) -> None:
        self._clock = clock
        self._lag = lag  # seconds until what happened can be seen
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")  # outlives the process, not the power
        self._database.executescript(_TABLES)
        self._open: defaultdict[str, deque[_Entry]] = defaultdict(deque)  # in order of time
        self._border: float = 0  # before it, every minute is summed up
        self._load()

    def close(self) -> None:
        """Let the file go."""
        self._database.close()

    def add(self, endpoint: str, deployment: str, what: Request | Gauge) -> None:
        """Remember something that happened just now."""
        now = self._clock.time()
        key = endpoint.lower()
        self._close_minutes(now)
        self._database.execute(
            "INSERT INTO entry (at, endpoint, deployment, is_request, body) VALUES (?, ?, ?, ?, ?)",
            (now, key, deployment, isinstance(what, Request), json.dumps(asdict(what))),
        )
        self._open[key].append(_Entry(at=now, deployment=deployment, what=what))

    def minutes(self, endpoint: str, start: float, end: float) -> Iterator[tuple[int, Minute]]:
        """Give what may be seen of the minutes from start to before end."""
        key = endpoint.lower()
        rows = self._database.execute(
            "SELECT start, body FROM minute WHERE endpoint = ? AND start >= ? AND start < ?"
            " ORDER BY start",
            (key, start, end),
        )
        for begun, body in rows.fetchall():
            yield begun, load(json.loads(body))
        seen = self._clock.time() - self._lag()
        grouped: defaultdict[tuple[int, str], list[Request | Gauge]] = defaultdict(list)
        for entry in self._open.get(key, ()):
            begun = _minute_of(entry.at)
            if entry.at <= seen and start <= begun < end:
                grouped[begun, entry.deployment].append(entry.what)
        for (begun, deployment), entries in sorted(grouped.items()):
            yield begun, sum_up(deployment, entries)

    def requests(self, start: float) -> Iterator[tuple[float, str, str, Request]]:
        """Give the single requests since then, as far as they may be seen: time, where, what."""
        rows = self._database.execute(
            "SELECT at, endpoint, deployment, body FROM entry"
            " WHERE is_request AND at >= ? AND at <= ? ORDER BY at",
            (start, self._clock.time() - self._lag()),
        )
        for at, endpoint, deployment, body in rows.fetchall():
            yield at, endpoint, deployment, Request(**json.loads(body))

    def _load(self) -> None:
        (self._border,) = self._database.execute("SELECT at FROM border").fetchone()
        rows = self._database.execute(
            "SELECT at, endpoint, deployment, body FROM entry WHERE at >= ?", (self._border,)
        )
        for at, endpoint, deployment, body in sorted(rows.fetchall()):
            what = _read(json.loads(body))
            self._open[endpoint].append(_Entry(at=at, deployment=deployment, what=what))

    def _close_minutes(self, now: float) -> None:
        """Sum up the minutes that the lag does not reach into any more."""
        border = _minute_of(now - self._lag())
        if border <= self._border:
            return
        self._border = border
        grouped: defaultdict[tuple[str, int, str], list[Request | Gauge]] = defaultdict(list)
        for endpoint, entries in self._open.items():
            while entries and entries[0].at < border:
                entry = entries.popleft()
                grouped[endpoint, _minute_of(entry.at), entry.deployment].append(entry.what)
        rows = [
            (endpoint, begun, deployment, json.dumps(sum_up(deployment, found).dump()))
            for (endpoint, begun, deployment), found in grouped.items()
        ]
        self._database.execute("BEGIN")
        with self._database:
            self._database.execute("UPDATE border SET at = ?", (border,))
            forgotten = (border, now - _LOGGED)
            delete = "DELETE FROM entry WHERE at < ? AND (NOT is_request OR at < ?)"
            self._database.execute(delete, forgotten)
            self._database.execute("DELETE FROM minute WHERE start < ?", (now - _RETENTION,))
            put = "INSERT OR REPLACE INTO minute VALUES (?, ?, ?, ?)"
            self._database.executemany(put, rows)


def _minute_of(moment: float) -> int:
    return int(moment // _MINUTE) * _MINUTE


def _read(body: Json) -> Request | Gauge:
    return Gauge(**body) if "metric" in body else Request(**body)
