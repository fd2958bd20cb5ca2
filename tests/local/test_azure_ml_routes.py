"""The page lists what is answered and what is not, and the emulator agrees."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.azure_ml_lab import REAL, REPOSITORY, Lab, lab, until

PAGE = (REPOSITORY / "docs" / "emulator.md").read_text(encoding="utf-8")
_GROUP = "/subscriptions/{subscription}/resourceGroups/{group}/providers"
_SHORT = {
    "{registry}": f"{_GROUP}/Microsoft.MachineLearningServices/registries/{{registry}}",
    "{insights}": f"{_GROUP}/Microsoft.Insights",
    "{location}": "/subscriptions/{subscription}/providers"
    "/Microsoft.MachineLearningServices/locations/{location}",
}
LISTED, ABSENT = (
    re.findall(r"^\| `([A-Z]+ \S+)` \| (.+) \|$", part, re.MULTILINE)
    for part in PAGE.partition("## Every operation")[2].split("### Not there")
)


def whole(request: str) -> str:
    method, path = request.split()
    for short, long in _SHORT.items():
        if path == short or path.startswith(f"{short}/"):
            path = long + path.removeprefix(short)
    return f"{method} {path}"


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("routes")) as emulator:
        yield emulator


def test_every_request_that_is_answered_is_listed_and_no_other(aml: Lab) -> None:
    listed = [whole(request) for request, _ in LISTED]
    assert sorted(listed) == aml.admin("GET", "routes")


def test_every_state_is_full_or_says_what_is_missing() -> None:
    for request, state in LISTED:
        kind, _, rest = state.partition(":")
        assert kind.startswith("full") or (kind == "partial" and rest.strip()), request


@pytest.mark.parametrize("request_", [request for request, _ in ABSENT])
def test_what_is_not_there_says_so(aml: Lab, request_: str) -> None:
    method, path = whole(request_).split()
    scope = {
        "{workspace}": aml.ready["workspace_id"],
        "{subscription}": aml.ready["subscription"],
        "{group}": aml.ready["resource_group"],
    }
    for name, value in scope.items():
        path = path.replace(name, value)
    reply = aml.arm(method, re.sub(r"\{\w+\}", "x", path), {} if method != "GET" else None)
    if method == "PUT" and path == aml.ready["workspace_id"]:
        assert reply.status == 405
    else:
        assert (reply.status, reply.code) == (501, "NotImplemented")
        assert "docs/emulator.md" in reply.message


def test_options_of_the_command_line_are_listed() -> None:
    source = (REPOSITORY / "local" / "azure_ml" / "__main__.py").read_text(encoding="utf-8")
    options = set(re.findall(r'"(--[a-z-]+)"', source))
    assert options <= set(re.findall(r"--[a-z-]+", PAGE))


def test_what_stands_above_the_workspace_is_found(aml: Lab) -> None:
    subscription, group = aml.ready["subscription"], aml.ready["resource_group"]
    listed = aml.arm("GET", "/subscriptions").json["value"]
    assert [item["subscriptionId"] for item in listed] == [subscription]
    tenants = aml.arm("GET", "/tenants").json["value"]
    assert [item["tenantId"] for item in tenants] == [listed[0]["tenantId"]]
    assert aml.arm("GET", f"/subscriptions/{subscription}").json == listed[0]
    groups = aml.arm("GET", f"/subscriptions/{subscription}/resourcegroups").json["value"]
    assert [item["name"] for item in groups] == [group]
    assert aml.arm("GET", groups[0]["id"]).json == groups[0]
    assert aml.arm("GET", "/subscriptions/another").code == "SubscriptionNotFound"
    one = aml.send("GET", "/metadata/endpoints?api-version=2022-09-01").json
    assert one["resourceManager"] == aml.ready["url"]


def test_a_person_is_told_how_to_use_it(tmp_path: Path) -> None:
    command = (sys.executable, "-m", REAL, "--servers", "echo", "--data", str(tmp_path))
    with (
        (tmp_path / "told").open("w") as told,
        subprocess.Popen(
            command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=told, text=True
        ) as child,
    ):
        assert child.stdout is not None
        ready = json.loads(child.stdout.readline())
        until(lambda: "docs/emulator.md" in (tmp_path / "told").read_text())
        child.terminate()
    text = (tmp_path / "told").read_text()
    for expected in (
        f"REQUESTS_CA_BUNDLE={ready['ca']}",
        f"--endpoint-resource-manager {ready['url']}",
        f"IDENTITY_HEADER={ready['identity_header']}",
        f"'resource_manager': '{ready['url']}'",
    ):
        assert expected in text
