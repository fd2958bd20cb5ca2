"""What is said: titles, facts, templates, events, and how chats get it without being tricked."""

import json
from dataclasses import replace
from typing import Any

import pytest

from deploy_logic.announcement.card import make_message, plain
from deploy_logic.announcement.channel import ChatKind
from deploy_logic.announcement.event import make_event, name_message
from deploy_logic.announcement.wording import (
    PLACEHOLDERS,
    TITLES,
    Kind,
    check_template,
    fill,
    read_values,
    say,
)
from tests.builders import WORKSPACE

PUBLIC = "https://rollouts.contoso.com"
ROLLOUT: dict[str, Any] = {
    "rollout_id": "fraud-fraud-detector-7-232ab0d1e2e3",
    "workspace": WORKSPACE,
    "endpoint": "fraud",
    "model": "fraud-detector",
    "version": "7",
    "policy": "fraud-prod",
    "policy_hash": "528c8f9de830db68",
    "phase": "waiting",
    "reason": "approval to promote",
    "candidate": "fraud-detector-v7",
    "stable": "fraud-detector-v6",
    "weights": {"fraud-detector-v7": 0, "fraud-detector-v6": 100},
    "mirror": {},
    "steps": ["probe", "shift to 10", "shift to 100"],
    "step": 2,
    "awaits": {
        "what": "approval to promote",
        "text": "waits for one of group:ml-leads",
        "until": "2026-11-23T13:00:00+00:00",
        "approvers": ["group:ml-leads", "user:ada"],
    },
    "attempt": 1,
    "started": "2026-11-23T09:00:00+00:00",
    "ended": None,
}
LINE: dict[str, Any] = {
    "at": "2026-11-23T09:30:00+00:00",
    "text": "waits for one of group:ml-leads",
    "figures": {"weight": 10, "none": None},
}
TRICKS = [
    "[click](https://evil.example)", "**bold** _x_ # head", "<!channel> <@U123> <https://e.vil|x>",
    "<at>everybody</at> {{DATE(2026-01-01T00:00:00Z)}}", "&lt;!here&gt; :rotating_light:",
    "{reason} {0.__class__} %s ${x}", "a\u202egnp.exe", "a\x00\x07\x1b[31m", "@here @channel",
]  # fmt: skip


def a_message(kind: Kind = Kind.WAITING, **changes: Any) -> dict[str, Any]:
    line = {**LINE, "text": changes.pop("text", LINE["text"])}
    return {"kind": kind.value, "rollout": {**ROLLOUT, **changes}, "line": line}


# --- words


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_has_a_title_that_names_endpoint_and_version(kind: Kind) -> None:
    title = say(a_message(kind)).title
    assert title.startswith("fraud: ")
    assert "fraud-detector 7" in title
    assert len(set(TITLES.values())) == len(Kind)


def test_what_is_said_is_what_people_look_for() -> None:
    said = say(a_message(), public_url=PUBLIC)
    assert said.text == "waits for one of group:ml-leads"
    assert said.facts == (
        ("Endpoint", "fraud"),
        ("Model", "fraud-detector"),
        ("Version", "7"),
        ("Policy", "fraud-prod"),
        ("Phase", "waiting"),
        ("Weights", "fraud-detector-v6 100, fraud-detector-v7 0"),
        ("Step", "2 of 3"),
        ("Asked", "group:ml-leads, user:ada"),
        ("Until", "2026-11-23T13:00:00+00:00"),
    )
    assert said.link == f"{PUBLIC}/api/dashboard#/rollouts/{ROLLOUT['rollout_id']}"


def test_what_there_is_not_is_left_out() -> None:
    said = say(a_message(Kind.STARTED, awaits=None, weights={}, steps=[], step=0))
    assert [name for name, _ in said.facts] == ["Endpoint", "Model", "Version", "Policy", "Phase"]
    assert said.link == ""
    assert say(a_message(rollout_id="a/../b"), public_url=PUBLIC).link == ""


def test_every_placeholder_has_a_value() -> None:
    assert set(read_values(a_message(), public_url=PUBLIC)) == set(PLACEHOLDERS)
    assert all(read_values(a_message(), public_url=PUBLIC).values())


def test_a_template_makes_the_text() -> None:
    template = "{{{model}}} {version}: {text}\n{link}\n"
    assert check_template(template) == []
    text = say(a_message(), public_url=PUBLIC, template=template).text
    first, second = text.splitlines()
    assert first == "{fraud-detector} 7: waits for one of group:ml-leads"
    assert second.startswith(PUBLIC)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_value_is_not_looked_into(trick: str) -> None:
    assert fill("{text}|{model}", {"text": trick, "model": "m"}) == f"{trick}|m"


@pytest.mark.parametrize(
    ("template", "given"),
    [
        ("{Model}", "{Model} is no placeholder"),
        ("{}", "{} is no placeholder"),
        ("{0}", "{0} is no placeholder"),
        ("{model.__class__}", "{model.__class__} is no placeholder"),
        ("{model[0]}", "{model[0]} is no placeholder"),
        ("{model!r}", "{model!r} is no placeholder"),
        ("{model:>1000000000}", "{model:>1000000000} is no placeholder"),
        ("{model", "expected '}' before end of string (a name in braces"),
        ("}", "Single '}' encountered"),
    ],
)
def test_a_template_with_anything_else_is_refused(template: str, given: str) -> None:
    (wrong,) = check_template(template)
    assert wrong.startswith(given)


def test_every_mistake_of_a_template_is_said() -> None:
    assert len(check_template("{a} {model} {b}")) == 2


# --- events


def test_the_event_is_a_cloud_event_with_the_whole_summary() -> None:
    event = make_event(a_message(Kind.PROMOTED))
    assert event.pop("id").startswith(f"{ROLLOUT['rollout_id']}-")
    assert event == {
        "specversion": "1.0",
        "source": f"{WORKSPACE}/onlineEndpoints/fraud",
        "type": "azureml.rollouts.rollout.promoted.v1",
        "subject": f"endpoints/fraud/rollouts/{ROLLOUT['rollout_id']}",
        "time": "2026-11-23T09:30:00+00:00",
        "datacontenttype": "application/json",
        "data": {"rollout": ROLLOUT, "line": LINE},
    }


def test_a_repeat_has_the_same_id_and_nothing_else_has() -> None:
    first = name_message(a_message())
    assert name_message(json.loads(json.dumps({**a_message(), "channel": "teams"}))) == first
    others = [
        a_message(Kind.FROZEN),
        a_message(text="another line"),
        a_message(rollout_id="another"),
        {**a_message(), "line": {**LINE, "at": "2026-11-23T09:30:01+00:00"}},
    ]
    assert len({first, *map(name_message, others)}) == 5


# --- chats


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [one for inner in value.values() for one in strings(inner)]
    if isinstance(value, list):
        return [one for inner in value for one in strings(inner)]
    return [value] if isinstance(value, str) else []


def parts(value: Any) -> list[dict[str, Any]]:
    """Return every object inside of a JSON value, itself among them."""
    if isinstance(value, dict):
        return [value, *(one for inner in value.values() for one in parts(inner))]
    return [one for inner in value for one in parts(inner)] if isinstance(value, list) else []


def test_teams_gets_a_card_in_the_envelope_of_workflows() -> None:
    message = make_message(ChatKind.TEAMS, say(a_message(), public_url=PUBLIC))
    (attachment,) = message["attachments"]
    card = attachment["content"]
    assert message["type"] == "message"
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    title = card["body"][0]["inlines"][0]
    assert title["text"] == "fraud: fraud-detector 7 waits for a person"
    assert title["color"] == "Warning"
    (action,) = card["actions"]
    assert action["type"] == "Action.OpenUrl"  # and nothing that would decide: Submit, Execute
    assert action["url"].startswith(f"{PUBLIC}/api/dashboard#")


def test_slack_gets_blocks() -> None:
    message = make_message(ChatKind.SLACK, say(a_message(), public_url=PUBLIC))
    kinds = [block["type"] for block in message["blocks"]]
    assert kinds == ["header", "section", "section", "section"]
    assert len(message["blocks"][2]["fields"]) == 9  # ten are the most
    link = f"<{PUBLIC}/api/dashboard#/rollouts/{ROLLOUT['rollout_id']}|Open the rollout>"
    assert message["blocks"][3]["text"]["text"] == link
    assert (message["unfurl_links"], message["unfurl_media"]) == (False, False)


@pytest.mark.parametrize("chat", list(ChatKind))
def test_without_an_address_there_is_no_link(chat: ChatKind) -> None:
    message = make_message(chat, say(a_message()))
    assert "Open the rollout" not in strings(message)
    assert not any("http" in one for one in strings(message) if "adaptivecards.io" not in one)


@pytest.mark.parametrize("trick", TRICKS)
def test_teams_reads_no_markup_in_other_peoples_words(trick: str) -> None:
    said = say(a_message(text=trick, model=trick, reason=trick, policy=trick), template="{reason}")
    card = make_message(ChatKind.TEAMS, said)["attachments"][0]["content"]
    assert {part["type"] for part in card["body"]} == {"RichTextBlock"}
    runs = [one for part in card["body"] for one in part["inlines"]]
    assert {one["type"] for one in runs} == {"TextRun"}
    assert not any("selectAction" in one for one in parts(card))
    assert "msteams" not in card  # without it nobody is mentioned
    assert all(one.isprintable() for one in strings(card))


@pytest.mark.parametrize("trick", TRICKS)
def test_slack_reads_no_markup_in_other_peoples_words(trick: str) -> None:
    said = say(a_message(text=trick, model=trick, policy=trick), public_url=PUBLIC)
    message = make_message(ChatKind.SLACK, said)
    marked = [one for one in parts(message) if one.get("type") == "mrkdwn"]
    assert [one["text"] for one in marked] == [f"<{said.link}|Open the rollout>"]
    assert all(one["emoji"] is False for one in parts(message) if one.get("type") == "plain_text")
    assert not {"<", ">"} & set(message["text"])
    assert all(one.isprintable() for one in strings(message))


@pytest.mark.parametrize("character", ["x", "\U0001f600", "\u00e9", '"', "&", "\u4e00"])
@pytest.mark.parametrize("chat", list(ChatKind))
def test_the_longest_message_is_still_taken(chat: ChatKind, character: str) -> None:
    long = character * 5_000
    awaits = {"approvers": [long], "until": long, "text": long}
    changes: dict[str, Any] = dict.fromkeys(("model", "version", "policy", "endpoint"), long)
    said = say(
        a_message(Kind.FAILED, text=long, awaits=awaits, weights={long: 1}, **changes),
        public_url=PUBLIC,
    )
    message = make_message(chat, said)
    assert len(json.dumps(message).encode()) < 28_000
    if chat is ChatKind.SLACK:
        header, text, fields, _ = message["blocks"]
        assert len(header["text"]["text"]) == 150
        assert len(text["text"]["text"]) <= 3_000
        assert all(len(one["text"]) <= 2_000 for one in fields["fields"])


def test_text_of_nothing_but_blanks_is_left_out() -> None:
    said = say(a_message(text=" \n\t"))
    slack = make_message(ChatKind.SLACK, said)
    assert [block["type"] for block in slack["blocks"]] == ["header", "section"]
    teams = make_message(ChatKind.TEAMS, said)["attachments"][0]["content"]
    assert len(teams["body"]) == 1 + len(said.facts)


def test_what_has_no_facts_is_said_without_them() -> None:
    said = replace(say(a_message()), facts=())
    slack = make_message(ChatKind.SLACK, said)
    assert [block["type"] for block in slack["blocks"]] == ["header", "section"]
    assert "fields" not in slack["blocks"][1]  # an empty list is refused


def test_lines_of_a_template_stay_lines() -> None:
    assert plain("a\nb\tc", 9, lines=True) == "a\nb c"
    assert plain("a\nb", 9) == "a b"
    assert plain("abcdef", 4) == "abc\u2026"
