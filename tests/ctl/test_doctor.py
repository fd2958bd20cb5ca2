"""doctor: what is well, what is not, what cannot be known, and the command for each."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from rolloutctl.exit import Exit
from tests.ctl.app import OPERATOR, STRANGER, App
from tests.ctl.az import FakeAz, put_az
from tests.ctl.conftest import Done, Run
from tests.ctl.recorded import assert_golden

GROUP = "/subscriptions/S/resourceGroups/G"
APP_ID = f"{GROUP}/providers/Microsoft.Web/sites/app"
STORAGE = f"{GROUP}/providers/Microsoft.Storage/storageAccounts/rollouts1"
TOPIC = "/subscriptions/S2/resourceGroups/G2/providers/Microsoft.EventGrid/systemTopics/topic1"
VARIABLES = {
    "FUNCTION_APP_NAME": "app",
    "FUNCTION_APP_ID": APP_ID,
    "AZURE_RESOURCE_GROUP": "G",
    "IDENTITY_PRINCIPAL_ID": "principal-1",
    "SYSTEM_TOPIC_IDS": json.dumps([TOPIC]),
    "STORAGE_ACCOUNT_ID": STORAGE,
    "DEAD_LETTER_CONTAINER": "dead-letters",
}
ROLES = (
    "Storage Blob Data Owner",
    "Storage Queue Data Contributor",
    "Storage Table Data Contributor",
    "Monitoring Metrics Publisher",
    "Rollout reader dev ws",
    "Rollout operator dev ws",
)
SUBSCRIPTION: dict[str, Any] = {
    "name": "rollouts",
    "provisioningState": "Succeeded",
    "destination": {
        "endpointType": "AzureFunction",
        "resourceId": f"{APP_ID}/functions/on_model_registered".upper(),
    },
    "deadLetterWithResourceIdentity": {"deadLetterDestination": {}},
    "filter": {"includedEventTypes": ["Microsoft.MachineLearningServices.ModelRegistered"]},
}
SUBSCRIPTIONS = "eventgrid system-topic event-subscription list"
IN_TOPIC = "--resource-group G2 --system-topic-name topic1 --subscription S2"
IN_CONTAINER = "--account-name rollouts1 --container-name dead-letters"
WELL: dict[str, Any] = {
    "functionapp show": {"id": APP_ID, "state": "Running"},
    "functionapp function list": [{"name": "app/on_model_registered"}, {"name": "app/sweep"}],
    "role assignment list": [{"roleDefinitionName": name, "scope": STORAGE} for name in ROLES],
    SUBSCRIPTIONS: [{"name": "other", "destination": {}}, SUBSCRIPTION],
    "storage blob list": [],
}
CHECKS = [
    {"name": "engine", "ok": True, "text": "answers in 12 ms", "mend": ""},
    {"name": "workspace ws", "ok": True, "text": "readable with our identity", "mend": ""},
]


@pytest.fixture
def az(app: App, home: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAz:
    """Let everything be well."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    app.bodies = {"health": {"status": "ok", "version": "0.2.0"}, "checks": {"checks": CHECKS}}
    return put_az(home, WELL)


def find(done: Done, name: str) -> dict[str, str]:
    (found,) = [one for one in done.json["findings"] if one["name"] == name]
    return dict(found)


def test_when_all_is_well_it_says_what_was_looked_at(app: App, run: Run, az: FakeAz) -> None:
    done = run("doctor")
    assert done.code == Exit.OK
    assert_golden("doctor", done.out.rstrip("\n").replace(app.url, "APP"))
    assert az.asked() == [
        "functionapp show --resource-group G --name app --output json",
        "functionapp function list --resource-group G --name app --output json",
        "role assignment list --assignee principal-1 --all --output json",
        f"{SUBSCRIPTIONS} {IN_TOPIC} --output json",
        f"storage blob list {IN_CONTAINER} --auth-mode login --num-results 100 --output json",
    ]


def changed(**changes: Any) -> list[dict[str, Any]]:
    return [{**SUBSCRIPTION, **changes}]


NAME = "subscription of topic1"
WRONG = [
    ("functionapp show", {"id": APP_ID, "state": "Stopped"}, "function app", "it is Stopped"),
    ("functionapp function list", [], "functions", "no function on_model_registered"),
    ("role assignment list", WELL["role assignment list"][1:], "rights", "Storage Blob Data Owner"),
    ("role assignment list", WELL["role assignment list"][:5], "rights", "Rollout operator ..."),
    (SUBSCRIPTIONS, [], NAME, "none of 0 leads to the app"),
    (SUBSCRIPTIONS, changed(destination={"resourceId": "x"}), NAME, "none of 1 leads to the app"),
    (
        SUBSCRIPTIONS,
        changed(provisioningState="AwaitingManualAction"),
        NAME,
        "the handshake is not done",
    ),
    (
        SUBSCRIPTIONS,
        changed(filter={"includedEventTypes": ["Microsoft.X.RunCompleted"]}),
        NAME,
        "it hears of Microsoft.X.RunCompleted (ModelRegistered)",
    ),
    (SUBSCRIPTIONS, changed(deadLetterWithResourceIdentity=None), NAME, "it keeps no dead letters"),
    ("storage blob list", [{"name": "a/b.json"}], "dead letters", "1 in the container"),
]


@pytest.mark.parametrize(("command", "answer", "name", "says"), WRONG)
def test_what_is_wrong_in_azure_is_found(
    run: Run, az: FakeAz, command: str, answer: Any, name: str, says: str
) -> None:
    az.answer({**WELL, command: answer})
    done = run("doctor", "--json")
    assert done.code == Exit.NO
    found = find(done, name)
    assert found["state"] == "bad"
    assert says in found["text"]
    assert shlex.split(found["mend"])[0] in {"az", "azd"}
    assert [one["name"] for one in done.json["findings"] if one["state"] == "bad"] == [name]


def test_a_queue_is_a_way_to_the_app_too(run: Run, az: FakeAz) -> None:
    to_queue = {"destination": {"endpointType": "StorageQueue", "resourceId": STORAGE}}
    there = changed(destination=None, deliveryWithResourceIdentity=to_queue)
    az.answer({**WELL, SUBSCRIPTIONS: there})
    assert run("doctor").code == Exit.OK


@pytest.mark.parametrize("answer", ["ERROR: Forbidden", {"unexpected": 1}, 7])
def test_what_az_does_not_say_is_unknown_and_not_well(run: Run, az: FakeAz, answer: Any) -> None:
    az.answer({**WELL, "role assignment list": answer})
    done = run("doctor", "--json")
    found = find(done, "rights")
    assert (done.code, found["state"]) == (Exit.OK, "unknown")
    assert found["mend"] == "az role assignment list --assignee principal-1 --all"
    assert run("doctor", "--strict").code == Exit.NO


def test_without_az_the_commands_are_said(run: Run, az: FakeAz) -> None:
    (az.folder / "az").unlink()
    done = run("doctor", "--json")
    found = find(done, "dead letters")
    assert found["text"] == "az is not installed"
    assert found["mend"].startswith("az storage blob list --account-name rollouts1 ")


def test_an_installation_that_nobody_named_is_unknown(
    run: Run, az: FakeAz, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name)
    done = run("doctor", "--json")
    unknown = [one for one in done.json["findings"] if one["state"] == "unknown"]
    assert len(unknown) == 5
    assert all('eval "$(azd env get-values)"' in one["mend"] for one in unknown)
    assert az.asked() == []


def test_azure_is_left_alone_when_asked_to(run: Run, az: FakeAz) -> None:
    done = run("doctor", "--no-azure", "--json")
    names = [one["name"] for one in done.json["findings"]]
    assert names == ["app", "clock", "sign-in", "engine", "workspace ws"]
    assert az.asked() == []


def test_what_the_app_finds_about_itself_is_passed_on(app: App, run: Run, az: FakeAz) -> None:
    del az
    mend = "az role assignment create --role reader"
    refused = {"name": "workspace ws", "ok": False, "text": "403", "mend": mend}
    app.bodies["checks"] = {"checks": [refused]}
    done = run("doctor", "--json")
    assert done.code == Exit.NO
    found = find(done, "workspace ws")
    assert (found["state"], found["text"], found["mend"]) == ("bad", "403", mend)


def test_a_clock_that_is_off_is_found(app: App, run: Run, az: FakeAz) -> None:
    del az
    app.dates = ["Mon, 23 Nov 2020 09:00:00 GMT"]
    done = run("doctor", "--no-azure", "--json")
    assert done.code == Exit.NO
    assert "ahead of the app (at most 1m 00s)" in find(done, "clock")["text"]


@pytest.mark.parametrize(
    ("token", "says", "mend"),
    [
        ("nobody's", "nobody is signed in", "rolloutctl login"),
        (STRANGER, "who may nothing", "az ad sp show"),
    ],
)
def test_who_may_nothing_is_told_how_to_get_in(
    run_as_nobody: Run, az: FakeAz, token: str, says: str, mend: str
) -> None:
    del az
    done = run_as_nobody("doctor", "--no-azure", "--json", "--token", token)
    assert done.code == Exit.NO
    found = find(done, "sign-in")
    assert says in found["text"]
    assert found["mend"].startswith(mend)
    assert find(done, "checks")["state"] == "unknown"


@pytest.mark.parametrize(
    ("status", "says"),
    [(503, "status 503"), (0, "asking http"), (302, "sends us on")],
)
def test_an_app_that_does_not_answer_is_a_finding(
    app: App, run: Run, az: FakeAz, status: int, says: str
) -> None:
    del az
    app.faults = [status]
    done = run("doctor", "--no-azure", "--json")
    assert done.code == Exit.NO
    assert says in find(done, "app")["text"]
    assert find(done, "sign-in")["state"] == "unknown"
    assert OPERATOR not in done.out


def test_an_older_app_is_a_finding(app: App, run: Run, az: FakeAz) -> None:
    del az
    app.bodies = {}
    done = run("doctor", "--no-azure", "--json")
    assert done.code == Exit.NO
    assert "older than this command" in find(done, "app")["text"]
