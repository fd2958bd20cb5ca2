"""The number that a query of a Log Analytics workspace gives: the Logs port on its query API.

https://learn.microsoft.com/azure/azure-monitor/logs/api/overview
"""

import math
from datetime import UTC, datetime
from typing import Any

from azure.core.credentials import TokenCredential

from deploy_logic.adapters.arm import Arm, Body
from deploy_logic.errors import TransientError, WorkspaceError

# By the address of the cloud's Resource Manager; each is also the audience of its tokens.
_ADDRESSES = {
    "https://management.azure.com": "https://api.loganalytics.io",
    "https://management.usgovcloudapi.net": "https://api.loganalytics.us",
    "https://management.chinacloudapi.cn": "https://api.loganalytics.azure.cn",
}
_LONGEST = 300  # characters of a value that is no number


def find_address(resource_manager: str) -> str:
    """Return where the logs of that cloud are asked; WorkspaceError when that is not known."""
    address = _ADDRESSES.get(resource_manager.rstrip("/").lower())
    if address is None:
        known = ", ".join(_ADDRESSES)
        raise WorkspaceError(
            f"asking the logs: nobody knows where those of {resource_manager!r} are ({known})"
        )
    return address


class LogAnalytics:
    """The Logs port, for one workspace."""

    def __init__(self, workspace_id: str, *, address: str, credential: TokenCredential) -> None:
        """Take the GUID that the portal calls the workspace id; nothing is asked yet."""
        self._url = f"{address.rstrip('/')}/v1/workspaces/{workspace_id}/query"
        self._what = f"asking the logs of {workspace_id}"
        self._client = Arm(resource_manager=address, credential=credential, root="")

    def count(self, query: str, *, since: datetime, until: datetime) -> float | None:
        """Return the one number that the query gives over that time, or None for no row."""
        body = {"query": query, "timespan": f"{_iso(since)}/{_iso(until)}"}
        found = self._client.post_url(self._url, body)
        if found is None:
            raise WorkspaceError(f"{self._what}: there is no such workspace", status=404)
        if found.get("error"):  # an answer of 200 that is not whole
            error = found["error"]
            raise TransientError(f"{self._what}: {error}", code=str(error.get("code") or ""))
        return self._read(found)

    def _read(self, found: Body) -> float | None:
        try:
            rows: list[list[Any]] = found["tables"][0]["rows"]
            columns = len(found["tables"][0]["columns"])
        except (KeyError, IndexError, TypeError) as error:
            reason = f"{self._what}: the answer has no table"
            raise TransientError(reason, code="NoAnswer") from error
        if not rows:
            return None
        if len(rows) > 1 or columns != 1:
            raise WorkspaceError(
                f"{self._what}: the query gave {len(rows)} rows of {columns} columns (one number, "
                "such as by `| count`)"
            )
        value = rows[0][0]
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            given = str(value)[:_LONGEST]
            raise WorkspaceError(f"{self._what}: the query gave {given!r} (a number)")
        return number


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
