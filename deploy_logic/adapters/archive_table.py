"""The Archive port on Azure Table Storage, with the app's identity and no key.

Every row stands where it is asked for with one range of keys:

| partition    | row           | has                                                           |
|--------------|---------------|---------------------------------------------------------------|
| rollouts     | of its place  | each rollout as it was last appended, newest first            |
| rollout-ID   | head          | the same, to be found by its id                               |
| rollout-ID   | line-NUMBER   | its timeline                                                  |
| line-DATE    | AT ID NUMBER  | the lines of a day, oldest first, for the export              |
| audit-DATE   | AT ID         | the audit of a day                                            |

https://learn.microsoft.com/azure/storage/tables/table-storage-design-guide
"""

import contextlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.data.tables import TableClient, TransactionOperation, UpdateMode

from deploy_logic.adapters.archive_entity import (
    HEAD,
    NOWHERE,
    Entity,
    load,
    make_audit,
    make_line,
    make_rollouts,
    name_partition,
    span_lists,
)
from deploy_logic.adapters.arm import AGAIN
from deploy_logic.archive import check_kinds, normalise, show_line
from deploy_logic.codec import Json
from deploy_logic.duration import parse_retry_after
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.ports import Wanted

TABLE = "RolloutArchive"
_CONNECT, _READ = 5, 25  # seconds; an activity must be over well within a minute
_MOST_IN_BATCH = 100
_LONGEST_BATCH = 3_000_000  # characters; the service takes 4 MiB with its own words
_RACES = 5  # that one row of a rollout may lose against others before it is asked again later
# Tokens of the clouds that have an audience of their own for storage.
_AUDIENCES = {
    "core.usgovcloudapi.net": "https://storage.azure.us",
    "core.chinacloudapi.cn": "https://storage.azure.cn",
}
_PAGE = 1_000  # rows that the service gives at most in one answer


class ArchiveTable:
    """The Archive port. Asks once: whoever calls decides when to ask again."""

    def __init__(self, endpoint: str, *, credential: TokenCredential) -> None:
        """Take the account's table endpoint; the table is made when something is first kept."""
        found = (name for suffix, name in _AUDIENCES.items() if endpoint.endswith(suffix))
        self._endpoint = endpoint
        self._table = TableClient(
            endpoint,
            TABLE,
            credential=credential,
            audience=next(found, None),
            retry_total=0,
            connection_timeout=_CONNECT,
            read_timeout=_READ,
        )
        self._is_made = False

    def append(self, rows: Sequence[Json]) -> None:
        """Keep the rows. What this has kept when it raises is the same when it is kept again."""
        check_kinds(rows)
        with self._tell("appending to the archive"):
            self._make_table()
            lines = [entity for row in rows if row["kind"] == "line" for entity in make_line(row)]
            audits = [make_audit(row) for row in rows if row["kind"] == "audit"]
            self._write([*lines, *audits])
            for row in rows:
                if row["kind"] == "rollout":
                    for entity in make_rollouts(row):
                        self._raise(entity)

    def list_rollouts(
        self, wanted: Wanted, *, after: str = "", limit: int
    ) -> tuple[list[Json], str]:
        """Return a page of rollouts, newest first, and where the next one begins."""
        query, values = span_lists(wanted, after)
        size = min(limit + 1, _PAGE)
        with self._tell("listing the archive"):
            entities = self._query(query, values, size)
            found = list(itertools.islice(entities, limit + 1))
        page = found[:limit]
        rollouts = [load(entity) for entity in page]
        return rollouts, str(page[-1]["place"]) if len(found) > limit else ""

    def read_rollout(self, rollout_id: str) -> Json | None:
        """Return the rollout as it was last appended."""
        partition = name_partition(rollout_id)
        if partition == NOWHERE:
            return None
        with self._tell("reading the archive"):
            try:
                return load(self._table.get_entity(partition, HEAD))
            except ResourceNotFoundError:
                return None

    def read_timeline(self, rollout_id: str) -> list[Json]:
        """Return the lines of the rollout, oldest first."""
        partition = name_partition(rollout_id)
        if partition == NOWHERE:
            return []
        query = "PartitionKey eq @partition and RowKey ge 'line-' and RowKey lt 'line.'"
        with self._tell("reading the archive"):
            found = self._query(query, {"partition": partition}, _PAGE)
            return [show_line(load(entity)) for entity in found]

    def export(self, *, since: str = "", until: str = "") -> Iterator[Json]:
        """Give every line and then every audit row of that time, oldest first."""
        begin = normalise(since) if since else ""
        end = normalise(until) if until else "9"
        query = (
            "PartitionKey ge @first and PartitionKey le @last"
            " and RowKey ge @begin and RowKey lt @end"
        )
        for kind in ("line", "audit"):
            days = {"first": f"{kind}-{begin[:10]}", "last": f"{kind}-{end[:10]}"}
            with self._tell("exporting the archive"):
                for entity in self._query(query, {**days, "begin": begin, "end": end}, _PAGE):
                    yield load(entity)

    def _make_table(self) -> None:
        if not self._is_made:
            with contextlib.suppress(ResourceExistsError):
                self._table.create_table()
            self._is_made = True

    def _query(self, query: str, values: Mapping[str, str], size: int) -> Iterator[Entity]:
        try:
            yield from self._table.query_entities(
                query, parameters=dict(values), results_per_page=size
            )
        except ResourceNotFoundError:  # there is no table before something was kept
            return

    def _write(self, entities: Iterable[Entity]) -> None:
        """Write entities, those of a partition together; the same ones again change nothing."""
        for _, group in itertools.groupby(sorted(entities, key=_partition), key=_partition):
            for batch in _cut_batches(group):
                self._table.submit_transaction(
                    (TransactionOperation.UPSERT, one, {"mode": UpdateMode.REPLACE})
                    for one in batch
                )

    def _raise(self, entity: Entity) -> None:
        """Write a rollout's row unless a newer one is there already; others write meanwhile."""
        for _ in range(_RACES):
            try:
                known = self._table.get_entity(entity["PartitionKey"], entity["RowKey"])
            except ResourceNotFoundError:
                with contextlib.suppress(ResourceExistsError):
                    self._table.create_entity(entity)
                    return
                continue
            if known["rank"] >= entity["rank"]:
                return
            with contextlib.suppress(ResourceModifiedError):
                self._table.update_entity(
                    entity,
                    mode=UpdateMode.REPLACE,
                    etag=known.metadata["etag"],
                    match_condition=MatchConditions.IfNotModified,
                )
                return
        place = f"{entity['PartitionKey']} {entity['RowKey']}"
        raise TransientError(f"appending to the archive: {place} is written by others all the time")

    @contextlib.contextmanager
    def _tell(self, what: str) -> Iterator[None]:
        """Turn the exceptions of the SDK into ours."""
        what = f"{what} at {self._endpoint}"
        try:
            yield
        except ClientAuthenticationError as error:
            # A new role assignment takes a while to hold, and the identity endpoint can be down.
            raise TransientError(f"{what}: no token: {error.message}", code="NoToken") from error
        except HttpResponseError as error:
            raise _refusal(what, error) from error
        except (AzureError, ValueError) as error:
            raise TransientError(f"{what}: {error}", code=type(error).__name__) from error


def _refusal(what: str, error: HttpResponseError) -> WorkspaceError:
    code = str(getattr(error, "error_code", "") or "")
    text = f"{what}: {error.status_code} {code}: {(error.message or '').splitlines()[0:1]}"
    if error.status_code in AGAIN or error.status_code is None:
        headers: Mapping[str, str] = getattr(error.response, "headers", {})
        return TransientError(
            text, code=code, retry_after=parse_retry_after(headers.get("Retry-After"))
        )
    return WorkspaceError(text, code=code, status=error.status_code)


def _partition(entity: Entity) -> str:
    return str(entity["PartitionKey"])


def _cut_batches(entities: Iterable[Entity]) -> Iterator[list[Entity]]:
    """Cut into what one transaction takes; of rows with the same key only one may be in it."""
    batch: dict[Any, Entity] = {}
    length = 0
    for entity in entities:
        size = len(json.dumps(entity))
        if batch and (len(batch) == _MOST_IN_BATCH or length + size > _LONGEST_BATCH):
            yield list(batch.values())
            batch, length = {}, 0
        batch[entity["RowKey"]] = entity
        length += size
    if batch:
        yield list(batch.values())
