"""Step 4 of 5: what a rollout tells others: rows for the archive, messages for channels. Pure.

A rollout posts a letter before every wait, with the lines that are new: history is whole while it
is in flight, and no rollout waits for those who are told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from deploy_logic.archive import make_line, make_rows, normalise
from deploy_logic.codec import Json, encode
from deploy_logic.ledger.ledger import LET_GO
from deploy_logic.matching import Told
from deploy_logic.rollout import Entry, Phase
from deploy_logic.view import summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """The new lines of a timeline, and what they mean to channels."""

    rollout_id: str
    workspace: str
    endpoint: str
    at: datetime
    first: int  # place of the first line in the whole timeline, from 0
    lines: tuple[Entry, ...]
    kinds: Mapping[int, str] = field(default_factory=dict)  # by place in the whole timeline
    rollout: Json | None = None  # as lists show it; None: nothing that lists show has changed
    announce: tuple[Told, ...] = ()


def list_rows(letter: Letter) -> list[Json]:
    """Return what the archive is to have."""
    lines = [
        make_line(letter.rollout_id, letter.first + number, encode(line))
        for number, line in enumerate(letter.lines)
    ]
    count = letter.first + len(letter.lines)
    return make_rows(letter.rollout, lines, at=letter.at.isoformat(), count=count)


def list_all_rows(shown: Json) -> list[Json]:
    """Return what the archive is to have of a rollout that is over, as the engine shows it."""
    if shown["phase"] == Phase.NO_MATCH:
        return []
    rollout_id, first = shown["rollout_id"], shown.get("timeline_left_out", 0)
    lines = [
        make_line(rollout_id, first + number, line) for number, line in enumerate(shown["timeline"])
    ]
    at = max([shown["ended"] or shown["started"], *(line["at"] for line in lines)], key=normalise)
    summary = None if rollout_id.startswith(LET_GO) else summarise(shown)
    return make_rows(summary, lines, at=at, count=first + len(lines))


def list_messages(letter: Letter) -> list[Json]:
    """Return a message for each channel and each line that it wants to hear of."""
    return [
        {
            "kind": kind,
            "rollout": letter.rollout,
            "line": {"index": index, **encode(letter.lines[index - letter.first])},
            "announce": [one.channel for one in letter.announce if _wants(one, kind)],
            "channel": told.channel,
        }
        for index, kind in letter.kinds.items()
        for told in letter.announce
        if _wants(told, kind)
    ]


def _wants(told: Told, kind: str) -> bool:
    return not told.on or kind in told.on
