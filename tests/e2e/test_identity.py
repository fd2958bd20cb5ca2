"""Who may do what, through the host: every way in that is none, and every right that is missing."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from local.identity.issuer import Issuer
from local.identity.registration import PEOPLE, Person
from local.stack import Stack, principal, principal_header
from tests.e2e.scene import Scene, write_policies

pytestmark = pytest.mark.e2e

ANN, BOB, EVE, LEA, MAX = (PEOPLE[name] for name in ("ann", "bob", "eve", "lea", "max"))
POLICIES = {
    "guarded": (
        "{kind: canary, steps: [{weight: 10, bake: 1s}]}",
        "approval: {promote: {approvers: [group:ml-leads]}}",
    ),
}
QUIET = {"ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *"}  # never while the tests run
BECAUSE = {"reason": "because"}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("identity")
    policies = write_policies(folder / "policies", POLICIES)
    stack = Stack(policies=policies, data=folder / "data", pace="instant", settings=QUIET)
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()


def status(stack: Stack, method: str, path: str, headers: Mapping[str, str]) -> int:
    """Ask the app with those headers alone; return the status."""
    request = urllib.request.Request(  # noqa: S310 - the host on loopback
        f"{stack.host.ready['url']}/api/{path}",
        method=method,
        data=b'{"reason": "because"}' if method == "POST" else None,
        headers={"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Ways in that are none, each made from what the provider signs

type Way = Callable[[Stack], dict[str, str]]


def changed(**changes: Any) -> Way:
    return lambda stack: bearer(stack.issuer().access_token(ANN, **changes))


def forged(stack: Stack) -> dict[str, str]:
    """Sign with another key, under the name of the right one."""
    other = Issuer(stack.data / "forger", url=stack.identity.ready["url"])
    other.kid = stack.issuer().kid
    return bearer(other.access_token(ANN))


def cut(stack: Stack) -> dict[str, str]:
    return bearer(stack.token().rpartition(".")[0] + ".")


WAYS: dict[str, Way] = {
    "nothing": lambda _stack: {},
    "the platform's header, where nobody strips it": lambda _stack: {
        "X-MS-CLIENT-PRINCIPAL": principal_header(ANN)
    },
    "a name and a password": lambda _stack: {"Authorization": "Basic YW5uOmFubg=="},
    "expired": changed(exp=1_700_000_000),
    "not valid yet": changed(nbf=9_000_000_000),
    "for somebody else": changed(aud="https://management.azure.com"),
    "of another tenant": changed(tid="00000000-0000-0000-0000-00000000000f"),
    "issued by somebody else": changed(iss="https://login.microsoftonline.com/common/v2.0"),
    "of nobody": changed(oid=None),
    "forged": forged,
    "without its signature": cut,
    "an ID token": lambda stack: bearer(stack.issuer().id_token(ANN, nonce="n")),
}


@pytest.mark.parametrize("way", WAYS)
def test_nobody_comes_in_that_way(scene: Scene, way: str) -> None:
    headers = WAYS[way](scene.stack)
    assert status(scene.stack, "GET", "rollouts", headers) == 401
    assert status(scene.stack, "POST", "stop", headers) == 401
    assert scene.stack.ask_app("GET", "controls")["stopped"] is None


def test_what_was_refused_is_in_the_log_without_the_token(scene: Scene) -> None:
    token = scene.stack.issuer().access_token(ANN, exp=1_700_000_000)
    assert status(scene.stack, "GET", "rollouts", bearer(token)) == 401
    log = scene.stack.data / "logs" / "host.log"
    scene.until(lambda: "token refused" in log.read_text() or None, "the refusal is in the log")
    assert token.rpartition(".")[2] not in log.read_text()


READS = ["rollouts", "rollouts/none", "endpoints", "endpoints/none", "controls"]
ASKS = [
    *("rollouts/none/abort", "rollouts/none/retry", "start", "endpoints/none/hold"),
    *("policies/guarded/suspend", "stop", "go-on"),
]


@pytest.mark.parametrize(
    ("who", "reads"), [(EVE, False), (BOB, True)], ids=["without a role", "who may read"]
)
def test_without_the_right_nothing_can_be_asked_for(
    scene: Scene, who: Person, *, reads: bool
) -> None:
    signed_in = bearer(scene.stack.token(who))
    refused = [path for path in READS if status(scene.stack, "GET", path, signed_in) == 403]
    assert refused == ([] if reads else READS)
    refused = [path for path in ASKS if status(scene.stack, "POST", path, signed_in) == 403]
    assert refused == ASKS
    assert scene.stack.ask_app("GET", "controls")["stopped"] is None


def test_an_answer_counts_from_the_right_person_on_the_right_figures_once(scene: Scene) -> None:
    # Given a version that waits for group:ml-leads
    asking = scene.asked("guarded", scene.register("guarded"))
    figures = asking["awaits"]["figures"]
    path = f"rollouts/{asking['rollout_id']}/approve"
    # When others answer, or nobody, or by a link, or on other figures: it still waits
    reader = principal(LEA.id, groups=["ml-leads"], rights=BOB.roles)
    missing = scene.ask(asking, "approve", who=reader, reason="x", figures=figures)
    assert (missing["status"], missing["app_role"]) == (403, "Rollouts.Operate")
    wrong = scene.ask(asking, "approve", who=MAX, reason="x", figures=figures)
    assert (wrong["status"], wrong["approvers"]) == (403, ["group:ml-leads"])
    hurried = scene.ask(asking, "promote_now", who=LEA, reason="x")
    assert (hurried["status"], hurried["app_role"]) == (403, "Rollouts.PromoteNow")
    assert status(scene.stack, "GET", path, bearer(scene.stack.token(LEA))) == 404
    stale = scene.ask(asking, "approve", who=LEA, reason="x", figures=figures[::-1])
    assert (stale["status"], stale["figures"]) == (409, figures)
    assert scene.asked("guarded", asking["version"])["awaits"]["figures"] == figures
    # When the right person does, it goes live; and the answer does not count twice
    answer = {"who": LEA, "reason": "good", "figures": figures}
    assert scene.ask(asking, "approve", **answer)["operation"] == "approve"
    assert scene.ended("guarded", asking["version"])["phase"] == "succeeded"
    assert scene.ask(asking, "approve", **answer)["status"] == 409
    # Then each that somebody known sent has left its line
    assert audited(scene.stack, asking["rollout_id"]) == [
        (LEA.id, "approve", 403, "refused"),
        (MAX.id, "approve", 403, "refused"),
        (LEA.id, "promote_now", 403, "refused"),
        (LEA.id, "approve", 409, "refused"),
        (LEA.id, "approve", 200, "accepted"),
        (LEA.id, "approve", 409, "refused"),
    ]


def audited(stack: Stack, target: str) -> list[tuple[str, str, int, str]]:
    """Return what the archive has of what people asked of it: who, what, and what came of it."""
    request = urllib.request.Request(  # noqa: S310 - the host on loopback
        f"{stack.host.ready['url']}/api/export", headers=bearer(stack.token(ANN))
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        rows = [json.loads(line) for line in answer.read().splitlines()]
    lines = [row for row in rows if row["kind"] == "audit" and row["target"] == target]
    return [(one["by"], one["operation"], one["status"], one["outcome"]) for one in lines]


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain"])
def test_a_body_that_a_form_of_another_site_can_send_is_refused(scene: Scene, kind: str) -> None:
    headers = {**bearer(scene.stack.token(ANN)), "Content-Type": kind}
    assert status(scene.stack, "POST", "stop", headers) == 415
    assert scene.stack.ask_app("GET", "controls")["stopped"] is None


def test_without_the_key_server_those_known_come_in_and_nobody_else(scene: Scene) -> None:
    stack = scene.stack
    signed_in = bearer(stack.token())
    assert status(stack, "GET", "controls", signed_in) == 200
    stack.identity.kill9()
    try:
        # the keys are known
        assert status(stack, "GET", "controls", signed_in) == 200
        # an app that has just started knows none: it can let nobody in, and blames nobody
        stack.host.kill9()
        stack.start_host()
        assert status(stack, "GET", "controls", signed_in) == 503
        assert status(stack, "GET", "controls", {}) == 401
    finally:
        stack.start_identity()

    def is_back() -> bool | None:
        return status(stack, "GET", "controls", signed_in) == 200 or None

    scene.until(is_back, "the keys are there again")


# The platform's header, where the platform strips and sets it


@pytest.fixture(scope="module")
def guarded(scene: Scene, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An app that trusts the platform; the workspace is that of the scene."""
    folder: Path = tmp_path_factory.mktemp("platform")
    settings = {**QUIET, "ROLLOUT_TRUST_PLATFORM_IDENTITY": "true"}
    policies = write_policies(folder / "policies", POLICIES)
    stack = Stack(policies=policies, data=folder / "data", pace="instant", settings=settings)
    stack.azure_ml.ready = scene.stack.azure_ml.ready
    try:
        stack.start_engine()
        stack.start_host()
        yield stack
    finally:
        stack.stop()


def test_the_platform_s_header_counts_where_the_platform_sets_it(
    scene: Scene, guarded: Stack
) -> None:
    assert guarded.ask_app("GET", "rollouts", who=BOB) == {"rollouts": [], "next": None}
    assert guarded.ask_app("POST", "stop", BECAUSE, who=BOB)["status"] == 403
    assert guarded.ask_app("GET", "rollouts", who=EVE)["status"] == 403
    assert guarded.ask_app("POST", "stop", BECAUSE, who=ANN) == {"operation": "stop", "by": ANN.id}
    assert status(guarded, "GET", "rollouts", {}) == 401
    assert status(guarded, "GET", "rollouts", bearer(scene.stack.token())) == 401
