"""The metrics Azure Monitor lists for online endpoints and their deployments. Pure.

Names, units, aggregations and dimensions are those of its reference pages; the grain is a minute.
"""

from dataclasses import dataclass
from enum import StrEnum

from local.azure_ml.store import Json
from local.azure_ml.workspace import TYPE

ENDPOINT_NAMESPACE = f"{TYPE}/onlineEndpoints"
DEPLOYMENT_NAMESPACE = f"{TYPE}/onlineEndpoints/deployments"
GRAIN = "PT1M"
_RETENTION = "P93D"


class Aggregation(StrEnum):
    """How the samples of a minute become one number; the value is the key in a point."""

    AVERAGE = "average"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    TOTAL = "total"
    COUNT = "count"


_AVERAGE = (Aggregation.AVERAGE,)
_RANGE = (Aggregation.AVERAGE, Aggregation.MINIMUM, Aggregation.MAXIMUM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """One metric of one namespace."""

    namespace: str
    name: str
    display: str
    unit: str
    aggregations: tuple[Aggregation, ...]  # the first one is what comes unasked
    dimensions: tuple[str, ...] = ()

    def dimension(self, name: str) -> str | None:
        """Give the dimension's own spelling; case does not matter."""
        return next((own for own in self.dimensions if own.lower() == name.lower()), None)

    def describe(self, resource_id: str) -> Json:
        """Give the entry of `metricDefinitions`."""
        supported = [item.capitalize() for item in self.aggregations]
        return {
            "id": f"{resource_id}/providers/microsoft.insights/metricdefinitions/{self.name}",
            "resourceId": resource_id,
            "namespace": self.namespace,
            "name": {"value": self.name, "localizedValue": self.display},
            "displayDescription": self.display,
            "isDimensionRequired": False,
            "unit": self.unit,
            "primaryAggregationType": supported[0],
            "supportedAggregationTypes": supported,
            "metricAvailabilities": [{"timeGrain": GRAIN, "retention": _RETENTION}],
            "dimensions": [{"value": name, "localizedValue": name} for name in self.dimensions],
        }


LATENCIES = {
    "RequestLatency": None,  # the mean
    "RequestLatency_P50": 50,
    "RequestLatency_P90": 90,
    "RequestLatency_P95": 95,
    "RequestLatency_P99": 99,
}


def _endpoint(name: str, display: str, unit: str, *dimensions: str) -> Definition:
    return Definition(
        namespace=ENDPOINT_NAMESPACE,
        name=name,
        display=display,
        unit=unit,
        aggregations=_RANGE if name.startswith("DataCollection") else _AVERAGE,
        dimensions=dimensions,
    )


def _deployment(name: str, display: str, unit: str, *dimensions: str) -> Definition:
    return Definition(
        namespace=DEPLOYMENT_NAMESPACE,
        name=name,
        display=display,
        unit=unit,
        aggregations=_AVERAGE if name.startswith("Request") else _RANGE,
        dimensions=dimensions,
    )


_STATUS = ("deployment", "statusCode", "statusCodeClass", "modelStatusCode")
_ENDPOINT = (
    _endpoint("RequestsPerMinute", "Requests Per Minute", "Count", *_STATUS),
    *(_endpoint(name, name.replace("_", " "), "MilliSeconds", "deployment") for name in LATENCIES),
    _endpoint("ConnectionsActive", "Connections Active", "Count"),
    _endpoint("NewConnectionsPerSecond", "New Connections Per Second", "CountPerSecond"),
    _endpoint("NetworkBytes", "Network Bytes", "BytesPerSecond"),
    _endpoint(
        "DataCollectionEventsPerMinute", "Data Collection Events", "Count", "deployment", "type"
    ),
    _endpoint(
        "DataCollectionErrorsPerMinute",
        "Data Collection Errors",
        "Count",
        *("deployment", "reason", "type"),
    ),
)
_DEPLOYMENT = (
    _deployment("RequestsPerMinute", "Requests Per Minute", "Count", "envoy_response_code"),
    *(
        _deployment(name, name.replace("_", " "), "MilliSeconds")
        for name, percent in LATENCIES.items()
        if percent is not None
    ),
    *(
        _deployment(f"{what}UtilizationPercentage", f"{what} Utilization", "Percent", "instanceId")
        for what in ("Cpu", "CpuMemory", "Gpu", "GpuMemory")
    ),
    _deployment("DiskUtilization", "Disk Utilization", "Percent", "instanceId", "disk"),
    _deployment("DeploymentCapacity", "Deployment Capacity", "Count", "instanceId", "State"),
    _deployment("GpuEnergyJoules", "GPU Energy in Joules", "Count", "instanceId"),
)
DEFINITIONS = {
    (item.namespace.lower(), item.name.lower()): item for item in (*_ENDPOINT, *_DEPLOYMENT)
}


def of_namespace(namespace: str) -> list[Definition]:
    """Give the definitions of one namespace, in the order of the reference."""
    return [item for item in DEFINITIONS.values() if item.namespace == namespace]
