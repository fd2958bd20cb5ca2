"""The app's wiring: settings fail at the start, policies are told, Azure is opened when needed."""

import logging
from pathlib import Path

import pytest

from deploy_logic.adapters.azure_ml import AzureMl
from deploy_logic.adapters.webhook import Webhook
from deploy_logic.app import App
from deploy_logic.errors import SettingsError
from tests.builders import TIMINGS, WORKSPACE

POLICY = """\
policy: churn-prod
select: {model: churn}
deploy: {endpoint: churn, template: templates/churn.yml}
strategy: {kind: all-at-once}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policies" / "templates").mkdir(parents=True)
    (tmp_path / "policies" / "templates" / "churn.yml").write_text("instance_count: 1\n")
    (tmp_path / "policies" / "churn.yaml").write_text(POLICY)
    return tmp_path


def an_app(folder: Path) -> App:
    return App(environment={"ROLLOUT_WORKSPACES": WORKSPACE}, folder=folder)


def test_wrong_settings_fail_at_the_start(folder: Path) -> None:
    with pytest.raises(SettingsError, match="ROLLOUT_WORKSPACES"):
        App(environment={}, folder=folder)


def test_bad_policy_is_logged_and_the_good_one_is_used(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "policies" / "bad.yaml").write_text("policy: x\n")
    app = an_app(folder)
    assert [policy.policy for policy in app.policies] == ["churn-prod"]
    assert {record.message for record in caplog.records} == {"policy refused"}
    assert {vars(record)["complaint"][:9] for record in caplog.records} == {"bad.yaml:"}


def test_what_activities_act_on_is_opened_once(folder: Path) -> None:
    app = an_app(folder)
    outside = app.open_outside()
    assert outside is app.open_outside()
    assert outside.timings == TIMINGS  # the defaults of the settings
    assert list(outside.policies()) == list(app.policy_files)
    workspace = outside.open_workspace(WORKSPACE)
    assert isinstance(workspace, AzureMl)
    assert outside.open_workspace(WORKSPACE) is workspace
    web = outside.web()
    assert isinstance(web, Webhook)
    assert outside.web() is web


def test_sdk_does_not_log_every_request(folder: Path) -> None:
    an_app(folder)
    logger = logging.getLogger("azure.core.pipeline.policies.http_logging_policy")
    assert not logger.isEnabledFor(logging.INFO)
