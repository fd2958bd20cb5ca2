"""Reads a generation's logs back as `az ml online-deployment get-logs` shows them."""

from collections import deque
from pathlib import Path

from local.azure_ml.scoring.layout import BUILD_LOG, STORAGE_LOG, Generation


def read(generation: Generation, *, tail: int, container: str) -> str:
    """Give the last `tail` lines of the storage initializer's or the inference servers' log."""
    if container.lower().replace("-", "") == "storageinitializer":
        return _tail(generation.log(STORAGE_LOG), tail)
    parts = [_events(generation)]
    build = _tail(generation.log(BUILD_LOG), tail)
    if build:
        parts.append(f"Image build log:\n{build}")
    logs = sorted(generation.log("").glob("inference-server-*.log"))
    for path in logs:
        name = "" if len(logs) == 1 else f" of {path.stem}"
        parts.append(f"Container logs{name}:\n{_tail(path, tail)}")
    return "\n".join(parts)


def _events(generation: Generation) -> str:
    path = generation.log("events.log")
    events = path.read_text("utf-8") if path.exists() else ""
    status = {
        "SystemSetup": "Succeeded",
        "UserContainerImagePull": "Failed" if "Name: ImageBuildFailed" in events else "Succeeded",
        "ModelDownload": _state(events, good="Downloaded", bad="DownloadFailed"),
        "UserContainerStart": _state(events, good="Ready", bad="BackOff"),
    }
    lines = "".join(f"{step}: {state}\n" for step, state in status.items())
    return f"Instance status:\n{lines}\nContainer events:\n{events}"


def _state(events: str, *, good: str, bad: str) -> str:
    if f"Name: {good}," in events:
        return "Succeeded"
    return "Failed" if f"Name: {bad}," in events else "Waiting"


def _tail(path: Path, count: int) -> str:
    if not path.exists() or count < 1:
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return "".join(deque(file, maxlen=count))
