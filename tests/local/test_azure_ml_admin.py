"""The emulator's own API: the request log, faults, pace; and the events of the workspace."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.azure_ml_lab import Lab, lab, webhook

SUBSCRIPTIONS = "providers/Microsoft.EventGrid/eventSubscriptions"


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("admin")) as emulator:
        emulator.register("m", "1")
        emulator.succeed(emulator.put_endpoint("fraud"))
        yield emulator


@pytest.fixture(autouse=True)
def no_faults_left(aml: Lab) -> Iterator[None]:
    yield
    aml.admin("DELETE", "faults")


def counted(aml: Lab) -> dict[str, int]:
    log = aml.admin("GET", "requests?area=arm")
    return {f"{item['method']} {item['template']}": item["count"] for item in log["counts"]}


# --- the request log


def test_requests_are_counted_by_method_and_template(aml: Lab) -> None:
    aml.admin("DELETE", "requests")
    for version in ("1", "2", "1"):
        aml.arm("GET", f"models/m/versions/{version}")
    aml.arm("GET", "onlineEndpoints")
    aml.send("GET", "/metadata/endpoints")
    assert counted(aml) == {
        "GET {workspace}/models/{name}/versions/{version}": 3,
        "GET {workspace}/onlineEndpoints": 1,
    }
    log = aml.admin("GET", "requests?area=arm&last=2")
    assert log["total"] == 4
    assert [item["status"] for item in log["last"]] == [200, 200]
    assert aml.admin("GET", "requests")["total"] == 5


def test_refused_requests_are_logged_with_their_status(aml: Lab) -> None:
    aml.admin("DELETE", "requests")
    aml.arm("GET", "models/none")
    (entry,) = aml.admin("GET", "requests")["last"]
    assert (entry["status"], entry["template"]) == (404, "{workspace}/models/{name}")


# --- faults


def test_fault_hits_as_often_as_asked_and_only_what_fits(aml: Lab) -> None:
    fault = {"method": "GET", "path_regex": "/models/m", "count": 2, "status": 429}
    aml.admin("POST", "faults", {**fault, "retry_after": 7, "code": "TooManyRequests"})
    assert aml.arm("GET", "onlineEndpoints/fraud").status == 200
    assert aml.arm("PUT", "models/m", {"properties": {}}).status == 200
    replies = [aml.arm("GET", "models/m") for _ in range(3)]
    assert [reply.status for reply in replies] == [429, 429, 200]
    assert (replies[0].code, replies[0].headers["retry-after"]) == ("TooManyRequests", "7")


def test_fault_before_has_no_effect_and_fault_after_has(aml: Lab) -> None:
    for when, status in (("before", 404), ("after", 200)):
        aml.admin("POST", "faults", {"path_regex": f"/models/{when}", "status": 500, "when": when})
        assert aml.arm("PUT", f"models/{when}", {"properties": {}}).status == 500
        assert aml.arm("GET", f"models/{when}").status == status


@pytest.mark.parametrize(("when", "status"), [("before", 404), ("after", 200)])
def test_connection_can_be_dropped_before_or_after_the_effect(
    aml: Lab, when: str, status: int
) -> None:
    path = f"models/dropped-{when}"
    aml.admin("POST", "faults", {"path_regex": path, "drop_connection": True, "when": when})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        aml.arm("PUT", path, {"properties": {}})
    assert aml.arm("GET", path).status == status
    log = aml.admin("GET", "requests?last=2")["last"]
    assert [entry["status"] for entry in log] == [None, status]


def test_operation_can_be_doomed(aml: Lab) -> None:
    error = {"code": "OutOfQuota", "message": "not enough cores"}
    aml.admin("POST", "faults", {"method": "PUT", "operation_error": error})
    reply = aml.put_deployment("fraud/doomed", "m:1")
    assert reply.status == 201
    ended = aml.done(reply)
    assert ended["status"] == "Failed"
    assert ended["error"] | error == ended["error"]
    assert aml.state("fraud/doomed") == "Failed"


def test_delay_alone_lets_the_real_answer_pass(aml: Lab) -> None:
    aml.admin("POST", "faults", {"path_regex": "/models/m", "delay": 0.01})
    assert aml.arm("GET", "models/m").status == 200
    assert aml.admin("GET", "state")["faults"] == 0


@pytest.mark.parametrize(
    "fault",
    [
        {},
        {"path_regex": "/models"},
        {"status": 500, "when": "during"},
        {"status": "500"},
        {"status": 500, "path_regex": "("},
        {"status": 500, "times": 3},
        {"operation_error": {"code": "x"}},
    ],
    ids=str,
)
def test_faults_that_make_no_sense_are_refused(aml: Lab, fault: dict[str, Any]) -> None:
    assert aml.send("POST", "/admin/faults", fault).status == 400
    assert aml.admin("GET", "state")["faults"] == 0


# --- pace and state


def test_pace_is_set_by_name_and_by_single_durations(aml: Lab) -> None:
    real = aml.admin("PUT", "pace", {"pace": "realistic"})
    assert real == {"endpoint": 90, "traffic": 20, "deployment": 570, "delete": 20, "metrics": 180}
    mixed = aml.admin("PUT", "pace", {"pace": "demo", "traffic": 0.5})
    assert (mixed["endpoint"], mixed["traffic"]) == (1, 0.5)
    aml.admin("PUT", "pace", {"pace": "instant"})
    for wrong in ({"pace": "slow"}, {"trafic": 1}, {"traffic": -1}, {"traffic": "1"}):
        assert aml.send("PUT", "/admin/pace", wrong).status == 400


def test_what_was_served_is_shown(aml: Lab) -> None:
    assert aml.admin("GET", "served") == {"fraud": {}}


# --- events


def subscription(url: str, **chosen: Any) -> dict[str, Any]:
    destination = {"endpointType": "WebHook", "properties": {"endpointUrl": url}}
    return {"properties": {"destination": destination} | chosen}


def test_new_model_version_raises_one_event(aml: Lab) -> None:
    with webhook() as hook:
        reply = aml.arm("PUT", f"{SUBSCRIPTIONS}/all", subscription(hook.url))
        assert reply.status == 201
        aml.register("evented", "7", tags={"stage": "x"}, properties={"auc": "0.9"})
        aml.register("evented", "7", tags={"stage": "y"})
        aml.register("evented", "1.4.0", isAnonymous=True)
        aml.register("evented", "1.4.0-b")
        first, second = hook.next(), hook.next()
        assert first["topic"] == aml.ready["workspace_id"]
        assert first["subject"] == "models/evented:7"
        assert first["eventType"] == "Microsoft.MachineLearningServices.ModelRegistered"
        assert first["data"] == {
            "ModelName": "evented",
            "ModelVersion": 7,
            "ModelTags": {"stage": "x"},
            "ModelProperties": {"auc": "0.9"},
        }
        assert second["data"]["ModelVersion"] == "1.4.0-b"
        assert aml.arm("DELETE", f"{SUBSCRIPTIONS}/all").status == 200
        assert hook.received.empty()


def test_subscription_is_filtered_shown_and_ended(aml: Lab) -> None:
    with webhook() as hook:
        chosen = {
            "filter": {
                "includedEventTypes": ["Microsoft.MachineLearningServices.ModelRegistered"],
                "subjectBeginsWith": "models/wanted:",
            },
            "eventDeliverySchema": "EventGridSchema",
        }
        aml.arm("PUT", f"{SUBSCRIPTIONS}/some", subscription(hook.url, **chosen))
        aml.register("unwanted", "1")
        aml.register("wanted", "1")
        assert hook.next()["subject"] == "models/wanted:1"
        shown = aml.arm("GET", f"{SUBSCRIPTIONS}/some").json
        assert shown["properties"]["filter"] == chosen["filter"]
        assert shown["properties"]["provisioningState"] == "Succeeded"
        names = [item["name"] for item in aml.arm("GET", SUBSCRIPTIONS).json["value"]]
        assert names == ["some"]
        assert aml.arm("DELETE", f"{SUBSCRIPTIONS}/some").status == 200
        assert aml.arm("GET", f"{SUBSCRIPTIONS}/some").status == 404
        assert aml.arm("DELETE", f"{SUBSCRIPTIONS}/some").status == 204


def test_subscription_without_a_handshake_does_not_exist(aml: Lab) -> None:
    with webhook(welcomes=False) as hook:
        reply = aml.arm("PUT", f"{SUBSCRIPTIONS}/refused", subscription(hook.url))
    assert (reply.status, reply.code) == (400, "Url validation")
    assert aml.arm("GET", f"{SUBSCRIPTIONS}/refused").status == 404


@pytest.mark.parametrize(
    "body",
    [
        {"properties": {"destination": {"endpointType": "AzureFunction"}}},
        {"properties": {"destination": {"endpointType": "WebHook"}}},
        subscription("http://127.0.0.1:1/", eventDeliverySchema="Own"),
    ],
    ids=str,
)
def test_subscriptions_that_make_no_sense_are_refused(aml: Lab, body: dict[str, Any]) -> None:
    assert aml.arm("PUT", f"{SUBSCRIPTIONS}/wrong", body).status == 400


def test_events_are_held_back_and_doubled_on_demand(aml: Lab) -> None:
    with webhook() as hook:
        aml.arm("PUT", f"{SUBSCRIPTIONS}/all", subscription(hook.url))
        aml.admin("POST", "events", {"copies": 2, "hold": True})
        aml.register("held", "1")
        aml.admin("POST", "events", {"release": True})
        ids = {hook.next()["id"], hook.next()["id"]}
        assert len(ids) == 1
        aml.admin("POST", "events", {"copies": 1})
        aml.arm("DELETE", f"{SUBSCRIPTIONS}/all")
    for wrong in ({"copies": 0}, {"hold": "yes"}, {"lose": True}):
        assert aml.send("POST", "/admin/events", wrong).status == 400


@pytest.mark.parametrize(
    ("dialect", "keys"),
    [
        ("camel-int", {"modelName": "d", "modelVersion": 3}),
        ("camel-string", {"modelName": "d", "modelVersion": "3"}),
    ],
)
def test_events_speak_the_dialect_asked_for(
    tmp_path: Path, dialect: str, keys: dict[str, Any]
) -> None:
    with lab(tmp_path, "--event-dialect", dialect) as aml, webhook() as hook:
        aml.arm("PUT", f"{SUBSCRIPTIONS}/all", subscription(hook.url))
        aml.register("d", "3")
        assert hook.next()["data"] == {**keys, "modelTags": {}, "modelProperties": {}}
