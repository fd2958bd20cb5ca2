"""What endpoints and deployments stand on alike."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from http import HTTPStatus

from aiohttp import web

from local.azure_ml.operations import Operation, Operations
from local.azure_ml.pace import Pace
from local.azure_ml.store import Store
from local.azure_ml.web import Call, answer
from local.azure_ml.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Azure's limits per subscription and region; there they are raised on request."""

    endpoints: int = 100
    deployments: int = 500
    cores: int = 200  # of each family of machines


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The shared ground of the control plane."""

    store: Store
    workspace: Workspace
    operations: Operations
    pace: Pace
    quotas: Quotas

    def begin(
        self, operation: Operation, change: Callable[[str], None], *, call: Call, location: str
    ) -> dict[str, str]:
        """Start an operation for a call; give the headers of its answer."""
        headers = self.operations.begin(
            replace(operation, doom=call.doom), change, api_version=call.api_version
        )
        url = f"{self.workspace.base_url}{location}?api-version={call.api_version}"
        return {**headers, "Location": url}

    def begin_end(
        self, operation: Operation, change: Callable[[str], None], *, call: Call
    ) -> web.Response:
        """Start a deletion: 202 with the literal `null`, which the service really answers."""
        headers = self.operations.begin(
            replace(operation, doom=call.doom), change, api_version=call.api_version
        )
        headers["Location"] = self.operations.results_url(operation, call.api_version)
        return answer(None, status=HTTPStatus.ACCEPTED, headers=headers)
