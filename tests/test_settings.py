"""App settings: defaults, everything wrong in one error, and the sample that lists them all."""

import ast
import dataclasses
import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.errors import SettingsError
from deploy_logic.settings import CLOUD_KEYS, PUBLIC_CLOUD, Settings, read_settings
from tests.builders import WORKSPACE

REPOSITORY = Path(__file__).parents[1]
APP = Path("app")
LOGS = "63613592-b6f7-4c3d-a390-22ba13102111"
TENANT = "AAAAAAAA-0000-4000-8000-00000000000a"
CLIENT = "CCCCCCCC-0000-4000-8000-00000000000c"
CLOUD = {key: f"https://{key}" for key in CLOUD_KEYS}
# Read by the Functions host and its worker, not by us.
FUNCTIONS_OWN = {
    "FUNCTIONS_WORKER_RUNTIME",
    "AzureWebJobsStorage",
    "AZURE_FUNCTIONS_DURABLE_STRICT_TYPING",
    "PYDANTIC_DISABLE_PLUGINS",
    "PYTHON_THREADPOOL_THREAD_COUNT",
}


def read(**changes: str) -> Settings:
    return read_settings({"ROLLOUT_WORKSPACES": WORKSPACE, **changes}, app=APP)


def test_workspaces_alone_are_enough() -> None:
    assert read() == Settings(
        workspaces=(WORKSPACE,),
        policies=APP / "policies",
        cloud=PUBLIC_CLOUD,
        poll_interval=timedelta(seconds=15),
        creation_deadline=timedelta(hours=1),
        shift_deadline=timedelta(minutes=30),
        metric_lag=timedelta(minutes=3),
        sweep_look_back=timedelta(days=2),
        event_queue="",
        archive=APP / ".local/archive",
        engine_retention=timedelta(days=30),
        trust_platform_identity=False,
    )


@pytest.mark.parametrize(
    ("key", "text", "field", "value"),
    [
        (
            "ROLLOUT_WORKSPACES",
            f" {WORKSPACE}/ , {WORKSPACE}2,",
            "workspaces",
            (WORKSPACE, WORKSPACE + "2"),
        ),
        ("ROLLOUT_WORKSPACES", WORKSPACE.upper(), "workspaces", (WORKSPACE.upper(),)),
        ("ROLLOUT_POLICIES", "ours/here", "policies", APP / "ours/here"),
        ("ROLLOUT_POLICIES", "/srv/policies", "policies", Path("/srv/policies")),
        ("ROLLOUT_CLOUD_METADATA", "", "cloud", PUBLIC_CLOUD),
        ("ROLLOUT_CLOUD_METADATA", json.dumps(CLOUD), "cloud", CLOUD),
        ("ROLLOUT_EVENT_QUEUE", "", "event_queue", ""),
        ("ROLLOUT_EVENT_QUEUE", "model-registered", "event_queue", "model-registered"),
        ("ROLLOUT_GATE_HOSTS", "", "gate_hosts", ()),
        ("ROLLOUT_GATE_HOSTS", "Gates.contoso.com:443", "gate_hosts", ("gates.contoso.com:443",)),
        ("ROLLOUT_GATE_HOSTS", "[::1]:1, a_b-c:65535,", "gate_hosts", ("[::1]:1", "a_b-c:65535")),
        ("ROLLOUT_CHANNELS", "", "channels", {}),
        ("ROLLOUT_CHANNEL_HOSTS", "Chat.corp:443", "channel_hosts", ("chat.corp:443",)),
        ("ROLLOUT_PUBLIC_URL", "", "public_url", ""),
        ("ROLLOUT_PUBLIC_URL", "https://a.corp/b/", "public_url", "https://a.corp/b"),
        ("ROLLOUT_PUBLIC_URL", "http://127.0.0.1:7071", "public_url", "http://127.0.0.1:7071"),
        ("ROLLOUT_ARCHIVE", "kept/here", "archive", APP / "kept/here"),
        ("ROLLOUT_ARCHIVE", "/srv/archive", "archive", Path("/srv/archive")),
        (
            "ROLLOUT_ARCHIVE",
            "https://Ours.table.core.windows.net/",
            "archive",
            "https://ours.table.core.windows.net",
        ),
        ("ROLLOUT_ENGINE_RETENTION", "7d", "engine_retention", timedelta(days=7)),
        ("ROLLOUT_MAX_PARALLEL", "0", "max_parallel", 0),
        ("ROLLOUT_MAX_PARALLEL", "12", "max_parallel", 12),
        ("ROLLOUT_POLL_INTERVAL", "PT0.5S", "poll_interval", timedelta(seconds=0.5)),
        ("ROLLOUT_CREATION_DEADLINE", "2h", "creation_deadline", timedelta(hours=2)),
        ("ROLLOUT_SHIFT_DEADLINE", "5m", "shift_deadline", timedelta(minutes=5)),
        ("ROLLOUT_METRIC_LAG", "0s", "metric_lag", timedelta(0)),
        ("ROLLOUT_METRIC_LAG", "5m", "metric_lag", timedelta(minutes=5)),
        ("ROLLOUT_LOGS_WORKSPACE", LOGS, "logs_workspace", LOGS),
        ("ROLLOUT_SWEEP_LOOK_BACK", "0s", "sweep_look_back", timedelta(0)),
        ("ROLLOUT_TENANT", "", "tenant", ""),
        ("ROLLOUT_AUDIENCE", " ,", "audience", ()),
        ("ROLLOUT_AUTHORITY", "", "authority", ""),
        (
            "ROLLOUT_AUTHORITY",
            "https://login.microsoftonline.us/",
            "authority",
            "https://login.microsoftonline.us",
        ),
        ("ROLLOUT_AUTHORITY", "http://127.0.0.1:8400", "authority", "http://127.0.0.1:8400"),
        ("ROLLOUT_AUTHORITY", "http://localhost", "authority", "http://localhost"),
        ("ROLLOUT_AUTHORITY", "http://[::1]:8400", "authority", "http://[::1]:8400"),
        ("ROLLOUT_TRUST_PLATFORM_IDENTITY", "True", "trust_platform_identity", True),
        ("ROLLOUT_TRUST_PLATFORM_IDENTITY", "1", "trust_platform_identity", True),
        ("ROLLOUT_TRUST_PLATFORM_IDENTITY", " 0 ", "trust_platform_identity", False),
    ],
)
def test_reads(key: str, text: str, field: str, value: Any) -> None:
    expected = dataclasses.replace(read(), **{field: value})
    assert read(**{key: text}) == expected


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("ROLLOUT_WORKSPACES", "", "'' is not a workspace"),
        ("ROLLOUT_WORKSPACES", f"{WORKSPACE},team", "'team' is not a workspace"),
        ("ROLLOUT_WORKSPACES", WORKSPACE + "/models/x", "is not a workspace"),
        ("ROLLOUT_CLOUD_METADATA", "{", "not JSON"),
        ("ROLLOUT_CLOUD_METADATA", "[1]", "not a JSON object with exactly azure_portal"),
        ("ROLLOUT_CLOUD_METADATA", '{"azure_portal": "x"}', "not a JSON object with exactly"),
        (
            "ROLLOUT_CLOUD_METADATA",
            json.dumps({**CLOUD, "resource_manager": "http://x"}),
            "'http://x' is not an https address",
        ),
        ("ROLLOUT_EVENT_QUEUE", "Model_Registered", "'Model_Registered' is not the name of a"),
        ("ROLLOUT_EVENT_QUEUE", "a--b", "'a--b' is not the name of a Storage queue"),
        ("ROLLOUT_EVENT_QUEUE", "no", "'no' is not the name of a Storage queue"),
        ("ROLLOUT_GATE_HOSTS", "gates:443, gates", "'gates' is not a host and its port"),
        ("ROLLOUT_CHANNEL_HOSTS", "chat", "'chat' is not a host and its port"),
        ("ROLLOUT_PUBLIC_URL", "rollouts", "'rollouts' is not the address of the app as people"),
        ("ROLLOUT_PUBLIC_URL", "http://a.corp", "is not the address of the app as people open it"),
        ("ROLLOUT_PUBLIC_URL", "https://a.corp/?b", "is not the address of the app as people"),
        ("ROLLOUT_PUBLIC_URL", "https://a.corp/|<b", "is not the address of the app as people"),
        ("ROLLOUT_GATE_HOSTS", "gates:0", "'gates:0' is not a host and its port"),
        ("ROLLOUT_GATE_HOSTS", "gates:65536", "'gates:65536' is not a host and its port"),
        ("ROLLOUT_GATE_HOSTS", "https://gates:443", "'https://gates:443' is not a host and"),
        ("ROLLOUT_ARCHIVE", "", "'' is neither a folder nor the endpoint of tables"),
        ("ROLLOUT_ARCHIVE", "http://ours.table", "'http://ours.table' is neither a folder nor"),
        ("ROLLOUT_ARCHIVE", "https://a/b?sig=c", "'https://a/b?sig=c' is neither a folder nor"),
        ("ROLLOUT_ENGINE_RETENTION", "0d", "'0d' is not longer than zero"),
        ("ROLLOUT_POLL_INTERVAL", "fast", "'fast' is not a length of time"),
        ("ROLLOUT_POLL_INTERVAL", "0s", "'0s' is not longer than zero"),
        ("ROLLOUT_CREATION_DEADLINE", "0m", "'0m' is not longer than zero"),
        ("ROLLOUT_SHIFT_DEADLINE", "", "'' is not a length of time"),
        ("ROLLOUT_METRIC_LAG", "-3m", "'-3m' is not a length of time"),
        ("ROLLOUT_LOGS_WORKSPACE", "logs-prod", "'logs-prod' is not the workspace id of a Log"),
        ("ROLLOUT_SWEEP_LOOK_BACK", "-1d", "'-1d' is not a length of time"),
        (
            "ROLLOUT_CLOUD_METADATA",
            json.dumps({**CLOUD, "active_directory": "http://x"}),
            "active_directory 'http://x' is not an https address",
        ),
        ("ROLLOUT_TENANT", "contoso.com", "'contoso.com' is not the id of an Entra tenant"),
        ("ROLLOUT_TENANT", "common", "'common' is not the id of an Entra tenant"),
        ("ROLLOUT_AUDIENCE", "rollouts", "'rollouts' is not the application (client) id"),
        ("ROLLOUT_AUDIENCE", f"api://x, {CLIENT}", "'api://x' is not the application (client)"),
        ("ROLLOUT_AUDIENCE", f"{CLIENT}, a b", "'a b' is not an audience (such as api://cccccccc"),
        ("ROLLOUT_AUTHORITY", "http://login.contoso.com", "is not the https address of who"),
        ("ROLLOUT_AUTHORITY", "http://127.0.0.1.eve.com", "is not the https address of who"),
        ("ROLLOUT_AUTHORITY", "http://127.0.0.1:80@eve.com", "is not the https address of who"),
        ("ROLLOUT_AUTHORITY", "https://login/x?y", "is not the https address of who"),
        ("ROLLOUT_AUTHORITY", "https://me@login", "is not the https address of who"),
        ("ROLLOUT_AUTHORITY", "login.microsoftonline.com", "is not the https address of who"),
        ("ROLLOUT_TRUST_PLATFORM_IDENTITY", "yes", "'yes' is neither true nor false"),
    ],
)
def test_refuses(key: str, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read(**{key: text})
    assert f"{key}: " in str(refused.value)
    assert says in str(refused.value)


def test_tokens_count_with_tenant_and_audience() -> None:
    told = read(ROLLOUT_TENANT=TENANT, ROLLOUT_AUDIENCE=f"{CLIENT}, api://{CLIENT},api://Rollouts")
    assert told == dataclasses.replace(
        read(),
        tenant=TENANT.lower(),
        audience=(CLIENT.lower(), f"api://{CLIENT}", "api://Rollouts"),
    )


@pytest.mark.parametrize(
    ("named", "missing"),
    [
        ({"ROLLOUT_TENANT": TENANT}, "ROLLOUT_AUDIENCE: '' while ROLLOUT_TENANT is set"),
        ({"ROLLOUT_AUDIENCE": CLIENT}, "ROLLOUT_TENANT: '' while ROLLOUT_AUDIENCE is set"),
    ],
    ids=["tenant alone", "audience alone"],
)
def test_half_of_what_tokens_need_is_refused(named: dict[str, str], missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        read(**named)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    wrong = sorted(
        names_in_settings() - {"ROLLOUT_POLICIES", "ROLLOUT_ARCHIVE"}
    )  # any text names a folder
    with pytest.raises(SettingsError) as refused:
        read_settings(dict.fromkeys(wrong, "\0wrong"), app=APP)
    assert sorted(re.findall(r"(ROLLOUT_\w+): ", str(refused.value))) == wrong


def test_sample_lists_every_setting_and_no_other() -> None:
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]
    app = (REPOSITORY / "function_app.py").read_text()
    by_the_host = set(re.findall(r'"%(\w+)%"', app))  # binding expressions
    assert by_the_host == {"ROLLOUT_SWEEP_SCHEDULE"}
    assert set(sample) - FUNCTIONS_OWN == names_in_settings() | by_the_host


def test_sample_can_be_read_and_has_the_defaults() -> None:
    sample = json.loads((REPOSITORY / "local.settings.sample.json").read_text())["Values"]
    assert read_settings(sample, app=APP) == read(ROLLOUT_WORKSPACES=sample["ROLLOUT_WORKSPACES"])


def names_in_settings() -> set[str]:
    tree = ast.parse((REPOSITORY / "deploy_logic" / "settings.py").read_text())
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return {text for text in texts if isinstance(text, str) and text.startswith("ROLLOUT_")}


def test_app_in_azure_keeps_no_history_in_a_folder() -> None:
    with pytest.raises(
        SettingsError, match=r"ROLLOUT_ARCHIVE: .* no folder of an app in Azure lasts"
    ):
        read(WEBSITE_SITE_NAME="func-rollouts")
    endpoint = "https://ours.table.core.windows.net"
    assert read(WEBSITE_SITE_NAME="func-rollouts", ROLLOUT_ARCHIVE=endpoint).archive == endpoint
