"""What is said, in the form that a chat takes. Pure.

Models, tags and reasons are other people's words. They stand only where the chat reads no markup,
so that nobody is called and no link is made by them; and they are cut, so that all of it is taken.
"""

from collections.abc import Mapping
from typing import Any, assert_never

from deploy_logic.announcement.channel import ChatKind
from deploy_logic.announcement.wording import Kind, Said

type Json = dict[str, Any]

# A Teams message may have 28 KB, and a character takes 12 bytes at most in JSON.
# https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
# A Slack header may have 150 characters, a text of a section 3,000.
# https://docs.slack.dev/reference/block-kit/blocks/header-block
_LONGEST_TITLE, _LONGEST_TEXT, _LONGEST_FACT = 150, 1_000, 64
_COLOURS: Mapping[Kind, str] = {  # Teams' names for them
    Kind.WAITING: "Warning",
    Kind.FROZEN: "Warning",
    Kind.PROMOTED: "Good",
    Kind.SUCCEEDED: "Good",
    Kind.FAILED: "Attention",
    Kind.ERRORED: "Attention",
}
_LINK = "Open the rollout"


def make_message(kind: ChatKind, said: Said) -> Json:
    """Return the body of the request."""
    match kind:
        case ChatKind.TEAMS:
            return _make_teams(said)
        case ChatKind.SLACK:
            return _make_slack(said)
        case _:
            assert_never(kind)


def plain(text: str, most: int, *, lines: bool = False) -> str:
    """Return the text without what is not seen or turns the direction, in that many characters."""
    kept = "\n" if lines else ""
    shown = "".join(one if one.isprintable() or one in kept else " " for one in text).strip()
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def _make_teams(said: Said) -> Json:
    """Return a message with an Adaptive Card, as the webhook of a workflow takes it.

    Text runs, and not text blocks: they have no markdown. Nobody is mentioned without an entity.
    https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features
    """
    title = plain(said.title, _LONGEST_TITLE)
    colour = _COLOURS.get(said.kind, "Default")
    body = [_run({"text": title, "weight": "Bolder", "size": "Medium", "color": colour})]
    text = plain(said.text, _LONGEST_TEXT, lines=True)
    if text:
        body.append(_run({"text": text}))
    body += [
        _run(
            {"text": f"{name}: ", "weight": "Bolder"},
            {"text": plain(value, _LONGEST_FACT)},
        )
        for name, value in said.facts
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": title,
        "body": body,
        "actions": _open_in_teams(said.link),
    }
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _run(*runs: Json) -> Json:
    return {
        "type": "RichTextBlock",
        "spacing": "Small",
        "inlines": [{"type": "TextRun", **run} for run in runs],
    }


def _open_in_teams(link: str) -> list[Json]:
    return [{"type": "Action.OpenUrl", "title": _LINK, "url": link}] if link else []


def _make_slack(said: Said) -> Json:
    """Return blocks, as an incoming webhook takes them; only our own link has markup.

    https://docs.slack.dev/messaging/formatting-message-text
    """
    title = plain(said.title, _LONGEST_TITLE)
    blocks: list[Json] = [{"type": "header", "text": _text(title)}]
    text = plain(said.text, _LONGEST_TEXT, lines=True)
    if text:  # Slack refuses an empty one
        blocks.append({"type": "section", "text": _text(text)})
    if said.facts:
        fields = [_text(f"{name}: {plain(value, _LONGEST_FACT)}") for name, value in said.facts]
        blocks.append({"type": "section", "fields": fields})
    if said.link:
        link = {"type": "mrkdwn", "text": f"<{said.link}|{_LINK}>", "verbatim": True}
        blocks.append({"type": "section", "text": link})
    return {
        "text": _escape(title),  # in notifications; this one is read for markup
        "blocks": blocks,
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _text(text: str) -> Json:
    return {"type": "plain_text", "text": text, "emoji": False}


def _escape(text: str) -> str:
    """Return the text as Slack shows it and not as it reads it: what calls people begins with <."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
