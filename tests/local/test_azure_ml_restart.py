"""Ending the emulator at any moment loses nothing that was answered."""

import contextlib
import http.client
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.local.azure_ml_lab import REPOSITORY, Lab, lab, until, webhook

SUBSCRIPTION = "providers/Microsoft.EventGrid/eventSubscriptions/all"


def starts(aml: Lab, deployment: str) -> int:
    asked = {"act": "start", "deployment": deployment}
    return sum(asked.items() <= item.items() for item in aml.pool())


@pytest.mark.parametrize("how", ["kill9", "stop"])
def test_state_survives_the_end_of_the_process(tmp_path: Path, how: str) -> None:
    with lab(tmp_path) as aml:
        aml.register("m", "1", tags={"a": "1"})
        aml.succeed(aml.put_endpoint("fraud"))
        aml.succeed(aml.put_deployment("fraud/blue", "m:1"))
        aml.succeed(aml.put_endpoint("fraud", traffic={"blue": 100}))
        endpoint = "onlineEndpoints/fraud"
        paths = ("", "models/m/versions/1", endpoint, f"{endpoint}/deployments/blue")
        before = [aml.arm("GET", path).json for path in paths]
        keys = aml.arm("POST", "onlineEndpoints/fraud/listKeys").json
        ready = aml.ready
        getattr(aml, how)()
        aml.start()
        assert {**aml.ready, "pid": 0} == {**ready, "pid": 0}
        assert [aml.arm("GET", path).json for path in paths] == before
        assert aml.arm("POST", "onlineEndpoints/fraud/listKeys").json == keys
        blob = aml.send("GET", "/acct/azureml/m-1/MLmodel", headers={"Authorization": "Bearer x"})
        assert blob.body == b"flavors: {}\n"


@pytest.mark.parametrize("how", ["kill9", "stop"])
def test_operations_under_way_are_finished_after_a_restart(tmp_path: Path, how: str) -> None:
    go_on = tmp_path / "go-on"
    with lab(tmp_path / "data", "--pace", "instant") as aml:
        aml.register("m", "1")
        for endpoint in ("fraud", "moving", "ending"):
            aml.succeed(aml.put_endpoint(endpoint))
            aml.succeed(aml.put_deployment(f"{endpoint}/blue", "m:1"))
        variables = {"HOLD": str(go_on)}
        aml.admin("PUT", "pace", {"traffic": 4, "delete": 4})
        running = [
            aml.put_deployment("fraud/green", "m:1", environmentVariables=variables),
            aml.put_endpoint("moving", traffic={"blue": 100}),
            aml.arm("DELETE", "onlineEndpoints/ending/deployments/blue"),
        ]
        until(lambda: starts(aml, "fraud/green") == 1)
        getattr(aml, how)()
        aml.start("--pace", "instant")
        assert aml.state("fraud/green") == "Updating"
        assert aml.put_endpoint("fraud").status == 409
        go_on.touch()
        for reply in running:
            aml.succeed(reply)
        assert starts(aml, "fraud/green") == 2
        assert aml.state("fraud/green") == "Succeeded"
        assert aml.get_endpoint("moving")["properties"]["traffic"] == {"blue": 100}
        assert aml.arm("GET", "onlineEndpoints/ending/deployments/blue").status == 404


def test_servers_of_finished_deployments_are_started_again(tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    with lab(tmp_path / "data") as aml:
        aml.register("m", "1")
        aml.register("m", "2")
        aml.succeed(aml.put_endpoint("fraud"))
        aml.succeed(aml.put_deployment("fraud/blue", "m:1"))
        failing = aml.put_deployment("fraud/blue", "m:2", environmentVariables={"FAIL": "x"})
        aml.done(failing)
        aml.done(aml.put_deployment("fraud/broken", "m:1", environmentVariables={"FAIL": "x"}))
        before = len(aml.pool())
        aml.kill9()
        aml.start()
        until(lambda: not aml.admin("GET", "state")["restoring"])
        (started,) = [item for item in aml.pool()[before:] if item["act"] == "start"]
        # What served before the failed change serves again.
        assert (started["deployment"], started["model"]) == ("fraud/blue", "m:1")
        go_on.touch()


def test_old_servers_come_back_before_a_change_under_way_goes_on(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.touch()
    with lab(tmp_path / "data") as aml:
        aml.register("m", "1")
        aml.register("m", "2")
        aml.succeed(aml.put_endpoint("fraud"))
        held = {"HOLD": str(old)}
        aml.succeed(aml.put_deployment("fraud/blue", "m:1", environmentVariables=held))
        held = {"HOLD": str(new)}
        reply = aml.put_deployment("fraud/blue", "m:2", environmentVariables=held)
        until(lambda: starts(aml, "fraud/blue") == 2)
        before = len(aml.pool())
        aml.kill9()
        old.unlink()
        aml.start()
        assert aml.admin("GET", "state")["restoring"] == ["fraud/blue"]
        assert [item["model"] for item in aml.pool()[before:]] == ["m:1"]
        old.touch()
        until(lambda: len(aml.pool()) == before + 2)
        assert [item["model"] for item in aml.pool()[before:]] == ["m:1", "m:2"]
        new.touch()
        aml.succeed(reply)


def test_pace_and_subscriptions_survive(tmp_path: Path) -> None:
    with lab(tmp_path) as aml, webhook() as hook:
        destination = {"endpointType": "WebHook", "properties": {"endpointUrl": hook.url}}
        aml.arm("PUT", SUBSCRIPTION, {"properties": {"destination": destination}})
        aml.admin("PUT", "pace", {"traffic": 0.25})
        aml.kill9()
        aml.start()
        assert aml.admin("GET", "state")["pace"]["traffic"] == 0.25
        aml.register("m", "1")
        assert hook.next()["subject"] == "models/m:1"


def test_events_held_back_when_the_process_died_leave_after_the_restart(tmp_path: Path) -> None:
    with lab(tmp_path) as aml, webhook() as hook:
        destination = {"endpointType": "WebHook", "properties": {"endpointUrl": hook.url}}
        aml.arm("PUT", SUBSCRIPTION, {"properties": {"destination": destination}})
        aml.admin("POST", "events", {"hold": True})
        for version in ("1", "2", "3"):
            aml.register("m", version)
        aml.kill9()
        assert hook.received.empty()
        aml.start()
        # The last may have died between the two stores and then leaves twice: at least once.
        subjects: set[str] = set()
        while len(subjects) < 3:
            subjects.add(hook.next()["subject"])
        assert subjects == {"models/m:1", "models/m:2", "models/m:3"}


def test_port_that_is_taken_is_said_plainly(tmp_path: Path) -> None:
    with lab(tmp_path / "one") as aml:
        port = aml.ready["url"].rpartition(":")[2]
        command = [sys.executable, "-m", "tests.local.azure_ml_fake"]
        second = subprocess.run(
            [*command, "--data", str(tmp_path / "two"), "--port", port],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=False,
        )
    assert second.returncode == 1
    assert f"listening on port {port}" in second.stderr


def test_emulator_ends_with_its_parent(tmp_path: Path) -> None:
    aml = Lab(tmp_path)
    aml.start()
    child = aml._child
    assert child is not None
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()  # what the death of a parent does
    assert child.wait(60) == 0
    child.stdout.close()


def test_what_was_answered_survives_kill_9_at_any_moment(tmp_path: Path) -> None:
    chance = random.Random(5)  # noqa: S311 - moments to kill at, no secrets
    answered: set[str] = set()
    with lab(tmp_path) as aml, webhook() as hook:
        destination = {"endpointType": "WebHook", "properties": {"endpointUrl": hook.url}}
        aml.arm("PUT", SUBSCRIPTION, {"properties": {"destination": destination}})
        uri = aml.upload("shared")
        for _ in range(3):
            # Registrations answer within milliseconds: the kill falls into the middle of one.
            killer = threading.Timer(chance.uniform(0.02, 0.3), os.kill, (aml.pid, signal.SIGKILL))
            killer.start()
            with contextlib.suppress(http.client.HTTPException, OSError):
                while True:
                    version = str(len(answered) + 1)
                    reply = aml.register("m", version, modelUri=uri)
                    assert reply.status in (200, 201)
                    answered.add(version)
            killer.join()
            aml.kill9()
            aml.start()
            for version in answered:
                assert aml.arm("GET", f"models/m/versions/{version}").status == 200
        assert answered
        heard: set[str] = set()
        while not answered <= heard:
            heard.add(hook.next()["subject"].partition(":")[2])
