"""People decide: they approve, reject, let time pass, put weights right, go back, try again."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.identity.registration import Person
from local.stack import ANN, principal
from tests.e2e.scene import AT_ONCE, ERRORS, SLOW, WATCHED, Scene, open_scene
from tests.e2e.scene import ask_without_identity as ask_as_nobody

pytestmark = pytest.mark.e2e

SHORT = "{kind: canary, steps: [{weight: 10, bake: 1s}]}"
TWO_STEPS = "{kind: canary, steps: [{weight: 10, bake: 6s}, {weight: 50, bake: 1s}]}"
BY_TWO = (
    "approval: {promote: {approvers: [group:ml-leads, role:owner], quorum: 2,"
    " not_by_requester: true}}"
)
BY_ONE = "approval: {promote: {approvers: [group:ml-leads]}}"
IN_TIME = "approval: {promote: {approvers: [group:ml-leads], deadline: 10s}}"
UNSURE = (
    "  - {kind: metric, metric: error_rate, at_most: 20%, min_samples: 10, every: 1s, patience: 2s}"
)
POLICIES = {
    "approved": (SHORT, BY_TWO),
    "rejected": (SHORT, BY_ONE),
    "unanswered": (SHORT, IN_TIME),
    "unsure": ("{kind: canary, steps: [{weight: 50, bake: 2s}]}", UNSURE),
    "frozen": (WATCHED, f"{ERRORS}\non_failure: freeze"),
    "touched": (TWO_STEPS, ""),
    "hurried": (SLOW, ""),
    "reverted": (AT_ONCE, "keep: {old: 1, for: 1h}"),
    "mended": (AT_ONCE, ""),
}
LEAD = principal("00000000-0000-0000-0000-00000000000a", groups=["ml-leads"])
OWNER = principal("00000000-0000-0000-0000-00000000000b", roles=["owner"])
INTERN = principal(
    "00000000-0000-0000-0000-00000000000c", groups=["interns"], name="group:ml-leads"
)
# whom the emulator names as the one who registered everything
REGISTRANT = principal("00000000-0000-0000-0000-00000000000d", groups=["ml-leads"], name="local")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with open_scene(tmp_path_factory.mktemp("people"), POLICIES) as running:
        yield running


def answer(
    scene: Scene, rollout: dict[str, Any], operation: str, who: Person = ANN
) -> dict[str, Any]:
    """Answer on the figures that the rollout shows."""
    figures = rollout["awaits"]["figures"]
    return scene.ask(rollout, operation, who=who, reason="we looked", figures=figures)


def approve(scene: Scene, model: str, *people: Person) -> dict[str, Any]:
    """Register a version, have it approved, and return its rollout when it is over."""
    version = scene.register(model)
    asking = scene.asked(model, version)
    for who in people:
        assert answer(scene, asking, "approve", who)["operation"] == "approve"
    return scene.ended(model, version)


def texts(rollout: dict[str, Any]) -> list[str]:
    return [entry["text"] for entry in rollout["timeline"]]


def test_a_version_goes_live_when_those_who_are_asked_approve(scene: Scene) -> None:
    # Given a version that has taken its steps and waits for two approvals
    assert approve(scene, "approved", LEAD, OWNER)["phase"] == "succeeded"
    version = scene.register("approved")
    asking = scene.asked("approved", version)
    assert scene.weights("approved") == {"approved-v1": 90, "approved-v2": 10}
    figures = asking["awaits"]["figures"]
    # When anybody else answers, or on other figures, or by following a link: nothing happens
    path = f"rollouts/{asking['rollout_id']}/approve"
    assert ask_as_nobody(scene, path) == 401
    assert ask_as_nobody(scene, path, "GET") in {404, 405}
    refused = answer(scene, asking, "approve", INTERN)
    assert (refused["status"], refused["approvers"]) == (403, ["group:ml-leads", "role:owner"])
    assert answer(scene, asking, "approve", REGISTRANT)["status"] == 403
    assert scene.ask(asking, "approve", who=LEAD, reason="blindly")["status"] == 400
    stale = scene.ask(asking, "approve", who=LEAD, reason="late", figures="0123456789ab")
    assert (stale["status"], stale["figures"]) == (409, figures)
    assert scene.ask(asking, "freeze", who=LEAD, reason="not ours")["status"] == 404
    misplaced = answer(scene, asking, "restore", LEAD)
    assert misplaced["status"] == 409
    assert misplaced["possible"] == ["abort", "approve", "reject", "pause", "promote_now"]
    # When one of two approves, it still waits, and a second time does not count
    answer(scene, asking, "approve", LEAD)
    scene.reached("approved", version, "1 of 2 have approved")
    assert answer(scene, asking, "approve", LEAD)["status"] == 409
    assert scene.weights("approved") == {"approved-v1": 90, "approved-v2": 10}
    # When the second does, it goes live, and the record has only what counted
    answer(scene, asking, "approve", OWNER)
    ended = scene.ended("approved", version)
    assert (ended["phase"], scene.weights("approved")) == ("succeeded", {"approved-v2": 100})
    assert [line for line in texts(ended) if "does not count" in line] == []
    assert any(
        line.startswith("approved by 00000000-0000-0000-0000-00000000000a, ")
        for line in texts(ended)
    )


def test_a_rejected_version_leaves_the_stable_alone(scene: Scene) -> None:
    approve(scene, "rejected", LEAD)
    version = scene.register("rejected")
    answer(scene, scene.asked("rejected", version), "reject", LEAD)
    ended = scene.ended("rejected", version)
    assert ended["phase"] == "failed"
    assert ended["reason"] == "rejected by 00000000-0000-0000-0000-00000000000a: we looked"
    assert scene.weights("rejected") == {"rejected-v1": 100}
    assert scene.deployments("rejected") == {"rejected-v1"}


def test_no_answer_in_time_is_a_no(scene: Scene) -> None:
    assert approve(scene, "unanswered", LEAD)["phase"] == "succeeded"
    ended = scene.register_and_end("unanswered")
    assert (ended["phase"], ended["reason"]) == ("failed", "no approval to promote within 10s")
    assert scene.weights("unanswered") == {"unanswered-v1": 100}
    assert scene.deployments("unanswered") == {"unanswered-v1"}
    late = scene.ask(ended, "approve", who=LEAD, reason="late", figures="0123456789ab")
    assert (late["status"], late["possible"]) == (409, [])


def test_without_traffic_a_person_decides(scene: Scene) -> None:
    scene.register_and_end("unsure")
    version = scene.register("unsure")  # and nobody calls
    asking = scene.asked("unsure", version)
    assert asking["awaits"]["what"] == "gate"
    assert "it cannot be said whether the candidate is good" in asking["awaits"]["text"]
    assert scene.weights("unsure") == {"unsure-v1": 50, "unsure-v2": 50}
    answer(scene, asking, "approve")  # whoever may operate
    assert scene.ended("unsure", version)["phase"] == "succeeded"
    assert scene.weights("unsure") == {"unsure-v2": 100}


@pytest.mark.parametrize("operation", ["reject", "approve"])
def test_a_failed_gate_freezes_until_a_person_decides(scene: Scene, operation: str) -> None:
    if not scene.rollouts("frozen"):
        scene.register_and_end("frozen")
    with scene.callers("frozen"):
        version = scene.register("frozen", {"answer": "good", "fails_each": 2})
        asking = scene.asked("frozen", version)
    assert asking["awaits"]["what"] == "failure"
    assert "is above 20%" in asking["awaits"]["text"]
    assert scene.weights("frozen") == {"frozen-v1": 50, f"frozen-v{version}": 50}
    answer(scene, asking, operation)
    ended = scene.ended("frozen", version)
    if operation == "reject":
        assert ended["phase"] == "failed"
        assert scene.weights("frozen") == {"frozen-v1": 100}
        assert scene.deployments("frozen") == {"frozen-v1"}
    else:
        assert ended["phase"] == "succeeded"
        assert scene.weights("frozen") == {f"frozen-v{version}": 100}


def test_weights_set_by_hand_freeze_the_rollout_until_they_are_restored(scene: Scene) -> None:
    scene.register_and_end("touched")
    version = scene.register("touched")
    scene.reached("touched", version, "bakes for 6s")
    # When somebody sets other weights, as the portal does: the whole endpoint is put
    path = f"{scene.stack.azure_ml.ready['workspace_id']}/onlineEndpoints/touched"
    body = scene.endpoint("touched")
    theirs = {"touched-v1": 70, "touched-v2": 30}
    body["properties"]["traffic"] = theirs
    scene.stack.ask_azure_ml("PUT", path, body)
    # Then the next shift leaves them as they are, and asks
    asking = scene.asked("touched", version)
    assert asking["awaits"]["what"] == "weights"
    assert asking["awaits"]["operations"] == ["adopt", "restore", "reject"]
    assert str(theirs) in asking["awaits"]["text"]
    assert scene.weights("touched") == theirs
    answer(scene, asking, "restore")
    ended = scene.ended("touched", version)
    assert ended["phase"] == "succeeded"
    assert "weights read back: touched-v1 50, touched-v2 50" in texts(ended)
    assert scene.weights("touched") == {"touched-v2": 100}


def test_a_paused_rollout_goes_on_and_one_in_a_hurry_goes_live(scene: Scene) -> None:
    scene.register_and_end("hurried")
    version = scene.register("hurried")
    baking = scene.reached("hurried", version, "bakes for 10m")
    assert scene.ask(baking, "pause", reason="")["status"] == 400
    assert scene.ask(baking, "pause", reason="we look")["operation"] == "pause"
    paused = scene.reached("hurried", version, "pause by")
    assert paused["paused_by"] == "11111111-2222-3333-4444-555555555555"
    scene.ask(baking, "resume", reason="we have looked")
    scene.reached("hurried", version, "resume by")
    scene.ask(baking, "promote_now", reason="the old one is on fire")
    ended = scene.ended("hurried", version)
    assert (ended["phase"], scene.weights("hurried")) == ("succeeded", {"hurried-v2": 100})
    assert scene.ask(ended, "pause", reason="late")["status"] == 409


def test_a_revert_is_one_write_of_weights_and_keeps_automation_out(scene: Scene) -> None:
    # Given a promoted version whose predecessor is kept warm
    scene.register_and_end("reverted")
    scene.register_and_end("reverted")
    assert scene.deployments("reverted") == {"reverted-v1", "reverted-v2"}
    with scene.callers("reverted") as seen:
        scene.admin("DELETE", "requests")
        # When a person goes back
        asked = scene.stack.ask_app("POST", "endpoints/reverted/revert", {"reason": "bad"})
        assert asked["operation"] == "revert"

        def is_back() -> bool | None:
            is_over = scene.ledger("reverted")["running"] is None
            return True if is_over and scene.weights("reverted") == {"reverted-v1": 100} else None

        scene.until(is_back, "the old one serves")
    # Then one write did it, nothing was deleted, and callers lost nothing
    log = scene.admin("GET", "requests?area=arm&last=2000")["last"]
    ours = [one for one in log if "/onlineendpoints/reverted" in one["path"].lower()]
    writes = [(one["method"], one["path"]) for one in ours if one["method"] not in {"GET", "POST"}]
    path = f"{scene.stack.azure_ml.ready['workspace_id']}/onlineEndpoints/reverted"
    assert [(method, found.lower()) for method, found in writes] == [("PUT", path.lower())]
    assert scene.deployments("reverted") == {"reverted-v1", "reverted-v2"}
    assert (seen["failed"], set(seen["deployments"])) == (0, {"reverted-v1", "reverted-v2"})
    # and what comes next is not rolled out until somebody releases the endpoint
    version = scene.register("reverted")
    assert scene.answered("reverted", "held")["version"] == version
    assert scene.find("reverted", version) is None
    assert scene.weights("reverted") == {"reverted-v1": 100}


def test_a_version_in_quarantine_goes_live_when_it_is_retried_after_the_cause_is_gone(
    scene: Scene,
) -> None:
    # Given a version that found no quota
    scene.register_and_end("mended")
    error = {"code": "OutOfQuota", "message": "Not enough quota available for Standard_DS3_v2"}
    fault = {"method": "PUT", "path_regex": "/deployments/mended-v2", "operation_error": error}
    scene.admin("POST", "faults", fault)
    errored = scene.register_and_end("mended")
    assert errored["phase"] == "errored"
    # When its event comes again, nothing starts; when a person tries again, it goes live
    assert scene.send(scene.event("mended", "2")) == 202
    assert "OutOfQuota" in scene.answered("mended", "quarantined")["reason"]
    scene.ask(errored, "retry", reason="there is quota again")

    def again() -> dict[str, Any] | None:
        found = [one for one in scene.rollouts("mended") if one["attempt"] == 2 and one["ended"]]
        return found[0] if found else None

    assert scene.until(again, "the second attempt ends")["phase"] == "succeeded"
    assert scene.weights("mended") == {"mended-v2-r2": 100}
    assert scene.deployments("mended") == {"mended-v2-r2"}
