"""What a deployment looks like on the wire: read, checked, completed, shown. Pure."""

import copy
from typing import Any

from local.azure_ml.endpoints import OWNED
from local.azure_ml.errors import user_error
from local.azure_ml.serving import seconds
from local.azure_ml.store import Json
from local.azure_ml.web import section
from local.azure_ml.workspace import TYPE, added, system_data

# The parts of a stored deployment that a PUT replaces.
WANTED = ("location", "tags", "identity", "sku", "properties")

_MOST_INSTANCES = 50
_LONGEST = {"Managed": 180, "Kubernetes": 300}  # seconds of request time-out
_PROBE = {
    "initialDelay": "PT10S",
    "period": "PT10S",
    "timeout": "PT2S",
    "successThreshold": 1,
    "failureThreshold": 30,
}
_REQUESTS = {
    "requestTimeout": "PT5S",
    "maxConcurrentRequestsPerInstance": 1,
    "maxQueueWait": "PT0.5S",
}
_DEFAULTS: Json = {
    "description": None,
    "model": None,
    "environmentId": None,
    "codeConfiguration": None,
    "environmentVariables": {},
    "appInsightsEnabled": False,
    "instanceType": None,
    "egressPublicNetworkAccess": "Enabled",
    "dataCollector": None,
    # The SDK reads these two of every deployment without asking whether they are there.
    "scaleSettings": {"scaleType": "Default"},
    "containerResourceRequirements": None,
}


def read(body: Json, endpoint: Json, old: Json | None) -> Json:
    """Check a PUT's body and complete it with the service's defaults."""
    given = section(body, "properties")
    compute = "Managed" if endpoint["properties"]["compute"] is None else "Kubernetes"
    if str(given.get("endpointComputeType")).lower() != compute.lower():
        raise user_error(
            f"endpointComputeType {given.get('endpointComputeType')!r} does not fit the endpoint"
            f" (should be {compute!r})"
        )
    kept = {} if old is None else old["properties"]["properties"]
    chosen = {key: value for key, value in given.items() if value is not None}
    properties = {
        **copy.deepcopy(_DEFAULTS),
        **chosen,
        "endpointComputeType": compute,
        "requestSettings": {**_REQUESTS, **_chosen(given, "requestSettings")},
        "livenessProbe": {**_PROBE, **_chosen(given, "livenessProbe")},
        "readinessProbe": {**_PROBE, **_chosen(given, "readinessProbe")},
        "properties": added(kept, section(given, "properties"), OWNED),
    }
    properties.pop("provisioningState", None)
    _check(properties, compute)
    sku = {"name": "Default", **_chosen(body, "sku")}
    sku.setdefault("capacity", 1)
    check_capacity(sku["capacity"])
    return {
        "location": body.get("location") or endpoint["location"],
        "tags": section(body, "tags"),
        "identity": body.get("identity"),
        "sku": sku,
        "properties": properties,
    }


def check_capacity(capacity: object) -> None:
    """Refuse a number of instances the service refuses."""
    if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
        raise user_error(f"sku.capacity {capacity!r} is not a positive whole number")
    if capacity > _MOST_INSTANCES:
        raise user_error(
            f"sku.capacity {capacity} is above {_MOST_INSTANCES}, the limit of a deployment",
            "OutOfQuota",
        )


def _check(properties: Json, compute: str) -> None:
    requests = properties["requestSettings"]
    longest = _LONGEST[compute]
    if not 0 < _seconds(requests, "requestTimeout") <= longest:
        given = requests["requestTimeout"]
        raise user_error(f"requestTimeout {given!r} is not between 0 and {longest} seconds")
    at_once = requests["maxConcurrentRequestsPerInstance"]
    if isinstance(at_once, bool) or not isinstance(at_once, int) or at_once < 1:
        raise user_error(f"maxConcurrentRequestsPerInstance {at_once!r} is not 1 or more")
    for probe in ("livenessProbe", "readinessProbe"):
        for key in ("initialDelay", "period", "timeout"):
            _seconds(properties[probe], key)
        count = properties[probe]["failureThreshold"]
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise user_error(f"{probe}.failureThreshold {count!r} is not 1 or more")
    code = properties["codeConfiguration"]
    if code is not None and not (code.get("codeId") and code.get("scoringScript")):
        raise user_error("codeConfiguration needs both codeId and scoringScript")
    kind = section(properties, "scaleSettings").get("scaleType")
    if compute == "Managed" and kind != "Default":
        raise user_error(f"scaleType {kind!r} is not supported by managed deployments")


def _seconds(holder: Json, key: str) -> float:
    try:
        return seconds(str(holder[key]))
    except ValueError as error:
        raise user_error(f"{key}: {error}") from error


def _chosen(holder: Json, key: str) -> Json:
    return {name: value for name, value in section(holder, key).items() if value is not None}


def new(name: str, endpoint: str, wanted: Json, moment: str) -> Json:
    """Make the document of a deployment that is only being created."""
    return {
        **wanted,
        "name": name,
        "endpoint": endpoint,
        "created": moment,
        "modified": moment,
        "new": True,  # until its first operation has ended
        "serving": None,  # the body its running servers were started from
    }


def arm_id(document: Json, endpoint_id: str) -> str:
    """Give the deployment's ARM id."""
    return f"{endpoint_id}/deployments/{document['name']}"


def describe(document: Json, endpoint_id: str) -> Json:
    """Give the deployment as ARM shows it."""
    properties: dict[str, Any] = {
        **document["properties"],
        "provisioningState": document["state"],
        "properties": {
            **document["properties"]["properties"],
            "AzureAsyncOperationUri": document["operation"],
        },
    }
    if document["new"]:
        # A trace shows a new deployment without its defaults until it is done.
        properties["livenessProbe"] = properties["readinessProbe"] = None
        properties["requestSettings"] = {
            **properties["requestSettings"],
            "requestTimeout": "PT0S",
        }
    return {
        "id": arm_id(document, endpoint_id),
        "name": document["name"],
        "type": f"{TYPE}/onlineEndpoints/deployments",
        "location": document["location"],
        "tags": document["tags"],
        "kind": properties["endpointComputeType"],
        "identity": document["identity"],
        "sku": document["sku"],
        "systemData": system_data(document),
        "properties": properties,
    }
