"""Log Analytics' query routes: by workspace, and by a resource."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from aiohttp import web

from local.azure_ml.endpoints import DEPLOYMENT, Endpoints
from local.azure_ml.errors import ArmError
from local.azure_ml.identity import require_bearer
from local.azure_ml.logs.expression import QueryError, Row
from local.azure_ml.logs.query import Result, Table, run
from local.azure_ml.metrics.query import read_span
from local.azure_ml.metrics.record import Record
from local.azure_ml.store import Json, Store
from local.azure_ml.web import answer
from local.azure_ml.workspace import Workspace

_TRAFFIC = {
    "TimeGenerated": "datetime",
    "AzureMLWorkspaceId": "string",
    "AzureMLWorkspaceName": "string",
    "Location": "string",
    "EndpointName": "string",
    "DeploymentName": "string",
    "ResponseCode": "int",
    "ModelStatusCode": "int",
    "TotalDurationMs": "int",
    "_ResourceId": "string",
    "_SubscriptionId": "string",
    "Type": "string",
}
_CONSOLE = {
    "TimeGenerated": "datetime",
    "DeploymentName": "string",
    "ContainerName": "string",
    "Message": "string",
    "_ResourceId": "string",
    "_SubscriptionId": "string",
    "Type": "string",
}
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)[.,]?(\d*)")
_CONTAINER = "inference-server"

type ReadLog = Callable[[str, str], str]


class Logs:
    """Answers queries of the two tables."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        endpoints: Endpoints,
        record: Record,
        read_log: ReadLog,
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._endpoints = endpoints
        self._record = record
        self._read_log = read_log

    async def handle(self, request: web.Request) -> web.Response:
        """`POST /v1/workspaces/{id}/query` and `POST /v1/{resource id}/query`."""
        require_bearer(request)
        scope = request.path.removeprefix("/v1").removesuffix("/query").strip("/").lower()
        if not self._is_ours(scope):
            return _refuse(404, "PathNotFoundError", f"There is nothing at {request.path}")
        try:
            asked: Any = json.loads(await request.read() or b"{}")
            return self._answer(asked)
        except ArmError as error:
            return _refuse(400, "BadArgumentError", error.message)
        except QueryError as error:
            return _refuse(400, "BadArgumentError", str(error))
        except ValueError as error:
            return _refuse(400, "BadArgumentError", f"The request body is not JSON: {error}")

    def _is_ours(self, scope: str) -> bool:
        ours = self._workspace
        return scope == f"workspaces/{ours.guid}".lower() or f"/{scope}".startswith(ours.id.lower())

    def _answer(self, asked: Json) -> web.Response:
        now = datetime.fromtimestamp(self._workspace.clock.time(), UTC)
        start, end = _span(asked.get("timespan"), now)
        tables = {
            "AmlOnlineEndpointTrafficLog": Table(
                columns=_TRAFFIC, rows=_within(self._traffic(start), start, end)
            ),
            "AmlOnlineEndpointConsoleLog": Table(
                columns=_CONSOLE, rows=_within(self._console(), start, end)
            ),
        }
        return answer({"tables": [_describe(run(str(asked.get("query", "")), tables, now))]})

    def _traffic(self, start: datetime) -> Iterator[Row]:
        ours = self._workspace
        names = {item["name"].lower(): item["name"] for item in self._endpoints.all()}
        for at, endpoint, deployment, entry in self._record.requests(start.timestamp()):
            name = names.get(endpoint, endpoint)
            yield {
                "TimeGenerated": datetime.fromtimestamp(at, UTC),
                "AzureMLWorkspaceId": ours.guid,
                "AzureMLWorkspaceName": ours.name,
                "Location": ours.location,
                "EndpointName": name,
                "DeploymentName": deployment,
                "ResponseCode": entry.status,
                "ModelStatusCode": entry.model_status,
                "TotalDurationMs": round(entry.latency),
                "_ResourceId": self._endpoints.arm_id(name).lower(),
                "_SubscriptionId": ours.subscription,
                "Type": "AmlOnlineEndpointTrafficLog",
            }

    def _console(self) -> Iterator[Row]:
        for document in self._store.all(DEPLOYMENT):
            endpoint, name = document["endpoint"], document["name"]
            moment = datetime.fromisoformat(document["created"])
            for line in self._read_log(endpoint, name).splitlines():
                moment = _stamp(line) or moment  # a line of a traceback has none of its own
                yield {
                    "TimeGenerated": moment,
                    "DeploymentName": name,
                    "ContainerName": _CONTAINER,
                    "Message": line,
                    "_ResourceId": self._endpoints.arm_id(endpoint).lower(),
                    "_SubscriptionId": self._workspace.subscription,
                    "Type": "AmlOnlineEndpointConsoleLog",
                }


def _within(rows: Iterator[Row], start: datetime, end: datetime) -> Iterator[Row]:
    return (row for row in rows if start <= row["TimeGenerated"] <= end)


def _stamp(line: str) -> datetime | None:
    found = _STAMP.search(line[:60])
    if found is None:
        return None
    day, hour, fraction = found.groups()
    return datetime.fromisoformat(f"{day}T{hour}.{(fraction or '0')[:6]}+00:00")


def _span(timespan: object, now: datetime) -> tuple[datetime, datetime]:
    """Read the timespan as metrics are asked with it; a day when there is none."""
    if timespan is None:
        return now - timedelta(days=1), now
    return read_span(str(timespan), now)


def _describe(result: Result) -> Json:
    columns = [{"name": name, "type": kind} for name, kind in result.columns.items()]
    rows = [[_plain(row.get(name)) for name in result.columns] for row in result.rows]
    return {"name": "PrimaryResult", "columns": columns, "rows": rows}


def _plain(value: object) -> object:
    return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z" if isinstance(value, datetime) else value


def _refuse(status: int, code: str, message: str) -> web.Response:
    """Answer as Log Analytics does: what Kusto found stands inside."""
    inner = {"code": "SemanticError" if status == HTTPStatus.BAD_REQUEST else code}
    error = {
        "message": "The request had some invalid properties",
        "code": code,
        "innererror": {**inner, "message": message},
    }
    return answer({"error": error}, status=status)
