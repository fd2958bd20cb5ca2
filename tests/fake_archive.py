"""The Archive port in memory, by the same rows; held to it by tests/contract/test_archive.py."""

import json
from collections.abc import Iterator, Sequence

from deploy_logic.archive import check_kinds, name_place, normalise, rank, read_place, show_line
from deploy_logic.codec import Json
from deploy_logic.errors import TransientError
from deploy_logic.ports import Wanted


class FakeArchive:
    """Keeps rows in dictionaries. While it is down, everything raises."""

    def __init__(self) -> None:
        self.is_down = False
        self.rollouts: dict[str, Json] = {}  # rows, by rollout id
        self.lines: dict[str, dict[int, Json]] = {}
        self.audits: dict[str, Json] = {}

    def append(self, rows: Sequence[Json]) -> None:
        self._look()
        check_kinds(rows)
        for given in rows:
            row = json.loads(json.dumps(given))
            if row["kind"] == "line":
                self.lines.setdefault(row["rollout_id"], {}).setdefault(row["index"], row)
            elif row["kind"] == "audit":
                self.audits.setdefault(row["id"], row)
            else:
                known = self.rollouts.get(row["rollout"]["rollout_id"])
                if known is None or rank(row) > rank(known):
                    self.rollouts[row["rollout"]["rollout_id"]] = row

    def list_rollouts(
        self, wanted: Wanted, *, after: str = "", limit: int
    ) -> tuple[list[Json], str]:
        self._look()
        known = [row["rollout"] for row in self.rollouts.values()]
        found = sorted(filter(lambda one: _is_wanted(one, wanted), known), key=name_place)
        place = read_place(after) if after else "9"
        before = [one for one in reversed(found) if name_place(one) < place]
        page = before[:limit]
        return page, name_place(page[-1]) if len(before) > limit else ""

    def read_rollout(self, rollout_id: str) -> Json | None:
        self._look()
        row = self.rollouts.get(rollout_id)
        return None if row is None else row["rollout"]

    def read_timeline(self, rollout_id: str) -> list[Json]:
        self._look()
        lines = self.lines.get(rollout_id, {})
        return [show_line(lines[index]) for index in sorted(lines)]

    def export(self, *, since: str = "", until: str = "") -> Iterator[Json]:
        self._look()
        begin, end = normalise(since) if since else "", normalise(until) if until else "9"
        lines = [row for rows in self.lines.values() for row in rows.values()]
        lines.sort(key=lambda row: (normalise(row["at"]), row["rollout_id"], row["index"]))
        audits = sorted(self.audits.values(), key=lambda row: (normalise(row["at"]), row["id"]))
        yield from (row for row in [*lines, *audits] if begin <= normalise(row["at"]) < end)

    def _look(self) -> None:
        if self.is_down:
            raise TransientError("asking the archive: it is down")


def _is_wanted(one: Json, wanted: Wanted) -> bool:
    started = normalise(one["started"])
    return (
        (not wanted.phases or one["phase"] in wanted.phases)
        and (not wanted.endpoint or one["endpoint"].lower() == wanted.endpoint.lower())
        and (not wanted.model or one["model"] == wanted.model)
        and (not wanted.policy or one["policy"] == wanted.policy)
        and (not wanted.since or started >= normalise(wanted.since))
        and (not wanted.until or started < normalise(wanted.until))
    )
