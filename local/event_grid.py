"""An Event Grid of our own: sends events at least once, in any order, as long as it takes.

It lives in the asyncio process of the event source. What is published is stored before `publish`
returns, and stays stored until a receiver has taken it or it is given up (and dead-lettered).
"""

import asyncio
import json
import logging
import random
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from local.event_grid_handshake import HandshakeError, shake_hands
from local.event_grid_outcome import Outcome
from local.event_grid_schema import EventGridError, Subscription, check_event, compose, convert
from local.event_grid_store import Delivery, Entry, EventGridStore

__all__ = ["SCHEDULE", "EventGrid", "EventGridError", "HandshakeError", "Subscription"]

logger = logging.getLogger(__name__)

# Azure's: the last one repeats. Jitter comes on top.
SCHEDULE = (
    timedelta(seconds=10),
    timedelta(seconds=30),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=1),
    timedelta(hours=3),
    timedelta(hours=6),
    timedelta(hours=12),
)
_ANSWER_TIME = aiohttp.ClientTimeout(total=30)
_JITTER = 0.1
_PARALLEL = 16  # requests at once per subscription


class EventGrid:
    """The sender.

    `scale` shortens every wait of the retry schedule and the time to live alike; the 30 seconds a
    receiver has to answer are real. Without `dead_letters` what cannot be delivered is dropped.
    """

    def __init__(
        self,
        *,
        store: Path | None,
        dead_letters: Path | None = None,
        schedule: tuple[timedelta, ...] = SCHEDULE,
        scale: float = 1.0,
        seed: int | None = None,
    ) -> None:
        self._store = EventGridStore(store)
        self._dead_letters = dead_letters
        self._schedule = schedule
        self._scale = scale
        self._random = random.Random(seed)  # noqa: S311 - jitter and disorder, no secrets
        self._subscriptions = {item.name: item for item in self._store.subscriptions()}
        self._busy: dict[str, set[int]] = {}  # what is on its way, per subscription
        self._sending: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._copies, self._shuffle, self._hold = 1, False, False

    async def start(self) -> None:
        """Begin to deliver, first what an earlier process left; nothing stays held back."""
        self._session = aiohttp.ClientSession(timeout=_ANSWER_TIME)
        self._store.release(datetime.now(UTC))
        self._dispatcher = asyncio.create_task(self._dispatch())
        self._dispatcher.add_done_callback(_tell_of_failure)

    async def stop(self) -> None:
        """Stop at once; what is on its way is delivered again after the next start."""
        tasks = [task for task in (self._dispatcher, *self._sending) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
        self._store.close()

    async def subscribe(self, subscription: Subscription) -> None:
        """Shake hands and subscribe, or replace the one of that name; raises HandshakeError."""
        await shake_hands(subscription)
        self._store.save_subscription(subscription)
        self._subscriptions[subscription.name] = subscription
        self._wake.set()

    async def unsubscribe(self, name: str) -> None:
        """End a subscription, if there is one of that name, and drop what it still waits for."""
        self._subscriptions.pop(name, None)
        self._store.delete_subscription(name)

    def subscriptions(self) -> tuple[Subscription, ...]:
        """Return what is subscribed."""
        return tuple(self._subscriptions.values())

    def undelivered(self) -> int:
        """Return how many deliveries are still to be made."""
        return self._store.count()

    async def publish(self, event: Mapping[str, Any]) -> None:
        """Take an event (Event Grid schema) for all whose filters fit; stored when this returns."""
        check_event(event)
        now = datetime.now(UTC)
        entries = [
            self._entry(subscription, now)
            for subscription in self._subscriptions.values()
            if subscription.wants(event)
            for _ in range(self._copies)
        ]
        if entries:
            self._store.add(event, now, entries)
            self._wake.set()

    def _entry(self, subscription: Subscription, now: datetime) -> Entry:
        rank = self._random.random() if self._shuffle else 0.0
        late = self._schedule[0] * self._scale * rank
        return Entry(subscription=subscription.name, due=now + late, rank=rank, held=self._hold)

    def misbehave(self, *, copies: int = 1, shuffle: bool = False, hold: bool = False) -> None:
        """Send what is published from now on several times, in disorder, or not until `release`."""
        if copies < 1:
            raise EventGridError(f"copies: {copies} is not at least 1")
        self._copies, self._shuffle, self._hold = copies, shuffle, hold

    async def release(self) -> None:
        """Send what was held back, and hold back no more."""
        self._hold = False
        self._store.release(datetime.now(UTC))
        self._wake.set()

    async def _dispatch(self) -> None:
        while True:
            self._wake.clear()
            now = datetime.now(UTC)
            for subscription in self.subscriptions():
                self._send_due(subscription, now)
            due = self._store.next_due(now)
            wait = None if due is None else max((due - datetime.now(UTC)).total_seconds(), 0.0)
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass  # something is due

    def _send_due(self, subscription: Subscription, now: datetime) -> None:
        busy = self._busy.setdefault(subscription.name, set())
        size = subscription.max_events_per_batch
        free = _PARALLEL - sum(1 for task in self._sending if task.get_name() == subscription.name)
        if free <= 0:
            return
        due = self._store.due(subscription.name, now, busy=frozenset(busy), limit=free * size)
        for start in range(0, len(due), size):
            batch = due[start : start + size]
            busy.update(delivery.id for delivery in batch)
            task = asyncio.create_task(self._send(subscription, batch), name=subscription.name)
            self._sending.add(task)
            task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        self._wake.set()
        _tell_of_failure(task)

    async def _send(self, subscription: Subscription, batch: Sequence[Delivery]) -> None:
        try:
            alive = self._drop_expired(subscription, batch)
            if alive:
                outcome = await self._post(subscription, alive)
                self._record(subscription, alive, outcome)
        finally:
            self._busy[subscription.name].difference_update(item.id for item in batch)

    def _drop_expired(
        self, subscription: Subscription, batch: Sequence[Delivery]
    ) -> Sequence[Delivery]:
        """Give up what outlived its time: that is looked at only when the next attempt is due."""
        life = timedelta(minutes=subscription.ttl_minutes) * self._scale
        now = datetime.now(UTC)
        expired = [item for item in batch if item.attempts and now - item.published > life]
        for delivery in expired:
            self._give_up(subscription, delivery, "TimeToLiveExceeded")
        return [item for item in batch if item not in expired]

    async def _post(self, subscription: Subscription, batch: Sequence[Delivery]) -> Outcome:
        if self._session is None:
            raise RuntimeError("the sender is not started")
        events = [delivery.event for delivery in batch]
        body, headers = compose(subscription, events, batch[0].attempts)
        try:
            async with self._session.post(
                subscription.endpoint_url, data=body, headers=headers, allow_redirects=False
            ) as response:
                await response.read()
                return Outcome.of_status(response.status)
        except TimeoutError:
            return Outcome(word="TimedOut")
        except aiohttp.ClientError as error:
            logger.info("subscription %s: no connection: %s", subscription.name, error)
            return Outcome(word="SocketError")

    def _record(
        self, subscription: Subscription, batch: Sequence[Delivery], outcome: Outcome
    ) -> None:
        if outcome.is_taken:
            self._store.delete(batch)
            return
        for delivery in batch:
            attempted = replace(delivery, attempts=delivery.attempts + 1, outcome=outcome.word)
            reason = outcome.final_reason
            if reason is None and attempted.attempts >= subscription.max_attempts:
                reason = "MaxDeliveryAttemptsExceeded"
            if reason is None:
                self._store.postpone(attempted, self._next_attempt(attempted, outcome))
            else:
                self._give_up(subscription, attempted, reason)

    def _next_attempt(self, delivery: Delivery, outcome: Outcome) -> datetime:
        step = self._schedule[min(delivery.attempts, len(self._schedule)) - 1]
        pause = max(step, outcome.least_pause) * self._scale
        return datetime.now(UTC) + pause * (1 + self._random.uniform(0, _JITTER))

    def _give_up(self, subscription: Subscription, delivery: Delivery, reason: str) -> None:
        """Write the dead letter first: one too many is better than none."""
        logger.warning(
            "subscription %s: event %s given up after %d attempts: %s",
            subscription.name,
            delivery.event["id"],
            delivery.attempts,
            reason,
        )
        if self._dead_letters is not None:
            _write_dead_letter(self._dead_letters, subscription, delivery, reason)
        self._store.delete([delivery])


def _write_dead_letter(
    folder: Path, subscription: Subscription, delivery: Delivery, reason: str
) -> None:
    letter = {
        **convert(delivery.event, subscription.schema),
        "deadLetterReason": reason,
        "deliveryAttempts": delivery.attempts,
        "lastDeliveryOutcome": delivery.outcome,
        "publishTime": delivery.published.isoformat(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{uuid.uuid4()}.json"
        path.write_text(json.dumps(letter, indent=2), encoding="utf-8")
    except OSError:
        # Event Grid too drops what it cannot dead-letter.
        logger.exception("dead letter of event %s was not written", delivery.event["id"])


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        logger.error("the sender broke", exc_info=task.exception())
