"""Say everything that is wrong with a folder of policies and their templates. Offline."""

import argparse
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy_logic.duration import parse_duration
from deploy_logic.errors import Complaint
from deploy_logic.policy.files import Loaded, PolicyFiles, Template, read_policies
from deploy_logic.policy.gate_metric import METRIC_LAG
from deploy_logic.template.place import TemplateComplaint
from deploy_logic.template.template import check_pair, check_template

type Json = dict[str, Any]

_WIDEST = 100  # characters of a line that are shown
_BEFORE = 60  # of them before the place, when not all are


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--policies", type=Path, required=True, metavar="DIR")
    help_offline = "ask nobody; nothing here does, so it changes nothing yet"
    parser.add_argument("--offline", action="store_true", help=help_offline)
    parser.add_argument("--json", action="store_true", help="print JSON")
    help_lag = "what ROLLOUT_METRIC_LAG says in the app that is to read them (3m)"
    parser.add_argument("--metric-lag", type=_length, default=METRIC_LAG, help=help_lag)
    help_channels = (
        "names of the channels in ROLLOUT_CHANNELS of that app: teams,topic; '' for none"
    )
    parser.add_argument("--channels", type=_names_of, metavar="NAMES", help=help_channels)
    parser.add_argument("--strict", action="store_true", help="warnings are errors")


def run(given: argparse.Namespace) -> int:
    """Print every complaint; 1 when there is an error, or with --strict a warning."""
    loaded = read_policies(given.policies, metric_lag=given.metric_lag, channels=given.channels)
    complaints = [
        *loaded.complaints,
        *loaded.unchecked,
        *check_templates(loaded.templates),
        *check_pairs(loaded.policies),
    ]
    if given.strict:
        complaints = [replace(complaint, kind="error") for complaint in complaints]
    is_ok = all(complaint.kind == "warning" for complaint in complaints)
    if given.json:
        print(json.dumps(_show(loaded, complaints, is_ok=is_ok), indent=2))
    else:
        print(_words(given.policies, loaded, complaints))
    return 0 if is_ok else 1


def _length(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _names_of(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def check_templates(templates: Sequence[Template]) -> list[Complaint]:
    """Return what is wrong with the templates, as a rollout would find it out."""
    complaints = [
        _point(template.name, one) for template in templates for one in _ask_about(template)
    ]
    return sorted(complaints, key=lambda one: (one.file, one.line, one.column))


def check_pairs(policies: Iterable[PolicyFiles]) -> list[Complaint]:
    """Return which deployments could not stand on the endpoints that their policies create."""
    complaints = {
        _point(files.policy.deploy.template, one)
        for files in policies
        if files.endpoint_template
        for one in check_pair(files.template, files.endpoint_template)
    }
    return sorted(complaints, key=lambda one: (one.file, one.line, one.column))


def _point(file: str, one: TemplateComplaint) -> Complaint:
    return Complaint(
        file=file,
        line=one.line,
        column=one.column,
        path=one.path,
        given=one.given,
        expected=one.expected,
    )


def _ask_about(template: Template) -> list[Any]:
    """Return what we, and then azure-ai-ml, have to say; importing that takes over a second."""
    from deploy_logic.adapters.azure_ml_template import load_complaints  # noqa: PLC0415 - see above

    found: list[Any] = []
    for ask in (check_template, load_complaints):
        found += ask(template.path, template.text, kind=template.kind)
    return found


def _show(loaded: Loaded, complaints: Sequence[Complaint], *, is_ok: bool) -> Json:
    keys = ("kind", "file", "line", "column", "path", "given", "expected")
    return {
        "ok": is_ok,
        "policies": _names(loaded),
        "complaints": [{key: getattr(one, key) for key in keys} for one in complaints],
    }


def _names(loaded: Loaded) -> list[str]:
    return sorted(one.policy.policy for one in loaded.policies)


def _words(folder: Path, loaded: Loaded, complaints: Sequence[Complaint]) -> str:
    lines: list[str] = []
    for complaint in complaints:
        lines += [str(complaint), *_mark(folder / complaint.file, complaint)]
    errors = sum(complaint.kind == "error" for complaint in complaints)
    counts = [_count(len(_names(loaded)), "policy", "policies"), _count(errors, "error", "errors")]
    counts.append(_count(len(complaints) - errors, "warning", "warnings"))
    return "\n".join([*lines, ", ".join(counts)])


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _mark(path: Path, complaint: Complaint) -> list[str]:
    """Return the line of the file with a marker under the place, or nothing where there is none."""
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except OSError:
        return []
    lines = re.split(r"\r\n|[\n\r\x85\u2028\u2029]", text)  # as YAML counts them
    if complaint.line > len(lines):
        return []
    line = "".join(one if one.isprintable() else " " for one in lines[complaint.line - 1])
    start = max(complaint.column - _BEFORE, 0) if len(line) > _WIDEST else 0
    shown = line[start : start + _WIDEST].rstrip()
    if not shown:
        return []
    return [f"    {shown}", f"    {' ' * (complaint.column - 1 - start)}^"]
