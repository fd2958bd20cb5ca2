"""The app's wiring: settings fail at the start, policies are told, Azure is opened when needed."""

import logging
from pathlib import Path

import pytest

from deploy_logic.adapters.archive_file import ArchiveFile
from deploy_logic.adapters.archive_table import ArchiveTable
from deploy_logic.adapters.azure_ml import AzureMl
from deploy_logic.adapters.azure_monitor import AzureMonitor
from deploy_logic.adapters.event_grid import EventGridTopic
from deploy_logic.adapters.log_analytics import LogAnalytics
from deploy_logic.adapters.webhook import Webhook
from deploy_logic.app import App
from deploy_logic.errors import SettingsError, WorkspaceError
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


def an_app(folder: Path, **changes: str) -> App:
    return App(environment={"ROLLOUT_WORKSPACES": WORKSPACE, **changes}, folder=folder)


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


def test_metrics_and_logs_are_opened_once(folder: Path) -> None:
    logs_id = "63613592-b6f7-4c3d-a390-22ba13102111"
    outside = an_app(folder, ROLLOUT_LOGS_WORKSPACE=logs_id).open_outside()
    monitor, logs = outside.open_monitor(WORKSPACE), outside.open_logs()
    assert isinstance(monitor, AzureMonitor)
    assert outside.open_monitor(WORKSPACE) is monitor
    assert isinstance(logs, LogAnalytics)
    assert outside.open_logs() is logs
    assert outside.now().tzinfo is not None


def test_channels_are_those_of_the_settings_and_their_ways_are_opened_once(folder: Path) -> None:
    endpoint = "https://rollouts.westeurope-1.eventgrid.azure.net/api/events"
    defined = f'{{"topic": {{"kind": "topic", "endpoint": "{endpoint}"}}}}'
    public = {"ROLLOUT_PUBLIC_URL": "https://rollouts.contoso.com"}
    outside = an_app(folder, ROLLOUT_CHANNELS=defined, **public).open_outside()
    announcing = outside.announcing()
    assert outside.announcing() is announcing
    assert list(announcing.channels) == ["topic"]
    assert announcing.public_url == "https://rollouts.contoso.com"
    topic, chats = announcing.open_topic(endpoint), announcing.chats()
    assert isinstance(topic, EventGridTopic)
    assert announcing.open_topic(endpoint) is topic
    assert isinstance(chats, Webhook)
    assert announcing.chats() is chats
    assert chats is not outside.web()  # gates may call other hosts


@pytest.mark.parametrize(("channel", "is_used"), [("topic", True), ("teams", False)])
def test_a_policy_that_announces_to_nobody_is_not_used(
    folder: Path, caplog: pytest.LogCaptureFixture, channel: str, *, is_used: bool
) -> None:
    (folder / "policies" / "churn.yaml").write_text(f"{POLICY}announce: [{channel}]\n")
    endpoint = "https://rollouts.westeurope-1.eventgrid.azure.net/api/events"
    defined = f'{{"topic": {{"kind": "topic", "endpoint": "{endpoint}"}}}}'
    assert bool(an_app(folder, ROLLOUT_CHANNELS=defined).policy_files) is is_used
    said = [vars(record)["complaint"] for record in caplog.records]
    assert [one.partition("announce[0]: ")[2] for one in said] == (
        [] if is_used else ["'teams' (a channel of ROLLOUT_CHANNELS: topic)"]
    )


def test_logs_that_no_setting_names_are_refused_by_the_setting(folder: Path) -> None:
    with pytest.raises(WorkspaceError, match="ROLLOUT_LOGS_WORKSPACE"):
        an_app(folder).open_outside().open_logs()


@pytest.mark.parametrize(("lag", "is_used"), [("", False), ("3m", False), ("0s", True)])
def test_bakes_may_be_as_short_as_the_lag_that_the_app_is_told(
    folder: Path, caplog: pytest.LogCaptureFixture, lag: str, *, is_used: bool
) -> None:
    (folder / "policies" / "churn.yaml").write_text(
        "policy: churn-prod\nselect: {model: churn}\n"
        "deploy: {endpoint: churn, template: templates/churn.yml}\n"
        "strategy: {kind: canary, steps: [{weight: 10, bake: 90s}]}\n"
        "gates: [{kind: metric, metric: error_rate, at_most: 1%}]\n"
    )
    app = an_app(folder, **({"ROLLOUT_METRIC_LAG": lag} if lag else {}))
    assert bool(app.policy_files) is is_used
    said = [vars(record)["complaint"] for record in caplog.records]
    assert [one.partition(": strategy.steps[0].bake: ")[2] for one in said] == (
        []
        if is_used
        else ["1m30s (3m or longer: a metric gate watches it, and Azure Monitor lags by that much)"]
    )


def test_archive_is_a_folder_or_a_table_and_opened_once(folder: Path) -> None:
    app = an_app(folder, ROLLOUT_ARCHIVE="kept")
    archive = app.open_outside().archive()
    assert isinstance(archive, ArchiveFile)
    assert archive is app.archive
    archive.append([{"kind": "audit", "id": "a", "at": "2026-11-23T09:00:00Z"}])
    assert (folder / "kept" / "archive.db").exists()
    endpoint = "https://ours.table.core.windows.net"
    assert isinstance(an_app(folder, ROLLOUT_ARCHIVE=endpoint).archive, ArchiveTable)


def test_sdk_does_not_log_every_request(folder: Path) -> None:
    an_app(folder)
    logger = logging.getLogger("azure.core.pipeline.policies.http_logging_policy")
    assert not logger.isEnabledFor(logging.INFO)
