"""Online endpoints: states, weights, one operation at a time, keys; over plain HTTPS."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.azure_ml_lab import Lab, lab, until

_numbers = itertools.count()
GONE = 404


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("endpoints")) as emulator:
        emulator.register("m", "1")
        yield emulator


@pytest.fixture
def name(aml: Lab) -> str:
    """An endpoint of its own for the test."""
    name = f"endpoint-{next(_numbers)}"
    aml.succeed(aml.put_endpoint(name))
    return name


@pytest.fixture
def two(aml: Lab, name: str) -> str:
    """An endpoint with two deployments, blue serving everything."""
    for deployment in ("blue", "green"):
        aml.succeed(aml.put_deployment(f"{name}/{deployment}", "m:1"))
    aml.succeed(aml.put_endpoint(name, traffic={"blue": 100}))
    return name


# --- creation


def test_new_endpoint_is_creating_without_an_address_until_it_is_done(aml: Lab) -> None:
    aml.admin("PUT", "pace", {"endpoint": 3600})
    reply = aml.put_endpoint("slow")
    aml.admin("PUT", "pace", {"pace": "instant"})
    assert reply.status == 201
    assert reply.json["properties"]["provisioningState"] == "Creating"
    assert reply.json["properties"]["scoringUri"] is None
    assert aml.send("POST", "/endpoints/slow/score", b"{}").status == 404
    status = aml.status(reply)
    assert (status["status"], status["percentComplete"]) == ("Updating", 0.0)


def test_finished_endpoint_has_its_address(aml: Lab, name: str) -> None:
    properties = aml.get_endpoint(name)["properties"]
    assert properties["provisioningState"] == "Succeeded"
    assert properties["scoringUri"] == f"{aml.ready['url']}/endpoints/{name}/score"
    assert (properties["traffic"], properties["mirrorTraffic"]) == ({}, {})


def test_put_announces_its_operation_three_ways(aml: Lab) -> None:
    reply = aml.put_endpoint("announced")
    aml.succeed(reply)
    url = reply.headers["azure-asyncoperation"]
    assert "/locations/localregion/mfeOperationsStatus/oe:" in url
    assert reply.headers["x-ms-async-operation-timeout"] == "PT30M"
    assert "retry-after" not in reply.headers
    assert aml.arm("GET", reply.headers["location"]).json["name"] == "announced"
    kept = aml.get_endpoint("announced")["properties"]["properties"]
    assert kept["AzureAsyncOperationUri"] == url
    status = aml.status(reply)
    assert status["percentComplete"] == 100.0
    assert status["startTime"] <= status["endTime"]


@pytest.mark.parametrize("bad", ["ab", "1abc", "a_b", "a--b", "abc-", "a" * 33])
def test_names_the_service_refuses_are_refused(aml: Lab, name: str, bad: str) -> None:
    assert aml.put_endpoint(bad).status == 400
    assert aml.put_deployment(f"{name}/{bad}", "m:1").status == 400


def test_weights_cannot_be_given_at_creation(aml: Lab) -> None:
    reply = aml.put_endpoint("early", traffic={"blue": 100})
    assert reply.status == 400
    assert "created" in reply.message
    assert aml.arm("GET", "onlineEndpoints/early").status == GONE


def test_unknown_auth_mode_is_refused(aml: Lab) -> None:
    assert "Password" in aml.put_endpoint("authless", authMode="Password").message


def test_full_put_wipes_what_it_leaves_out_but_keeps_properties(aml: Lab, name: str) -> None:
    body = {
        "location": "x",
        "tags": {"team": "a"},
        "properties": {"authMode": "Key", "description": "d", "properties": {"p": "1"}},
    }
    aml.succeed(aml.arm("PUT", f"onlineEndpoints/{name}", body))
    before = aml.get_endpoint(name)
    assert (before["tags"], before["properties"]["description"]) == ({"team": "a"}, "d")
    aml.succeed(aml.put_endpoint(name))
    after = aml.get_endpoint(name)
    assert (after["tags"], after["properties"]["description"]) == ({}, None)
    assert after["properties"]["properties"]["p"] == "1"


def test_what_was_read_can_be_put_back(aml: Lab, two: str) -> None:
    read = aml.get_endpoint(two)
    aml.succeed(aml.arm("PUT", f"onlineEndpoints/{two}", read))
    again = aml.get_endpoint(two)
    for changed in ("AzureAsyncOperationUri",):
        read["properties"]["properties"].pop(changed)
        again["properties"]["properties"].pop(changed)
    read.pop("systemData")
    again.pop("systemData")
    assert again == read


def test_names_are_compared_without_case(aml: Lab, two: str) -> None:
    aml.succeed(aml.put_endpoint(two.upper(), traffic={"GREEN": 100}))
    endpoint = aml.get_endpoint(two.title())
    assert endpoint["name"] == two
    assert endpoint["properties"]["traffic"] == {"green": 100}
    assert aml.get_deployment(f"{two}/Blue")["name"] == "blue"


# --- weights


@pytest.mark.parametrize(
    "weights",
    [
        {"traffic": {"blue": 50}},
        {"traffic": {"blue": 60, "green": 60}},
        {"traffic": {"blue": 101, "green": -1}},
        {"traffic": {"blue": 99.5, "green": 0.5}},
        {"traffic": {"blue": True, "green": 99}},
        {"traffic": {"blue": "100"}},
        {"traffic": {"red": 100}},
        {"traffic": {"blue": 100, "red": 0}},
        {"traffic": {"blue": 100, "BLUE": 0}},
        {"traffic": [["blue", 100]]},
        {"traffic": {"blue": 100}, "mirrorTraffic": {"green": 51}},
        {"traffic": {"blue": 100}, "mirrorTraffic": {"blue": 10}},
        {"traffic": {"blue": 100}, "mirrorTraffic": {"red": 10}},
        {"traffic": {}, "mirrorTraffic": {"green": 10, "blue": 10}},
    ],
    ids=str,
)
def test_weights_the_service_refuses_change_nothing(
    aml: Lab, two: str, weights: dict[str, Any]
) -> None:
    reply = aml.put_endpoint(two, **weights)
    assert (reply.status, reply.code) == (400, "UserError")
    assert aml.get_endpoint(two)["properties"]["traffic"] == {"blue": 100}


@pytest.mark.parametrize(
    "weights",
    [
        {"traffic": {"blue": 90, "green": 10}},
        {"traffic": {"blue": 0, "green": 100}},
        {"traffic": {}},
        {"traffic": {"blue": 0, "green": 0}},
        {"traffic": {"blue": 100}, "mirrorTraffic": {"green": 50}},
        {"traffic": {"blue": 100}, "mirrorTraffic": {"green": 0, "blue": 0}},
    ],
    ids=str,
)
def test_weights_the_service_takes_are_seen_by_callers(
    aml: Lab, two: str, weights: dict[str, Any]
) -> None:
    aml.succeed(aml.put_endpoint(two, **weights))
    seen = aml.seen_by_callers(two)
    assert seen["traffic"] == weights["traffic"]
    assert seen["mirror"] == weights.get("mirrorTraffic", {})


def test_old_weights_hold_until_the_operation_is_done(aml: Lab, two: str) -> None:
    aml.admin("PUT", "pace", {"traffic": 3600})
    reply = aml.put_endpoint(two, traffic={"green": 100}, description="new")
    aml.admin("PUT", "pace", {"pace": "instant"})
    for shown in (reply.json, aml.get_endpoint(two)):
        assert shown["properties"]["provisioningState"] == "Updating"
        assert shown["properties"]["traffic"] == {"blue": 100}
        assert shown["properties"]["description"] is None
    assert aml.seen_by_callers(two)["traffic"] == {"blue": 100}


def test_traffic_takes_its_own_time(aml: Lab, two: str) -> None:
    aml.admin("PUT", "pace", {"endpoint": 3600})
    aml.succeed(aml.put_endpoint(two, traffic={"green": 100}))
    aml.admin("PUT", "pace", {"pace": "instant"})
    assert aml.state(two) == "Succeeded"


def test_mirror_is_for_managed_endpoints_only(aml: Lab) -> None:
    aml.succeed(aml.put_endpoint("on-cluster", compute="/subscriptions/x/computes/aks"))
    for deployment in ("blue", "green"):
        reply = aml.put_deployment(
            f"on-cluster/{deployment}", "m:1", endpointComputeType="Kubernetes"
        )
        aml.succeed(reply)
    reply = aml.put_endpoint(
        "on-cluster",
        compute="/subscriptions/x/computes/aks",
        traffic={"blue": 100},
        mirrorTraffic={"green": 10},
    )
    assert reply.status == 400
    assert "managed" in reply.message


# --- one operation at a time


def test_second_operation_on_an_endpoint_is_a_conflict(aml: Lab, two: str, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    held = aml.put_deployment(f"{two}/red", "m:1", environmentVariables={"HOLD": str(go_on)})
    path = f"onlineEndpoints/{two}"
    replies = [
        aml.put_endpoint(two, traffic={"green": 100}),
        aml.put_deployment(f"{two}/green", "m:1"),
        aml.arm("DELETE", f"{path}/deployments/green"),
        aml.arm("DELETE", path),
        aml.arm("PATCH", path, {"tags": {}}),
        aml.arm("PATCH", f"{path}/deployments/green", {"tags": {}}),
        aml.arm("POST", f"{path}/regenerateKeys", {"keyType": "Primary"}),
    ]
    assert [(reply.status, reply.code) for reply in replies] == [(409, "Conflict")] * 7
    assert aml.get_endpoint(two)["properties"]["traffic"] == {"blue": 100}
    go_on.touch()
    aml.succeed(held)
    aml.succeed(aml.put_endpoint(two, traffic={"green": 100}))


def test_other_endpoints_are_not_held_up(aml: Lab, two: str, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    held = aml.put_deployment(f"{two}/red", "m:1", environmentVariables={"HOLD": str(go_on)})
    aml.succeed(aml.put_endpoint("free"))
    go_on.touch()
    aml.succeed(held)


# --- keys and tokens


def score(aml: Lab, name: str, token: str | None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return aml.send("POST", f"/endpoints/{name}/score", b"{}", headers).status


def test_both_keys_open_the_endpoint_and_nothing_else_does(aml: Lab, name: str) -> None:
    keys = aml.arm("POST", f"onlineEndpoints/{name}/listKeys").json
    assert [score(aml, name, key) for key in keys.values()] == [200, 200]
    assert [score(aml, name, key) for key in (None, "any")] == [401, 401]
    assert aml.arm("POST", f"onlineEndpoints/{name}/token").status == 400


def test_regenerated_key_replaces_the_old_one(aml: Lab, name: str) -> None:
    path = f"onlineEndpoints/{name}"
    old = aml.arm("POST", f"{path}/listKeys").json
    reply = aml.arm("POST", f"{path}/regenerateKeys", {"keyType": "Primary"})
    aml.succeed(reply)
    new = aml.arm("POST", f"{path}/listKeys").json
    assert new["secondaryKey"] == old["secondaryKey"]
    assert score(aml, name, old["primaryKey"]) == 401
    assert score(aml, name, new["primaryKey"]) == 200
    body = {"keyType": "Secondary", "keyValue": "my-own"}
    aml.succeed(aml.arm("POST", f"{path}/regenerateKeys", body))
    assert score(aml, name, "my-own") == 200
    assert aml.arm("POST", f"{path}/regenerateKeys", {"keyType": "Third"}).status == 400


def test_token_of_an_endpoint_opens_this_endpoint_only(aml: Lab) -> None:
    for name in ("token-a", "token-b"):
        aml.succeed(aml.put_endpoint(name, authMode="AMLToken"))
    token = aml.arm("POST", "onlineEndpoints/token-a/token").json
    assert token["expiryTimeUtc"] - token["refreshAfterTimeUtc"] == 12 * 3600
    assert score(aml, "token-a", token["accessToken"]) == 200
    assert score(aml, "token-b", token["accessToken"]) == 401
    assert score(aml, "token-a", token["accessToken"] + "x") == 401
    assert aml.arm("POST", "onlineEndpoints/token-a/listKeys").status == 400


def test_entra_endpoint_takes_any_identity_but_not_none(aml: Lab) -> None:
    aml.succeed(aml.put_endpoint("entra", authMode="AADToken"))
    assert score(aml, "entra", "any") == 200
    assert score(aml, "entra", None) == 401


def test_quotas_are_kept(tmp_path: Path) -> None:
    with lab(tmp_path, "--endpoint-quota", "1", "--deployment-quota", "1") as aml:
        aml.register("m", "1")
        aml.succeed(aml.put_endpoint("first"))
        assert "1 endpoints" in aml.put_endpoint("second").message
        aml.succeed(aml.put_deployment("first/blue", "m:1"))
        assert "1 deployments" in aml.put_deployment("first/green", "m:1").message
        until(lambda: aml.state("first") == "Succeeded")
