"""Long operations: one table of what runs, until when and how it ended, driven by asyncio.

An operation is stored with the change that starts it. What it does may be repeated: after a
restart every unfinished one starts its work again.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from local.azure_ml.errors import OperationError, conflict, not_found
from local.azure_ml.store import Json, Store
from local.azure_ml.workspace import Workspace

_KIND = "operation"


class Verb(StrEnum):
    """What an operation does."""

    PUT_ENDPOINT = "put_endpoint"
    DELETE_ENDPOINT = "delete_endpoint"
    REGENERATE_KEYS = "regenerate_keys"
    PUT_DEPLOYMENT = "put_deployment"
    DELETE_DEPLOYMENT = "delete_deployment"
    PUT_BATCH = "put_batch"
    DELETE_BATCH = "delete_batch"
    PUT_REGISTRY = "put_registry"
    DELETE_REGISTRY = "delete_registry"
    IMPORT_ASSET = "import_asset"


class Status(StrEnum):
    """The status words on the wire."""

    UPDATING = "Updating"  # the word even for creations
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row of the table."""

    id: str
    verb: Verb
    endpoint: str
    deployment: str | None
    start: float
    due: float  # before this moment it does not even begin its work
    status: Status
    end: float | None = None
    error: Json | None = None
    wanted: Json | None = None  # the state asked for
    doom: Json | None = None  # set by a fault: the error it shall end with


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a verb means: the doing, and the writing down of its end."""

    do: Callable[[Operation], Awaitable[None]]  # may be repeated; raises OperationError
    finish: Callable[[Operation], None]  # runs inside the transaction that ends the operation


class Operations:
    """Starts, drives and shows long operations."""

    def __init__(self, store: Store, workspace: Workspace) -> None:
        self._store = store
        self._workspace = workspace
        self._clock = workspace.clock
        self._work: dict[Verb, Work] = {}
        self._running: dict[str, Operation] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def register(self, verb: Verb, work: Work) -> None:
        """Say what a verb means."""
        self._work[verb] = work

    def resume(self) -> None:
        """Go on with everything that was unfinished when the process ended."""
        for row in self._store.all(_KIND):
            operation = _load(row)
            if operation.status is Status.UPDATING:
                self._drive(operation)

    async def stop(self) -> None:
        """Stop driving; what is unfinished stays so in the table."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check_idle(self, endpoint: str) -> None:
        """Refuse a change while another runs on the same endpoint or its deployments."""
        for running in self._running.values():
            if running.endpoint.lower() == endpoint.lower():
                what = f" on deployment '{running.deployment}'" if running.deployment else ""
                raise conflict(
                    f"There is already an operation ({running.verb}) running{what} for endpoint"
                    f" '{running.endpoint}'; retry when it has finished"
                )

    def begin(
        self, operation: Operation, change: Callable[[str], None], *, api_version: str
    ) -> dict[str, str]:
        """Store the operation with its first change, set it going, give the answer's headers.

        `change` is called with the operation's URL inside the same transaction.
        """
        url = self._workspace.operation_url("mfeOperationsStatus", operation.id, api_version)
        with self._store.transaction():
            self.check_idle(operation.endpoint)
            self._store.put(_KIND, operation.id, asdict(operation))
            change(url)
        self._drive(operation)
        return {"Azure-AsyncOperation": url, "x-ms-async-operation-timeout": "PT30M"}

    def new(
        self, verb: Verb, endpoint: str, deployment: str | None = None, *, seconds: float
    ) -> Operation:
        """Make an operation that takes at least so many seconds."""
        start = self._clock.time()
        kind = "oe" if deployment is None else "od"
        return Operation(
            id=f"{kind}:{self._workspace.guid}:{uuid.uuid4()}",
            verb=verb,
            endpoint=endpoint,
            deployment=deployment,
            start=start,
            due=start + seconds,
            status=Status.UPDATING,
        )

    def get(self, operation_id: str) -> Operation:
        """Give the operation, or answer 404."""
        row = self._store.get(_KIND, operation_id)
        if row is None:
            raise not_found(f"Operation '{operation_id}' was not found")
        return _load(row)

    def running(self) -> list[str]:
        """Name what runs."""
        return [
            f"{item.verb} {item.endpoint}" + (f"/{item.deployment}" if item.deployment else "")
            for item in self._running.values()
        ]

    def results_url(self, operation: Operation, api_version: str) -> str:
        """Say where the outcome of an operation without a resource can be read."""
        return self._workspace.operation_url("mfeOperationResults", operation.id, api_version)

    def _drive(self, operation: Operation) -> None:
        self._running[operation.id] = operation
        task = asyncio.get_running_loop().create_task(self._run(operation))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, operation: Operation) -> None:
        await self._clock.sleep_until(operation.due)
        error: Json | None = None
        try:
            await self._do(operation)
        except OperationError as failed:
            error = _error(failed.code, failed.message)
        except Exception as broken:  # noqa: BLE001 - the service shows its own faults so too
            error = _error("InternalServerError", f"{type(broken).__name__}: {broken}")
        ended = replace(
            operation,
            status=Status.SUCCEEDED if error is None else Status.FAILED,
            end=self._clock.time(),
            error=error,
        )
        with self._store.transaction():
            self._store.put(_KIND, ended.id, asdict(ended))
            self._work[ended.verb].finish(ended)
        del self._running[ended.id]

    async def _do(self, operation: Operation) -> None:
        if operation.doom is not None:
            raise OperationError(operation.doom["code"], operation.doom["message"])
        await self._work[operation.verb].do(operation)


def describe(operation: Operation) -> Json:
    """Give the body of the status URL."""
    body: Json = {
        "id": operation.id,
        "name": operation.id,
        "status": operation.status,
        "startTime": _stamp(operation.start),
        "percentComplete": 0.0 if operation.status is Status.UPDATING else 100.0,
    }
    if operation.end is not None:
        body["endTime"] = _stamp(operation.end)
    if operation.error is not None:
        body["error"] = operation.error
    return body


def _error(code: str, message: str) -> Json:
    return {"code": code, "message": message, "details": [], "additionalInfo": []}


def _load(row: Json) -> Operation:
    return Operation(**{**row, "verb": Verb(row["verb"]), "status": Status(row["status"])})


def _stamp(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%dT%H:%M:%S.%f}0+00:00"
