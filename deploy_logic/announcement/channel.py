"""The channels that the settings define, for policies to name.

Reads the templates that they name, nothing else.

No secret stands in the definition: an address that holds one is in an app setting of its own, which
refers to a Key Vault, and the definition names that setting.
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from deploy_logic.address import is_public_host, read_https
from deploy_logic.announcement.wording import check_template

CHANNEL_NAME = r"^[a-z][a-z0-9_-]{0,62}$"
_NAME = re.compile(CHANNEL_NAME.removesuffix("$"))
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,126}")
# Where a token for Event Grid may go; by https://learn.microsoft.com/azure/event-grid/
_TOPIC_HOSTS = (".eventgrid.azure.net", ".eventgrid.azure.us", ".eventgrid.azure.cn")
_TOPIC = re.compile(r"https://([^/?#@]+)/api/events")
_UNRESOLVED = "@Microsoft.KeyVault("  # what the platform leaves where it could not read the secret
_LONGEST_TEMPLATE = 4_000  # characters


class ChatKind(StrEnum):
    """The chats that are known."""

    TEAMS = "teams"
    SLACK = "slack"


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """An Event Grid topic, for programs and for what they send on, such as mail."""

    name: str
    endpoint: str  # such as https://rollouts.westeurope-1.eventgrid.azure.net/api/events


@dataclass(frozen=True, slots=True, kw_only=True)
class Chat:
    """A chat that takes messages at a secret address."""

    name: str
    kind: ChatKind
    url_setting: str  # the app setting that holds the address
    url: str = field(repr=False)  # the address: never shown, logged or stored
    template: str = ""  # a text in place of the usual one

    @property
    def is_resolved(self) -> bool:
        """Whether the platform has put the secret in the reference's place."""
        return not self.url.startswith(_UNRESOLVED)


type Channel = Topic | Chat
_KEYS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {  # by kind: required, optional
    "topic": (frozenset({"endpoint"}), frozenset()),
    **dict.fromkeys(ChatKind, (frozenset({"url_setting"}), frozenset({"template"}))),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a definition may refer to."""

    settings: Mapping[str, str]
    private_hosts: Collection[str]  # host:port that may be called although they are private
    folder: Path  # of the app, from which templates' paths count


def read_channels(text: str, around: Surroundings) -> Mapping[str, Channel]:
    """Return the channels by name; one ValueError says everything that is wrong with any of them.

    No sentence quotes a secret.
    """
    if not text:
        return {}
    try:
        given = json.loads(text, object_pairs_hook=_refuse_twice)
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(given, dict):
        # not quoted: it may hold a secret
        raise ValueError("no JSON object (channels by name)")  # noqa: TRY004 - as every setting
    wrong = [complaint for name, one in given.items() for complaint in _refuse(name, one, around)]
    if wrong:
        raise ValueError("; ".join(wrong))
    return {name: _build(name, one, around) for name, one in given.items()}


def _refuse_twice(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands twice (each name once)")
    return dict(pairs)


def _refuse(name: str, given: object, around: Surroundings) -> Iterator[str]:
    """Give what is wrong with one channel."""
    if _NAME.fullmatch(name) is None:
        yield f"{name!r} is no name of a channel (small letters, digits, - and _, a letter first)"
    if not isinstance(given, dict):
        yield f"{name}: no JSON object (such as {{'kind': 'teams', 'url_setting': 'TEAMS_URL'}})"
        return
    kind = given.get("kind")
    if not isinstance(kind, str) or kind not in _KEYS:
        yield f"{name}.kind: {kind!r} is no kind of channel (one of {', '.join(_KEYS)})"
        return
    required, optional = _KEYS[kind]
    keys = {"kind", *required, *optional}
    yield from (
        f"{name}.{key}: unknown key (only {', '.join(sorted(keys))})"
        for key in {**given}
        if key not in keys
    )
    for key in sorted(required | (optional & set(given))):
        value = given.get(key)
        if not isinstance(value, str) or not value:
            yield f"{name}.{key}: {value!r} is no text (it must be there, and not be empty)"
        else:
            yield from (f"{name}.{key}: {wrong}" for wrong in _CHECKS[key](value, around))


def _refuse_endpoint(endpoint: str, around: Surroundings) -> Iterator[str]:
    """Give why no token of ours may be sent there."""
    found = _TOPIC.fullmatch(endpoint)
    place = read_https(endpoint)
    is_ours = found is not None and found[1].lower() in around.private_hosts
    if found is None or place is None or not (is_ours or place[0].lower().endswith(_TOPIC_HOSTS)):
        yield (
            f"{endpoint!r} is not the endpoint of an Event Grid topic (such as "
            "https://NAME.REGION-1.eventgrid.azure.net/api/events)"
        )


def _refuse_url_setting(setting: str, around: Surroundings) -> Iterator[str]:
    """Give what is wrong with the name or with what the setting holds, without quoting that."""
    if _SETTING_NAME.fullmatch(setting) is None:
        # somebody may have put the secret itself here
        yield "it is no name of an app setting (letters, digits and _; the address stands in there)"
        return
    url = around.settings.get(setting, "").strip()
    if url.startswith(_UNRESOLVED):
        return  # the platform tries again, and starts the app anew; rollouts need not wait for it
    place = read_https(url)
    if place is None or "@" in url.removeprefix("https://").partition("/")[0]:
        given = "holds no https address" if url else "is empty or missing"
        yield f"app setting {setting} {given} (the secret address of the chat)"
        return
    is_named = f"{place[0].lower()}:{place[1]}" in around.private_hosts
    if not is_named and not is_public_host(place[0]):
        yield (
            f"app setting {setting} holds the address of {place[0]!r}, which is not public (a "
            f"public host, or '{place[0]}:{place[1]}' in ROLLOUT_CHANNEL_HOSTS)"
        )


def _refuse_template(name: str, around: Surroundings) -> Iterator[str]:
    try:
        text = _read(around.folder, name)
    except (OSError, ValueError) as error:
        yield f"{name!r} cannot be read: {error} (a text file in UTF-8, by its path from the app)"
        return
    if not text.strip() or len(text) > _LONGEST_TEMPLATE:
        yield f"{name!r} has {len(text)} characters (from 1 to {_LONGEST_TEMPLATE}, not all blank)"
    yield from (f"{name!r}: {wrong}" for wrong in check_template(text))


_CHECKS: Mapping[str, Callable[[str, Surroundings], Iterator[str]]] = {
    "endpoint": _refuse_endpoint,
    "url_setting": _refuse_url_setting,
    "template": _refuse_template,
}


def _build(name: str, given: Mapping[str, str], around: Surroundings) -> Channel:
    if given["kind"] == "topic":
        return Topic(name=name, endpoint=given["endpoint"])
    return Chat(
        name=name,
        kind=ChatKind(given["kind"]),
        url_setting=given["url_setting"],
        url=around.settings[given["url_setting"]].strip(),
        template=_read(around.folder, given["template"]) if "template" in given else "",
    )


def _read(folder: Path, name: str) -> str:
    return (folder / name).read_text(encoding="utf-8")
