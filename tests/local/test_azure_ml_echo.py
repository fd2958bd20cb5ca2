"""Echo servers: the whole emulator without models; and what passed is what is measured."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.azure_ml_lab import REAL, Lab, Reply, lab, until
from tests.local.test_azure_ml_metrics import ask, values


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("echo")
    with lab(folder, "--servers", "echo", program=REAL) as emulator:
        emulator.register("m", "1")
        yield emulator


def live(aml: Lab, name: str, **deployments: dict[str, str]) -> str:
    """Make an endpoint with deployments of these variables; the first one has all weight."""
    aml.succeed(aml.put_endpoint(name))
    for deployment, variables in deployments.items():
        reply = aml.put_deployment(f"{name}/{deployment}", "m:1", environmentVariables=variables)
        aml.succeed(reply)
    aml.succeed(aml.put_endpoint(name, traffic={next(iter(deployments)): 100}))
    return name


def score(aml: Lab, name: str, body: Any = None, **headers: str) -> Reply:
    key = aml.arm("POST", f"onlineEndpoints/{name}/listKeys").json["primaryKey"]
    authorization = {"Authorization": f"Bearer {key}"}
    return aml.send("POST", f"/endpoints/{name}/score", body or {}, authorization | headers)


def test_echo_server_answers_what_it_was_asked(aml: Lab) -> None:
    name = live(aml, "plain", blue={})
    reply = score(aml, name, {"input_data": [[1.0]]})
    assert reply.status == 200
    assert reply.json == {
        "deployment": "blue",
        "instance": "echo-0",
        "model": "m:1",
        "asked": '{"input_data": [[1.0]]}',
    }
    assert reply.headers["azureml-model-deployment"] == "blue"
    logs = aml.arm("POST", f"onlineEndpoints/{name}/deployments/blue/getLogs", {}).json["content"]
    assert "POST /score 200" in logs


def test_variables_say_how_an_echo_server_behaves(aml: Lab) -> None:
    name = live(
        aml,
        "steered",
        blue={"ECHO_ANSWER": "[1.5]"},
        bad={"ECHO_STATUS": "500"},
        slow={"ECHO_DELAY": "3600"},
    )
    assert score(aml, name).json == [1.5]
    failed = score(aml, name, **{"azureml-model-deployment": "bad"})
    assert (failed.status, failed.headers["ms-azureml-model-error-statuscode"]) == (424, "500")
    settings = {"requestTimeout": "PT0.1S"}
    slow = {"requestSettings": settings, "environmentVariables": {"ECHO_DELAY": "3600"}}
    aml.succeed(aml.put_deployment(f"{name}/slow", "m:1", **slow))
    assert score(aml, name, **{"azureml-model-deployment": "slow"}).status == 408


@pytest.mark.parametrize(
    ("variables", "code"),
    [
        pytest.param({"ECHO_FAIL": "no such weights"}, "ResourceNotReady", id="fail"),
        pytest.param({"ECHO_DELAY": "soon"}, "BadArgument", id="delay"),
        pytest.param({"ECHO_STATUS": "bad"}, "BadArgument", id="status"),
    ],
)
def test_echo_server_can_fail_to_start(aml: Lab, variables: dict[str, str], code: str) -> None:
    aml.succeed(aml.put_endpoint("failing"))
    ended = aml.done(aml.put_deployment("failing/blue", "m:1", environmentVariables=variables))
    assert (ended["status"], ended["error"]["code"]) == ("Failed", code)


def test_metrics_are_what_callers_saw_and_mirrored_copies(aml: Lab) -> None:
    name = live(aml, "measured", blue={}, green={"ECHO_STATUS": "500"}, shadow={})
    weights: dict[str, Any] = {"traffic": {"blue": 50, "green": 50}}
    aml.succeed(aml.put_endpoint(name, **weights, mirrorTraffic={"shadow": 50}))
    key = aml.arm("POST", f"onlineEndpoints/{name}/listKeys").json["primaryKey"]
    headers = {"Authorization": f"Bearer {key}"}
    replies = [aml.send("POST", f"/endpoints/{name}/score", b"{}", headers) for _ in range(100)]
    seen = Counter((reply.headers["azureml-model-deployment"], reply.status) for reply in replies)
    assert {name for name, _ in seen} == {"blue", "green"}

    def measured() -> dict[tuple[str, ...], float]:
        split = "deployment eq '*' and statusCode eq '*'"
        (metric,) = ask(aml, name, metricnames="RequestsPerMinute", _filter=split)["value"]
        return {key: sum(found) for key, found in values(metric).items()}

    served = aml.admin("GET", "served")[name]["shadow"]["mirrored"]
    until(lambda: measured().get(("shadow", "200"), 0) >= served)
    shadowed = measured().pop(("shadow", "200"))
    assert 0 < shadowed < 100
    assert {key: count for key, count in measured().items() if key[0] != "shadow"} == {
        (deployment, str(status)): count for (deployment, status), count in seen.items()
    }


def test_weights_shift_without_a_lost_request(aml: Lab) -> None:
    name = live(aml, "shifting", blue={}, green={})
    served = Counter[str]()
    for weight in (0, 50, 100):
        reply = aml.put_endpoint(name, traffic={"blue": 100 - weight, "green": weight})
        for _ in range(50):
            answer = score(aml, name)
            assert answer.status == 200
            served[answer.json["deployment"]] += 1
        aml.succeed(reply)
    assert set(served) == {"blue", "green"}
