"""Rollouts from registration to end, on the worker library, the engine and real scoring servers."""

from typing import Any

import pytest

from bench.arm import CALLS, WRITES, list_calls, list_writes, play
from tests.e2e.scene import Scene

pytestmark = pytest.mark.e2e


def _texts(rollout: dict[str, Any]) -> list[str]:
    return [entry["text"] for entry in rollout["timeline"]]


def test_a_new_version_is_walked_to_all_traffic_and_callers_lose_nothing(scene: Scene) -> None:
    # Given a first version that serves
    first = scene.register_and_end("walked")
    assert first["phase"] == "succeeded"
    assert first["stable"] == ""
    # When a second one is registered under live callers
    with scene.callers("walked") as seen:
        second = scene.register_and_end("walked")
    # Then it has all traffic, the old one is gone, and nobody noticed
    assert second["phase"] == "succeeded"
    assert scene.weights("walked") == {"walked-v2": 100}
    assert scene.deployments("walked") == {"walked-v2"}
    assert "weights read back: walked-v1 90, walked-v2 10" in _texts(second)
    assert seen["failed"] == 0
    assert set(seen["deployments"]) == {"walked-v1", "walked-v2"}
    assert scene.endpoint("walked")["tags"] == {"owner": "tests"}


def test_a_version_that_answers_badly_is_refused_and_the_stable_untouched(scene: Scene) -> None:
    scene.register_and_end("switched")
    with scene.callers("switched") as seen:
        bad = scene.register_and_end("switched", "bad")
    assert bad["phase"] == "failed"
    assert bad["reason"] == 'probe 1 (request.json): answer "bad" is not "good"'
    assert scene.weights("switched") == {"switched-v1": 100}
    assert scene.deployments("switched") == {"switched-v1"}
    assert set(seen["deployments"]) == {"switched-v1"}
    assert seen["failed"] == 0
    # and a good one after it goes blue-green
    good = scene.register_and_end("switched")
    assert good["phase"] == "succeeded"
    assert scene.weights("switched") == {"switched-v3": 100}


def test_a_container_that_does_not_start_ends_as_failed_with_its_log(scene: Scene) -> None:
    scene.register_and_end("replaced")
    broken = scene.register_and_end("replaced", "broken")
    assert broken["phase"] == "failed"
    assert "RuntimeError: this model cannot be loaded" in broken["reason"]
    logs = [entry["figures"]["log"] for entry in broken["timeline"] if "log" in entry["figures"]]
    assert len(logs) == 1
    assert "Traceback" in logs[0]
    assert scene.weights("replaced") == {"replaced-v1": 100}
    assert scene.deployments("replaced") == {"replaced-v1"}


def test_no_quota_is_errored_because_a_person_is_needed(scene: Scene) -> None:
    error = {"code": "OutOfQuota", "message": "Not enough quota available for Standard_DS3_v2"}
    before = scene.weights("replaced")
    scene.admin(
        "POST",
        "faults",
        {"method": "PUT", "path_regex": "/deployments/replaced-v3", "operation_error": error},
    )
    errored = scene.register_and_end("replaced")
    assert errored["phase"] == "errored"
    assert "OutOfQuota" in errored["reason"]
    assert scene.weights("replaced") == before


@pytest.mark.parametrize("schema", ["EventGridEvent", "CloudEvent"])
def test_five_events_of_a_version_shuffled_with_an_older_one_make_one_rollout(
    scene: Scene, schema: str
) -> None:
    # Given two registered versions whose events are held back
    scene.admin("POST", "events", {"hold": True})
    older, newest = scene.register("shuffled"), scene.register("shuffled")
    new, old = scene.event("shuffled", newest), scene.event("shuffled", older)
    if schema == "CloudEvent":
        new, old = _cloud(new), _cloud(old)
    # When their events come again and again, the older one's first, one by one and in a batch
    for batch in ((old,), (new, new), (old, new), (new,), (new, old)):
        assert scene.send(*batch) == 202
    scene.admin("POST", "events", {"release": True})
    ended = scene.ended("shuffled", newest)
    # Then there is one rollout, of the newest, and the older one is a recorded no match
    assert ended["phase"] == "succeeded"
    versions = [one["version"] for one in scene.rollouts("shuffled")]
    assert versions.count(newest) == 1
    assert older not in versions

    def answered() -> list[str] | None:
        answers = scene.ledger("shuffled")["answers"]
        found = [one["reason"] for one in answers if one["version"] == older]
        return found or None

    reasons = scene.until(answered, "an answer for the older version")
    assert any(f"older than {newest}" in reason for reason in reasons)


def _cloud(event: dict[str, Any]) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": event["id"],
        "source": event["topic"],
        "subject": event["subject"],
        "type": event["eventType"],
        "time": event["eventTime"],
        "data": event["data"],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "models/walked:9"},
        {"eventType": "Microsoft.MachineLearningServices.RunCompleted"},
        {"topic": "/subscriptions/other"},
        {"data": ["nonsense"]},
        {"subject": None, "data": {"ModelName": "../../x", "ModelVersion": "1"}},
    ],
    ids=["disagrees", "other type", "foreign workspace", "data", "name"],
)
def test_a_bad_event_is_answered_and_harms_nothing(scene: Scene, changes: dict[str, Any]) -> None:
    before = scene.rollouts("walked")
    event = scene.event("walked", "99")
    assert scene.send({**event, **changes}) == 202
    assert scene.rollouts("walked") == before


def test_time_that_cannot_be_read_is_left_aside_as_it_decides_nothing(scene: Scene) -> None:
    event = scene.event("walked", "98")
    assert scene.send({**event, "eventTime": "yesterday"}) == 202

    def looked_at() -> list[str] | None:
        answers = scene.ledger("walked").get("answers", ())
        return [one["answer"] for one in answers if one["version"] == "98"][1:] or None

    assert scene.until(looked_at, "the look at version 98") == ["no_match"]


def test_the_webhook_shakes_hands(scene: Scene) -> None:
    validation = {"id": "1", "data": {"validationCode": "abc"}, "eventType": "x"}
    assert scene.send(validation, kind="SubscriptionValidation") == 200
    assert scene.send(validation, kind="Nonsense") == 400


def test_a_newer_version_supersedes_one_in_its_bake(scene: Scene) -> None:
    scene.register_and_end("overtaken")
    second = scene.register("overtaken")
    scene.reached("overtaken", second, "bakes for 10m")
    third = scene.register("overtaken")
    ended = scene.ended("overtaken", second)
    assert ended["phase"] == "superseded"
    assert ended["weights"] == {"overtaken-v1": 100}
    scene.reached("overtaken", third, "bakes for 10m")
    assert scene.deployments("overtaken") == {"overtaken-v1", "overtaken-v3"}
    assert scene.weights("overtaken") == {"overtaken-v1": 90, "overtaken-v3": 10}


def test_with_queue_every_version_is_rolled_out_in_order(scene: Scene) -> None:
    versions = []
    for _ in range(3):
        version = scene.register("queued")
        versions.append(version)
        # events come in any order: the next one is registered when this one was heard of
        scene.until(lambda v=version: _answer(scene, "queued", v), "an answer")  # type: ignore[misc]
    ends = [scene.ended("queued", version) for version in versions]
    assert [end["phase"] for end in ends] == ["succeeded"] * 3
    assert ends[0]["ended"] <= ends[1]["started"]
    assert ends[1]["ended"] <= ends[2]["started"]


def _answer(scene: Scene, endpoint: str, version: str) -> str | None:
    answers = scene.ledger(endpoint).get("answers", ())
    return next((one["answer"] for one in answers if one["version"] == version), None)


def test_trouble_at_azure_changes_when_a_rollout_ends_but_not_how(scene: Scene) -> None:
    scene.register_and_end("troubled")
    ours = "/onlineEndpoints/troubled"
    for fault in (
        {"method": "PUT", "path_regex": ours, "status": 503, "count": 2},
        {"method": "PUT", "path_regex": ours, "status": 500, "count": 1, "when": "after"},
        {"method": "GET", "path_regex": ours, "status": 429, "retry_after": 1, "count": 2},
        {"method": "GET", "path_regex": ours, "drop_connection": True, "count": 1},
        {"method": "PUT", "path_regex": f"{ours}$", "status": 409, "count": 2},
        {"method": "DELETE", "path_regex": ours, "status": 504, "count": 1, "when": "after"},
    ):
        scene.admin("POST", "faults", fault)
    ended = scene.register_and_end("troubled")
    assert ended["phase"] == "succeeded"
    assert scene.weights("troubled") == {"troubled-v2": 100}
    assert scene.deployments("troubled") == {"troubled-v2"}


def test_a_canary_of_three_steps_asks_no_more_of_azure_than_promised(scene: Scene) -> None:
    calls = list_calls(play(scene, "counted"))
    said = [f"{one['method']} {one['template']}" for one in calls]
    assert len(calls) <= CALLS, said
    assert len(list_writes(calls)) <= WRITES, said
    # and it was a rollout: each weight written, and read before and after, the old stable deleted
    endpoint = "{workspace}/onlineEndpoints/{endpoint}"
    assert said.count(f"PUT {endpoint}") == 4
    assert said.count(f"GET {endpoint}") >= 1 + 4 * 2 + 2
    assert said.count(f"DELETE {endpoint}/deployments/{{deployment}}") == 1


def test_a_lost_event_is_only_a_delay(scene: Scene) -> None:
    # Given a version whose event never comes
    scene.admin("POST", "events", {"hold": True})
    version = scene.register("swept")
    assert scene.find("swept", version) is None
    # When the sweep runs
    url = "/admin/functions/sweep"
    scene.stack.ask_host("POST", url, {"input": ""})
    # Then the version is rolled out, and its late event starts nothing
    assert scene.ended("swept", version)["phase"] == "succeeded"
    scene.admin("POST", "events", {"release": True})

    def late() -> bool | None:
        answers = scene.ledger("swept")["answers"]
        return any(one["event_id"] != "sweep" for one in answers) or None

    scene.until(late, "an answer to the late event")
    assert len(scene.rollouts("swept")) == 1
