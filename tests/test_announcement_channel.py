"""ROLLOUT_CHANNELS: what may be defined, every complaint at once, and no secret in any of them."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.announcement.channel import Chat, ChatKind, Topic
from deploy_logic.errors import SettingsError
from deploy_logic.settings import Settings, read_settings
from tests.builders import WORKSPACE

ENDPOINT = "https://rollouts.westeurope-1.eventgrid.azure.net/api/events"
SECRET = "https://hooks.slack.com/services/T000/B000/hunter2hunter2"
TEAMS: dict[str, Any] = {"kind": "teams", "url_setting": "TEAMS_URL"}


def read(folder: Path, channels: object, **changes: str) -> Settings:
    text = channels if isinstance(channels, str) else json.dumps(channels)
    environment = {"ROLLOUT_WORKSPACES": WORKSPACE, "TEAMS_URL": SECRET, "ROLLOUT_CHANNELS": text}
    return read_settings({**environment, **changes}, app=folder)


def complaint(folder: Path, channels: object, **changes: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(folder, channels, **changes)
    said = str(caught.value)
    assert "hunter2" not in said
    assert "hunter2" not in repr(caught.value.__cause__)
    return said.removeprefix("reading app settings: ").removeprefix("ROLLOUT_CHANNELS: ")


def test_channels_are_defined_by_name(tmp_path: Path) -> None:
    (tmp_path / "teams.txt").write_text("{model} {version}: {text}\n")
    slack = {"kind": "slack", "url_setting": "SLACK_URL"}
    defined = {
        "topic": {"kind": "topic", "endpoint": ENDPOINT},
        "teams": {**TEAMS, "template": "teams.txt"},
        "slack": slack,
    }
    settings = read(tmp_path, defined, SLACK_URL=f" {SECRET} ")
    text = "{model} {version}: {text}\n"
    assert settings.channels == {
        "topic": Topic(name="topic", endpoint=ENDPOINT),
        "teams": Chat(
            name="teams", kind=ChatKind.TEAMS, url_setting="TEAMS_URL", url=SECRET, template=text
        ),
        "slack": Chat(name="slack", kind=ChatKind.SLACK, url_setting="SLACK_URL", url=SECRET),
    }


def test_no_channels_are_none(tmp_path: Path) -> None:
    assert read(tmp_path, "").channels == read(tmp_path, "{}").channels == {}


def test_no_secret_is_in_what_is_printed_of_the_settings(tmp_path: Path) -> None:
    settings = read(tmp_path, {"teams": TEAMS})
    assert "TEAMS_URL" in repr(settings)
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.channels)


WRONG: dict[str, tuple[object, str]] = {
    "no JSON": ("{", "not JSON: Expecting property name"),
    "a list": (["https://x/hunter2"], "no JSON object (channels by name)"),
    "a name twice": (
        '{"a": {"kind": "topic"}, "a": {}}',
        "not JSON: 'a' stands twice (each name once)",
    ),
    "a name in capitals": ({"Teams": TEAMS}, "'Teams' is no name of a channel (small letters"),
    "the secret itself": ({"teams": SECRET}, "teams: no JSON object (such as {'kind'"),
    "no kind": ({"teams": {}}, "teams.kind: None is no kind of channel (one of topic, teams, slac"),
    "another kind": ({"teams": {"kind": "mail"}}, "teams.kind: 'mail' is no kind of channel"),
    "a kind that is a list": ({"teams": {"kind": ["topic"]}}, "teams.kind: ['topic'] is no kind"),
    "the secret in a key": (
        {"teams": {**TEAMS, "url": SECRET}},
        "teams.url: unknown key (only kind, template, url_setting)",
    ),
    "the secret in place of a setting": (
        {"teams": {"kind": "teams", "url_setting": SECRET}},
        "teams.url_setting: it is no name of an app setting (letters,",
    ),
    "no setting": ({"teams": {"kind": "slack"}}, "teams.url_setting: None is no text"),
    "a setting that is not there": (
        {"teams": {"kind": "slack", "url_setting": "NOWHERE"}},
        "teams.url_setting: app setting NOWHERE is empty or missing (the secret address of",
    ),
    "a setting with something else": (
        {"teams": {"kind": "slack", "url_setting": "ROLLOUT_WORKSPACES"}},
        "teams.url_setting: app setting ROLLOUT_WORKSPACES holds no https address",
    ),
    "no endpoint": ({"t": {"kind": "topic"}}, "t.endpoint: None is no text (it must be there"),
    "an endpoint elsewhere": (
        {"t": {"kind": "topic", "endpoint": "https://evil.example/api/events"}},
        "t.endpoint: 'https://evil.example/api/events' is not the endpoint of an Event Grid topic",
    ),
    "an endpoint that only looks right": (
        {"t": {"kind": "topic", "endpoint": "https://evil.example/x.eventgrid.azure.net"}},
        "t.endpoint: 'https://evil.example/x.eventgrid.azure.net' is not the endpoint",
    ),
    "an endpoint without encryption": (
        {"t": {"kind": "topic", "endpoint": ENDPOINT.replace("https", "http")}},
        "is not the endpoint of an Event Grid topic",
    ),
    "no template": (
        {"teams": {**TEAMS, "template": "nowhere.txt"}},
        "teams.template: 'nowhere.txt' cannot be read: ",
    ),
    "an empty template": (
        {"teams": {**TEAMS, "template": "empty.txt"}},
        "teams.template: 'empty.txt' has 1 characters (from 1 to 4000, not all blank)",
    ),
    "a template that is too long": (
        {"teams": {**TEAMS, "template": "long.txt"}},
        "teams.template: 'long.txt' has 4001 characters",
    ),
    "a template with another name in it": (
        {"teams": {**TEAMS, "template": "wrong.txt"}},
        "teams.template: 'wrong.txt': {secret} is no placeholder (one of rollout_id, kind,",
    ),
    "a template that is no text": (
        {"teams": {**TEAMS, "template": "bytes.txt"}},
        "teams.template: 'bytes.txt' cannot be read: 'utf-8' codec",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "long.txt").write_text("x" * 4001)
    (tmp_path / "wrong.txt").write_text("{secret}")
    (tmp_path / "bytes.txt").write_bytes(b"\xff")
    return tmp_path


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said(folder: Path, what: str) -> None:
    channels, expected = WRONG[what]
    assert expected in complaint(folder, channels)


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    said = complaint(
        folder,
        {"A": TEAMS, "b": {"kind": "x"}, "c": {**TEAMS, "template": "wrong.txt", "d": 1}},
        ROLLOUT_POLL_INTERVAL="soon",
    )
    wanted = ("'A' is no name", "b.kind: 'x'", "c.d: unknown key", "{secret} is no placeholder")
    assert [one for one in wanted if one not in said] == []
    assert "ROLLOUT_POLL_INTERVAL: 'soon'" in said


@pytest.mark.parametrize(
    "url",
    [
        "https://localhost/hunter2", "https://10.0.0.1/hunter2", "https://chat/hunter2",
        "https://168.63.129.16/hunter2", "https://[fec0::1]/hunter2", "https://chat.local/hunter2",
    ],
)  # fmt: skip
def test_a_private_chat_is_refused_unless_the_settings_name_its_host(
    folder: Path, url: str
) -> None:
    host = url.split("/")[2]
    said = complaint(folder, {"teams": TEAMS}, TEAMS_URL=url)
    assert f"holds the address of {host!r}, which is not public" in said
    assert f"'{host}:443' in ROLLOUT_CHANNEL_HOSTS" in said
    allowed = read(folder, {"teams": TEAMS}, TEAMS_URL=url, ROLLOUT_CHANNEL_HOSTS=f"{host}:443")
    assert set(allowed.channels) == {"teams"}


def test_a_topic_elsewhere_is_taken_where_the_settings_name_its_host(folder: Path) -> None:
    endpoint = "https://localhost:8081/api/events"
    defined = {"topic": {"kind": "topic", "endpoint": endpoint}}
    assert "is not the endpoint" in complaint(folder, defined)
    read(folder, defined, ROLLOUT_CHANNEL_HOSTS="localhost:8081")


@pytest.mark.parametrize("cloud", ["azure.net", "azure.us", "azure.cn"])
def test_topics_of_every_cloud_are_topics(folder: Path, cloud: str) -> None:
    endpoint = f"https://Rollouts.region-1.eventgrid.{cloud}/api/events"
    read(folder, {"topic": {"kind": "topic", "endpoint": endpoint}})


@pytest.mark.parametrize("url", ["https://u:hunter2@chat.contoso.com/", "hunter2", "http://a.b/c"])
def test_an_address_that_nothing_may_be_sent_to_is_not_quoted(folder: Path, url: str) -> None:
    assert "holds no https address" in complaint(folder, {"teams": TEAMS}, TEAMS_URL=url)


def test_a_secret_that_the_platform_could_not_read_does_not_stop_the_app(folder: Path) -> None:
    reference = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/teams)"
    chat = read(folder, {"teams": TEAMS}, TEAMS_URL=reference).channels["teams"]
    assert isinstance(chat, Chat)
    assert not chat.is_resolved
