"""Step 5 of 5: the activity that tells people and programs what happened, one channel at a time.

It answers as all activities do: done; busy (ask again); broke (asking again will not help). No
rollout waits for it. An address that is a secret gets neither into an answer nor into the log.
"""

import logging
import re
from typing import assert_never

from deploy_logic.announcement.card import make_message
from deploy_logic.announcement.channel import Channel, Chat, Topic
from deploy_logic.announcement.event import make_event, name_message
from deploy_logic.announcement.wording import say
from deploy_logic.codec import Json
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.gate import Answer, quote
from deploy_logic.ports import Announcing, Outside

_LOG = logging.getLogger("rollout")
_ACCEPTED, _REDIRECTS, _REFUSALS, _OUT_OF_ORDER = 200, 300, 400, 500
_NOT_NOW = frozenset({408, 429})
_PIECE = re.compile(r"[^/?&=#%]{6,}")  # of a secret address, long enough to be of use to somebody


def announce(outside: Outside, payload: Json) -> Json:
    """Tell one channel of one message.

    The payload is the message and the channel's name; is_last says that nobody will ask again.
    """
    try:
        _send(outside.announcing(), payload["channel"], payload)
    except WorkspaceError as error:
        again = isinstance(error, TransientError)
        state = "busy" if again else "broke"
        _log(payload, state, str(error), is_lost=not again or payload.get("is_last", False))
        after = error.retry_after.total_seconds() if isinstance(error, TransientError) else 0.0
        return {"state": state, "reason": str(error), "retry_after": after}
    return {"state": "done", "reason": "", "retry_after": 0.0}


def _log(payload: Json, state: str, reason: str, *, is_lost: bool) -> None:
    extra = {
        "channel": payload["channel"],
        "kind": payload["kind"],
        "rollout_id": payload["rollout"]["rollout_id"],
        "endpoint": payload["rollout"]["endpoint"],
        "state": state,
        "reason": reason,
    }
    if is_lost:
        _LOG.error("announcement lost", extra=extra)
    else:
        _LOG.warning("announcement not sent", extra=extra)


def _send(announcing: Announcing, name: str, message: Json) -> None:
    channel: Channel | None = announcing.channels.get(name)
    match channel:
        case None:
            known = ", ".join(sorted(announcing.channels)) or "none"
            raise WorkspaceError(
                f"announcing to {name!r}: ROLLOUT_CHANNELS has no such channel (it has {known})"
            )
        case Topic():
            announcing.open_topic(channel.endpoint).publish(make_event(message))
        case Chat():
            _post(announcing, channel, message)
        case _:
            assert_never(channel)


def _post(announcing: Announcing, chat: Chat, message: Json) -> None:
    what = f"announcing to {chat.name!r}"
    if not chat.is_resolved:
        raise TransientError(
            f"{what}: app setting {chat.url_setting} is a Key Vault reference that the platform "
            "could not resolve (the app's identity needs Key Vault Secrets User on the vault)"
        )
    said = say(message, public_url=announcing.public_url, template=chat.template)
    body = make_message(chat.kind, said)
    answer = announcing.chats().post(chat.url, body, idempotency_key=name_message(message))
    if answer.status is None:
        raise TransientError(f"{what}: {answer.error}")
    if not _ACCEPTED <= answer.status < _REDIRECTS:
        raise _refusal(what, chat, answer, answer.status)


def _refusal(what: str, chat: Chat, answer: Answer, status: int) -> WorkspaceError:
    if status < _REFUSALS:
        return WorkspaceError(f"{what}: {status}: a redirect, and none is followed", status=status)
    sentence = f"{what}: {status}{_quote(chat, answer.body)}"
    if status in _NOT_NOW or status >= _OUT_OF_ORDER:
        return TransientError(sentence, code=str(status), retry_after=answer.retry_after)
    return WorkspaceError(sentence, code=str(status), status=status)


def _quote(chat: Chat, body: str) -> str:
    """Return what the chat says of its refusal, unless that repeats a piece of its address."""
    _, _, secret = chat.url.removeprefix("https://").partition("/")
    is_told = any(piece in body for piece in _PIECE.findall(secret))
    return f": {quote(body)}" if body.strip() and not is_told else ""
