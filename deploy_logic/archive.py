"""Step 4 of 5: the rows of the archive: what makes two of them one, and in which order they are.

Pure; every adapter of the archive goes by it, so that they cannot differ.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from deploy_logic.codec import Json
from deploy_logic.errors import InputError
from deploy_logic.rollout import Phase

KINDS = ("rollout", "line", "audit")


def normalise(moment: str) -> str:
    """Return an ISO 8601 time as UTC with all six digits, so that texts sort as times do."""
    try:
        found = datetime.fromisoformat(moment)
    except ValueError as error:
        raise InputError(f"reading a time: {moment!r} is not ISO 8601") from error
    if found.tzinfo is None:
        raise InputError(f"reading a time: {moment!r} has no zone (such as a Z at the end)")
    return f"{found.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"


def name_place(rollout: Json) -> str:
    """Return the place of a rollout in lists, which are newest first."""
    return f"{normalise(rollout['started'])}/{rollout['rollout_id']}"


def read_place(place: str) -> str:
    """Return a place as name_place writes it, or InputError; whoever knows one may make one."""
    moment, slash, rollout_id = place.partition("/")
    if not slash or not rollout_id:
        raise InputError(f"reading a place: {place!r} is not one (STARTED/ID of a rollout)")
    return f"{normalise(moment)}/{rollout_id}"


def rank(row: Json) -> str:
    """Return what the newest row of a rollout has most of: an end comes after all that is none."""
    is_over = Phase(row["rollout"]["phase"]).is_over
    return f"{int(is_over)} {normalise(row['at'])} {int(row.get('lines', 0)):08}"


def check_kinds(rows: Iterable[Json]) -> None:
    """Raise ValueError for a row that is none."""
    for row in rows:
        if row["kind"] not in KINDS:
            raise ValueError(f"{row['kind']!r} is not a kind of row ({', '.join(KINDS)})")


def show_line(row: Json) -> Json:
    """Return the line of a timeline as people see it."""
    return {"at": row["at"], "text": row["text"], "figures": row["figures"]}


def make_line(rollout_id: str, index: int, line: Json) -> Json:
    """Return the row of one line of a timeline."""
    return {"kind": "line", "rollout_id": rollout_id, "index": index, **show_line(line)}


def make_rows(summary: Json | None, lines: Iterable[Json], *, at: str, count: int) -> list[Json]:
    """Return the rows of lines and, where there is one, of the rollout as it is after them."""
    rows = list(lines)
    if summary is not None:
        rows.append({"kind": "rollout", "at": at, "lines": count, "rollout": summary})
    return rows
