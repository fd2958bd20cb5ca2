"""What people read of rollouts: the engine has what is in flight, the archive what is over.

A rollout whose end has not come to the archive yet is looked up in the engine one by one; there are
as many as ended in the last seconds.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from deploy_logic.codec import Json, decode
from deploy_logic.errors import OperationError
from deploy_logic.ports import Archive, Engine, Wanted
from deploy_logic.rollout import Awaited, Phase, list_possible
from deploy_logic.view import summarise

# What the workspace showed to be no match was never a rollout; its ledger tells.
OVER = frozenset(one.value for one in Phase if one.is_over and one is not Phase.NO_MATCH)
IN_FLIGHT = frozenset(one.value for one in Phase if not one.is_over)
_LONGEST_ID = 100


def list_rollouts(
    engine: Engine, archive: Archive, wanted: Wanted, *, after: str = "", limit: int
) -> Json:
    """Return a page of rollouts without their timelines, newest first, and where the next begins.

    The page begins behind the place that after names; an empty one is the start. What is in flight
    the engine knows alone, and the archive is not asked.
    """
    wanted = replace(wanted, phases=wanted.phases or OVER | IN_FLIGHT)
    running = {one["rollout_id"]: summarise(one) for one in engine.list_running()}
    page = [one for one in running.values() if is_wanted(one, wanted)]
    page = [one for one in page if not after or _age(one) < read_place(after)]
    following = ""
    if wanted.phases & OVER:
        others = _Others(engine=engine, archive=archive, running=running.keys())
        found, following = others.read(wanted, after, limit)
        page += found
    page.sort(key=_age, reverse=True)
    if following:  # what is older than that may have others of the archive before it
        page = [one for one in page if _age(one) >= read_place(following)]
    is_more = following or len(page) > limit
    page = page[:limit]
    return {"rollouts": page, "next": place(page[-1]) if is_more else None}


def show_whole(engine: Engine, archive: Archive, rollout_id: str) -> Json:
    """Return one rollout with its whole timeline, and what people may ask of it now."""
    shown = find_rollout(engine, archive, rollout_id)
    found = shown.get("awaits")
    awaited = decode(Awaited, found) if found else None
    is_paused = bool(shown.get("paused_by"))
    possible = list_possible(Phase(shown["phase"]), awaited, is_paused=is_paused)
    return {"bake": None, **shown, "possible": [one.value for one in possible]}


def read_timeline(engine: Engine, archive: Archive, rollout_id: str) -> list[Json]:
    """Return the lines of one rollout, oldest first."""
    lines: list[Json] = find_rollout(engine, archive, rollout_id)["timeline"]
    return lines


def find_rollout(engine: Engine, archive: Archive, rollout_id: str) -> Json:
    """Return the rollout as the engine shows it, or the archive; OperationError 404 for neither.

    A status has room for the newest lines only; the older ones are the archive's.
    """
    shown = engine.show_rollout(rollout_id) if _is_id(rollout_id) else None
    if shown is None:
        found = archive.read_rollout(rollout_id) if _is_id(rollout_id) else None
        if found is None:
            raise OperationError(f"there is no rollout {rollout_id!r}", status=404)
        return {**found, "timeline": archive.read_timeline(rollout_id)}
    left_out = shown.get("timeline_left_out", 0)
    if left_out == 0:
        return shown
    older = archive.read_timeline(rollout_id)[:left_out]
    lines = [*older, *shown["timeline"]]
    return {**shown, "timeline": lines, "timeline_left_out": left_out - len(older)}


def place(shown: Json) -> str:
    """Return where the rollout stands in the order of lists, as Archive.list_rollouts says it."""
    return f"{shown['started']}/{shown['rollout_id']}"


def read_place(text: str) -> tuple[datetime, str]:
    """Return a place as it compares; ValueError when it is none."""
    started, _, rollout_id = text.partition("/")
    at = datetime.fromisoformat(started)
    if not rollout_id or at.tzinfo is None:
        raise ValueError(text)
    try:
        return at.astimezone(UTC), rollout_id
    except OverflowError as error:  # the first and the last day there are
        raise ValueError(text) from error


def is_wanted(shown: Json, wanted: Wanted) -> bool:
    """Whether the rollout is one of those that are asked for."""
    started = _age(shown)[0]
    return (
        (not wanted.phases or shown["phase"] in wanted.phases)
        and wanted.endpoint.lower() in {"", shown["endpoint"].lower()}
        and wanted.model in {"", shown["model"]}
        and wanted.policy in {"", shown["policy"]}
        and (not wanted.since or started >= datetime.fromisoformat(wanted.since))
        and (not wanted.until or started < datetime.fromisoformat(wanted.until))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Others:
    """What the archive has beside what the engine carries."""

    engine: Engine
    archive: Archive
    running: Collection[str]

    def read(self, wanted: Wanted, after: str, limit: int) -> tuple[list[Json], str]:
        """Return as many as are asked for, or all there are, and up to where the archive was read.

        What it does not know to be over is asked for too: it may be over by now.
        """
        asked = replace(wanted, phases=wanted.phases | IN_FLIGHT)
        found: list[Json] = []
        is_more = True
        while is_more:
            rows, after = self.archive.list_rollouts(asked, after=after, limit=limit)
            known = [self._refresh(row) for row in rows if row["rollout_id"] not in self.running]
            found += [one for one in known if is_wanted(one, wanted)]
            is_more = after != "" and len(found) < limit
        return found, after

    def _refresh(self, row: Json) -> Json:
        """Return the rollout as the engine shows it, if the archive has not heard of its end."""
        if row["phase"] not in IN_FLIGHT:
            return row
        shown = self.engine.show_rollout(row["rollout_id"])
        return row if shown is None else summarise(shown)


def _age(shown: Json) -> tuple[datetime, str]:
    return datetime.fromisoformat(shown["started"]), shown["rollout_id"]


def _is_id(text: str) -> bool:
    """Whether it can be the id of a rollout; nothing else may enter a look-up."""
    is_plain = text.isascii() and text.isprintable() and not set(text) & set("/\\?# @")
    return is_plain and 0 < len(text) <= _LONGEST_ID
