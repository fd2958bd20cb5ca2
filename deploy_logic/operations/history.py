"""What people read of rollouts: the engine has what is in flight, the archive what is over.

A rollout whose end has not come to the archive yet is looked up in the engine one by one; there are
as many as ended in the last seconds.
"""

from dataclasses import replace
from datetime import UTC, datetime

from deploy_logic.codec import Json, decode
from deploy_logic.errors import OperationError
from deploy_logic.ports import Archive, Engine, Wanted
from deploy_logic.rollout import Awaited, Phase, list_possible
from deploy_logic.view import summarise

# What the workspace showed to be no match was never a rollout; its ledger tells.
OVER = frozenset(one.value for one in Phase if one.is_over and one is not Phase.NO_MATCH)
IN_FLIGHT = frozenset(one.value for one in Phase if not one.is_over)
_PAGE = 200  # of rollouts in flight, as the archive knows them
_LONGEST_ID = 100


def list_rollouts(
    engine: Engine, archive: Archive, wanted: Wanted, *, after: str = "", limit: int
) -> Json:
    """Return a page of rollouts without their timelines, newest first, and where the next begins.

    The page begins behind the place that after names; an empty one is the start.
    """
    phases = wanted.phases or OVER | IN_FLIGHT
    fresh = _find_fresh(engine, archive, wanted)
    page = [one for one in fresh.values() if is_wanted(one, replace(wanted, phases=phases))]
    page = [one for one in page if not after or _age(one) < read_place(after)]
    archived, following = _read_over(archive, wanted, phases & OVER, after, limit)
    page += [one for one in archived if one["rollout_id"] not in fresh]
    page.sort(key=_age, reverse=True)
    if following:  # what is older than the archive's page may have others of the archive before it
        page = [one for one in page if _age(one) >= read_place(following)]
    is_more = following or len(page) > limit
    page = page[:limit]
    following = place(page[-1]) if page else following
    return {"rollouts": page, "next": following if is_more else None}


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


def _find_fresh(engine: Engine, archive: Archive, wanted: Wanted) -> dict[str, Json]:
    """Return by id what the engine carries, and what the archive does not know to be over."""
    fresh = {one["rollout_id"]: summarise(one) for one in engine.list_running()}
    after, is_more = "", True
    while is_more:
        open_still = replace(wanted, phases=IN_FLIGHT)
        rows, after = archive.list_rollouts(open_still, after=after, limit=_PAGE)
        for row in rows:
            if row["rollout_id"] not in fresh:
                shown = engine.show_rollout(row["rollout_id"])
                fresh[row["rollout_id"]] = row if shown is None else summarise(shown)
        is_more = after != ""
    return fresh


def _read_over(
    archive: Archive, wanted: Wanted, phases: frozenset[str], after: str, limit: int
) -> tuple[list[Json], str]:
    if not phases:
        return [], ""
    return archive.list_rollouts(replace(wanted, phases=phases), after=after, limit=limit)


def _age(shown: Json) -> tuple[datetime, str]:
    return datetime.fromisoformat(shown["started"]), shown["rollout_id"]


def _is_id(text: str) -> bool:
    """Whether it can be the id of a rollout; nothing else may enter a look-up."""
    is_plain = text.isascii() and text.isprintable() and not set(text) & set("/\\?# @")
    return is_plain and 0 < len(text) <= _LONGEST_ID
