"""The command line at the real app: signed in with a code, it looks, asks, answers and watches."""

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.program import REPOSITORY
from local.stack import Stack
from rolloutctl.exit import Exit
from tests.e2e.scene import AT_ONCE, SLOW, Scene, write_policies

pytestmark = pytest.mark.e2e

PATIENCE = 120.0  # seconds until a command counts as never ending; generous on purpose
ASKING = "{kind: canary, steps: [{weight: 10, bake: 1s}]}"
BEFORE_100 = 'approval:\n  promote: {approvers: ["group:ml-leads"], deadline: 1h}'
POLICIES = {
    "watched": (ASKING, ""),
    "aborted": (SLOW, ""),
    "approved": (ASKING, BEFORE_100),
    "held": (AT_ONCE, ""),
    "replayed": (AT_ONCE, ""),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("scene")
    stack = Stack(
        policies=write_policies(folder / "policies", POLICIES),
        data=folder / "data",
        pace="instant",
        settings={"ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *"},  # never while the tests run
    )
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody at a command line of their own."""

    environment: dict[str, str]

    def run(self, *arguments: str, given: str = "") -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            (sys.executable, "-m", "rolloutctl", *arguments),
            cwd=REPOSITORY,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def ask(self, *arguments: str, given: str = "") -> Any:
        """Return what a command prints as JSON; it must have ended well."""
        done = self.run(*arguments, "--json", given=given)
        assert done.returncode == Exit.OK, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def lea(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Sign in Lea, who operates, and is one of group:ml-leads."""
    return sign_in(scene, "lea", tmp_path_factory.mktemp("lea"))


def sign_in(scene: Scene, name: str, home: Path) -> Person:
    """Sign somebody in, as a person does: with a code, on the page of the identity provider."""
    app = scene.stack.host.ready["url"]
    person = Person(
        environment={
            **os.environ,
            "ROLLOUTCTL_APP": app,
            "XDG_CACHE_HOME": str(home),
            "PATH": "/usr/bin:/bin",
        }
    )
    child = subprocess.Popen(
        (sys.executable, "-m", "rolloutctl", "login"),
        cwd=REPOSITORY,
        env=person.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stderr is not None
        told = child.stderr.readline() + child.stderr.readline()
        found = re.search(r"open (\S+) and enter the code (\S+)", told)
        assert found is not None, told + child.stderr.read()
        form = urllib.parse.urlencode({"user_code": found[2], "person": name}).encode()
        with urllib.request.urlopen(found[1], data=form, timeout=60) as page:  # noqa: S310 - loopback
            assert page.status == 200
        out, err = child.communicate(timeout=PATIENCE)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == Exit.OK, err
    assert "rights: " in out
    return person


def test_a_rollout_is_watched_to_its_end(scene: Scene, lea: Person) -> None:
    first = scene.register_and_end("watched")
    scene.register("watched")
    done = lea.run("watch", "--endpoint", "watched", "--every", "100ms")
    assert done.returncode == Exit.OK, done.stderr
    assert done.stdout.splitlines()[-1] == "succeeded: 'watched-v2' is the stable"
    assert "weights read back: watched-v1 90, watched-v2 10" in done.stdout
    listed = lea.ask("list", "--model", "watched")["rollouts"]
    assert [one["version"] for one in listed] == ["2", "1"]
    shown = lea.ask("show", first["rollout_id"])
    assert (shown["phase"], shown["possible"], shown["bake"]) == ("succeeded", [], None)


def test_a_rollout_in_its_bake_is_aborted(scene: Scene, lea: Person) -> None:
    scene.register_and_end("aborted")
    rollout_id = scene.reached("aborted", scene.register("aborted"), "bakes for")["rollout_id"]
    baking = lea.ask("show", rollout_id)
    assert baking["bake"]["weight"] == 10
    assert {"abort", "pause"} <= set(baking["possible"])
    picture = lea.run("show", rollout_id).stdout
    assert re.search(r"left of 10m 00s at weight 10", picture)
    assert lea.run("abort", rollout_id, "--reason", "complaints came in").returncode == Exit.OK
    done = lea.run("watch", rollout_id, "--every", "100ms", "--json")
    assert done.returncode == Exit.NO
    last = json.loads(done.stdout.splitlines()[-1])["rollout"]
    assert (last["phase"], last["weights"]) == ("failed", {"aborted-v1": 100})
    refused = lea.run("abort", rollout_id, "--reason", "again")
    assert refused.returncode == Exit.REFUSED
    assert "(possible now: " in refused.stderr


def test_an_approval_rests_on_figures_and_on_who_gives_it(
    scene: Scene, lea: Person, tmp_path: Path
) -> None:
    asking = scene.asked("approved", scene.register("approved"))
    rollout_id, figures = asking["rollout_id"], asking["awaits"]["figures"]
    answer = ("approve", rollout_id, "--reason", "looks good", "--yes", "--figures")
    assert lea.run(*answer, "000000000000").returncode == Exit.REFUSED
    bob = sign_in(scene, "bob", tmp_path)  # who only reads
    refused = bob.run(*answer, figures)
    assert refused.returncode == Exit.REFUSED, refused.stderr
    assert lea.run(*answer, figures).returncode == Exit.OK
    assert lea.run("watch", rollout_id, "--every", "100ms").returncode == Exit.OK


def test_an_endpoint_is_held_and_a_policy_suspended(scene: Scene, lea: Person) -> None:
    assert lea.run("hold", "held", "--reason", "audit").returncode == Exit.OK
    scene.until(lambda: lea.ask("endpoints", "held")["held"], "that it is held")
    assert "held by " in lea.run("endpoints", "held").stdout
    planned = lea.ask("plan", "--app", lea.environment["ROLLOUTCTL_APP"], *version("held"))
    answers = {one["policy"]: one["answer"] for one in planned["plans"][0]["answers"]}
    assert answers["held"] == "held"
    assert lea.run("release", "held", "--reason", "it is over").returncode == Exit.OK
    assert lea.run("suspend", "held", "--reason", "we retrain").returncode == Exit.OK

    def suspended() -> Any:
        found = {one["policy"]: one for one in lea.ask("policies")["policies"]}
        return found["held"]["suspended"]

    scene.until(suspended, "that it is suspended")
    assert lea.run("unsuspend", "held", "--reason", "done").returncode == Exit.OK
    scene.until(lambda: suspended() is None or None, "that it is active")


def version(model: str) -> tuple[str, ...]:
    return ("--model", model, "--model-version", "1")


def test_a_dead_letter_is_replayed_and_all_is_exported(scene: Scene, lea: Person) -> None:
    ended = scene.register_and_end("replayed")
    letter = {**scene.event("replayed", "1"), "deadLetterReason": "MaxDeliveryAttemptsExceeded"}
    events = json.dumps([letter, scene.event("replayed", "1", subject="", data={})])
    done = lea.run("replay", "-", "--reason", "the app was down", "--json", given=events)
    assert done.returncode == Exit.NO, done.stderr  # the second is refused
    first, second = json.loads(done.stdout)["results"]
    assert (first["answer"], first["rollout_ids"]) == ("offered", [ended["rollout_id"]])
    assert second["answer"] == "refused"

    def exported() -> Any:
        out = lea.run("export").stdout.splitlines()
        found = [json.loads(line) for line in out]
        return any(one.get("rollout_id") == ended["rollout_id"] for one in found) or None

    scene.until(exported, "the rollout in the archive")


def test_the_doctor_finds_the_app_well(lea: Person) -> None:
    done = lea.run("doctor", "--no-azure", "--json")
    findings = {one["name"]: one for one in json.loads(done.stdout)["findings"]}
    assert {findings[name]["state"] for name in ("app", "clock", "sign-in", "engine")} == {"ok"}
    assert "operate" in findings["sign-in"]["text"]


def test_nobody_is_let_in_without_a_token(lea: Person, tmp_path: Path) -> None:
    nobody = Person(environment={**lea.environment, "XDG_CACHE_HOME": str(tmp_path)})
    done = nobody.run("list")
    assert done.returncode == Exit.REFUSED
    assert "rolloutctl login" in done.stderr
