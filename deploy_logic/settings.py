"""The app settings, read once into one frozen value. The only reader of the environment."""

import functools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from deploy_logic.address import read_https
from deploy_logic.announcement.channel import Channel, Surroundings, read_channels
from deploy_logic.duration import parse_duration
from deploy_logic.errors import SettingsError

VERSION = "0.1.0"  # of the app
WORKSPACE_ID = re.compile(
    r"/subscriptions/([^/]+)/resourceGroups/([^/]+)/providers/"
    r"Microsoft\.MachineLearningServices/workspaces/([^/]+)",
    re.IGNORECASE,
)
# https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata
_QUEUE_NAME = re.compile(r"(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")
CLOUD_KEYS = (
    "azure_portal",
    "resource_manager",
    "active_directory",
    "aml_resource_id",
    "storage_endpoint",
    "registry_discovery_endpoint",
)
# https://learn.microsoft.com/azure/storage/common/storage-account-overview
_TABLES = re.compile(r"https://[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9-]+)?")
_MOST_DIGITS = 7
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_AUDIENCE = re.compile(r"[\w:/.~-]{1,250}", re.ASCII)
# Plain http only to this very machine, where nobody stands between.
_AUTHORITY = re.compile(
    r"https://[a-z0-9._-]+(:[0-9]{1,5})?/?|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]{1,5})?/?",
    re.IGNORECASE | re.ASCII,
)
_HOST = re.compile(r"(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\]):([0-9]{1,5})", re.ASCII)
_LAST_PORT = 65_535
PUBLIC_CLOUD = {
    "azure_portal": "https://portal.azure.com/",
    "resource_manager": "https://management.azure.com/",
    "active_directory": "https://login.microsoftonline.com/",
    "aml_resource_id": "https://ml.azure.com",
    "storage_endpoint": "core.windows.net",
    "registry_discovery_endpoint": "https://eastus.api.azureml.ms/",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the app can be told from outside; docs/operating.md explains each."""

    workspaces: tuple[str, ...]  # ARM ids; the first is where policies deploy
    policies: Path  # folder of policy files
    cloud: Mapping[str, str]  # the six addresses that azure-ai-ml calls cloud metadata
    poll_interval: timedelta  # first wait between two looks at a running Azure operation
    creation_deadline: timedelta  # for one deployment or endpoint to be created
    shift_deadline: timedelta  # for one change of weights to take effect
    metric_lag: timedelta = timedelta(minutes=3)  # Azure Monitor does not know all of it yet
    sweep_look_back: timedelta  # how old a registration the sweep may still start
    event_queue: str = ""  # the Storage queue to take events from; empty: Event Grid calls us
    logs_workspace: str = ""  # the Log Analytics workspace that logs gates ask; empty: none
    tenant: str = ""  # the Entra tenant whose access tokens count; empty: no token counts
    audience: tuple[str, ...] = ()  # what tokens must be for; the first is our client id
    authority: str = ""  # who issues the tokens; empty: the cloud's active_directory
    trust_platform_identity: bool  # the platform strips and sets X-MS-CLIENT-PRINCIPAL
    gate_hosts: tuple[str, ...] = ()  # host:port of private services that gates may call
    insights: str = field(default="", repr=False)  # connection string of Application Insights
    otlp: str = ""  # where OpenTelemetry is sent besides; its exporters read the rest of OTEL_*
    channels: Mapping[str, Channel] = field(default_factory=dict)  # by name
    channel_hosts: tuple[str, ...] = ()  # host:port of private chats and topics
    public_url: str = ""  # where people find the app; empty: announcements have no link
    archive: Path | str = Path(".local/archive")  # a folder, or the endpoint of tables in Azure
    engine_retention: timedelta = timedelta(days=30)  # how long the engine keeps what is over
    max_parallel: int = 0  # rollouts that go on at once over all endpoints; 0: no cap


def read_settings(environment: Mapping[str, str], *, app: Path) -> Settings:
    """Return the settings; one SettingsError names everything that is wrong.

    app is the folder of function_app.py, from which relative paths count.
    """
    wrong: list[str] = []

    def take[T](key: str, default: str, read: Callable[[str], T]) -> T | None:
        text = environment.get(key, default).strip()
        try:
            return read(text)
        except ValueError as error:
            wrong.append(f"{key}: {error}")
            return None

    channel_hosts = take("ROLLOUT_CHANNEL_HOSTS", "", _hosts)
    around = Surroundings(settings=environment, private_hosts=channel_hosts or (), folder=app)

    def archive(text: str) -> Path | str:
        return _archive(text, app, is_in_azure="WEBSITE_SITE_NAME" in environment)

    values: dict[str, object] = {
        name: take(key, default, read) for name, (key, default, read) in _ALONE.items()
    }
    values |= {
        "policies": take("ROLLOUT_POLICIES", "policies", lambda text: app / text),
        "channels": take("ROLLOUT_CHANNELS", "", lambda text: read_channels(text, around)),
        "channel_hosts": channel_hosts,
        "archive": take("ROLLOUT_ARCHIVE", ".local/archive", archive),
    }
    if None not in (values["tenant"], values["audience"]):
        wrong += _half_named(bool(values["tenant"]), bool(values["audience"]))
    if wrong:
        raise SettingsError("reading app settings: " + "; ".join(wrong))
    return Settings(**values)  # type: ignore[arg-type] # None only where wrong has a line


def _workspaces(text: str) -> tuple[str, ...]:
    ids = tuple(part.strip().rstrip("/") for part in text.split(",") if part.strip())
    bad = [part for part in ids if WORKSPACE_ID.fullmatch(part) is None]
    if bad or not ids:
        raise ValueError(
            f"{bad[0] if bad else text!r} is not a workspace (one or more ids such as "
            "/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices"
            "/workspaces/W, separated by commas)"
        )
    return ids


def _cloud(text: str) -> Mapping[str, str]:
    if not text:
        return dict(PUBLIC_CLOUD)
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(given, dict) or set(given) != set(CLOUD_KEYS):
        raise ValueError(f"{text!r} is not a JSON object with exactly {', '.join(CLOUD_KEYS)}")
    for key in ("resource_manager", "active_directory"):
        if not str(given[key]).startswith("https://"):
            raise ValueError(f"{key} {given[key]!r} is not an https address")
    return {key: str(value) for key, value in given.items()}


def _positive(text: str) -> timedelta:
    length = parse_duration(text)
    if length <= timedelta(0):
        raise ValueError(f"{text!r} is not longer than zero")
    return length


def _queue(text: str) -> str:
    if text and _QUEUE_NAME.fullmatch(text) is None:
        raise ValueError(
            f"{text!r} is not the name of a Storage queue (3 to 63 lower-case letters, digits and "
            "single dashes)"
        )
    return text


def _guid(text: str, *, what: str) -> str:
    if text and _GUID.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not {what} (such as 00000000-0000-0000-0000-000000000000)")
    return text


_logs_guid = functools.partial(_guid, what="the workspace id of a Log Analytics workspace")


def _tenant(text: str) -> str:
    return _guid(text, what="the id of an Entra tenant").lower()


def _audience(text: str) -> tuple[str, ...]:
    first, *others = [part.strip() for part in text.split(",") if part.strip()] or [""]
    client = _guid(first, what="the application (client) id of an app registration").lower()
    for one in others:
        if _AUDIENCE.fullmatch(one) is None:
            raise ValueError(f"{one!r} is not an audience (such as api://{client})")
    return (client, *others) if client else ()


def _authority(text: str) -> str:
    if text and _AUTHORITY.fullmatch(text) is None:
        raise ValueError(
            f"{text!r} is not the https address of who issues tokens (such as "
            "https://login.microsoftonline.com; http for 127.0.0.1 only)"
        )
    return text.rstrip("/")


def _half_named(has_tenant: bool, has_audience: bool) -> list[str]:  # noqa: FBT001 - a pair
    """Complain when only one of two settings is there that mean nothing without each other."""
    if has_tenant == has_audience:
        return []
    named, missing = ("ROLLOUT_TENANT", "ROLLOUT_AUDIENCE")[:: 1 if has_tenant else -1]
    return [f"{missing}: '' while {named} is set (both, or neither)"]


def _hosts(text: str) -> tuple[str, ...]:
    hosts = tuple(part.strip().lower() for part in text.split(",") if part.strip())
    for host in hosts:
        found = _HOST.fullmatch(host)
        if found is None or not 0 < int(found[1]) <= _LAST_PORT:
            raise ValueError(
                f"{host!r} is not a host and its port (such as gates.contoso.com:443, separated by "
                "commas)"
            )
    return hosts


def _public_url(text: str) -> str:
    place = text.rstrip("/")
    on_this_machine = re.fullmatch(r"http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?", place)
    is_right = read_https(place) is not None and not set(place) & set("?#@<>|")
    if place and not (is_right or on_this_machine):
        raise ValueError(
            f"{text!r} is not the address of the app as people open it (such as "
            "https://rollouts.contoso.com)"
        )
    return place


def _archive(text: str, app: Path, *, is_in_azure: bool) -> Path | str:
    """Return the endpoint of tables as it is; anything else is a folder, seen from the app."""
    if "://" not in text and text:
        if is_in_azure:
            raise ValueError(
                f"{text!r} is a folder, and no folder of an app in Azure lasts (the endpoint of "
                "tables, such as https://ACCOUNT.table.core.windows.net)"
            )
        return app / text
    endpoint = text.lower().rstrip("/")
    if _TABLES.fullmatch(endpoint) is None:
        raise ValueError(
            f"{text!r} is neither a folder nor the endpoint of tables (such as "
            "https://ACCOUNT.table.core.windows.net)"
        )
    return endpoint


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < _MOST_DIGITS):
        raise ValueError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _flag(text: str) -> bool:
    try:
        return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
    except KeyError as error:
        raise ValueError(f"{text!r} is neither true nor false") from error


# Settings that are read by themselves: the key, what holds where it is not set, and how.
_ALONE: Mapping[str, tuple[str, str, Callable[[str], object]]] = {
    "workspaces": ("ROLLOUT_WORKSPACES", "", _workspaces),
    "cloud": ("ROLLOUT_CLOUD_METADATA", "", _cloud),
    "poll_interval": ("ROLLOUT_POLL_INTERVAL", "15s", _positive),
    "creation_deadline": ("ROLLOUT_CREATION_DEADLINE", "1h", _positive),
    "shift_deadline": ("ROLLOUT_SHIFT_DEADLINE", "30m", _positive),
    "metric_lag": ("ROLLOUT_METRIC_LAG", "3m", parse_duration),
    "logs_workspace": ("ROLLOUT_LOGS_WORKSPACE", "", _logs_guid),
    "sweep_look_back": ("ROLLOUT_SWEEP_LOOK_BACK", "2d", parse_duration),
    "event_queue": ("ROLLOUT_EVENT_QUEUE", "", _queue),
    "gate_hosts": ("ROLLOUT_GATE_HOSTS", "", _hosts),
    "public_url": ("ROLLOUT_PUBLIC_URL", "", _public_url),
    "engine_retention": ("ROLLOUT_ENGINE_RETENTION", "30d", _positive),
    "max_parallel": ("ROLLOUT_MAX_PARALLEL", "0", _count),
    "tenant": ("ROLLOUT_TENANT", "", _tenant),
    "audience": ("ROLLOUT_AUDIENCE", "", _audience),
    "authority": ("ROLLOUT_AUTHORITY", "", _authority),
    "insights": ("APPLICATIONINSIGHTS_CONNECTION_STRING", "", str),
    "otlp": ("OTEL_EXPORTER_OTLP_ENDPOINT", "", str),
    "trust_platform_identity": ("ROLLOUT_TRUST_PLATFORM_IDENTITY", "false", _flag),
}
