"""Stands in for the image build: holds a conda file against what the scoring environment has.

Every deployment runs in one environment, so nothing is installed; a package that is not there
fails the build as a real one would, and the log says what runs in another version than asked for.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

# Reports the scoring environment's packages and its Python, when run by that environment's Python.
LIST_PACKAGES = """
import json, platform
from importlib.metadata import distributions
found = {d.metadata["Name"]: d.version for d in distributions() if d.metadata["Name"]}
found["python"] = platform.python_version()
print(json.dumps(found))
"""

# Packages that stand for others: what a conda file asks for -> what the scoring environment has.
STAND_INS = {
    "azureml-defaults": "azureml-inference-server-http",  # a meta package around the server
    "mlflow": "mlflow-skinny",  # the same library without its tracking server
    "pytorch": "torch",  # conda's name for it
}
_TOOLS = {"pip", "setuptools", "wheel"}  # part of every image, whether installed here or not
# `channel::name=1.0=build` and `name >=1.0,<2` are both conda's.
_CONDA_LINE = re.compile(r"^(?:[^:\s]+::)?(?P<name>[A-Za-z0-9_.-]+)\s*(?P<rest>.*)$")


class BuildFailed(Exception):  # noqa: N818 - the name is the outcome, as Azure ML words it
    """The environment cannot be had; `log` reads as the build's own log."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    name: str
    text: str  # the line as the user wrote it
    pinned: str | None  # the one version asked for
    from_pip: bool


def build(conda: str, installed: Mapping[str, str]) -> str:
    """Give the log of a build that works; BuildFailed when a package cannot be had."""
    have = {str(canonicalize_name(name)): version for name, version in installed.items()}
    lines = ["Building environment from the conda file"]
    missing: list[_Wanted] = []
    for wanted in _read(conda):
        line = _look_up(wanted, have)
        if line is None:
            missing.append(wanted)
        else:
            lines.append(line)
    if missing:
        lines += [line for wanted in missing for line in _complaint(wanted)]
        names = ", ".join(repr(wanted.text) for wanted in missing)
        raise BuildFailed(f"could not find {names}", "\n".join(lines) + "\n")
    return "\n".join([*lines, "Image build finished"]) + "\n"


def _look_up(wanted: _Wanted, have: Mapping[str, str]) -> str | None:
    """Say what the wanted package resolves to; None when there is none."""
    name = canonicalize_name(wanted.name)
    if name in _TOOLS:
        return f"  {wanted.text}: part of the image"
    used = name if name in have else STAND_INS.get(name, name)
    if used not in have:
        return None
    note = "" if used == name else f" ({used} stands in for {name})"
    if wanted.pinned is not None and not _is_same(wanted.pinned, have[used]):
        note += f" (asked for {wanted.pinned}; the local scoring environment has {have[used]})"
    return f"  {wanted.text}: {used} {have[used]}{note}"


def _is_same(pinned: str, version: str) -> bool:
    """Compare as conda does: `3.13` is met by 3.13.0."""
    return f"{version}.".startswith(f"{pinned.rstrip('.*')}.")


def _complaint(wanted: _Wanted) -> list[str]:
    if wanted.from_pip:
        unmet = f"Could not find a version that satisfies the requirement {wanted.text}"
        return [
            f"ERROR: {unmet} (from versions: none)",
            f"ERROR: No matching distribution found for {wanted.text}",
            "CondaEnvException: Pip failed",
        ]
    return ["ResolvePackageNotFound:", f"  - {wanted.text}"]


def _read(conda: str) -> Iterator[_Wanted]:
    try:
        document: Any = yaml.safe_load(conda)
    except yaml.YAMLError as error:
        raise BuildFailed(f"the conda file is not YAML: {error}", f"{error}\n") from error
    listed = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        message = "the conda file has no list of dependencies"
        raise BuildFailed(message, f"CondaValueError: {message}\n")
    for entry in listed:
        if isinstance(entry, str):
            yield _read_conda_line(entry)
        elif isinstance(entry, dict) and isinstance(entry.get("pip"), list):
            yield from _read_pip(entry["pip"])
        else:
            message = f"dependencies: {entry!r} is neither a package nor a list for pip"
            raise BuildFailed(message, f"CondaValueError: {message}\n")


def _read_conda_line(text: str) -> _Wanted:
    found = _CONDA_LINE.match(text.strip())
    if found is None:
        message = f"dependencies: {text!r} does not start with a package's name"
        raise BuildFailed(message, f"CondaValueError: invalid package specification: {text}\n")
    pin = re.fullmatch(r"={1,2}\s*([^=\s,<>!|]+)(=.*)?", found["rest"].strip())
    return _Wanted(name=found["name"], text=text, pinned=pin[1] if pin else None, from_pip=False)


def _read_pip(listed: list[object]) -> Iterator[_Wanted]:
    for entry in listed:
        text = str(entry).split(" #")[0].strip()
        if text.startswith(("--extra-index-url", "--index-url", "-i ", "--find-links", "--pre")):
            continue  # where pip would look; nothing is looked up here
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            message = f"pip: {text!r} is not a requirement: {error}"
            raise BuildFailed(message, f"ERROR: Invalid requirement: {text!r}\n") from error
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        pins = [part.version for part in requirement.specifier if part.operator in {"==", "==="}]
        pinned = pins[0] if pins else None
        yield _Wanted(name=requirement.name, text=text, pinned=pinned, from_pip=True)
