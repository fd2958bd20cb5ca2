"""Lays a deployment's files out as the real container sees them, and says what it did in a log.

One generation is one start of a deployment: its copies end with it, its logs stay.
"""

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.azure_ml.scoring.spec import ServerSpec, StartCode, StartFailed

# Names become folders here; the looser of Azure ML's patterns, which also keeps paths inside root.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")
_MLFLOW_SCRIPT = Path(__file__).with_name("mlflow_score.py")
STORAGE_LOG = "storage-initializer.log"
BUILD_LOG = "image-build.log"


def now() -> str:
    """Give the time as container events show it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """The folder of one start of a deployment."""

    folder: Path

    @property
    def files(self) -> Path:
        """What the container has under /var/azureml-app."""
        return self.folder / "azureml-app"

    def log(self, name: str) -> Path:
        """Give the path of one of its logs."""
        return self.folder / "logs" / name

    def append(self, name: str, text: str) -> None:
        """Add to one of its logs."""
        with self.log(name).open("a", encoding="utf-8") as file:
            file.write(text)

    def event(self, name: str, message: str, *, kind: str = "Normal") -> None:
        """Record what happened to the containers, in the words of Kubernetes."""
        line = f"Kind: Pod, Name: {name}, Type: {kind}, Time: {now()}, Message: {message}\n"
        self.append("events.log", line)

    def clear(self) -> None:
        """Remove the copies; the logs stay."""
        shutil.rmtree(self.files, ignore_errors=True)


def deployment_folder(root: Path, endpoint: str, deployment: str) -> Path:
    """Give the folder of a deployment; StartFailed for a name that is no name."""
    for name in (endpoint, deployment):
        if not _NAME.fullmatch(name):
            raise StartFailed(
                StartCode.BAD_ARGUMENT, f"{name!r} is not the name of an endpoint or a deployment"
            )
    return root / endpoint.lower() / deployment.lower()


def latest_generation(folder: Path) -> Generation | None:
    """Give the newest generation that was ever started, None when there was none."""
    numbers = sorted(int(path.name) for path in folder.glob("[0-9]*"))
    return Generation(folder=folder / f"{numbers[-1]:04}") if numbers else None


def new_generation(root: Path, spec: ServerSpec) -> Generation:
    """Make the folder of the next generation."""
    folder = deployment_folder(root, spec.endpoint, spec.deployment)
    latest = latest_generation(folder)
    number = 1 if latest is None else int(latest.folder.name) + 1
    generation = Generation(folder=folder / f"{number:04}")
    generation.log("").mkdir(parents=True)
    generation.files.mkdir()
    return generation


def lay_out(generation: Generation, spec: ServerSpec) -> dict[str, str]:
    """Copy model and code into the generation and give the container's environment variables."""
    generation.append(STORAGE_LOG, f"{now()} storage-initializer started\n")
    model_folder = _download_model(generation, spec)
    app_root, script = _place_code(generation, spec)
    generation.append(STORAGE_LOG, f"{now()} storage-initializer finished\n")
    return {
        **spec.environment_variables,
        "AZUREML_MODEL_DIR": str(model_folder),
        "AML_APP_ROOT": str(app_root),
        "AZUREML_ENTRY_SCRIPT": script,
        "AML_APP_INSIGHTS_ENABLED": "false",
        "SERVICE_NAME": spec.endpoint,
    }


def _download_model(generation: Generation, spec: ServerSpec) -> Path:
    name, version = spec.model_name or "none", spec.model_version or "1"
    if not (_NAME.fullmatch(name) and _NAME.fullmatch(version)):
        raise StartFailed(StartCode.BAD_ARGUMENT, f"{name!r}:{version!r} is not a model version")
    # The inference server reads the model's name and version from the end of this very path.
    folder = generation.files / "azureml-models" / name / version
    folder.mkdir(parents=True)
    if spec.model_path is None:
        generation.append(STORAGE_LOG, f"{now()} no model to download\n")
        return folder
    generation.append(STORAGE_LOG, f"{now()} downloading model {name}:{version}\n")
    _copy(generation, spec.model_path, folder / spec.model_path.name, "model")
    return folder


def _place_code(generation: Generation, spec: ServerSpec) -> tuple[Path, str]:
    if spec.code_path is not None and spec.scoring_script is not None:
        app_root = generation.files / "azureml-code" / spec.code_path.name
        generation.append(STORAGE_LOG, f"{now()} downloading code {spec.code_path.name}\n")
        _copy(generation, spec.code_path, app_root, "code")
        return app_root, spec.scoring_script
    if not spec.is_mlflow:
        raise StartFailed(
            StartCode.BAD_ARGUMENT,
            "the deployment has neither a scoring script nor an MLflow model: images that bring "
            "their own server do not run here",
        )
    app_root = generation.files / "mlflow-no-code"
    app_root.mkdir()
    shutil.copy(_MLFLOW_SCRIPT, app_root)
    return app_root, _MLFLOW_SCRIPT.name


def _copy(generation: Generation, source: Path, target: Path, what: str) -> None:
    """Copy a file or a folder; a copy, because what runs must not change what is registered."""
    try:
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copyfile(source, target)
    except (OSError, shutil.Error) as error:
        generation.append(STORAGE_LOG, f"{now()} download failed: {error}\n")
        generation.event("DownloadFailed", f"{what} download failed", kind="Warning")
        raise StartFailed(
            StartCode.BAD_ARGUMENT, f"unable to download user {what} artifacts: {error}"
        ) from error
    files = [target] if target.is_file() else [path for path in target.rglob("*") if path.is_file()]
    for path in sorted(files):
        size = path.stat().st_size
        place = path.relative_to(generation.files)
        generation.append(STORAGE_LOG, f"{now()} downloaded {place} ({size} bytes)\n")


def conda_of_model(model_path: Path | None) -> str | None:
    """Give the conda file an MLflow model carries, None when it carries none."""
    if model_path is None or not model_path.is_dir():
        return None
    found = sorted(model_path.rglob("MLmodel"), key=lambda path: len(path.parts))
    conda = found[0].with_name("conda.yaml") if found else None
    return conda.read_text("utf-8") if conda is not None and conda.is_file() else None


def container_environment(
    variables: Mapping[str, str], *, python: Path, home: Path
) -> dict[str, str]:
    """Give the whole environment of one container: nothing of the emulator's own leaks into it."""
    home.mkdir(parents=True, exist_ok=True)
    base = {
        "PATH": os.pathsep.join([str(python.parent), os.defpath]),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",  # a container that is killed must not take its last lines along
    }
    return {**base, **variables, "HOME": str(home), "HOSTNAME": home.name}
