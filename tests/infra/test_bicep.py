"""The infrastructure as it stands has nothing to complain about, and its pages name what it has."""

import json
import re
from pathlib import Path

import pytest

from infra.bicep import read_folder, tokenize
from infra.check import check

REPOSITORY = Path(__file__).parents[2]
INFRA = REPOSITORY / "infra"


def test_the_infrastructure_has_nothing_to_complain_about() -> None:
    assert check(INFRA, REPOSITORY) == []


def test_what_is_checked_is_not_empty() -> None:
    files, _ = read_folder(INFRA)
    resources = [one["type"] for file in files.values() for _, one, _ in file.resources()]
    assert len(files) >= 17
    assert len(resources) >= 40
    assert len(files["main.bicep"].used) >= 30
    table = json.loads((INFRA / "resource_types.json").read_text())
    app = table["Microsoft.Web/sites@2024-04-01"]["properties"]["properties"]["properties"]
    assert "functionAppConfig" in app
    assert "alwaysReady" in json.dumps(app["functionAppConfig"])


def test_names_in_interpolated_strings_are_seen_and_plain_strings_are_not() -> None:
    text = "var a = 'b ${c.d('e ${f}')} \\${g} h'\n"
    names = [token.text for token in tokenize(text) if token.kind == "name"]
    assert names == ["var", "a", "c", "d", "f"]


def test_a_file_that_is_no_bicep_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "bad.bicep").write_text("param a string\nparam = 3\n")
    _, complaints = read_folder(tmp_path)
    assert len(complaints) == 1
    assert complaints[0].startswith("bad.bicep: line 2: not Bicep")


@pytest.mark.parametrize("path", sorted(INFRA.rglob("*.bicep")), ids=lambda path: path.name)
def test_every_version_of_an_api_is_stable_or_has_no_stable_one(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for kind, version in re.findall(r"'(Microsoft\.[\w./]+)@([\w-]+)'", text):
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", version), f"{kind}@{version}"


def test_every_parameter_is_in_the_page_and_no_other() -> None:
    page = (REPOSITORY / "docs" / "first-deployment.md").read_text(encoding="utf-8")
    part = page.partition("## Parameters")[2].partition("\n## ")[0]
    files, _ = read_folder(INFRA)
    named = re.findall(r"^\| `(\w+)` \|", part, re.MULTILINE)
    wanted = [*files["main.bicep"].parameters, "subscriptionName", "models"]
    assert sorted(named) == sorted(wanted)


def test_every_alert_leads_to_its_runbook() -> None:
    page = (REPOSITORY / "docs" / "operating.md").read_text(encoding="utf-8")
    headings = set(re.findall(r"^### (.+)$", page, re.MULTILINE)) | set(
        re.findall(r"^\*\*(.+?)\.\*\*$", page, re.MULTILINE)
    )
    alerts = json.loads((INFRA / "alerts.json").read_text(encoding="utf-8"))
    for alert in (*alerts["log"], *alerts["topic"]):
        found = re.search(r"Runbook: docs/operating\.md, (.+)\.$", alert["description"])
        assert found is not None, alert["name"]
        assert found[1] in headings, alert["name"]
