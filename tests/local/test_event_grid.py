"""The Event Grid sender: at least once, in its schema, as often as it takes."""

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from local.event_grid import EventGrid, EventGridError, HandshakeError, Subscription
from local.event_grid_outcome import Outcome
from tests.local.event_grid_receiver import Receiver, an_event, run, subscribe, until
from tests.local.local_host import ROOT

# Schemas ------------------------------------------------------------------------------------------


def test_event_arrives_as_an_array_in_the_event_grid_schema() -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver)
        await grid.publish(an_event())
        await until(lambda: grid.undelivered() == 0)
        assert receiver.bodies == [[an_event()]]
        headers = receiver.headers[0]
        assert headers["aeg-event-type"] == "Notification"
        assert headers["aeg-delivery-count"] == "0"
        assert headers["aeg-subscription-name"] == "SUB"
        assert headers["content-type"].startswith("application/json")

    run(story)


def test_event_arrives_alone_as_a_cloud_event() -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver, schema="CloudEventSchemaV1_0")
        await grid.publish(an_event())
        await until(lambda: grid.undelivered() == 0)
        assert receiver.bodies == [
            {
                "id": "event-1",
                "source": "/subscriptions/s/workspaces/w",
                "specversion": "1.0",
                "type": "Microsoft.MachineLearningServices.ModelRegistered",
                "subject": "models/fraud:1",
                "time": "2026-11-22T10:00:00Z",
                "data": {"ModelName": "fraud"},
            }
        ]
        assert receiver.headers[0]["content-type"].startswith("application/cloudevents+json")
        assert receiver.headers[0]["aeg-event-type"] == "Notification"

    run(story)


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
def test_batches_hold_no_more_than_asked_for(schema: str) -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver, schema=schema, max_events_per_batch=4)
        grid.misbehave(hold=True)
        for number in range(10):
            await grid.publish(an_event(number))
        await grid.release()
        await until(lambda: grid.undelivered() == 0)
        assert [len(body) for body in receiver.bodies] == [4, 4, 2]
        assert sorted(receiver.ids) == sorted(f"event-{number}" for number in range(10))

    run(story)


# Subscriptions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["event-1", "event-2", "event-3"]),
        ({"included_event_types": ("Other",)}, ["event-3"]),
        ({"subject_begins_with": "MODELS/fraud:"}, ["event-1", "event-3"]),
        ({"subject_ends_with": ":2"}, ["event-2"]),
        ({"subject_begins_with": "models/", "included_event_types": ("Else",)}, []),
    ],
)
def test_filters_let_through_what_was_asked_for(
    filters: dict[str, Any], expected: list[str]
) -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver, **filters)
        await grid.publish(an_event(1))
        await grid.publish(an_event(2, subject="models/spam:2"))
        await grid.publish(an_event(3, eventType="Other"))
        await until(lambda: grid.undelivered() == 0)
        assert sorted(receiver.ids) == expected

    run(story)


def test_every_subscription_gets_its_own_copy_until_it_ends() -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver, name="one")
        await subscribe(grid, receiver, name="two")
        await grid.publish(an_event(1))
        await until(lambda: grid.undelivered() == 0)
        await grid.unsubscribe("one")
        await grid.publish(an_event(2))
        await until(lambda: grid.undelivered() == 0)
        assert receiver.ids == ["event-1", "event-1", "event-2"]
        assert [subscription.name for subscription in grid.subscriptions()] == ["two"]

    run(story)


@pytest.mark.parametrize("schema", ["EventGridSchema", "CloudEventSchemaV1_0"])
def test_endpoint_that_fails_the_handshake_is_not_subscribed(schema: str) -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        receiver.echoes_code, receiver.allowed_origin = False, None
        with pytest.raises(HandshakeError, match=receiver.url):
            await subscribe(grid, receiver, schema=schema)
        await receiver.stop()
        with pytest.raises(HandshakeError, match=receiver.url):
            await subscribe(grid, receiver, schema=schema)
        assert grid.subscriptions() == ()

    run(story)


@pytest.mark.parametrize(
    "changes",
    [{"schema": "XML"}, {"max_attempts": 0}, {"ttl_minutes": 1441}, {"max_events_per_batch": 0}],
)
def test_impossible_subscription_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(EventGridError, match="subscription 'sub'"):
        Subscription(**{"name": "sub", "endpoint_url": "http://127.0.0.1/", **changes})


def test_event_that_lacks_a_field_is_refused() -> None:
    async def story(grid: EventGrid, _receiver: Receiver) -> None:
        event = an_event()
        del event["topic"]
        with pytest.raises(EventGridError, match="topic: missing"):
            await grid.publish(event)

    run(story)


# Attempts -----------------------------------------------------------------------------------------


def test_failed_delivery_is_repeated_and_counted() -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver)
        receiver.answers = [500, 409, 302]
        await grid.publish(an_event())
        await until(lambda: grid.undelivered() == 0)
        counts = [headers["aeg-delivery-count"] for headers in receiver.headers]
        assert counts == ["0", "1", "2", "3"]

    run(story)


def test_receiver_that_is_away_gets_the_event_when_it_is_back() -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver)
        url = receiver.url
        await receiver.stop()
        await grid.publish(an_event())
        await asyncio.sleep(0)
        again = Receiver()
        await again.start()
        await grid.subscribe(Subscription(name="sub", endpoint_url=again.url))
        assert again.url != url
        await until(lambda: grid.undelivered() == 0)
        assert again.ids == ["event-1"]
        await again.stop()

    run(story)


@pytest.mark.parametrize(
    ("status", "reason", "outcome"),
    [
        (400, "UndeliverableDueToHttpBadRequest", "BadRequest"),
        (403, "UndeliverableDueToHttpForbidden", "Forbidden"),
        (413, "UndeliverableDueToHttpRequestEntityTooLarge", "PayloadTooLarge"),
    ],
)
def test_hopeless_answer_is_not_repeated(
    status: int, reason: str, outcome: str, tmp_path: Path
) -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver)
        receiver.answers = [status]
        await grid.publish(an_event())
        await until(lambda: grid.undelivered() == 0)
        assert len(receiver.bodies) == 1

    run(story, dead_letters=tmp_path)
    (letter,) = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()]
    assert letter.pop("publishTime").startswith("20")
    assert letter == {
        **an_event(),
        "deadLetterReason": reason,
        "deliveryAttempts": 1,
        "lastDeliveryOutcome": outcome,
    }


def test_event_is_given_up_after_its_attempts(tmp_path: Path) -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver, max_attempts=3)
        receiver.answers = [500] * 9
        await grid.publish(an_event())
        await until(lambda: grid.undelivered() == 0)
        assert len(receiver.bodies) == 3

    run(story, dead_letters=tmp_path)
    (letter,) = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()]
    assert letter["deadLetterReason"] == "MaxDeliveryAttemptsExceeded"
    assert letter["deliveryAttempts"] == 3
    assert letter["lastDeliveryOutcome"] == "GenericError"


def test_event_is_given_up_when_its_time_is_over(tmp_path: Path) -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver, ttl_minutes=1)
        receiver.answers = [500] * 9
        await grid.publish(an_event())
        await until(lambda: grid.undelivered() == 0)
        assert len(receiver.bodies) == 1

    # A minute to live and two between attempts, both shortened alike.
    run(story, dead_letters=tmp_path, schedule=(timedelta(minutes=2),), scale=0.001)
    (letter,) = [json.loads(path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()]
    assert letter["deadLetterReason"] == "TimeToLiveExceeded"


@pytest.mark.parametrize(
    ("status", "taken"), [(200, True), (202, True), (204, True), (206, False), (401, False)]
)
def test_only_the_documented_answers_are_success(status: int, *, taken: bool) -> None:
    assert Outcome.of_status(status).is_taken is taken
    assert Outcome.of_status(status).final_reason is None


# Misbehaviour on demand ---------------------------------------------------------------------------


def test_copies_are_delivered_each() -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver)
        grid.misbehave(copies=3)
        await grid.publish(an_event(1))
        grid.misbehave()
        await grid.publish(an_event(2))
        await until(lambda: grid.undelivered() == 0)
        assert sorted(receiver.ids) == ["event-1"] * 3 + ["event-2"]

    run(story)


def test_shuffled_events_arrive_in_another_order() -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver, max_events_per_batch=50)
        grid.misbehave(shuffle=True, hold=True)
        published = [f"event-{number}" for number in range(20)]
        for number in range(20):
            await grid.publish(an_event(number))
        await grid.release()
        await until(lambda: grid.undelivered() == 0)
        assert receiver.ids != published
        assert sorted(receiver.ids) == sorted(published)

    run(story)


def test_held_events_leave_when_released() -> None:
    async def story(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver)
        grid.misbehave(hold=True)
        await grid.publish(an_event(1))
        grid.misbehave()
        await grid.publish(an_event(2))
        await until(lambda: grid.undelivered() == 1)
        assert receiver.ids == ["event-2"]
        await grid.release()
        await until(lambda: grid.undelivered() == 0)
        assert receiver.ids == ["event-2", "event-1"]

    run(story)


# Death --------------------------------------------------------------------------------------------


def test_killed_sender_loses_no_event_and_no_subscription(tmp_path: Path) -> None:
    store = tmp_path / "event-grid.db"

    async def story(_grid: EventGrid, receiver: Receiver) -> None:
        receiver.answers = [500] * 20
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.local.event_grid_child", str(store), receiver.url, "20"),
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert await child.stdout.readline() == b"published\n"
        child.kill()
        await child.wait()
        receiver.answers = []
        # What the child tried in vain is due after ten seconds: the real schedule.
        grid = EventGrid(store=store)
        await grid.start()
        assert [subscription.name for subscription in grid.subscriptions()] == ["sub"]
        await until(lambda: grid.undelivered() == 0)
        assert set(receiver.ids) == {f"event-{number}" for number in range(20)}
        await grid.stop()

    run(story)


def test_delivery_cut_short_by_a_stop_is_made_after_the_start(tmp_path: Path) -> None:
    store = tmp_path / "event-grid.db"

    async def first(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver)
        receiver.answers = [500]
        await grid.publish(an_event())
        await until(lambda: bool(receiver.bodies))

    async def second(grid: EventGrid, receiver: Receiver) -> None:
        await subscribe(grid, receiver)  # the same name: what waits goes to the new address
        await until(lambda: grid.undelivered() == 0)
        assert receiver.ids == ["event-1"]

    run(first, store=store)
    run(second, store=store)
