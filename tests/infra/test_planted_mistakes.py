"""Mistakes planted into copies of the infrastructure: each is caught, and only it.

planted-mistakes.txt is the table of all of them with what is said; a difference fails.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from infra.check import check

REPOSITORY = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("planted-mistakes.txt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One change of one file that somebody could make."""

    what: str
    file: str
    right: str
    wrong: str


def mistake(what: str, file: str, right: str, wrong: str) -> Mistake:
    return Mistake(what=what, file=file, right=right, wrong=wrong)


STORAGE = "infra/modules/storage.bicep"
APP = "infra/modules/app.bicep"
EVENTS = "infra/modules/event-subscription.bicep"
RIGHTS = "infra/modules/workspace-rights.bicep"
MISTAKES = [
    mistake("a file that does not parse", APP, "kind: 'functionapp'\n", "kind 'functionapp'\n"),
    mistake("an undeclared name", APP, "serverFarmId: plan.id", "serverFarmId: hostingPlan.id"),
    mistake(
        "an undeclared name inside a string",
        APP,
        "'plan-rollouts-${token}'",
        "'plan-rollouts-${suffix}'",
    ),
    mistake("a misspelt property", STORAGE, "minimumTlsVersion:", "minimumTLSVersion:"),
    mistake("a value that is none", STORAGE, "kind: 'StorageV2'", "kind: 'StorageV3'"),
    mistake("a required property gone", STORAGE, "  kind: 'StorageV2'\n", ""),
    mistake("keys allowed", STORAGE, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true"),
    mistake("blobs public", STORAGE, "allowBlobPublicAccess: false", "allowBlobPublicAccess: true"),
    mistake("an old TLS", STORAGE, "'TLS1_2'", "'TLS1_0'"),
    mistake("plain HTTP", APP, "httpsOnly: true", "httpsOnly: false"),
    mistake(
        "a key in an output",
        STORAGE,
        "output name string = account.name",
        "output name string = account.listKeys().keys[0].value",
    ),
    mistake(
        "a wrong event type", EVENTS, "Services.ModelRegistered'", "Services.ModelRegistration'"
    ),
    mistake("a filter on data", EVENTS, "key: 'subject'", "key: 'data.ModelName'"),
    mistake(
        "no dead letter",
        EVENTS,
        "blobContainerName: deadLetterContainer",
        "// nowhere: ${deadLetterContainer}",
    ),
    mistake(
        "a short life", EVENTS, "eventTimeToLiveInMinutes: 1440", "eventTimeToLiveInMinutes: 5"
    ),
    mistake("a function that is not there", EVENTS, "on_model_registered", "on_model_registration"),
    mistake(
        "the wrong role id",
        "infra/roles.json",
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
        "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    ),
    mistake(
        "an action with a star",
        "infra/roles.json",
        "workspaces/onlineEndpoints/deployments/write",
        "workspaces/onlineEndpoints/*",
    ),
    mistake(
        "a role on the whole group",
        RIGHTS,
        "  name: guid(workspace.id, principalId, reader.id)\n  scope: workspace\n",
        "  name: guid(workspace.id, principalId, reader.id)\n",
    ),
    mistake(
        "a built-in role written out",
        RIGHTS,
        "roleDefinitionId: reader.id",
        "roleDefinitionId: '/providers/x/b24988ac-6180-42a0-ab88-20f7382dd24c'",
    ),
    mistake(
        "a scope that is a condition",
        "infra/main.bicep",
        "scope: resourceGroup(announceScope[0], announceScope[1])",
        "scope: empty(announceTopicId) ? group : resourceGroup(announceScope[0], announceScope[1])",
    ),
    mistake("score as a data action", RIGHTS, "dataActions: []", "dataActions: aadTokenActions"),
    mistake("a setting forgotten", APP, "  ROLLOUT_SWEEP_SCHEDULE: '0 */5 * * * *'\n", ""),
    mistake("a setting that nobody reads", APP, "  ROLLOUT_POLICIES:", "  ROLLOUT_POLICY_FOLDER:"),
    mistake("another Python", APP, "version: '3.13'", "version: '3.12'"),
    mistake(
        "a parameter of a module forgotten",
        "infra/main.bicep",
        "    subnetId: subnetId\n    authClientId: authClientId\n",
        "    authClientId: authClientId\n",
    ),
    mistake(
        "an output that is not there",
        "infra/main.bicep",
        "topics[index].outputs.principalId",
        "topics[index].outputs.identity",
    ),
    mistake(
        "a parameter file behind the times",
        "infra/main.bicepparam",
        "param alertEmail = readEnvironmentVariable('ROLLOUTS_ALERT_EMAIL', '')\n",
        "",
    ),
    mistake(
        "a variable that nobody sets",
        "infra/subscription.bicepparam",
        "'FUNCTION_APP_ID'",
        "'FUNCTION_ID'",
    ),
    mistake(
        "a hook to a file that is not there",
        "azure.yaml",
        "infra/subscription.bicepparam --output",
        "infra/events.bicepparam --output",
    ),
    mistake(
        "an alert on a line that is never logged",
        "infra/alerts.json",
        'event\\": \\"sweep could not look',
        'event\\": \\"sweep failed',
    ),
    mistake(
        "a query for a line in another form",
        "infra/alerts.json",
        'startswith \'{\\"event\\": \\"rolled back',
        'startswith \'{\\"said\\": \\"rolled back',
    ),
    mistake(
        "a chart of a line that is never logged",
        "infra/workbook.json",
        "'rollout ended', ",
        "'rollout finished', ",
    ),
    mistake(
        "a workbook that is no JSON",
        "infra/workbook.json",
        '"version": "Notebook',
        '"version "Notebook',
    ),
]


def complaints(planted: Mistake, folder: Path) -> list[str]:
    """Return what is said about a copy with the mistake in it."""
    shutil.copytree(REPOSITORY / "infra", folder / "infra")
    shutil.copy(REPOSITORY / "azure.yaml", folder / "azure.yaml")
    path = folder / planted.file
    text = path.read_text(encoding="utf-8")
    assert planted.right in text, "the place of the mistake is gone"
    path.write_text(text.replace(planted.right, planted.wrong), encoding="utf-8")
    return check(folder / "infra", REPOSITORY)


def test_every_planted_mistake_is_caught_as_recorded(tmp_path: Path) -> None:
    rows = []
    for number, planted in enumerate(MISTAKES, 1):
        found = complaints(planted, tmp_path / str(number))
        rows.append(f"{number:2}  {planted.what} ({planted.file})")
        rows += [f"      {one}" for one in found] or ["      NOT CAUGHT"]
    table = "\n".join(rows) + "\n"
    if os.environ.get("RECORD_PLANTED_MISTAKES"):
        RECORD.write_text(table, encoding="utf-8")
    assert "NOT CAUGHT" not in table
    assert table == RECORD.read_text(encoding="utf-8")


def test_the_table_has_what_was_promised() -> None:
    assert len(MISTAKES) >= 15
    page = (REPOSITORY / "docs" / "first-deployment.md").read_text(encoding="utf-8")
    assert f"{len(MISTAKES)} planted mistakes are all caught" in page
    assert len({planted.what for planted in MISTAKES}) == len(MISTAKES)


HARMLESS = [
    mistake("a comment", STORAGE, "// Event Grid comes", "// no listKeys() here: Event Grid comes"),
    mistake(
        "another order",
        APP,
        "    serverFarmId: plan.id\n    httpsOnly: true\n",
        "    httpsOnly: true\n    serverFarmId: plan.id\n",
    ),
    mistake("another space", RIGHTS, "onlineEndpoints[index]", "onlineEndpoints[ index ]"),
    mistake("another name", STORAGE, "openAcls", "aclsWithoutSubnet"),
]


@pytest.mark.parametrize("harmless", HARMLESS, ids=lambda one: str(one.what))
def test_a_change_that_means_nothing_is_not_complained_about(
    harmless: Mistake, tmp_path: Path
) -> None:
    assert complaints(harmless, tmp_path) == []
