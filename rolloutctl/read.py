"""Reads what the offline commands are given: events, policies and a snapshot."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from pydantic import ValidationError

from deploy_logic.codec import decode
from deploy_logic.errors import EventError
from deploy_logic.event import Contradiction, parse_json
from deploy_logic.plan.plan import Deployment, Snapshot
from deploy_logic.policy.files import PolicyFiles, read_policies

_ALL_WEIGHT = 100


class ReadError(Exception):
    """A file that cannot be used; the message names it and says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usable:
    """The policies that can be used, and whether there was nothing wrong with any."""

    policies: tuple[PolicyFiles, ...]
    is_whole: bool


def read_events(name: str) -> list[object]:
    """Return the events of a file, or of stdin for -: one JSON object, or an array of them."""
    value = _read_json(name)
    return value if isinstance(value, list) else [value]


def read_usable(folder: Path) -> Usable:
    """Return the folder's policies; complaints about the others go to stderr."""
    loaded = read_policies(folder)
    for complaint in loaded.complaints:
        sys.stderr.write(f"{complaint}\n")
    return Usable(policies=loaded.policies, is_whole=not loaded.complaints)


def read_snapshot(name: str) -> Snapshot:
    """Return the endpoint that a JSON file describes, with the keys of a Snapshot and no others."""
    value = _read_json(name)
    _check_keys(value, Snapshot, f"{name}: snapshot")
    found = value.get("deployments") if isinstance(value, Mapping) else ()
    for number, deployment in enumerate(found if isinstance(found, list) else ()):
        _check_keys(deployment, Deployment, f"{name}: snapshot.deployments[{number}]")
    try:
        snapshot = decode(Snapshot, value)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("snapshot", *first["loc"]))
        raise ReadError(f"{name}: {place}: {first['input']!r}: {first['msg']}") from error
    _check_weights(name, snapshot)
    return snapshot


def _check_keys(value: object, kind: type[Snapshot | Deployment], where: str) -> None:
    known = [field.name for field in fields(kind)]
    if not isinstance(value, Mapping):
        raise ReadError(f"{where}: {value!r} is not a JSON object with {', '.join(known)}")
    unknown = [key for key in value if key not in known]
    if unknown:
        raise ReadError(f"{where}: key {unknown[0]!r} is not one of {', '.join(known)}")


def _check_weights(name: str, snapshot: Snapshot) -> None:
    deployed = {deployment.name for deployment in snapshot.deployments}
    for deployment, weight in snapshot.weights.items():
        if not 0 <= weight <= _ALL_WEIGHT:
            right = "a whole percent from 0 to 100"
            raise ReadError(f"{name}: snapshot.weights.{deployment}: {weight} is not {right}")
        if weight > 0 and deployment not in deployed:
            right = f"one of its deployments: {', '.join(sorted(deployed)) or 'it has none'}"
            raise ReadError(f"{name}: snapshot.weights: {deployment!r} is not {right}")


def _read_json(name: str) -> object:
    try:
        content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        value = parse_json(content.decode("utf-8-sig"))
    except OSError as error:
        raise ReadError(f"{name}: {error.strerror} (a JSON file, or - for stdin)") from error
    except UnicodeDecodeError as error:
        raise ReadError(f"{name}: byte {error.start} is not UTF-8 (JSON in UTF-8)") from error
    except EventError as error:
        raise ReadError(f"{name}: not JSON: {error.__cause__}") from error
    if isinstance(value, Contradiction):
        return [value]
    return value
