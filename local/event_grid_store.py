"""What the sender must not forget: subscriptions and undelivered events, in SQLite.

WAL with synchronous=NORMAL survives the death of the process, not a loss of power.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local.event_grid_filter import AdvancedFilter
from local.event_grid_schema import Subscription

_TABLES = """
create table if not exists subscription (name text primary key, body text not null);
create table if not exists delivery (
    id integer primary key autoincrement,
    subscription text not null,
    event text not null,
    published real not null,
    due real not null,
    rank real not null,
    held integer not null,
    attempts integer not null default 0,
    outcome text not null default ''
);
create index if not exists delivery_due on delivery (subscription, held, due, rank, id);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one subscription."""

    id: int
    event: Mapping[str, Any]
    published: datetime
    attempts: int
    outcome: str  # of the last attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A delivery to be stored: when it is due and which of those due goes first."""

    subscription: str
    due: datetime
    rank: float
    held: bool


class EventGridStore:
    """The sender's memory; without a path it lasts as long as the process."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path or ":memory:", isolation_level=None)
        self._database.execute("pragma journal_mode=wal")
        self._database.execute("pragma synchronous=normal")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Return what is subscribed, by name."""
        rows = self._database.execute("select body from subscription order by name")
        return tuple(_subscription(json.loads(body)) for (body,) in rows)

    def save_subscription(self, subscription: Subscription) -> None:
        """Add it, or take it for the one of that name; its deliveries follow it."""
        self._database.execute(
            "insert or replace into subscription values (?, ?)",
            (subscription.name, json.dumps(asdict(subscription))),
        )

    def delete_subscription(self, name: str) -> None:
        """Forget it and what it still waits for."""
        with self._database:
            self._database.execute("begin")
            self._database.execute("delete from subscription where name = ?", (name,))
            self._database.execute("delete from delivery where subscription = ?", (name,))

    def add(self, event: Mapping[str, Any], published: datetime, entries: Iterable[Entry]) -> None:
        """Store an event's deliveries, all or none."""
        body = json.dumps(event)
        with self._database:
            self._database.execute("begin")
            self._database.executemany(
                "insert into delivery (subscription, event, published, due, rank, held)"
                " values (?, ?, ?, ?, ?, ?)",
                [
                    (
                        entry.subscription,
                        body,
                        published.timestamp(),
                        entry.due.timestamp(),
                        entry.rank,
                        entry.held,
                    )
                    for entry in entries
                ],
            )

    def due(
        self, subscription: str, now: datetime, *, busy: frozenset[int], limit: int
    ) -> list[Delivery]:
        """Return deliveries whose time has come and which are not `busy`."""
        rows = self._database.execute(
            "select id, event, published, attempts, outcome from delivery"
            " where subscription = ? and held = 0 and due <= ? order by rank, due, id limit ?",
            (subscription, now.timestamp(), limit + len(busy)),
        )
        found = [
            Delivery(
                id=key,
                event=json.loads(event),
                published=datetime.fromtimestamp(published, UTC),
                attempts=attempts,
                outcome=outcome,
            )
            for key, event, published, attempts, outcome in rows
            if key not in busy
        ]
        return found[:limit]

    def next_due(self, after: datetime) -> datetime | None:
        """Return when the next one is due that is not due yet."""
        (due,) = self._database.execute(
            "select min(due) from delivery where held = 0 and due > ?", (after.timestamp(),)
        ).fetchone()
        return None if due is None else datetime.fromtimestamp(due, UTC)

    def postpone(self, delivery: Delivery, due: datetime) -> None:
        """Remember an attempt that failed and when the next is due."""
        self._database.execute(
            "update delivery set attempts = ?, outcome = ?, due = ? where id = ?",
            (delivery.attempts, delivery.outcome, due.timestamp(), delivery.id),
        )

    def delete(self, deliveries: Sequence[Delivery]) -> None:
        """Forget what was delivered or given up."""
        with self._database:
            self._database.execute("begin")
            self._database.executemany(
                "delete from delivery where id = ?", [(delivery.id,) for delivery in deliveries]
            )

    def release(self, now: datetime) -> None:
        """Let go what was held back."""
        self._database.execute(
            "update delivery set held = 0, due = min(due, ?) where held = 1", (now.timestamp(),)
        )

    def count(self) -> int:
        """Return how many deliveries are not made yet."""
        (number,) = self._database.execute("select count(*) from delivery").fetchone()
        return int(number)


def _subscription(body: dict[str, Any]) -> Subscription:
    body["included_event_types"] = tuple(body["included_event_types"])
    body["advanced_filters"] = tuple(
        AdvancedFilter(**{**item, "values": tuple(item["values"])})
        for item in body.get("advanced_filters", ())
    )
    return Subscription(**body)
