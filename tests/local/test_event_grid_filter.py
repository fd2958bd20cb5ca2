"""Advanced filters of a subscription, and the other events of a workspace."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import event_grid_filter
from tests.local.azure_ml_lab import Lab, lab, webhook
from tests.local.event_grid_receiver import an_event

SUBSCRIPTIONS = "providers/Microsoft.EventGrid/eventSubscriptions"
EVENT = an_event(
    data={
        "ModelName": "Fraud",
        "ModelVersion": 7,
        "ModelTags": {"stage": "Production", "auc": "0.93"},
        "flag": True,
        "nothing": None,
    }
)


def one(operator: str, key: str, *values: Any) -> dict[str, Any]:
    return {"operatorType": operator, "key": key, "values": list(values)}


@pytest.mark.parametrize(
    ("operator", "key", "values", "fits"),
    [
        ("StringIn", "data.ModelTags.stage", ["staging", "PRODUCTION"], True),
        ("StringIn", "data.modeltags.stage", ["production"], False),
        ("StringIn", "Subject", ["models/fraud:1"], True),
        ("StringNotIn", "data.ModelName", ["churn"], True),
        ("StringNotIn", "data.ModelName", ["fraud"], False),
        ("StringBeginsWith", "subject", ["models/churn:", "models/fraud:"], True),
        ("StringNotBeginsWith", "subject", ["models/"], False),
        ("StringEndsWith", "subject", [":1"], True),
        ("StringNotEndsWith", "subject", [":2"], True),
        ("StringContains", "data.ModelName", ["rau"], True),
        ("StringNotContains", "data.ModelName", ["rau"], False),
        ("NumberIn", "data.ModelVersion", [3, 7], True),
        ("NumberNotIn", "data.ModelVersion", [3], True),
        ("NumberGreaterThan", "data.ModelVersion", [6], True),
        ("NumberGreaterThanOrEquals", "data.ModelVersion", [8], False),
        ("NumberLessThan", "data.ModelVersion", [7], False),
        ("NumberLessThanOrEquals", "data.ModelVersion", [7], True),
        ("NumberInRange", "data.ModelVersion", [[1, 3], [5, 7]], True),
        ("NumberNotInRange", "data.ModelVersion", [[1, 3]], True),
        ("BoolEquals", "data.flag", [True], True),
        ("BoolEquals", "data.flag", [False], False),
        ("IsNullOrUndefined", "data.nothing", [], True),
        ("IsNullOrUndefined", "data.absent", [], True),
        ("IsNotNull", "data.flag", [], True),
        ("IsNotNull", "data.absent", [], False),
        # What is not there, or of another type, fits nothing.
        ("StringNotIn", "data.absent", ["x"], False),
        ("StringIn", "data.ModelVersion", ["7"], False),
        ("NumberGreaterThan", "data.ModelTags.auc", [0], False),
        ("NumberIn", "data.flag", [1], False),
        ("StringIn", "data.ModelName.inner", ["x"], False),
    ],
)
def test_filters_fit(operator: str, key: str, values: list[Any], *, fits: bool) -> None:
    (read,) = event_grid_filter.read([one(operator, key, *values)])
    assert read.fits(EVENT) is fits


def test_single_value_and_letter_case_are_understood() -> None:
    (read,) = event_grid_filter.read(
        [{"operatorType": "numbergreaterthan", "key": "data.ModelVersion", "value": 3}]
    )
    assert read.fits(EVENT)
    assert event_grid_filter.read(None) == ()


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        pytest.param({}, "list", id="no-list"),
        pytest.param([one("StringIn", "subject", "a")] * 26, "at most 25", id="filters"),
        pytest.param([one("StringIn", "subject", *"abcdefghijklmnopqrstuvwxyz")], "26", id="many"),
        pytest.param([one("Like", "subject", "a")], "'Like'", id="operator"),
        pytest.param([one("StringIn", "", "a")], "key", id="key"),
        pytest.param([one("StringIn", "subject", 1)], "compares", id="type"),
        pytest.param([one("StringIn", "subject", "x" * 513)], "compares", id="long"),
        pytest.param([one("NumberInRange", "data.a", [1])], "compares", id="range"),
        pytest.param([one("BoolEquals", "data.a", "true")], "compares", id="bool"),
        pytest.param(["subject"], "operatorType", id="text"),
    ],
)
def test_filters_that_cannot_be_are_refused(listed: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        event_grid_filter.read(listed)


# --- on the emulator


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("filters"), "--raise-model-deployed") as emulator:
        emulator.register("m", "1")
        yield emulator


def subscribe(aml: Lab, name: str, url: str, **chosen: Any) -> None:
    destination = {"endpointType": "WebHook", "properties": {"endpointUrl": url}}
    body = {"properties": {"destination": destination, "filter": chosen}}
    assert aml.arm("PUT", f"{SUBSCRIPTIONS}/{name}", body).status == 201


def test_subscriptions_get_what_their_own_filters_let_through(aml: Lab) -> None:
    with webhook() as first, webhook() as second:
        tagged = [one("StringIn", "data.ModelTags.stage", "production")]
        subscribe(aml, "tagged", first.url, advancedFilters=tagged)
        subscribe(
            aml, "cased", second.url, subjectBeginsWith="models/Wanted", isSubjectCaseSensitive=True
        )
        aml.register("wanted", "1", tags={"stage": "staging"})
        aml.register("Wanted-too", "1", tags={"stage": "Production"})
        assert first.next()["subject"] == "models/Wanted-too:1"
        assert second.next()["subject"] == "models/Wanted-too:1"
        for name in ("tagged", "cased"):
            aml.arm("DELETE", f"{SUBSCRIPTIONS}/{name}")
        assert first.received.empty()
        assert second.received.empty()


def test_filters_survive_a_restart(tmp_path: Path) -> None:
    with lab(tmp_path) as aml, webhook() as hook:
        tagged = [one("StringIn", "data.ModelTags.stage", "production")]
        subscribe(aml, "tagged", hook.url, advancedFilters=tagged)
        aml.kill9()
        aml.start()
        aml.register("m", "1", tags={"stage": "staging"})
        aml.register("m", "2", tags={"stage": "production"})
        assert hook.next()["subject"] == "models/m:2"


def test_wrong_filter_is_refused_with_its_reason(aml: Lab) -> None:
    destination = {"endpointType": "WebHook", "properties": {"endpointUrl": "http://127.0.0.1:1"}}
    chosen = {"advancedFilters": [one("Like", "subject", "a")]}
    body = {"properties": {"destination": destination, "filter": chosen}}
    reply = aml.arm("PUT", f"{SUBSCRIPTIONS}/wrong", body)
    assert (reply.status, "'Like'" in reply.message) == (400, True)


def test_deployments_raise_an_event_where_that_is_asked_for(aml: Lab, tmp_path: Path) -> None:
    with webhook() as hook:
        kinds = ["Microsoft.MachineLearningServices.ModelDeployed"]
        subscribe(aml, "deployed", hook.url, includedEventTypes=kinds)
        aml.succeed(aml.put_endpoint("fraud"))
        aml.succeed(aml.put_deployment("fraud/blue", "m:1"))
        event = hook.next()
        assert event["subject"] == "endpoints/fraud"
        assert event["data"]["ModelIds"] == "m:1"
        assert event["data"]["ServiceComputeType"] == "Managed"
        aml.arm("DELETE", f"{SUBSCRIPTIONS}/deployed")
    with lab(tmp_path) as silent, webhook() as hook:
        silent.register("m", "1")
        subscribe(silent, "all", hook.url)
        silent.succeed(silent.put_endpoint("fraud"))
        silent.succeed(silent.put_deployment("fraud/blue", "m:1"))
        silent.register("m", "2")
        assert hook.next()["subject"] == "models/m:2"


@pytest.mark.parametrize(
    ("asked", "subject", "data"),
    [
        pytest.param(
            {"type": "RunStatusChanged", "data": {"runId": "r", "experimentid": "e"}},
            "experiments/e/runs/r",
            {"RunId": "r", "ExperimentId": "e", "RunStatus": ""},
            id="status",
        ),
        pytest.param(
            {
                "type": "Microsoft.MachineLearningServices.ModelRegistered",
                "data": {"ModelName": "n", "ModelVersion": "3"},
            },
            "models/n:3",
            {"ModelName": "n", "ModelVersion": 3, "ModelTags": {}},
            id="registered",
        ),
        pytest.param(
            {"type": "RunCompleted", "subject": "own", "data": {}}, "own", {"RunTags": {}}, id="own"
        ),
    ],
)
def test_any_event_of_the_workspace_can_be_raised(
    aml: Lab, asked: dict[str, Any], subject: str, data: dict[str, Any]
) -> None:
    with webhook() as hook:
        subscribe(aml, "any", hook.url)
        aml.admin("POST", "events", {"raise": asked})
        event = hook.next()
        assert event["subject"] == subject
        assert event["data"].items() >= data.items()
        aml.arm("DELETE", f"{SUBSCRIPTIONS}/any")


@pytest.mark.parametrize(
    "asked", [{"type": "ModelArchived"}, {"type": "RunCompleted", "data": {"Colour": "red"}}]
)
def test_events_the_workspace_does_not_have_are_refused(aml: Lab, asked: dict[str, Any]) -> None:
    assert aml.send("POST", "/admin/events", {"raise": asked}).status == 400
