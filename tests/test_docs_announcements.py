"""docs/announcements.md shows what the code says: kinds, names in templates, and every message."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.announcement.card import make_message
from deploy_logic.announcement.channel import ChatKind, Surroundings, read_channels
from deploy_logic.announcement.event import make_event
from deploy_logic.announcement.wording import PLACEHOLDERS, Kind, check_template, say
from tests.test_announcement_wording import PUBLIC, a_message

REPOSITORY = Path(__file__).parents[1]
PAGE = (REPOSITORY / "docs" / "announcements.md").read_text(encoding="utf-8")
MAIL = json.loads((REPOSITORY / "docs" / "examples" / "mail-by-logic-app.json").read_text())


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def shown(heading: str) -> Any:
    (block,) = re.findall(r"^```json\n(.*?)^```", section(heading), re.DOTALL | re.MULTILINE)
    return json.loads(block)


def test_every_kind_has_its_row_with_its_title() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", section("What is announced"), re.MULTILINE
    )
    assert rows == [(kind.value, say(a_message(kind)).title) for kind in Kind]


def test_every_placeholder_has_its_row() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("Templates"), re.MULTILINE)
    assert rows == list(PLACEHOLDERS)


def test_the_template_shown_is_one() -> None:
    (template,) = re.findall(r"^```\n(.*?)^```", section("Templates"), re.DOTALL | re.MULTILINE)
    assert check_template(template) == []
    text = say(a_message(), template=template).text
    assert text.startswith("fraud-detector 7 on fraud is waiting: waits for one of group:ml-leads")


@pytest.mark.parametrize(
    ("heading", "chat"), [("Teams", ChatKind.TEAMS), ("Slack", ChatKind.SLACK)]
)
def test_the_message_shown_is_the_one_that_is_sent(heading: str, chat: ChatKind) -> None:
    assert shown(heading) == make_message(chat, say(a_message(), public_url=PUBLIC))


def test_the_event_shown_is_the_one_that_is_sent() -> None:
    assert shown("A topic") == make_event(a_message())


def test_the_channels_shown_can_be_defined(tmp_path: Path) -> None:
    template = tmp_path / "policies" / "announcements" / "ops.txt"
    template.parent.mkdir(parents=True)
    template.write_text("{text}")
    secrets = dict.fromkeys(("TEAMS_URL", "SLACK_URL"), "https://chat.contoso.com/x")
    around = Surroundings(settings=secrets, private_hosts=(), folder=tmp_path)
    assert set(read_channels(json.dumps(shown("Channels")), around)) == {"topic", "teams", "ops"}


def test_the_mail_reads_what_an_event_has() -> None:
    event = make_event(a_message())
    read = re.findall(r"outputs\('Event'\)((?:\['\w+'\])+)", json.dumps(MAIL))
    assert len(read) >= 5
    for path in read:
        found: Any = event
        for key in re.findall(r"\['(\w+)'\]", path):
            found = found[key]
        assert isinstance(found, str), path


def test_the_steps_of_the_mail_follow_each_other() -> None:
    actions = MAIL["definition"]["actions"]
    after = {name: list(action["runAfter"]) for name, action in actions.items()}
    assert after == {"Event": [], "Send_a_mail": ["Event"], "Delete_message": ["Send_a_mail"]}
