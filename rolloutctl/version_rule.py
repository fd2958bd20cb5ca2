"""Say which of some versions a rule allows, and which it picks. Offline."""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from deploy_logic.errors import VersionRuleError
from deploy_logic.version.rule import VersionRule, read_version_rule
from deploy_logic.version.scheme import Pick, Reading, Scheme

type Json = dict[str, Any]

_FIRST = datetime(2000, 1, 1, tzinfo=UTC)  # only the order of the times counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A version as the command line knows it."""

    version: str
    created: datetime | None  # in the order of the arguments
    tags: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    help_scheme = f"how versions are read: {', '.join(Scheme)} (default: integer)"
    parser.add_argument("--scheme", default=Scheme.INTEGER.value, help=help_scheme)
    parser.add_argument("--allow", default="latest", metavar="RULE", help="default: latest")
    help_except = "a version that is not meant; once for each"
    parser.add_argument("--except", action="append", default=[], metavar="V", help=help_except)
    parser.add_argument("--stable", metavar="VERSION", help="what serves now")
    help_pick = f"{' or '.join(Pick)} counts as the newest (default: highest)"
    parser.add_argument("--pick", default=Pick.HIGHEST.value, help=help_pick)
    help_older = "do not ask for newer than the stable"
    parser.add_argument("--allow-older", action="store_true", help=help_older)
    parser.add_argument("--json", action="store_true", help="print JSON")
    help_versions = "in the order of their registration; - for stdin, one a line"
    parser.add_argument("versions", nargs="+", metavar="VERSION", help=help_versions)


def run(given: argparse.Namespace) -> int:
    """Print what the rule makes of the versions; 1 when the rule has an error."""
    written: dict[object, object] = {"scheme": given.scheme, "allow": given.allow}
    written |= {"pick": given.pick, "allow_older": given.allow_older}
    written |= {"except": getattr(given, "except")}  # a word that Python keeps for itself
    try:
        rule = read_version_rule(written)
    except VersionRuleError as error:
        nothing: Json = {"readable": [], "allowed": [], "ordered": [], "pick": None, "refused": []}
        if given.json:
            print(json.dumps({"error": str(error), **nothing}, indent=2))
        else:
            sys.stderr.write(f"{error}\n")
        return 1
    answer = ask(rule, _expand(given.versions), given.stable)
    print(json.dumps(answer, indent=2) if given.json else _words(rule, answer))
    return 0


def ask(rule: VersionRule, versions: Sequence[str], stable: str | None) -> Json:
    """Return what the rule makes of the versions; they were registered in the order given."""
    models = [
        Given(version=version, created=_FIRST + timedelta(seconds=number))
        for number, version in enumerate(versions)
    ]
    served = None
    if stable is not None:  # when it was registered is known only if it is one of them
        unknown = Given(version=stable, created=None)
        served = next((one for one in models if one.version == stable), unknown)
    reasons = [_refuse(rule, model, served) for model in models]
    answers = list(zip(models, reasons, strict=True))
    allowed = [model for model, reason in answers if not reason]
    best = rule.best(allowed)
    return {
        "error": None,
        "readable": [one.version for one in models if isinstance(rule.read(one), Reading)],
        "allowed": [one.version for one in allowed],
        "ordered": [one.version for one in rule.order(models)],
        "pick": None if best is None else best.version,
        "refused": [
            {"version": one.version, "reason": reason} for one, reason in answers if reason
        ],
    }


def _refuse(rule: VersionRule, model: Given, stable: Given | None) -> str:
    refusal = rule.refuses_model(model)
    if refusal or stable is None:
        return refusal
    return rule.refuses_model_after(model, stable)


def _expand(arguments: Sequence[str]) -> list[str]:
    """Return the versions, those of stdin where the - stands; empty lines are none."""
    versions: list[str] = []
    for argument in arguments:
        if argument != "-":
            versions.append(argument)
            continue
        text = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
        lines = (line.removesuffix("\r") for line in text.split("\n"))
        versions += [line for line in lines if line]
    return versions


def _words(rule: VersionRule, answer: Json) -> str:
    reasons = {one["version"]: one["reason"] for one in answer["refused"]}
    unread = [one for one in reasons if one not in answer["ordered"]]
    lines = [f"rule {rule.name}"]
    for version in (*answer["ordered"], *unread):
        said = reasons.get(version, "allowed")
        lines.append(f"  {'no ' if version in reasons else 'yes'}  {version!r}: {said}")
    picked = "nothing" if answer["pick"] is None else repr(answer["pick"])
    return "\n".join([*lines, f"picks {picked}"])
