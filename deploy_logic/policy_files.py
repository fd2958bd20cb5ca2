"""Step 2 of 5: a folder of policy files becomes policies; every complaint is reported at once.

Reads files, nothing else. Templates and sample requests are read along, so that a policy that
loads can be rolled out.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from deploy_logic.errors import Complaint, PolicyError
from deploy_logic.policy import Policy
from deploy_logic.policy_gate import Agreement, Probe
from deploy_logic.policy_part import Part

_VARIANTS = frozenset({"canary", "blue-green", "all-at-once", "dict", "list"})
_LONGEST_FILE = 100_000  # characters of a template or request: they travel in durable payloads


class PolicyFiles(Part):
    """A policy with what it names: the text of its template and requests, and its hash."""

    policy: Policy
    folder: str  # from which the template's own paths count
    template: str
    endpoint_template: str
    requests: Mapping[str, str]  # by the name the policy uses

    @property
    def hash(self) -> str:
        """Return a short digest of everything that a rollout by this policy depends on."""
        text = json.dumps(self.model_dump(mode="json", exclude={"folder"}), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The policies that can be used, and everything that is wrong with the others."""

    policies: tuple[PolicyFiles, ...]
    complaints: tuple[Complaint, ...]


def load_policies(folder: Path) -> tuple[PolicyFiles, ...]:
    """Return every policy of the folder; PolicyError carries the complaints about all files."""
    loaded = read_policies(folder)
    if loaded.complaints:
        raise PolicyError(loaded.complaints)
    return loaded.policies


def read_policies(folder: Path) -> Loaded:
    """Return what can be used of the folder's *.yaml files: one bad policy harms no other."""
    complaints: list[Complaint] = []
    loaded: list[PolicyFiles] = []
    places: dict[str, str] = {}
    if not folder.is_dir():
        complaint = _about_file(folder, "is not a folder", "a folder of *.yaml policies")
        return Loaded(policies=(), complaints=(complaint,))
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        for node in _documents(path, complaints):
            found = _load_one(path, node, complaints)
            if found is None:
                continue
            name = found.policy.policy
            if name in places:
                expected = f"another name: {places[name]} has it already"
                complaints.append(_complain(path, node, ("policy",), f"{name!r}", expected))
                continue
            places[name] = path.name
            loaded.append(found)
    overlaps, disputed = _overlaps(folder, loaded)
    usable = tuple(one for one in loaded if one.policy.policy not in disputed)
    return Loaded(policies=usable, complaints=(*complaints, *overlaps))


def _documents(path: Path, complaints: list[Complaint]) -> list[yaml.Node]:
    try:
        return list(yaml.compose_all(path.read_text(encoding="utf-8")))
    except yaml.MarkedYAMLError as error:
        complaints.append(_misread(path, error))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        complaints.append(_about_file(path, str(error), "a readable YAML file in UTF-8"))
    return []


def _load_one(path: Path, node: yaml.Node, complaints: list[Complaint]) -> PolicyFiles | None:
    repeated = _repeated_keys(node)
    for key_path, key in repeated:
        complaints.append(_complain(path, node, key_path, f"{key!r} stands twice", "each key once"))
    try:
        value = yaml.SafeLoader("").construct_document(node)
    except yaml.MarkedYAMLError as error:  # such as an unknown tag
        complaints.append(_misread(path, error))
        return None
    except ValueError as error:  # such as the date 2026-13-45
        complaints.append(_complain(path, node, (), str(error), "plain YAML values"))
        return None
    try:
        policy = Policy.model_validate(value)
    except ValidationError as error:
        for one in _own_errors(error):
            message = one["msg"].removeprefix("Value error, ")
            given = "" if one["type"] in {"missing", "value_error"} else f"{one['input']!r}: "
            expected = "missing key" if one["type"] == "missing" else "see docs/policy-reference.md"
            complaints.append(_complain(path, node, one["loc"], given + message, expected))
        return None
    files = _read_named(path, node, policy, complaints)
    return None if files is None or repeated else files


def _own_errors(error: ValidationError) -> list[ErrorDetails]:
    """Return the mistakes, without what is only a consequence of others.

    pydantic also calls a list too short whose every item is wrong.
    """
    errors = error.errors()
    return [
        one
        for one in errors
        if one["type"] != "too_short"
        or not any(other["loc"][:-1][: len(one["loc"])] == one["loc"] for other in errors)
    ]


def _read_named(
    path: Path, node: yaml.Node, policy: Policy, complaints: list[Complaint]
) -> PolicyFiles | None:
    """Read the files that the policy names, relative to its own."""

    def read(name: str, where: tuple[str | int, ...]) -> str | None:
        target = path.parent / name
        try:
            text = target.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            given = f"{name!r}: {reason}"
            complaints.append(_complain(path, node, where, given, "a file beside the policy"))
            return None
        if len(text) > _LONGEST_FILE:
            given = f"{name!r} has {len(text)} characters"
            expected = f"at most {_LONGEST_FILE}"
            complaints.append(_complain(path, node, where, given, expected))
            return None
        return text

    template = read(policy.deploy.template, ("deploy", "template"))
    endpoint = policy.deploy.endpoint_template
    endpoint_template = read(endpoint, ("deploy", "endpoint_template")) if endpoint else ""
    requests = {
        name: read(name, ("gates", number, key))
        for number, gate in enumerate(policy.gates)
        if isinstance(gate, Probe | Agreement)
        for key in ("request", "requests")
        if (name := getattr(gate, key, None)) is not None
    }
    if template is None or endpoint_template is None or None in requests.values():
        return None
    return PolicyFiles(
        policy=policy,
        folder=str(path.parent / Path(policy.deploy.template).parent),
        template=template,
        endpoint_template=endpoint_template,
        requests=cast("Mapping[str, str]", requests),
    )


def _overlaps(folder: Path, loaded: list[PolicyFiles]) -> tuple[list[Complaint], set[str]]:
    """Complain about two policies for one model and one endpoint: nobody could say which wins."""
    seen: dict[tuple[str, str], str] = {}
    complaints: list[Complaint] = []
    disputed: set[str] = set()
    for one in loaded:
        policy = one.policy
        key = (policy.select.model, policy.deploy.endpoint.lower())
        if key in seen:
            given = f"policies {seen[key]!r} and {policy.policy!r} both deploy model {key[0]!r}"
            expected = f"one policy for each model on endpoint {policy.deploy.endpoint!r}"
            complaints.append(_about_file(folder, given, expected))
            disputed |= {seen[key], policy.policy}
        seen.setdefault(key, policy.policy)
    return complaints, disputed


def _repeated_keys(
    node: yaml.Node, path: tuple[str | int, ...] = (), above: tuple[yaml.Node, ...] = ()
) -> list[tuple[tuple[str | int, ...], str]]:
    found: list[tuple[tuple[str | int, ...], str]] = []
    if any(node is one for one in above):  # an alias of what it stands in
        return found
    above = (*above, node)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                found.append(((*path, name), name))
            seen.add(name)
            found += _repeated_keys(value, (*path, name), above)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found += _repeated_keys(value, (*path, number), above)
    return found


def _complain(
    path: Path, node: yaml.Node, where: tuple[str | int, ...], given: str, expected: str
) -> Complaint:
    """Point at the value, or at the nearest thing around it that was written."""
    at = node
    shown = ""
    for part in where:
        # pydantic names the variant that it tried, which nobody wrote
        found = _child(at, part)
        if found is None and shown and part in _VARIANTS:
            continue
        shown += f"[{part}]" if isinstance(part, int) else f".{part}" if shown else str(part)
        at = found or at
    mark = at.start_mark
    return Complaint(
        file=path.name,
        line=mark.line + 1,
        column=mark.column + 1,
        path=shown or "policy",
        given=given,
        expected=expected,
    )


def _child(node: yaml.Node, part: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        # the last one counts: what was merged in stands before what overrides it
        return next((value for key, value in reversed(node.value) if key.value == part), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return cast("yaml.Node", node.value[part])
    return None


def _misread(path: Path, error: yaml.MarkedYAMLError) -> Complaint:
    mark = error.problem_mark or error.context_mark
    return Complaint(
        file=path.name,
        line=mark.line + 1 if mark else 1,
        column=mark.column + 1 if mark else 1,
        path="policy",
        given=str(error.problem or error.context),
        expected="plain YAML",
    )


def _about_file(path: Path, given: str, expected: str) -> Complaint:
    return Complaint(
        file=path.name, line=1, column=1, path="policies", given=given, expected=expected
    )
