"""The archive's rows as entities of a table: their keys, and what an entity can hold.

A text may have 32,768 characters and an entity 1 MiB, so a row is spread over several texts; one
that is longer than an entity is cut, and says so.
https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from deploy_logic.archive import name_place, normalise, rank, read_place
from deploy_logic.codec import Json
from deploy_logic.errors import WorkspaceError
from deploy_logic.ports import Wanted

type Entity = Mapping[str, Any]

HEAD = "head"
LISTS = "rollouts"
NOWHERE = ""  # the partition of what cannot be the id of a rollout
LONGEST_TEXT = 30_000  # characters of one text; all are ASCII
LONGEST_ROW = 400_000  # characters; an entity has 1 MiB in UTF-16
_LONGEST_VALUE = 10_000  # characters of each value that stays, where a row is too long
_KEY = re.compile(r"[A-Za-z0-9._-]{1,200}")  # a key may hold neither / \ # ? nor controls


def name_partition(rollout_id: str) -> str:
    """Return the partition of a rollout, NOWHERE when it cannot be one."""
    return f"rollout-{rollout_id}" if _KEY.fullmatch(rollout_id) else NOWHERE


def make_line(row: Json) -> tuple[Entity, Entity]:
    """Return the row of a line twice: for its timeline, and for the export."""
    rollout_id, at = _check(row["rollout_id"]), normalise(row["at"])
    number, body = f"{row['index']:08}", _spread(row)
    return (
        {"PartitionKey": name_partition(rollout_id), "RowKey": f"line-{number}", **body},
        {"PartitionKey": f"line-{at[:10]}", "RowKey": f"{at} {rollout_id} {number}", **body},
    )


def make_audit(row: Json) -> Entity:
    """Return the entity of an audit row."""
    at = normalise(row["at"])
    keys = {"PartitionKey": f"audit-{at[:10]}", "RowKey": f"{at} {_check(row['id'])}"}
    return {**keys, **_spread(row)}


def make_rollouts(row: Json) -> tuple[Entity, Entity]:
    """Return the row of a rollout twice: to be found by its id, and for lists."""
    rollout = row["rollout"]
    place = name_place(rollout)
    facts = {
        "place": place,
        "rank": rank(row),
        "phase": rollout["phase"],
        "endpoint": rollout["endpoint"].lower(),
        "model": rollout["model"],
        "policy": rollout["policy"],
        **_spread(rollout),
    }
    return (
        {"PartitionKey": name_partition(_check(rollout["rollout_id"])), "RowKey": HEAD, **facts},
        {"PartitionKey": LISTS, "RowKey": _turn(place), **facts},
    )


def span_lists(wanted: Wanted, after: str) -> tuple[str, dict[str, str]]:
    """Return the query of a list and the values in it: the keys' range, and the filters."""
    values = {"lists": LISTS}
    asked = ["PartitionKey eq @lists"]

    def add(name: str, value: str, condition: str) -> None:
        if value:
            values[name] = value
            asked.append(condition)

    # A time alone ends before the slash of a place, so it stands after every place of that time.
    add("after", after and _turn(read_place(after)), "RowKey gt @after")
    add("since", wanted.since and _turn(normalise(wanted.since)), "RowKey lt @since")
    add("until", wanted.until and _turn(normalise(wanted.until)), "RowKey gt @until")
    for name in ("model", "policy"):
        add(name, getattr(wanted, name), f"{name} eq @{name}")
    add("endpoint", wanted.endpoint.lower(), "endpoint eq @endpoint")
    phases = {f"phase{number}": phase for number, phase in enumerate(sorted(wanted.phases))}
    if phases:
        # the SDK fills in whole words alone
        asked.append(f"( {' or '.join(f'phase eq @{name}' for name in phases)} )")
    return " and ".join(asked), {**values, **phases}


def load(entity: Entity) -> Json:
    """Return the row of an entity."""
    row: Json = json.loads("".join(entity[f"body{part}"] for part in range(entity["parts"])))
    return row


def _turn(text: str) -> str:
    """Return a key that sorts the other way round: newest first is how a table gives them."""
    return bytes(255 - byte for byte in (*text.encode(), 0)).hex()


def _check(name: str) -> str:
    if _KEY.fullmatch(name) is None:
        raise WorkspaceError(
            f"appending to the archive: {name!r} cannot be a key (at most 200 letters, digits, "
            "dots, dashes and underscores)"
        )
    return name


def _spread(row: Json) -> Entity:
    body = json.dumps(row)
    if len(body) > LONGEST_ROW:
        body = json.dumps(_cut(row))
    parts = range(0, len(body), LONGEST_TEXT)
    texts = {f"body{n}": body[at : at + LONGEST_TEXT] for n, at in enumerate(parts)}
    return {"parts": len(texts), **texts}


def _cut(row: Json) -> Json:
    """Return the row with its long values shortened; `cut` says which, and how long they were."""
    long = {key: len(json.dumps(value)) for key, value in row.items()}
    long = {key: length for key, length in long.items() if length > _LONGEST_VALUE}
    kept = {key: value for key, value in row.items() if key not in long}
    return {**kept, **{key: _shorten(row[key], long[key]) for key in long}, "cut": long}


def _shorten(value: object, length: int) -> object:
    if isinstance(value, str):
        return value[: _LONGEST_VALUE // 6] + "…"  # a character may take six in JSON
    text = f"left out: {length} characters are more than a row of the archive holds"
    return {"cut": text} if isinstance(value, dict) else []
