"""What a deployment's scoring servers are started from, and how their start may fail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class StartCode(StrEnum):
    """Azure ML's operation error codes for a deployment that does not come up."""

    BAD_ARGUMENT = "BadArgument"  # the request cannot be carried out as it stands
    IMAGE_BUILD_FAILURE = "ImageBuildFailure"  # a package of the environment cannot be had
    RESOURCE_NOT_READY = "ResourceNotReady"  # the container ended, or never answered


class StartFailed(Exception):  # noqa: N818 - the name is the outcome, as Azure ML words it
    """A deployment did not come up; its logs stay readable."""

    def __init__(self, code: StartCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """How a container is asked whether it is well; lengths in seconds, as Azure ML's defaults."""

    initial_delay: float = 10.0
    period: float = 10.0
    timeout: float = 2.0
    failures: int = 30  # in a row, until it counts as ill

    @property
    def patience(self) -> float:
        """How long it may stay silent after its start."""
        return self.initial_delay + self.period * self.failures


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """One deployment as the control plane wants it to run."""

    endpoint: str
    deployment: str
    model_path: Path | None  # a file or a folder; None when the image brings its own model
    model_name: str
    model_version: str
    is_mlflow: bool
    code_path: Path | None  # the root of the code snapshot
    scoring_script: str | None  # relative to code_path
    environment_variables: Mapping[str, str] = field(repr=False)  # may hold what users keep secret
    conda: str | None  # the conda file's text; None for no-code MLflow or a plain image
    instances: int
    request_timeout: float  # seconds, queueing included
    max_concurrent: int  # requests at once per instance
    liveness: Probe = Probe()
    readiness: Probe = Probe()

    @property
    def key(self) -> tuple[str, str]:
        """The deployment's name in every table here: Azure ML compares names without case."""
        return deployment_key(self.endpoint, self.deployment)


def deployment_key(endpoint: str, deployment: str) -> tuple[str, str]:
    """Give the key under which a deployment is kept, whatever case the caller used."""
    return endpoint.lower(), deployment.lower()
