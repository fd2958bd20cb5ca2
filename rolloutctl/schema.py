"""Print the JSON Schema of a policy, from which editors complete and check."""

import argparse
import json
from typing import Any

from deploy_logic.duration import parse_duration, print_duration
from deploy_logic.policy.part import DURATION_PATTERN
from deploy_logic.policy.policy import Policy

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""


def run(_: argparse.Namespace) -> int:
    """Print it."""
    print(json.dumps(build_schema(), indent=2, ensure_ascii=False))
    return 0


def build_schema() -> dict[str, Any]:
    """Return the schema of one document of a policy file."""
    schema = Policy.model_json_schema(by_alias=True, mode="validation")
    return {"$schema": _DIALECT, **_tidy(schema), "title": "Policy of a model's deployment"}


def _tidy(part: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out what editors would only show twice, and the nulls: nothing is not a value.

    Defaults are written as people write them.
    """
    if isinstance(part, list):
        return [_tidy(one) for one in part]
    if not isinstance(part, dict):
        return part
    kept: dict[str, Any] = {
        key: {name: _tidy(one) for name, one in value.items()}
        if key in {"properties", "$defs"}
        else _tidy(value)
        for key, value in part.items()
        if key != "title" and not (key == "default" and isinstance(value, dict | None))
    }
    if kept.get("pattern") == DURATION_PATTERN and "default" in kept:
        kept["default"] = print_duration(parse_duration(str(kept["default"])))
    choices = [one for one in kept.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept = {**choices[0], **kept}
    elif choices:
        kept["anyOf"] = choices
    return kept
