"""The events a workspace raises: what their data is, and in which dialect it is written. Pure.

Azure's page on the events of Machine Learning lists these five; no source says that a managed
online deployment raises ModelDeployed, so it is raised only where that is asked for.
"""

from collections.abc import Iterable
from enum import StrEnum

from local.azure_ml.errors import user_error
from local.azure_ml.store import Json
from local.azure_ml.web import section


class Dialect(StrEnum):
    """How an event's data is written; Microsoft's own sources differ."""

    PASCAL_INT = "pascal-int"  # the documentation and the REST examples
    CAMEL_INT = "camel-int"  # Microsoft's sample function
    CAMEL_STRING = "camel-string"  # captured from a canary workspace


class EventType(StrEnum):
    """What may happen, as the last part of the event's type."""

    MODEL_REGISTERED = "ModelRegistered"
    MODEL_DEPLOYED = "ModelDeployed"
    RUN_COMPLETED = "RunCompleted"
    RUN_STATUS_CHANGED = "RunStatusChanged"
    DATASET_DRIFT_DETECTED = "DatasetDriftDetected"


_RUN = ("ExperimentId", "ExperimentName", "RunId", "RunType", "RunTags", "RunProperties")
# The data of each, and its subject made of that data.
_DATA = {
    EventType.MODEL_REGISTERED: ("ModelName", "ModelVersion", "ModelTags", "ModelProperties"),
    EventType.MODEL_DEPLOYED: (
        "ServiceName",
        "ServiceComputeType",
        "ModelIds",
        "ServiceTags",
        "ServiceProperties",
    ),
    EventType.RUN_COMPLETED: _RUN,
    EventType.RUN_STATUS_CHANGED: (*_RUN, "RunStatus"),
    EventType.DATASET_DRIFT_DETECTED: (
        "DataDriftId",
        "DataDriftName",
        "RunId",
        "BaseDatasetId",
        "TargetDatasetId",
        "DriftCoefficient",
        "StartTime",
        "EndTime",
    ),
}
_SUBJECTS = {
    EventType.MODEL_REGISTERED: "models/{ModelName}:{ModelVersion}",
    EventType.MODEL_DEPLOYED: "endpoints/{ServiceName}",
    EventType.RUN_COMPLETED: "experiments/{ExperimentId}/runs/{RunId}",
    EventType.RUN_STATUS_CHANGED: "experiments/{ExperimentId}/runs/{RunId}",
    EventType.DATASET_DRIFT_DETECTED: "datadrift/{DataDriftId}/run/{RunId}",
}


def read(asked: Json) -> tuple[EventType, Json]:
    """Read an event that somebody asks for; keys of its data in any case, none that is not its."""
    name = str(asked.get("type"))
    kind = next((one for one in EventType if one.lower() == name.rpartition(".")[2].lower()), None)
    if kind is None:
        raise user_error(f"type {name!r} is not one of {', '.join(EventType)}")
    own = {key.lower(): key for key in _DATA[kind]}
    given = section(asked, "data")
    wrong = [key for key in given if key.lower() not in own]
    if wrong:
        raise user_error(f"data of {kind} has no {wrong[0]!r}; it has {', '.join(_DATA[kind])}")
    data: Json = {key: {} if key.endswith(("Tags", "Properties")) else "" for key in _DATA[kind]}
    return kind, data | {own[key.lower()]: value for key, value in given.items()}


def subject(kind: EventType, data: Json) -> str:
    """Give the subject as the service writes it."""
    return _SUBJECTS[kind].format(**data)


def model_ids(ids: Iterable[str]) -> str:
    """Write several models as the service does: in one text, `name:version` with commas."""
    return ",".join(":".join(one.split("/")[-3::2]) if "/" in one else one for one in ids)


def write(data: Json, dialect: Dialect) -> Json:
    """Write the data in a dialect: how its keys begin, and whether a version is a number."""
    written = dict(data)
    version = written.get("ModelVersion")
    # `007` as a number would be another version.
    if dialect is not Dialect.CAMEL_STRING and str(version).isdecimal():
        written["ModelVersion"] = (
            int(str(version)) if str(int(str(version))) == version else version
        )
    if dialect is Dialect.PASCAL_INT:
        return written
    return {key[0].lower() + key[1:]: value for key, value in written.items()}
