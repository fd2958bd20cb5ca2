"""Step 2 of 5: a folder of policy files becomes policies; every complaint is reported at once.

Reads files, nothing else. Templates and sample requests are read along, so that a policy that
loads can be rolled out.
"""

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from pydantic import Field

from deploy_logic.errors import Complaint, PolicyError
from deploy_logic.policy.complaint import point, print_path, read_policy
from deploy_logic.policy.gate_metric import METRIC_LAG
from deploy_logic.policy.named import NamedFiles, Texts, find_root
from deploy_logic.policy.overlap import find_overlaps
from deploy_logic.policy.part import Part, Wrong
from deploy_logic.policy.place import Document, Trouble, quote
from deploy_logic.policy.policy import Policy, refuse_bakes, refuse_channels
from deploy_logic.policy.yaml import read_text

_POLICY = re.compile(rb"^policy[ \t]*:", re.MULTILINE)
_SECTIONS = frozenset({"policy", "select", "deploy", "strategy"})


class PolicyFiles(Part):
    """A policy with what it names: the text of its templates and other files, and its hash."""

    policy: Policy
    folder: str  # from which the template's own paths count
    template: str
    endpoint_template: str
    requests: Mapping[str, str]  # by the name the policy uses
    schemas: Mapping[str, str] = Field(default_factory=dict)  # of answers
    queries: Mapping[str, str] = Field(default_factory=dict)  # of logs
    source: str = ""  # the file that it was read from, for people

    @property
    def hash(self) -> str:
        """Return a short digest of everything that a rollout by this policy depends on.

        What is left at its default is left out, so that a key that is new changes no policy.
        """
        places = {"folder", "source"}
        told = self.model_dump(mode="json", exclude=places, exclude_defaults=True)
        text = json.dumps(told, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """An `az ml` YAML that a policy names, whether or not the policy is right."""

    name: str  # as a path from the folder of the policies
    path: Path
    text: str
    kind: Literal["deployment", "endpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The policies that can be used, and everything that is wrong with the others."""

    policies: tuple[PolicyFiles, ...]
    complaints: tuple[Complaint, ...]
    templates: tuple[Template, ...] = ()  # each once
    unchecked: tuple[Complaint, ...] = ()  # warnings: what nobody could check here


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """One document that is a policy as it should be."""

    file: str
    document: Document
    files: PolicyFiles


def load_policies(folder: Path) -> tuple[PolicyFiles, ...]:
    """Return every policy of the folder; PolicyError carries the complaints about all files."""
    loaded = read_policies(folder)
    if loaded.complaints:
        raise PolicyError(loaded.complaints)
    return loaded.policies


def read_policies(
    folder: Path,
    *,
    metric_lag: timedelta = METRIC_LAG,
    channels: Collection[str] | None = None,
) -> Loaded:
    """Return what can be used of the folder's *.yaml files: one bad policy harms no other.

    metric_lag is what the app is told of Azure Monitor; no bake with a metric gate may be shorter.
    channels are those of the app's settings, and a policy that names another one is refused; None:
    nobody knows them, and each that is named is a warning among what is unchecked.
    """
    if not folder.is_dir():
        complaint = _about_file(folder.name, "is not a folder", "a folder of *.yaml policies")
        return Loaded(policies=(), complaints=(complaint,))
    return _Folder(folder, metric_lag, channels).load()


class _Folder:
    """Reads one folder, and collects what is wrong."""

    def __init__(
        self, folder: Path, metric_lag: timedelta, channels: Collection[str] | None
    ) -> None:
        self._folder = folder
        self._metric_lag = metric_lag
        self._channels = channels
        self._root = find_root(folder)
        self._complaints: list[Complaint] = []
        self._read: list[_Read] = []
        self._names: dict[str, str] = {}
        self._templates: dict[tuple[str, str], Template] = {}

    def load(self) -> Loaded:
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith("."):  # what editors and file systems leave
                continue
            if path.suffix.lower() == ".yaml":
                self._read_file(path)
            elif path.suffix.lower() == ".yml":
                self._refuse_other_ending(path)
        disputed = self._refuse_overlaps()
        usable = [one for one in self._read if one.files.policy.policy not in disputed]
        self._complaints.sort(key=lambda one: (one.file, one.line, one.column, one.path))
        return Loaded(
            policies=tuple(one.files for one in usable),
            complaints=tuple(dict.fromkeys(self._complaints)),
            templates=tuple(self._templates.values()),
            unchecked=tuple(warning for one in usable for warning in self._warn(one)),
        )

    def _read_file(self, path: Path) -> None:
        try:
            text = read_text(path.read_bytes())
        except OSError as error:
            self._complaints.append(
                _about_file(path.name, str(error.strerror), "a file that can be read")
            )
            return
        for document in text.documents:
            self._read_document(path.name, document)
        if text.trouble is not None:
            self._complaints.append(_complain_about(path.name, text.trouble))

    def _refuse_other_ending(self, path: Path) -> None:
        """Say that a policy is not read; other YAML may stand beside the policies."""
        try:
            is_policy = _POLICY.search(path.read_bytes()) is not None
        except OSError:
            return
        if is_policy:
            expected = f"the ending .yaml: {path.stem}.yaml"
            given = "a policy in a file that is not read"
            self._complaints.append(_about_file(path.name, given, expected))

    def _read_document(self, file: str, document: Document) -> None:
        value = document.value
        if isinstance(value, dict) and _SECTIONS.isdisjoint(value) and not document.troubles:
            given = quote(f"keys {', '.join(list(value)[:3]) or 'none'}")
            expected = "a policy; templates and other YAML belong in a subfolder"
            wrong = Wrong(given=given, expected=expected)
            self._complaints.append(point(file, document.place, (), wrong))
            return
        complaints = [_complain_about(file, trouble) for trouble in document.troubles]
        if value is not None:
            found = read_policy(file, document)
            told = {complaint.path for complaint in complaints}
            complaints += [one for one in found.complaints if one.path not in told]
            complaints += _refuse_nulls(file, document, complaints)
            if isinstance(value, dict):
                named = NamedFiles(file, document, self._folder, self._root)
                texts = named.read()
                self._keep_templates(document.value.get("deploy"), texts)
                complaints += [*named.complaints, *self._take_name(file, document)]
                if found.policy is not None:
                    wrongs = refuse_bakes(found.policy, self._metric_lag)
                    if self._channels is not None:
                        wrongs += refuse_channels(found.policy, self._channels)
                    complaints += [point(file, document.place, one.path, one) for one in wrongs]
                if found.policy is not None and not complaints:
                    files = PolicyFiles(policy=found.policy, source=file, **texts)
                    self._read.append(_Read(file=file, document=document, files=files))
        self._complaints += complaints

    def _keep_templates(self, deploy: object, texts: Texts) -> None:
        written = deploy if isinstance(deploy, dict) else {}
        kinds: tuple[Literal["deployment", "endpoint"], ...] = ("deployment", "endpoint")
        found = (written.get("template"), written.get("endpoint_template"))
        both = (texts["template"], texts["endpoint_template"])
        for kind, name, text in zip(kinds, found, both, strict=True):
            if isinstance(name, str) and text:
                template = Template(name=name, path=self._folder / name, text=text, kind=kind)
                self._templates.setdefault((name, kind), template)

    def _take_name(self, file: str, document: Document) -> list[Complaint]:
        name = document.value.get("policy")
        if not isinstance(name, str) or not name:
            return []
        if name in self._names:
            expected = f"another name: a policy in {self._names[name]} has it already"
            return [point(file, document.place, ("policy",), Wrong(expected=expected))]
        self._names[name] = file
        return []

    def _refuse_overlaps(self) -> set[str]:
        """Complain about both of two policies for one model and one endpoint."""
        disputed: set[str] = set()
        for pair in find_overlaps([one.files.policy for one in self._read]):
            for number, other in (pair, pair[::-1]):
                mine, theirs = self._read[number], self._read[other]
                name = theirs.files.policy.policy
                disputed.add(mine.files.policy.policy)
                given = f"{mine.files.policy.select.model} to {mine.files.policy.deploy.endpoint}"
                expected = (
                    f"one policy for each model and endpoint: {name!r} in {theirs.file} could "
                    "take the same version to the same endpoint"
                )
                wrong = Wrong(given=given, expected=expected)
                path = ("select", "model")
                self._complaints.append(point(mine.file, mine.document.place, path, wrong))
        return disputed

    def _warn(self, one: _Read) -> list[Complaint]:
        """Return a warning for each channel that nobody could look for."""
        if self._channels is not None:
            return []
        expected = "a channel of ROLLOUT_CHANNELS, whose names nobody gave here"
        return [
            replace(point(one.file, one.document.place, wrong.path, wrong), kind="warning")
            for wrong in (
                replace(wrong, expected=expected) for wrong in refuse_channels(one.files.policy, ())
            )
        ]


def _refuse_nulls(file: str, document: Document, so_far: list[Complaint]) -> list[Complaint]:
    """Complain about keys with nothing behind them: nobody could say what was meant.

    Inside of an expected answer null is a value.
    """
    complained = {complaint.path for complaint in so_far}
    expected = "a value; without one, leave out the key"
    return [
        point(file, document.place, path, Wrong(expected=expected))
        for path in document.nulls
        if print_path(path) not in complained
        and not ("equals" in path[:-1] and path[:1] == ("gates",))
    ]


def _complain_about(file: str, trouble: Trouble) -> Complaint:
    return Complaint(
        file=file,
        line=trouble.line,
        column=trouble.column,
        path=print_path(trouble.path),
        given=trouble.given,
        expected=trouble.expected,
    )


def _about_file(file: str, given: str, expected: str) -> Complaint:
    return Complaint(file=file, line=1, column=1, path="policies", given=given, expected=expected)
