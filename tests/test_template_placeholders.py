"""Placeholders: the marks that are filled, those that are kept, and all else left as it is."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.template.placeholder import KNOWN, VALUES, fill_value, find_unfilled
from deploy_logic.template.template import check_template, fill_template
from tests.template_lab import VALUES as FILLED

FOLDER = Path(__file__).parent / "data" / "templates"

FILLED_MARKS = {
    "braces": ("{{MODEL_VERSION}}", "7"),
    "braces with spaces": ("{{ MODEL_VERSION }}", "7"),
    "braces in lower case": ("{{model_version}}", "7"),
    "dashes": ("<model-version>", "7"),
    "spaces": ("<model version>", "7"),
    "angles": ("<MODEL_NAME>", "fraud"),
    "expression": ("${{ MODEL_NAME }}", "fraud"),
    "expression of a workflow's inputs": ("${{ inputs.MODEL_NAME }}", "fraud"),
    "expression of a pipeline's parameters": ("${{parameters.MODEL_NAME}}", "fraud"),
    "shell": ("${ENDPOINT_NAME}", "fraud-endpoint"),
    "a variable that is all": ("$ENDPOINT_NAME", "fraud-endpoint"),
    "macro": ("$(DEPLOYMENT_NAME)", "fraud-v7"),
    "underscores": ("__RESOURCE_GROUP__", "risk"),
    "underscores in lower case": ("__resource_group__", "risk"),
    "hashes": ("#{WORKSPACE}#", "scoring"),
    "percents": ("<%= SUBSCRIPTION_ID %>", FILLED["SUBSCRIPTION_ID"]),
    "two in one": ("{{MODEL_NAME}}:{{MODEL_VERSION}}", "fraud:7"),
    "in the middle": ("a-<MODEL_NAME>-b", "a-fraud-b"),
    "beside an unknown one": ("{{X}}{{MODEL_NAME}}", "{{X}}fraud"),
}
KEPT_MARKS = {
    "kept braces": ("\\{{MODEL_NAME}}", "{{MODEL_NAME}}"),
    "kept shell": ("\\${MODEL_NAME}", "${MODEL_NAME}"),
    "kept expression": ("\\${{ MODEL_NAME }}", "${{ MODEL_NAME }}"),
    "kept angles": ("\\<pad>", "<pad>"),
    "connection of the workspace": (
        "${{azureml://connections/search/credentials/key}}",
        "${{azureml://connections/search/credentials/key}}",
    ),
    "Python's own": ("__main__", "__main__"),
    "a price": ("$5 or 100%", "$5 or 100%"),
    "comparisons": ("1 < 2 > 0", "1 < 2 > 0"),
    "a closing tag": ("</s>", "</s>"),
    "single braces": ("{a}", "{a}"),
    "backslashes": ("C:\\temp", "C:\\temp"),
    "a variable inside": ("cost $MODEL_NAME", "cost $MODEL_NAME"),
}


@pytest.mark.parametrize(("value", "expected"), FILLED_MARKS.values(), ids=FILLED_MARKS)
def test_known_placeholder_is_filled(value: str, expected: str) -> None:
    assert fill_value(value, FILLED) == expected


@pytest.mark.parametrize(("value", "expected"), KEPT_MARKS.values(), ids=KEPT_MARKS)
def test_what_is_no_placeholder_is_kept(value: str, expected: str) -> None:
    assert fill_value(value, FILLED) == expected
    assert list(find_unfilled(value)) == []


UNKNOWN = {
    "braces": ("{{ACR_NAME}}", "{{ACR_NAME}}"),
    "empty braces": ("{{}}", "{{}}"),
    "angles": ("code in <CODE_DIR>", "<CODE_DIR>"),
    "expression": ("${{ github.run_id }}", "${{ github.run_id }}"),
    "shell": ("a${PORT}", "${PORT}"),
    "variable": ("$HOME", "$HOME"),
    "macro": ("$(Build.BuildId)", "$(Build.BuildId)"),
    "underscores": ("__REGION__", "__REGION__"),
    "hashes": ("#{Region}#", "#{Region}#"),
    "a place holder": ("storage_place_holder", "storage_place_holder"),
    "a registry that holds a place": ("placeholder.azurecr.io/a:1", "placeholder.azurecr.io/a:1"),
}


@pytest.mark.parametrize(("value", "found"), UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_placeholder_is_found(value: str, found: str) -> None:
    assert [one.written for one in find_unfilled(value)] == [found]


@pytest.mark.parametrize(("wrong", "right"), [("MODEL_VERSOIN", "MODEL_VERSION"), ("model", "")])
def test_a_known_name_is_suggested_only_when_it_is_near(wrong: str, right: str) -> None:
    (found,) = find_unfilled(f"{{{{{wrong}}}}}")
    assert found.expected.startswith(f"{right}? or " if right else "the value itself, for only ")


def test_every_known_name_has_a_value() -> None:
    assert set(KNOWN.values()) == set(VALUES) == set(FILLED)


def filled(text: str, **changes: str) -> Any:
    return yaml.safe_load(fill_template(text, FILLED | changes))


WRITTEN = {
    "plain and alone": ("a: {{MODEL_VERSION}}", "{v}"),
    "plain in a word": ("a: v{{MODEL_VERSION}}.0", "v{v}.0"),
    "in single quotes": ("a: 'it''s {{MODEL_VERSION}}'", "it's {v}"),
    "in double quotes": ('a: "tab\\t{{MODEL_VERSION}}"', "tab\t{v}"),
    "in a literal block": ("a: |\n  one\n  {{MODEL_VERSION}}\nb: 1", "one\n{v}\n"),
    "in a folded block": ("a: >-\n  one\n  {{MODEL_VERSION}}\nb: 1", "one {v}"),
    "in a flow mapping": ("{a: {{MODEL_VERSION}}}", "{v}"),
    "hashes": ("a: #{MODEL_VERSION}#", "{v}"),
    "shell in a flow mapping": ("{a: ${MODEL_VERSION}}", "{v}"),
    "kept in plain": ("a: \\{{b}} {{MODEL_VERSION}}", "{{b}} {v}"),
}
VERSIONS = ["7", "1.10", "007", "1e3", "true", "null", "2024-01-01", "a: b #c", 'quo"te', "é\n☃😀"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("text", "expected"), WRITTEN.values(), ids=WRITTEN)
def test_filled_value_is_that_very_text_however_it_is_written(
    text: str, expected: str, version: str
) -> None:
    assert filled(text, MODEL_VERSION=version)["a"] == expected.replace("{v}", version)


def test_keys_and_items_are_filled() -> None:
    assert filled("a: [{{MODEL_NAME}}, {<ENDPOINT_NAME>: 1}]") == {
        "a": ["fraud", {"fraud-endpoint": 1}]
    }


def test_everything_but_the_placeholders_stays_byte_for_byte() -> None:
    text = (
        "# {{MODEL_NAME}}\r\na:   0x1F # <b>\r\nb: {{MODEL_NAME}}   # why\r\nc: &x [on, 1_000]\r\n"
    )
    assert fill_template(text, FILLED) == text.replace("b: {{MODEL_NAME}}", 'b: "fraud"')


def test_what_the_app_owns_may_hold_what_it_likes() -> None:
    text = "name: {{X}}\nendpoint_name: <y>\nmodel: {path: ${Z}}\ninstance_type: S\n"
    assert check_template(FOLDER / "t.yml", text, kind="deployment") == ()
    assert filled(text)["name"] == "{{X}}"


PLACES = {
    "in quotes": ('description: ok\ntags: {a: "x <KV_NAME>"}\n', (2, 14)),
    "in the second line of a block": ("tags:\n  a: |\n    one\n    two {{X}}\n", (4, 9)),
    "after a byte order mark": ("\ufeff\ntags: {a: {{X}}}\n", (2, 11)),
    "at the very start": ("{{X}}: 1\n", (1, 1)),
    "behind Windows line ends": ("description: a\r\ntags:\r\n  b: {{X}}\r\n", (3, 6)),
}


@pytest.mark.parametrize(("text", "place"), PLACES.values(), ids=PLACES)
def test_complaint_points_at_the_placeholder(text: str, place: tuple[int, int]) -> None:
    (found,) = check_template(FOLDER / "t.yml", text, kind="deployment")
    assert (found.line, found.column) == place


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)
UNREADABLE = {
    "aliases that explode": BOMB,
    "an alias of what it stands in": "a: &a [*a]\n",
    "deep": "[" * 1000,
    "a tab": "a:\n\t- b\n",
    "a control character": "a: \x00\n",
    "an impossible date": "a: 2026-13-45\n",
    "a mapping as key": "{{a: b}: c}\n",
    "a tag": "a: !!python/object:os.system x\n",
    "a character of ours": "a: \U0010fff0\n",
}


@pytest.mark.parametrize("text", UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_one_complaint(text: str) -> None:
    (found,) = check_template(FOLDER / "t.yml", text, kind="deployment")
    assert found.path == "template"
    assert found.given


_PIECES = st.sampled_from([
    *"ab<>#?|&*[]{}'\"\\\n\x00é", "\ufeff", "  ", "b: ", "- ", "{{", "}}", "${", "MODEL_NAME",
    "&a ", "*a", ", ", "file:", "tags:\n", "environment: ", "code_configuration: {code: ",
])  # fmt: skip


@given(pieces=st.lists(_PIECES | st.text(max_size=3), max_size=30))
def test_no_text_breaks_the_check_or_the_filling(pieces: list[str]) -> None:
    text = "".join(pieces)
    for complaint in check_template(FOLDER / "t.yml", text, kind="deployment"):
        assert complaint.line >= 1
        assert "\n" not in complaint.given
    fill_template(text, FILLED)


_VALUES = st.dictionaries(
    st.text(alphabet="abcXYZ_-", min_size=1, max_size=8),
    st.recursive(
        st.text(max_size=20) | st.integers() | st.booleans() | st.none(),
        lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text("ab"), below),
        max_leaves=8,
    ),
    max_size=5,
)


@given(value=_VALUES, style=st.sampled_from([None, '"', "'", "|", ">"]), flow=st.booleans())
def test_filling_a_document_is_filling_each_of_its_texts(
    value: dict[str, Any], style: str | None, *, flow: bool
) -> None:
    """The law of filling: whatever the YAML looks like, texts are filled and nothing else moves."""
    value["placed"] = "{{MODEL_NAME}} and\n<MODEL_VERSION>"
    text = yaml.safe_dump(value, default_style=style, default_flow_style=flow, allow_unicode=True)
    assert yaml.safe_load(fill_template(text, FILLED)) == _each(yaml.safe_load(text))


def _each(value: Any) -> Any:
    if isinstance(value, str):
        return fill_value(value, FILLED)
    if isinstance(value, list):
        return [_each(one) for one in value]
    if isinstance(value, dict):
        return {_each(key): _each(one) for key, one in value.items()}
    return value
