"""Real scoring servers from their start to their end, whichever way it comes."""

import asyncio
import os
import pickle
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from local.azure_ml.scoring.pool import ServerPool, StartCode, StartFailed
from local.azure_ml.scoring.spec import Probe
from tests.local.scoring_world import (
    REPOSITORY,
    SCORING_PYTHON,
    Reply,
    World,
    is_alive,
    until,
)

ROW = {"data": [[3.0]]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("pool"))
    world.run(world.pool.start(world.spec("fraud", "blue")))
    world.route("fraud", blue=100)
    yield world
    world.end()


def test_a_container_sees_its_model_and_nothing_of_the_emulators_environment(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_EMULATOR", "x")
    spec = world.spec("env", "blue", COLOUR="azure", AML_APP_INSIGHTS_ENABLED="true")
    world.route("env", blue=100)

    async def story() -> Any:
        await world.pool.start(spec)
        asked = ["COLOUR", "AZUREML_MODEL_DIR", "SECRET_OF_THE_EMULATOR", "HOME"]
        return (await world.score("env", {"show": [*asked, "AML_APP_INSIGHTS_ENABLED"]})).json

    seen = world.run(story())
    world.run(world.pool.stop("env", "blue"))

    assert seen["COLOUR"] == "azure"
    assert seen["AZUREML_MODEL_DIR"].endswith("/azureml-models/doubler/3")
    assert seen["SECRET_OF_THE_EMULATOR"] is None
    assert seen["HOME"] != os.environ.get("HOME")
    assert seen["AML_APP_INSIGHTS_ENABLED"] == "false"


@pytest.mark.parametrize(
    ("change", "code", "logged"),
    [
        pytest.param(
            {"environment_variables": {"BREAK": "v9"}},
            StartCode.RESOURCE_NOT_READY,
            "RuntimeError: no such weights: v9",
            id="init-raises",
        ),
        pytest.param(
            {"scoring_script": "other.py"},
            StartCode.RESOURCE_NOT_READY,
            "No such file or directory",
            id="no-script",
        ),
        pytest.param(
            {"is_mlflow": True, "code_path": None},
            StartCode.RESOURCE_NOT_READY,
            "this is not an MLflow model",
            id="not-mlflow",
        ),
        pytest.param(
            {"conda": "dependencies: [python=3.13, {pip: [left-pad==1.3]}]"},
            StartCode.IMAGE_BUILD_FAILURE,
            "No matching distribution found for left-pad==1.3",
            id="missing-package",
        ),
        pytest.param(
            {"code_path": None}, StartCode.BAD_ARGUMENT, "SystemSetup: Succeeded", id="no-code"
        ),
        pytest.param(
            {"model_path": Path("nowhere")},
            StartCode.BAD_ARGUMENT,
            "ModelDownload: Failed",
            id="no-model",
        ),
    ],
)
def test_a_start_that_fails_says_why_and_leaves_what_ran(
    world: World, change: dict[str, Any], code: StartCode, logged: str
) -> None:
    with pytest.raises(StartFailed) as failed:
        world.run(world.pool.start(replace(world.spec("fraud", "blue"), **change)))

    assert failed.value.code == code
    assert logged in world.log("fraud", "blue")
    assert world.run(world.score("fraud", ROW)).json["answer"] == [6.0]


def test_names_that_lead_out_of_the_root_are_refused(world: World) -> None:
    for name in ("..", "a/b", ""):
        with pytest.raises(StartFailed, match="BadArgument"):
            world.run(world.pool.start(replace(world.spec("fraud", "x"), deployment=name)))
        with pytest.raises(StartFailed, match="BadArgument"):
            world.run(world.pool.start(replace(world.spec("fraud", "x"), model_version=name + "/")))


def test_a_deployment_is_replaced_under_load_without_a_lost_request(world: World) -> None:
    world.route("roll", blue=100)
    replies: list[Reply] = []

    async def call(stop: asyncio.Event) -> None:
        while not stop.is_set():
            replies.append(await world.score("roll", ROW))

    async def story() -> None:
        stop = asyncio.Event()
        await world.pool.start(world.spec("roll", "blue", LABEL="old"))
        callers = [asyncio.create_task(call(stop)) for _ in range(8)]
        await until(lambda: len(replies) > 100)
        await world.pool.start(world.spec("roll", "blue", LABEL="new"))
        served = len(replies)
        await until(lambda: len(replies) > served + 100)
        stop.set()
        await asyncio.gather(*callers)
        await world.pool.stop("roll", "blue")

    world.run(story())

    assert {reply.status for reply in replies} == {200}
    labels = [reply.json["label"] for reply in replies]
    assert (labels[0], labels[-1]) == ("old", "new")
    assert not any(is_alive(reply.json["pid"]) for reply in replies)


def test_stopping_finishes_what_was_begun_and_keeps_the_logs(world: World, tmp_path: Path) -> None:
    world.route("drain", blue=100)
    began, go_on = tmp_path / "began", tmp_path / "go"

    async def story() -> tuple[Reply, Reply, bool]:
        await world.pool.start(world.spec("drain", "blue"))
        held = {"hold": [str(began), str(go_on)], **ROW}
        first = asyncio.create_task(world.score("drain", held))
        queued = asyncio.create_task(world.score("drain", ROW))
        await until(began.exists)
        stopping = asyncio.create_task(world.pool.stop("drain", "blue"))
        await until(lambda: world.pool.find("drain", "blue") is None)
        late = await world.score("drain", ROW)
        was_waiting = not stopping.done()
        go_on.touch()
        await stopping
        assert (await queued).status == 200
        return await first, late, was_waiting

    first, late, was_waiting = world.run(story())

    assert (first.status, late.status, was_waiting) == (200, 502, True)
    assert not is_alive(first.json["pid"])
    assert "POST /score 200" in world.log("drain", "blue")
    assert "downloaded azureml-models/doubler/3/light/factor.txt" in world.log(
        "drain", "blue", "StorageInitializer"
    )


def test_a_dead_instance_is_restarted_while_the_other_takes_its_requests(
    world: World, tmp_path: Path
) -> None:
    world.route("crash", blue=100)
    held = {"hold": [str(tmp_path / "began"), str(tmp_path / "never")], **ROW}

    async def story() -> tuple[Reply, list[Reply]]:
        await world.pool.start(replace(world.spec("crash", "blue"), instances=2))
        deployment = world.pool.find("crash", "blue")
        assert deployment is not None
        lost = asyncio.create_task(world.score("crash", held))
        await until((tmp_path / "began").exists)
        busy = next(item for item in deployment.containers if item.active > 0)
        assert busy.group is not None
        os.killpg(busy.group, signal.SIGKILL)
        replies = [await world.score("crash", ROW) for _ in range(10)]
        await until(lambda: len(deployment.containers) == 2)
        replies += await asyncio.gather(*(world.score("crash", ROW) for _ in range(8)))
        await world.pool.stop("crash", "blue")
        return await lost, replies

    lost, replies = world.run(story())

    assert lost.status == 502
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["pid"] for reply in replies}) == 2
    assert "(exit code -9); restart 1 of 5" in world.log("crash", "blue")


def test_an_instance_whose_probe_fails_too_often_is_started_again(
    world: World, tmp_path: Path
) -> None:
    probe = Probe(initial_delay=0.0, period=0.1, timeout=2.0, failures=3)
    spec = replace(world.spec("ill", "blue"), liveness=probe)
    world.route("ill", blue=100)
    held = {"hold": [str(tmp_path / "began"), str(tmp_path / "never")], **ROW}

    async def story() -> tuple[int, list[int]]:
        await world.pool.start(spec)
        deployment = world.pool.find("ill", "blue")
        assert deployment is not None
        first = deployment.containers[0].group
        # One worker answers one request at a time: while it holds this one, no probe is answered.
        lost = (await world.score("ill", held)).status
        await until(lambda: bool(deployment.containers))
        after = [(await world.score("ill", ROW)).status for _ in range(3)]
        assert deployment.containers[0].group != first
        await world.pool.stop("ill", "blue")
        return lost, after

    assert world.run(story()) == (502, [200, 200, 200])
    assert "Liveness probe failed 3 times in a row" in world.log("ill", "blue")


def test_a_start_is_given_up_when_the_readiness_probe_has_failed_too_often(world: World) -> None:
    probe = Probe(initial_delay=0.0, period=0.1, timeout=0.1, failures=1)
    with pytest.raises(StartFailed, match=r"no answer within 0\.1 s"):
        world.run(world.pool.start(replace(world.spec("late", "blue"), readiness=probe)))


def test_closing_during_a_start_leaves_no_server(tmp_path: Path, world: World) -> None:
    async def story() -> int:
        pool = ServerPool(root=tmp_path, python=SCORING_PYTHON)
        start = asyncio.create_task(pool.start(world.spec("early", "blue")))
        log = tmp_path / "early" / "blue" / "0001" / "logs" / "inference-server-0.log"
        await until(lambda: log.exists() and "Booting worker" in log.read_text())
        await pool.close()
        with pytest.raises(StartFailed, match="shut down"):
            await start
        listening = re.search(r"Listening at: \S+ \((\d+)\)", log.read_text())
        assert listening is not None
        return int(listening[1])

    assert not is_alive(world.run(story()))


def test_killing_the_owner_leaves_no_server_behind(world: World, tmp_path: Path) -> None:
    owner = textwrap.dedent("""
        import asyncio, pickle, sys
        from pathlib import Path
        from local.azure_ml.scoring.pool import ServerPool

        async def main():
            spec = pickle.loads(bytes.fromhex(sys.argv[1]))
            pool = ServerPool(root=Path(sys.argv[2]), python=Path(sys.argv[3]))
            await pool.start(spec)
            print(pool.find(spec.endpoint, spec.deployment).containers[0]._process.pid, flush=True)
            await asyncio.Event().wait()

        asyncio.run(main())
    """)
    spec = pickle.dumps(world.spec("orphan", "blue", WORKER_COUNT="2")).hex()
    with subprocess.Popen(
        [sys.executable, "-c", owner, spec, tmp_path, SCORING_PYTHON],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        group = int(process.stdout.readline())
        assert is_alive(group)
        process.kill()

    world.run(until(lambda: not is_alive(group)))
