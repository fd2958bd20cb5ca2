"""The activity that announces: what is sent where, what is tried again, and what is never said."""

import json
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.announcement.channel import Chat, ChatKind, Topic
from deploy_logic.announcement.event import make_event, name_message
from deploy_logic.announcement.wording import Kind
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.gate import Answer
from tests.fakes import Clock, FakeChannels, FakeWeb, FakeWorkspace, an_outside
from tests.test_announcement_wording import PUBLIC, a_message

ENDPOINT = "https://rollouts.westeurope-1.eventgrid.azure.net/api/events"
SECRET = "https://hooks.slack.com/services/T0000001/B0000001/hunter2hunter2?sig=swordfish%2F"
CHAT = {"url_setting": "CHAT_URL", "url": SECRET}
TOPIC = Topic(name="topic", endpoint=ENDPOINT)
TEAMS = Chat(name="teams", kind=ChatKind.TEAMS, **CHAT)
SLACK = Chat(name="slack", kind=ChatKind.SLACK, **CHAT, template="{model} {version}")
DONE = {"state": "done", "reason": "", "retry_after": 0.0}


@pytest.fixture
def channels() -> FakeChannels:
    return FakeChannels(TOPIC, TEAMS, SLACK, public_url=PUBLIC)


def announce(channels: FakeChannels, channel: str, **more: Any) -> dict[str, Any]:
    usual = an_outside(FakeWorkspace(Clock()), lambda: ())
    outside = replace(usual, announcing=channels.open)
    message = {**a_message(Kind.FAILED), "announce": ["topic"], "channel": channel, **more}
    payload = json.loads(json.dumps(message))
    answer: dict[str, Any] = json.loads(json.dumps(ACTIVITIES["announce"](outside, payload)))
    return answer


def test_a_topic_is_sent_the_event(channels: FakeChannels) -> None:
    assert announce(channels, "topic") == DONE
    assert channels.opened == [ENDPOINT]
    assert channels.topic.published == [make_event(a_message(Kind.FAILED))]
    assert channels.chats.asked == []


def test_a_chat_is_sent_its_message(channels: FakeChannels) -> None:
    assert announce(channels, "teams") == DONE
    ((url, body, key),) = channels.chats.asked
    assert (url, key) == (SECRET, name_message(a_message(Kind.FAILED)))
    card = body["attachments"][0]["content"]
    assert card["body"][0]["inlines"][0]["color"] == "Attention"
    assert card["actions"][0]["url"].startswith(PUBLIC)
    assert channels.topic.published == []


def test_a_template_makes_the_text_of_its_channel(channels: FakeChannels) -> None:
    announce(channels, "slack")
    ((_, body, _),) = channels.chats.asked
    assert body["blocks"][1]["text"]["text"] == "fraud-detector 7"


def test_the_same_message_is_the_same_to_the_last_byte(channels: FakeChannels) -> None:
    for _ in range(2):
        announce(channels, "topic")
        announce(channels, "teams")
    assert channels.topic.published[0] == channels.topic.published[1]
    assert channels.chats.asked[0] == channels.chats.asked[1]


@pytest.mark.parametrize(
    ("answer", "state", "reason", "retry_after"),
    [
        (Answer(status=200, body="ok"), "done", "", 0),
        (Answer(status=202), "done", "", 0),
        (Answer(status=429, retry_after=timedelta(seconds=30)), "busy", "429", 30),
        (Answer(status=408), "busy", "408", 0),
        (Answer(status=500, body="rollup_error"), "busy", "500: rollup_error", 0),
        (Answer(status=503, retry_after=timedelta(seconds=5)), "busy", "503", 5),
        (Answer(status=None, error="no answer within 10 s"), "busy", "no answer within 10 s", 0),
        (Answer(status=307), "broke", "307: a redirect, and none is followed", 0),
        (Answer(status=400, body="invalid_blocks"), "broke", "400: invalid_blocks", 0),
        (Answer(status=403, body=" "), "broke", "403", 0),
        (Answer(status=404, body="no_service"), "broke", "404: no_service", 0),
        (Answer(status=409, body="x" * 500), "broke", f"409: {'x' * 200}\u2026", 0),
        (Answer(status=410, body="no T0000001 any more"), "broke", "410", 0),
        (Answer(status=400, body="bad sig swordfish"), "broke", "400", 0),
    ],
    ids=[
        "ok", "accepted", "throttled", "too slow", "out of order", "down", "no answer", "redirect",
        "refused", "forbidden", "gone", "said at length", "address quoted", "signature quoted",
    ],
)  # fmt: skip
def test_what_a_chat_answers_says_whether_to_ask_again(
    channels: FakeChannels, answer: Answer, state: str, reason: str, retry_after: float
) -> None:
    channels.chats = FakeWeb(answer)
    told = announce(channels, "teams")
    whole = f"announcing to 'teams': {reason}" if reason else ""
    assert told == {"state": state, "reason": whole, "retry_after": retry_after}


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (
            TransientError("publishing: 503", retry_after=timedelta(seconds=7)),
            {"state": "busy", "reason": "publishing: 503", "retry_after": 7.0},
        ),
        (
            WorkspaceError("publishing: 403", status=403),
            {"state": "broke", "reason": "publishing: 403", "retry_after": 0.0},
        ),
    ],
    ids=["down", "forbidden"],
)
def test_what_a_topic_answers_says_whether_to_ask_again(
    channels: FakeChannels, fault: Exception, answer: dict[str, Any]
) -> None:
    channels.topic.fault = fault
    assert announce(channels, "topic") == answer


def test_a_channel_that_the_settings_do_not_have_any_more_is_hopeless() -> None:
    told = announce(FakeChannels(TOPIC), "teams")
    assert (told["state"], told["reason"]) == (
        "broke",
        "announcing to 'teams': ROLLOUT_CHANNELS has no such channel (it has topic)",
    )
    assert announce(FakeChannels(), "teams")["reason"].endswith("(it has none)")


def test_a_secret_that_the_platform_could_not_read_is_waited_for() -> None:
    url = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/teams)"
    lost = Chat(name="teams", kind=ChatKind.TEAMS, url_setting="CHAT_URL", url=url)
    channels = FakeChannels(lost)
    told = announce(channels, "teams")
    assert told["state"] == "busy"
    assert told["reason"].startswith("announcing to 'teams': app setting CHAT_URL is a Key Vault")
    assert channels.chats.asked == []


@pytest.mark.parametrize(
    ("status", "is_last", "level", "text"),
    [
        (503, False, logging.WARNING, "announcement not sent"),
        (503, True, logging.ERROR, "announcement lost"),
        (400, False, logging.ERROR, "announcement lost"),
    ],
    ids=["asked again", "for the last time", "hopeless"],
)
def test_what_is_not_sent_is_logged_and_no_secret_is(
    channels: FakeChannels,
    caplog: pytest.LogCaptureFixture,
    status: int,
    level: int,
    text: str,
    *,
    is_last: bool,
) -> None:
    channels.chats = FakeWeb(Answer(status=status, body=f"cannot post to {SECRET}"))
    told = announce(channels, "teams", is_last=is_last)
    (record,) = caplog.records
    assert (record.levelno, record.message) == (level, text)
    kept = {key: vars(record)[key] for key in ("channel", "kind", "state", "endpoint")}
    assert kept == {
        "channel": "teams",
        "kind": "failed",
        "state": told["state"],
        "endpoint": "fraud",
    }
    for said in (json.dumps(told), str(vars(record))):
        assert "hunter2" not in said
        assert "swordfish" not in said


def test_what_is_sent_is_not_logged(
    channels: FakeChannels, caplog: pytest.LogCaptureFixture
) -> None:
    announce(channels, "teams")
    assert caplog.records == []
