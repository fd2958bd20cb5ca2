"""The front before two real deployments, started once and shared by the tests here."""

import asyncio
import math
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local.azure_ml.scoring.container import Container, Launch
from local.azure_ml.scoring.deployment import Deployment
from local.azure_ml.scoring.front import DEPLOYMENT_HEADER
from tests.local.scoring_world import Reply, World, train, until

ROW = {"data": [[3.0]]}
MLFLOW_ROW = {"input_data": [[3.0]]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    root = tmp_path_factory.mktemp("front")
    models = root / "models"
    train(models)
    world = World(root)
    spec = world.spec("fraud", "blue")
    blue = replace(spec, model_path=models / "plain", scoring_script="score.py")
    green = replace(
        spec,
        deployment="green",
        model_path=models / "mlflow",
        is_mlflow=True,
        code_path=None,
        scoring_script=None,
    )

    async def start() -> None:
        async with asyncio.TaskGroup() as starts:
            starts.create_task(world.pool.start(blue))
            starts.create_task(world.pool.start(green))

    world.run(start())
    yield world
    world.end()


@pytest.fixture(autouse=True)
def weights(world: World) -> None:
    """All traffic of the shared endpoint to blue, whatever the test before left."""
    world.route("fraud", blue=100, green=0)


def test_a_scoring_script_answers_with_the_headers_of_the_service(world: World) -> None:
    reply = world.run(world.score("fraud", ROW))

    assert reply.json == [6.0]
    assert reply.headers[DEPLOYMENT_HEADER] == "blue"
    assert reply.headers["Server"] == "azureml-frontdoor"
    assert reply.headers["x-ms-run-function-failed"] == "False"
    assert float(reply.headers["x-ms-run-fn-exec-ms"]) > 0
    assert reply.headers["x-ms-server-version"].startswith("azmlinfsrv/")
    assert len(reply.headers.getall("x-request-id")) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param([[3.0], [1.0]], id="rows"),
        pytest.param({"columns": ["x"], "index": [0, 1], "data": [[3.0], [1.0]]}, id="split"),
        pytest.param([{"x": 3.0}, {"x": 1.0}], id="records"),
    ],
)
def test_a_model_without_code_is_scored_by_mlflow(world: World, given: object) -> None:
    reply = world.run(world.score("fraud", {"input_data": given}, to="green"))

    assert reply.json == pytest.approx([6.0, 2.0])
    assert reply.headers[DEPLOYMENT_HEADER] == "green"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param({"data": [[1]]}, "A value is not provided for the 'input_data'", id="missing"),
        pytest.param({"input_data": 3}, "expected an array of items", id="no-array"),
    ],
)
def test_a_bad_request_to_an_mlflow_model_is_a_model_error(
    world: World, body: object, said: str
) -> None:
    reply = world.run(world.score("fraud", body, to="green"))

    assert (reply.status, reply.headers["ms-azureml-model-error-statuscode"]) == (424, "400")
    assert said in reply.text


def test_an_exception_in_the_model_is_answered_424_and_logged(world: World) -> None:
    reply = world.run(world.score("fraud", {"no": "data"}))

    assert reply.status == 424
    assert reply.headers["ms-azureml-model-error-statuscode"] == "500"
    assert reply.headers["ms-azureml-model-error-reason"] == "model_error"
    assert reply.headers["x-ms-run-function-failed"] == "True"
    assert "KeyError: 'data'" in world.log("fraud", "BLUE")


@pytest.mark.parametrize(
    ("to", "key", "status"),
    [
        pytest.param(None, "bad", 401, id="wrong-key"),
        pytest.param("red", "good", 404, id="unknown-deployment"),
        pytest.param("GREEN", "good", 200, id="weight-0-by-header"),
    ],
)
def test_who_may_reach_what(world: World, to: str | None, key: str, status: int) -> None:
    assert world.run(world.score("fraud", MLFLOW_ROW, to=to, key=key)).status == status


def test_without_a_positive_weight_nobody_answers(world: World) -> None:
    world.route("fraud", blue=0, green=0)

    assert world.run(world.score("fraud", ROW)).status == 404
    assert world.run(world.score("nowhere", ROW)).status == 404


def test_a_weight_on_a_deployment_that_is_not_up_is_a_bad_gateway(world: World) -> None:
    world.route("fraud", red=100)

    assert world.run(world.score("fraud", ROW)).status == 502


def test_a_container_that_refuses_is_passed_over_for_one_that_answers(world: World) -> None:
    spec = world.spec("half", "blue")
    world.route("half", blue=100)
    launch = Launch(
        python=Path(), folder=Path(), environment={}, log=Path("dead.log"), start_deadline=1
    )

    async def story() -> tuple[int, int]:
        running = world.pool.find("fraud", "blue")
        assert running is not None
        dead, alive = Container(launch), running.containers[0]
        with socket.create_server(("127.0.0.1", 0)) as gone:
            dead.url = f"http://127.0.0.1:{gone.getsockname()[1]}"
        deployment = world.pool._deployments[spec.key] = Deployment(spec)
        deployment.add(dead)
        deployment.add(alive)
        first = (await world.score("half", ROW)).status
        assert deployment.containers == (alive,)
        deployment.switch(spec, [dead])
        return first, (await world.score("half", ROW)).status

    assert world.run(story()) == (200, 502)
    del world.pool._deployments[spec.key]  # its container belongs to another deployment


def test_requests_are_shared_by_weight(world: World) -> None:
    world.route("fraud", blue=90, green=10)
    sent, share = 2_000, 0.10

    async def story() -> Counter[str]:
        both = ROW | MLFLOW_ROW
        replies: list[Reply] = []
        for _ in range(sent // 8):
            replies += await asyncio.gather(*(world.score("fraud", both) for _ in range(8)))
        assert {reply.status for reply in replies} == {200}
        return Counter(reply.headers[DEPLOYMENT_HEADER] for reply in replies)

    seen = world.run(story())

    spread = 3 * math.sqrt(sent * share * (1 - share))
    assert seen.total() == sent
    assert abs(seen["green"] - sent * share) <= spread


def test_mirrored_requests_are_counted_and_never_seen(world: World) -> None:
    world.route("fraud", blue=100, mirror={"green": 50})
    before = world.plane.counters()["fraud"].get("green", {"mirrored": 0})["mirrored"]
    sent = 100

    def mirrored() -> int:
        counts = world.plane.counters()["fraud"]
        return counts["green"]["mirrored"] - before if "green" in counts else 0

    async def story() -> tuple[list[Reply], int]:
        replies = [await world.score("fraud", ROW) for _ in range(sent)]
        await until(lambda: not world.plane._mirrored)
        after = mirrored()
        await asyncio.gather(*(world.score("fraud", ROW, to="blue") for _ in range(8)))
        return replies, after

    replies, after = world.run(story())

    # Green cannot read what blue is asked, so every copy fails: callers must not notice.
    assert {(reply.status, reply.headers[DEPLOYMENT_HEADER]) for reply in replies} == {
        (200, "blue")
    }
    assert abs(after - sent / 2) <= 3 * math.sqrt(sent / 4)
    assert mirrored() == after  # a request that names its deployment is not mirrored
    # Copies that come faster than green answers are refused by its queue, as requests are.
    statuses = world.plane.counters()["fraud"]["green"]["mirrored_statuses"]
    assert statuses[424] > 0
    assert set(statuses) <= {424, 429}


def test_too_slow_is_408_and_too_many_is_429(world: World, tmp_path: Path) -> None:
    spec = replace(world.spec("slow", "blue"), request_timeout=2.0, max_concurrent=1)
    world.route("slow", blue=100)
    held = {"hold": [str(tmp_path / "began"), str(tmp_path / "go")], **ROW}

    async def story() -> tuple[Counter[int], Reply]:
        await world.pool.start(spec)
        replies = await asyncio.gather(*(world.score("slow", held) for _ in range(5)))
        (tmp_path / "go").touch()
        refused = next(reply for reply in replies if reply.status == 429)
        assert (await world.score("slow", ROW)).status == 200
        await world.pool.stop("slow", "blue")
        return Counter(reply.status for reply in replies), refused

    statuses, refused = world.run(story())

    assert statuses == {408: 2, 429: 3}
    assert refused.headers["ms-azureml-model-error-reason"] == "too_many_pending_request"
