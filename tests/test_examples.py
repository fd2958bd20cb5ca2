"""The examples: each is loaded, fits the schema, and can be copied on its own."""

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from deploy_logic.policy.files import read_policies
from deploy_logic.policy.yaml import read_text
from rolloutctl.schema import build_schema
from tests.test_policy_language import TEN_COMPLAINTS, TEN_MISTAKES

REPOSITORY = Path(__file__).parents[1]
EXAMPLES = REPOSITORY / "docs" / "examples"
SCHEMA = json.loads((REPOSITORY / "docs" / "policy.schema.json").read_text())
FILES = [pytest.param(path, id=path.name) for path in sorted(EXAMPLES.glob("*.yaml"))]
OTHERS = [REPOSITORY / "policies", REPOSITORY / "local" / "demo" / "policies"]


def documents(path: Path) -> list[Any]:
    found = read_text(path.read_bytes())
    assert found.trouble is None
    return [document.value for document in found.documents]


def refusals(value: Any) -> set[str]:
    """Return the ways to what the schema refuses, down to the inside of what has kinds."""
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return {".".join(map(str, error.absolute_path)) for error in validator.iter_errors(value)}


def test_the_schema_is_the_models() -> None:
    assert build_schema() == SCHEMA, "make schema"


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", FILES)
def test_example_is_right(path: Path, tmp_path: Path) -> None:
    for folder in EXAMPLES.iterdir():
        if folder.is_dir():
            shutil.copytree(folder, tmp_path / folder.name)
    shutil.copy(path, tmp_path)
    loaded = read_policies(tmp_path)
    assert [str(one) for one in loaded.complaints if one.kind == "error"] == []
    assert len(loaded.policies) == len(documents(path))


@pytest.mark.parametrize("path", FILES)
def test_example_fits_the_schema(path: Path) -> None:
    for value in documents(path):
        assert refusals(value) == set()


@pytest.mark.parametrize("folder", OTHERS, ids=["policies", "demo"])
def test_shipped_policies_fit_the_schema(folder: Path) -> None:
    for path in folder.glob("*.yaml"):
        for value in documents(path):
            assert refusals(value) == set()


def test_the_examples_stand_side_by_side() -> None:
    loaded = read_policies(EXAMPLES)
    errors = [one for one in loaded.complaints if one.kind == "error"]
    assert errors == []
    assert len(FILES) >= 9


def test_the_code_of_the_examples_is_that_of_the_shipped_policies() -> None:
    """There twice, as the folder of examples is to be copied whole; it must not drift."""
    shipped = REPOSITORY / "policies" / "code" / "score.py"
    assert (EXAMPLES / "code" / "score.py").read_text() == shipped.read_text()


def test_the_schema_refuses_the_ten_mistakes_where_it_can(tmp_path: Path) -> None:
    """What needs two places or a file to be seen is beyond a schema."""
    (tmp_path / "bad.yaml").write_text(TEN_MISTAKES)
    (value,) = documents(tmp_path / "bad.yaml")
    assert {"", "policy", "strategy", "gates.0"} <= refusals(value)
    assert TEN_COMPLAINTS.count("\n") == 10


@pytest.mark.parametrize(
    "change",
    [
        {"deadline": "8 hours"},
        {"deadline": 8},
        {"strategy": {"steps": [{"weight": 10}]}},
        {"strategy": {"kind": "canary", "steps": []}},
        {"gates": [{"kind": "probe"}]},
        {"gates": [{"kind": "metric", "metric": "error_rate", "at_most": "1%", "at_least": "0%"}]},
        {"gates": [{"kind": "metric", "metric": "errors", "at_most": "1%"}]},
        {"approval": {"promote": {"approvers": ["somebody"]}}},
        {"windows": {"allow": "office hours"}},
        {"select": {"model": "x", "tags": {"auc": 0.9}}},
        {"keep": {"for_": "1h"}},
        {"keep": None},
    ],
    ids=str,
)
def test_the_schema_refuses(change: dict[str, Any]) -> None:
    (value,) = documents(EXAMPLES / "first-steps.yaml")
    assert refusals(value) == set()
    assert refusals({**value, **change}) != set()


@pytest.mark.parametrize(
    "length", ["500ms", "90s", "1h30m", "2d", "PT10M", "pt0.5s", "P1DT2H", "0s"]
)
def test_the_schema_takes_every_way_to_write_a_length(length: str) -> None:
    (value,) = documents(EXAMPLES / "first-steps.yaml")
    assert refusals({**value, "deadline": length}) == set()
