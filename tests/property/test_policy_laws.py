"""Whatever stands in a policy file, the answer is policies and complaints, never an exception."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from deploy_logic.policy.files import Loaded, read_policies
from deploy_logic.policy.part import print_share, read_share
from deploy_logic.policy.policy import Policy
from deploy_logic.policy.yaml import read_text

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
# by our own reader: in YAML 1.1 the key `on` would be a yes
(EVERY_KEY,) = [
    one.value for one in read_text((EXAMPLES / "every-key.yaml").read_bytes()).documents
]

_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["10m", "1%", "latest", ">= 3", "glob:*", "../x", "Mon UTC", "user:a", "{model}"]
    )
)
_json = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
_signs = st.sampled_from(
    [
        *"{}[]:,-&*!|>'\"%@`#?~ \n\t\r\\",
        *("<<: ", "policy: ", "select:", "\n  ", "&a ", "*a", "---\n", "gates:\n- ", "kind: probe"),
        *("!!set ", "!!binary ", "!x ", "\ufeff", "\x85", "\u2028", "\\ud800"),
    ]
)


@contextmanager
def a_folder(content: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "some.yaml").write_bytes(content)
        yield Path(name)


def check(content: bytes) -> Loaded:
    """Read the file, and hold of every complaint what people rely on."""
    with a_folder(content) as folder:
        loaded = read_policies(folder)
    ends = len(content.decode("utf-8", "replace").splitlines()) + 2
    for complaint in loaded.complaints:
        assert complaint.given
        assert complaint.expected
        assert 1 <= complaint.line <= ends
        assert complaint.column >= 1
        assert str(complaint).isprintable()
        assert "\n" not in str(complaint)
    return loaded


@given(st.binary(max_size=200))
def test_any_bytes_are_answered(content: bytes) -> None:
    check(content)


@given(st.text(max_size=200) | st.lists(_signs, max_size=60).map("".join))
@example("a: &a [*a]\n")
@example("? {a: b}\n: c\n")
@example("policy: .inf\nselect: {model: 1e999}\n")
@example("<<: [{policy: x}, *a]\n")
def test_any_text_is_answered(text: str) -> None:
    check(text.encode("utf-8", "replace"))


@given(_json)
def test_any_json_is_answered(value: Any) -> None:
    check(json.dumps(value).encode("utf-8", "replace"))


@given(_json)
def test_any_yaml_is_answered(value: Any) -> None:
    check(yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "replace"))


def ways(value: Any, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if way:
        yield way
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from ways(inner, (*way, key))


def with_another(value: Any, way: tuple[str | int, ...], new: Any) -> Any:
    first, *rest = way
    inner = with_another(value[first], tuple(rest), new) if rest else new
    if isinstance(value, dict):
        return {**value, first: inner}
    return [inner if number == first else one for number, one in enumerate(value)]


@given(st.lists(st.tuples(st.sampled_from([*ways(EVERY_KEY)]), _json), min_size=1, max_size=4))
def test_any_mistake_in_a_policy_is_answered(
    mistakes: list[tuple[tuple[str | int, ...], Any]],
) -> None:
    value = EVERY_KEY
    for way, new in mistakes:
        try:
            value = with_another(value, way, new)
        except (KeyError, IndexError, TypeError):  # an earlier mistake took its place away
            continue
    check(json.dumps(value).encode("utf-8", "replace"))


# any key is right as a tag's name and in an answer
_CLOSED = [way for way in ways(EVERY_KEY) if way != ("select", "tags") and "equals" not in way]


@pytest.mark.parametrize("way", _CLOSED, ids=lambda way: ".".join(map(str, way)))
def test_a_value_of_the_wrong_kind_is_pointed_at(way: tuple[str | int, ...]) -> None:
    text = yaml.safe_dump(with_another(EVERY_KEY, way, {"no-such-key": [0]}), sort_keys=False)
    line = next(n for n, one in enumerate(text.splitlines(), 1) if "no-such-key" in one)
    with a_folder(text.encode()) as folder:
        loaded = read_policies(folder)
    errors = [one for one in loaded.complaints if "No such file" not in one.given]
    assert any(one.line == line or one.line == line + 1 for one in errors), errors
    assert loaded.policies == ()


@given(st.floats(0, 1, exclude_max=True) | st.sampled_from([0.0, 1.0, 0.07, 0.29, 1e-9]))
def test_share_reads_back(share: float) -> None:
    shown = print_share(share)
    assert read_share(shown, expected="a share") == share


def test_what_is_dumped_of_any_example_is_the_same_policy() -> None:
    for path in sorted(EXAMPLES.glob("*.yaml")):
        for document in read_text(path.read_bytes()).documents:
            if path.name != "semver-in-a-tag.yaml":
                policy = Policy.model_validate(document.value)
                assert Policy.model_validate(policy.model_dump(mode="json")) == policy
