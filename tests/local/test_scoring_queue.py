"""The queue in front of a deployment's containers, and the counters behind it; no process runs."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from local.azure_ml.scoring.container import Container, Launch
from local.azure_ml.scoring.counters import KEPT_MINUTES, LATENCIES_KEPT, Counters, Outcome
from local.azure_ml.scoring.deployment import Deployment, NoContainer, TooManyPending
from local.azure_ml.scoring.spec import ServerSpec

if TYPE_CHECKING:
    from local.azure_ml.scoring.slot import Slot


def a_spec(*, instances: int = 1, max_concurrent: int = 1) -> ServerSpec:
    return ServerSpec(
        endpoint="fraud",
        deployment="blue",
        model_path=None,
        model_name="m",
        model_version="1",
        is_mlflow=True,
        code_path=None,
        scoring_script=None,
        environment_variables={},
        conda=None,
        instances=instances,
        request_timeout=5.0,
        max_concurrent=max_concurrent,
    )


def a_container() -> Container:
    nowhere = Path("nowhere")
    launch = Launch(python=nowhere, folder=nowhere, environment={}, log=nowhere, start_deadline=1)
    return Container(launch)


def a_deployment(*containers: Container, instances: int = 1, at_once: int = 1) -> Deployment:
    deployment = Deployment(a_spec(instances=instances, max_concurrent=at_once))
    for container in containers:
        deployment.add(container)
    return deployment


class Caller:
    """One request: holds a container until it is told to finish."""

    def __init__(self, deployment: Deployment) -> None:
        self._finish = asyncio.Event()
        self._got = asyncio.Event()
        self.container: Slot | None = None
        self.task = asyncio.create_task(self._call(deployment))

    async def _call(self, deployment: Deployment) -> None:
        with deployment.admitted():
            async with deployment.container() as self.container:
                self._got.set()
                await self._finish.wait()

    async def served(self) -> None:
        async with asyncio.timeout(5):
            await self._got.wait()

    async def finish(self) -> None:
        self._finish.set()
        await self.task


def run(story: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await story

    asyncio.run(bounded())


async def settle() -> None:
    """Let every task that can run take its next steps."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_requests_go_to_the_container_with_the_least_to_do() -> None:
    async def story() -> None:
        one, two = a_container(), a_container()
        deployment = a_deployment(one, two, instances=2, at_once=2)
        callers = [Caller(deployment) for _ in range(4)]
        for caller in callers:
            await caller.served()
        assert (one.active, two.active) == (2, 2)
        for caller in callers:
            await caller.finish()
        assert (one.active, two.active) == (0, 0)

    run(story())


def test_the_queue_is_served_in_order_and_refuses_beyond_twice_the_capacity() -> None:
    async def story() -> None:
        deployment = a_deployment(a_container())
        first, second = Caller(deployment), Caller(deployment)
        await first.served()
        third = Caller(deployment)
        with pytest.raises(TooManyPending):
            await third.task
        assert second.container is None
        await first.finish()
        await second.served()
        await second.finish()

    run(story())


def test_a_request_given_up_in_the_queue_takes_no_place() -> None:
    async def story() -> None:
        container = a_container()
        deployment = a_deployment(container)
        first, second = Caller(deployment), Caller(deployment)
        await first.served()
        await settle()
        second.task.cancel()
        await asyncio.gather(second.task, return_exceptions=True)
        await first.finish()
        third = Caller(deployment)
        await third.served()
        assert container.active == 1
        await third.finish()

    run(story())


def test_a_request_given_up_in_the_moment_of_its_turn_hands_it_on() -> None:
    async def story() -> None:
        container = a_container()
        deployment = a_deployment(container)
        first, second = Caller(deployment), Caller(deployment)
        await first.served()
        await settle()
        container.end()  # room, and the turn is given at once ...
        deployment.add(a_container())
        second.task.cancel()  # ... but the one who waited is gone before it looks
        await asyncio.gather(second.task, return_exceptions=True)
        assert [item.active for item in deployment.containers] == [0, 0]
        container.begin()
        await first.finish()

    run(story())


def test_queued_requests_go_on_with_the_containers_that_take_over() -> None:
    async def story() -> None:
        old, new = a_container(), a_container()
        deployment = a_deployment(old)
        first, second = Caller(deployment), Caller(deployment)
        await first.served()
        await settle()
        deployment.switch(a_spec(), [new])
        await second.served()
        assert second.container is new
        assert old.active == 1
        await first.finish()
        await asyncio.wait_for(old.idle(), 5)
        await second.finish()

    run(story())


def test_queued_requests_learn_that_the_last_container_died() -> None:
    async def story() -> None:
        container = a_container()
        deployment = a_deployment(container)
        first, second = Caller(deployment), Caller(deployment)
        await first.served()
        await settle()
        deployment.lose(container)
        with pytest.raises(NoContainer):
            await second.task
        await first.finish()
        await asyncio.wait_for(deployment.idle(), 5)

    run(story())


def test_counts_are_kept_per_minute_for_two_hours() -> None:
    now = [1_000_000.0]
    counters = Counters(clock=lambda: now[0])
    for _ in range(KEPT_MINUTES + 10):
        counters.record("Fraud", "Blue", Outcome(status=200, model_status=200, latency=1.0))
        now[0] += 60
    blue = counters.snapshot()["fraud"]["blue"]

    assert blue["requests"] == {200: KEPT_MINUTES + 10}
    assert len(blue["minutes"]) == KEPT_MINUTES
    assert blue["minutes"][-1]["start"] == (now[0] - 60) // 60 * 60
    assert all(minute["start"] % 60 == 0 for minute in blue["minutes"])


def test_a_mirrored_request_is_measured_but_no_caller_saw_it() -> None:
    counters = Counters(clock=lambda: 60.0)
    failed = Outcome(status=424, model_status=500, latency=3.0, mirrored=True)
    counters.record("fraud", "green", failed)
    green = counters.snapshot()["fraud"]["green"]

    assert green["requests"] == {}
    assert green["mirrored"] == 1
    assert green["mirrored_statuses"] == {424: 1}
    assert green["minutes"] == [
        {
            "start": 60,
            "count": 1,
            "mirrored": 1,
            "statuses": {424: 1},
            "model_statuses": {500: 1},
            "latencies": [3.0],
        }
    ]


def test_a_busy_minute_keeps_every_count_and_a_bounded_sample_of_latencies() -> None:
    counters = Counters(clock=lambda: 60.0)
    for number in range(LATENCIES_KEPT * 2):
        latency = float(number)
        counters.record("e", "d", Outcome(status=200, model_status=200, latency=latency))
    minute = counters.snapshot()["e"]["d"]["minutes"][0]

    assert minute["count"] == LATENCIES_KEPT * 2
    assert len(minute["latencies"]) == LATENCIES_KEPT
    assert max(minute["latencies"]) >= LATENCIES_KEPT  # later ones have their share
