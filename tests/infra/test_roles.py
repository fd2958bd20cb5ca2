"""The custom roles list what the app asks Azure for: no action less, none more.

A whole life of an endpoint in each auth mode is played; the emulator says what it was asked.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from tests.e2e.scene import CANARY, Scene, write_policies

pytestmark = pytest.mark.e2e

INFRA = Path(__file__).parents[2] / "infra"
ROLES = json.loads((INFRA / "roles.json").read_text(encoding="utf-8"))
ML = "Microsoft.MachineLearningServices/"
_SUBSCRIPTION = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices"
# What Resource Manager asks a right for, by method and route. A list and its item share one.
ACTIONS = {
    ("GET", "{workspace}"): "workspaces/read",
    ("GET", "{workspace}/models"): "workspaces/models/read",
    ("GET", "{workspace}/models/{name}/versions"): "workspaces/models/versions/read",
    ("GET", "{workspace}/models/{name}/versions/{version}"): "workspaces/models/versions/read",
    ("GET", "{workspace}/codes/{name}/versions"): "workspaces/codes/versions/read",
    ("GET", "{workspace}/codes/{name}/versions/{version}"): "workspaces/codes/versions/read",
    ("PUT", "{workspace}/codes/{name}/versions/{version}"): "workspaces/codes/versions/write",
    (
        "POST",
        "{workspace}/codes/{name}/versions/{version}/startPendingUpload",
    ): "workspaces/codes/versions/startPendingUpload/action",
    (
        "PUT",
        "{workspace}/environments/{name}/versions/{version}",
    ): "workspaces/environments/versions/write",
    ("GET", "{workspace}/onlineEndpoints/{endpoint}"): "workspaces/onlineEndpoints/read",
    ("PUT", "{workspace}/onlineEndpoints/{endpoint}"): "workspaces/onlineEndpoints/write",
    (
        "POST",
        "{workspace}/onlineEndpoints/{endpoint}/listKeys",
    ): "workspaces/onlineEndpoints/listKeys/action",
    (
        "POST",
        "{workspace}/onlineEndpoints/{endpoint}/token",
    ): "workspaces/onlineEndpoints/token/action",
    (
        "GET",
        "{workspace}/onlineEndpoints/{endpoint}/deployments",
    ): "workspaces/onlineEndpoints/deployments/read",
    (
        "GET",
        "{workspace}/onlineEndpoints/{endpoint}/deployments/{deployment}",
    ): "workspaces/onlineEndpoints/deployments/read",
    (
        "PUT",
        "{workspace}/onlineEndpoints/{endpoint}/deployments/{deployment}",
    ): "workspaces/onlineEndpoints/deployments/write",
    (
        "DELETE",
        "{workspace}/onlineEndpoints/{endpoint}/deployments/{deployment}",
    ): "workspaces/onlineEndpoints/deployments/delete",
    (
        "POST",
        "{workspace}/onlineEndpoints/{endpoint}/deployments/{deployment}/getLogs",
    ): "workspaces/onlineEndpoints/deployments/getLogs/action",
    (
        "GET",
        f"{_SUBSCRIPTION}/locations/{{location}}/mfeOperationsStatus/{{operation}}",
    ): "locations/mfeOperationsStatus/read",
    ("GET", f"{_SUBSCRIPTION}/locations/{{location}}/usages"): "locations/usages/read",
    ("GET", f"{_SUBSCRIPTION}/locations/{{location}}/vmSizes"): "locations/vmSizes/read",
}
MODES = {"key": "with-key", "aml_token": "with-aml-token", "aad_token": "with-aad-token"}  # models
MEASURED = "  - {kind: metric, metric: requests, at_least: 1, every: 1s, dry_run: true}"
SWEPT = """
policy: swept
select: {model: "glob:swept-*"}
deploy: {endpoint: with-key, template: deployment.yml}
strategy: {kind: all-at-once}
"""


# What a built-in role of ours covers, by a piece of the route.
BUILT_IN = {"/providers/Microsoft.Insights/metrics": "monitoring_reader"}


def listed(*, by_the_app: bool) -> set[str]:
    """Return the actions that the app uses, or those that a feature will use.

    Of built-in roles only those that a route stands for: the others are of the data planes.
    """
    actions = {
        action.removeprefix(ML): said["used_by"]
        for role in ROLES["custom"].values()
        for action, said in role["actions"].items()
    }
    built_in = {key: ROLES["built_in"][key]["used_by"] for key in BUILT_IN.values()}
    both = {**actions, **built_in}
    return {name for name, used_by in both.items() if (used_by == "app") is by_the_app}


def needed(method: str, template: str) -> str:
    """Return the action, or the built-in role, that a request needs."""
    for piece, role in BUILT_IN.items():
        if piece in template:
            return role
    assert (method, template) in ACTIONS, (
        f"{method} {template} needs an action that nobody has named: add it to ACTIONS, and the "
        "action to infra/roles.json"
    )
    return ACTIONS[method, template]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """Give the actions that one life of three endpoints needed."""
    folder: Path = tmp_path_factory.mktemp("roles")
    stack = Stack(
        policies=_policies(folder / "policies"),
        data=folder / "data",
        pace="instant",
        settings={"ROLLOUT_SWEEP_SCHEDULE": "0 0 5 1 1 *"},  # only when the test fires it
    )
    try:
        stack.start()
        yield _play(Scene(stack, folder))
    finally:
        stack.stop()


def _policies(folder: Path) -> Path:
    """One policy per auth mode, and one whose models the sweep must look for."""
    write_policies(folder, dict.fromkeys(MODES.values(), (CANARY, MEASURED)))
    for mode, name in MODES.items():
        (folder / f"{mode}-endpoint.yml").write_text(f"auth_mode: {mode}\n")
        policy = folder / f"{name}.yaml"
        policy.write_text(policy.read_text().replace(": endpoint.yml", f": {mode}-endpoint.yml"))
    (folder / "swept.yaml").write_text(SWEPT)
    return folder


def _play(scene: Scene) -> set[str]:
    """Return what was asked for while each endpoint had two versions and one that does not start.

    The tests register models through the same emulator: their requests are forgotten before the
    events are let go.
    """
    asked: set[str] = set()
    for answer, wanted in (("good", "succeeded"), ("good", "succeeded"), ("broken", "failed")):
        scene.admin("POST", "events", {"hold": True})
        versions = {mode: scene.register(name, answer) for mode, name in MODES.items()}
        scene.admin("DELETE", "requests")
        scene.admin("POST", "events", {"release": True})
        for mode, version in versions.items():
            ended = scene.ended(MODES[mode], version)
            assert ended["phase"] == wanted, ended["reason"]
        asked |= _actions(scene)
    scene.admin("DELETE", "requests")
    scene.stack.ask_host("POST", "/admin/functions/sweep", {"input": ""})
    return asked | _actions(scene)


def _actions(scene: Scene) -> set[str]:
    """Translate the requests so far; one that no action is known for fails."""
    counts = scene.admin("GET", "requests")["counts"]
    found = {needed(one["method"], one["template"]) for one in counts if one["area"] == "arm"}
    # Scoring with a key or a token of the endpoint needs no right; with an Entra token it does.
    paths = {one["path"] for one in scene.admin("GET", "requests?last=2000")["last"]}
    if any(path.startswith(f"/endpoints/{MODES['aad_token']}/") for path in paths):
        found.add("workspaces/onlineEndpoints/score/action")
    return found


def test_no_action_that_the_app_needs_is_missing(asked: set[str]) -> None:
    assert asked - listed(by_the_app=True) == set()


def test_no_action_is_listed_that_the_app_does_not_need(asked: set[str]) -> None:
    assert listed(by_the_app=True) - asked == set()


def test_what_a_later_feature_needs_is_not_said_to_be_needed_now(asked: set[str]) -> None:
    assert listed(by_the_app=False) & asked == set()


def test_the_play_saw_reading_writing_and_refusals(asked: set[str]) -> None:
    """The tests above would hold of an empty table and an empty play."""
    assert len(asked) >= 15
    assert {"read", "write", "delete", "action"} <= {one.rpartition("/")[2] for one in asked}


def test_the_page_lists_every_action() -> None:
    page = (INFRA.parent / "docs" / "security.md").read_text(encoding="utf-8")
    for action in (listed(by_the_app=True) | listed(by_the_app=False)) - set(BUILT_IN.values()):
        assert f"`{action}`" in page, action
