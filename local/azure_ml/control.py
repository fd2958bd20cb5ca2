"""What endpoints and deployments stand on alike."""

from dataclasses import dataclass

from local.azure_ml.operations import Operations
from local.azure_ml.pace import Pace
from local.azure_ml.store import Store
from local.azure_ml.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotas:
    """Azure's limits per subscription and region; there they are raised on request."""

    endpoints: int = 100
    deployments: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The shared ground of the control plane."""

    store: Store
    workspace: Workspace
    operations: Operations
    pace: Pace
    quotas: Quotas
