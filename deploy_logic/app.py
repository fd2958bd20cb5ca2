"""The app's parts, wired from the settings; each is opened when it is first needed."""

import functools
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from deploy_logic.api.visit import Office, Visitor
from deploy_logic.errors import Complaint, WorkspaceError
from deploy_logic.matching import PolicyIndex
from deploy_logic.plan.plan import Timings
from deploy_logic.policy.files import PolicyFiles, read_policies
from deploy_logic.ports import (
    Announcing,
    Archive,
    Engine,
    Logs,
    Monitor,
    Outside,
    Publisher,
    Web,
    Workspace,
)
from deploy_logic.settings import Settings, read_settings
from deploy_logic.telemetry.recorder import switch_on

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

    from deploy_logic.adapters.identity_source import Identities

_LOG = logging.getLogger("rollout")
# The SDKs would log every request with its headers, and three lines for every token.
for _chatty in ("azure.core.pipeline.policies.http_logging_policy", "azure.identity"):
    logging.getLogger(_chatty).setLevel(logging.WARNING)


class App:
    """Settings, policies and the way to Azure. Settings that are wrong fail at the start."""

    def __init__(self, *, environment: Mapping[str, str], folder: Path) -> None:
        """Read the settings and the policies; ask nobody."""
        self.settings: Settings = read_settings(environment, app=folder)
        if self.settings.insights or self.settings.otlp:
            self._switch_on_telemetry()
        loaded = read_policies(
            self.settings.policies,
            metric_lag=self.settings.metric_lag,
            channels=self.settings.channels,
        )
        for complaint in loaded.complaints:
            _LOG.error("policy refused", extra={"complaint": str(complaint)})
        self.folder = folder
        self.complaints: tuple[Complaint, ...] = loaded.complaints
        self.policy_files: tuple[PolicyFiles, ...] = loaded.policies
        self.policies = PolicyIndex(files.policy for files in loaded.policies)
        self.open_workspace = functools.cache(self._open_workspace)
        self.open_web = functools.cache(self._open_web)
        self.open_outside = functools.cache(self._open_outside)

    def open_office(self, engine: Engine) -> Office:
        """Return what the HTTP API answers from."""
        return Office(
            settings=self.settings,
            policies=self.policies,
            files=self.policy_files,
            complaints=self.complaints,
            engine=engine,
            archive=self.archive,
            open_workspace=self.open_workspace,
            dashboard=self.folder / "dashboard",
            identify=self._identify,
            describe_sign_in=self.identities.describe,
            now=self.now,
        )

    def _identify(self, headers: Mapping[str, str]) -> Visitor:
        """Return who asks; everything that is known of them comes from here."""
        from deploy_logic.adapters.identity import require  # noqa: PLC0415 - as below

        who = self.identities.read(headers)
        return Visitor(
            id=who.id,
            name=who.name,
            claims=who.claims,
            rights=who.rights,
            require=functools.partial(require, who),
        )

    @staticmethod
    def now() -> datetime:
        """Return the time, in UTC."""
        return datetime.now(UTC)

    @functools.cached_property
    def archive(self) -> Archive:
        """What outlives the engine's memory; asks nobody before it is used."""
        if isinstance(self.settings.archive, Path):
            from deploy_logic.adapters.archive_file import ArchiveFile  # noqa: PLC0415 - one of two

            return ArchiveFile(self.settings.archive)
        from deploy_logic.adapters.archive_table import ArchiveTable  # noqa: PLC0415 - one of two

        return ArchiveTable(self.settings.archive, credential=self._credential)

    @functools.cached_property
    def _credential(self) -> "TokenCredential":
        # azure-identity takes a quarter of a second to import, and the trigger does not need it
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415

        return DefaultAzureCredential()

    @functools.cached_property
    def identities(self) -> "Identities":
        """Tells who is asking."""
        from deploy_logic.adapters.identity_source import Identities  # noqa: PLC0415 - as above

        return Identities.open(self.settings)

    def _switch_on_telemetry(self) -> None:
        from deploy_logic.adapters import open_telemetry  # noqa: PLC0415 - few tests need it

        settings = self.settings
        recorder = open_telemetry.OpenTelemetry(
            open_telemetry.open_destinations(
                insights=settings.insights, otlp=settings.otlp, credential=lambda: self._credential
            )
        )
        recorder.listen()
        switch_on(recorder)

    def _open_workspace(self, workspace: str) -> Workspace:
        from deploy_logic.adapters.azure_ml import AzureMl  # noqa: PLC0415 - as above

        return AzureMl(workspace, cloud=self.settings.cloud, credential=self._credential)

    def _open_monitor(self, workspace: str) -> Monitor:
        from deploy_logic.adapters.azure_monitor import AzureMonitor  # noqa: PLC0415 - as above

        return AzureMonitor(workspace, cloud=self.settings.cloud, credential=self._credential)

    def _open_logs(self) -> Logs:
        from deploy_logic.adapters import log_analytics  # noqa: PLC0415 - as above

        if not self.settings.logs_workspace:
            raise WorkspaceError(
                "asking the logs: the settings name none (ROLLOUT_LOGS_WORKSPACE: the workspace id "
                "of a Log Analytics workspace)"
            )
        return log_analytics.LogAnalytics(
            self.settings.logs_workspace,
            address=log_analytics.find_address(self.settings.cloud["resource_manager"]),
            credential=self._credential,
        )

    def _open_web(self) -> Web:
        from deploy_logic.adapters.webhook import Webhook  # noqa: PLC0415 - few policies need it

        return Webhook(private_hosts=self.settings.gate_hosts)

    def _open_topic(self, endpoint: str) -> Publisher:
        from deploy_logic.adapters.event_grid import EventGridTopic  # noqa: PLC0415 - as above

        return EventGridTopic(endpoint, credential=self._credential)

    def _open_chats(self) -> Web:
        from deploy_logic.adapters.webhook import Webhook  # noqa: PLC0415 - as above

        return Webhook(
            private_hosts=self.settings.channel_hosts,
            setting="ROLLOUT_CHANNEL_HOSTS",
            content_type="application/json",
        )

    def _open_announcing(self) -> Announcing:
        return Announcing(
            channels=self.settings.channels,
            public_url=self.settings.public_url,
            open_topic=functools.cache(self._open_topic),
            chats=functools.cache(self._open_chats),
        )

    def _open_outside(self) -> Outside:
        settings = self.settings
        return Outside(
            open_workspace=self.open_workspace,
            open_monitor=functools.cache(self._open_monitor),
            open_logs=functools.cache(self._open_logs),
            web=self.open_web,
            announcing=functools.cache(self._open_announcing),
            archive=lambda: self.archive,
            policies=lambda: self.policy_files,
            timings=Timings(
                poll_interval=settings.poll_interval,
                creation_deadline=settings.creation_deadline,
                shift_deadline=settings.shift_deadline,
                metric_lag=settings.metric_lag,
            ),
            now=self.now,
        )
