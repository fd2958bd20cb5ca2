"""The codec: what crosses the engine comes back, also what another version of the app wrote."""

import dataclasses
import json
import types
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from deploy_logic import matching, rollout
from deploy_logic.codec import decode, encode
from deploy_logic.gate import gate
from deploy_logic.ledger import controls, ledger, turns
from deploy_logic.ledger.drift import Sighting
from deploy_logic.ledger.operation import Asked
from deploy_logic.ledger.record import Barred, Ended, Ledger
from deploy_logic.plan import plan
from deploy_logic.policy.files import PolicyFiles
from deploy_logic.policy.policy import Policy
from tests.builders import MONDAY, a_policy, an_offer, policy_files

# Every dataclass that is an activity's, an entity's or an orchestration's input or output.
CROSSING = (
    matching.Offer,
    plan.Plan,
    plan.Sight,
    Ledger,
    Ended,
    Asked,
    Barred,
    Sighting,
    controls.Controls,
    controls.Turned,
    turns.Turns,
    rollout.Request,
    rollout.Rollout,
    gate.Answer,
)

text = st.text(max_size=5)
floats = st.floats(allow_nan=False, allow_infinity=False)
SCALARS: Mapping[Any, st.SearchStrategy[Any]] = {
    str: text,
    int: st.integers(),
    bool: st.booleans(),
    type(None): st.none(),
    datetime: st.datetimes(timezones=st.just(UTC)),
    timedelta: st.timedeltas(timedelta(0), timedelta(days=365)),
    object: st.none() | st.booleans() | floats | text | st.lists(text, max_size=2),  # plain JSON
}


def values(hint: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one for each kind of hint
    """Return a strategy of what the annotation allows, every field of a dataclass given."""
    hint = getattr(hint, "__value__", hint)  # of a type alias
    origin, parts = get_origin(hint), get_args(hint)
    if hint in SCALARS:
        return SCALARS[hint]
    if origin in {Union, types.UnionType}:
        return st.one_of([values(part) for part in parts])
    if origin is Literal:
        return st.sampled_from(parts)
    if origin is tuple:
        return st.lists(values(parts[0]), max_size=2).map(tuple)
    if origin is Mapping:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=2)
    if issubclass(hint, Enum):
        return st.sampled_from(list(hint))
    hints = get_type_hints(hint)
    return st.builds(hint, **{name: values(part) for name, part in hints.items()})


def has_default(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is not missing or field.default_factory is not missing


@pytest.mark.parametrize("kind", CROSSING, ids=lambda kind: kind.__name__)
def test_what_crosses_comes_back_also_from_an_older_and_a_newer_app(kind: type[Any]) -> None:
    given_always = [one.name for one in dataclasses.fields(kind) if not has_default(one)]

    @settings(max_examples=100)
    @given(values(kind))
    def law(value: Any) -> None:
        travelled = json.loads(json.dumps(encode(value)))
        assert travelled == encode(value)  # nothing but JSON's own kinds of values
        assert decode(kind, travelled) == value
        assert decode(kind, {**travelled, "added_later": {"x": 1}}) == value
        older = decode(kind, {name: travelled[name] for name in given_always})
        assert [getattr(older, name) for name in given_always] == [
            getattr(value, name) for name in given_always
        ]

    law()


def test_field_that_a_newer_app_has_added_inside_is_left_out() -> None:
    book = ledger.offer(Ledger(), an_offer(), at=MONDAY).ledger
    travelled = encode(book)
    travelled["answers"][0]["added_later"] = 1
    travelled["running"]["added_later"] = 1
    assert decode(Ledger, travelled) == book


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (rollout.Request, {"operation": "dance", "by": "ann", "reason": "x"}),
        (rollout.Request, None),
        (rollout.Request, "abort"),
        (matching.Offer, {}),
        (Ended, {"rollout_id": "r", "phase": "failed"}),
    ],
    ids=str,
)
def test_what_is_none_is_refused(kind: type[Any], wrong: object) -> None:
    with pytest.raises(ValidationError):
        decode(kind, wrong)


@pytest.mark.parametrize(
    "policy",
    [
        a_policy(),
        a_policy(strategy={"kind": "blue-green", "final_bake": "1h30m"}),
        a_policy(
            strategy={"kind": "all-at-once"},
            select={"model": "fraud", "version": ">= 3, != 7", "tags": {"a": "b"}},
            gates=[{"kind": "probe", "request": "r", "expect": {"equals": {"a": [1.5, None]}}}],
        ),
    ],
    ids=lambda policy: policy.strategy.kind,
)
def test_policy_travels_to_the_orchestrator_unchanged(policy: Policy) -> None:
    files = policy_files(policy)
    travelled = PolicyFiles.model_validate(json.loads(json.dumps(files.model_dump(mode="json"))))
    assert travelled.model_dump(mode="json") == files.model_dump(mode="json")
    assert travelled.hash == files.hash
    assert travelled.policy.select.version == policy.select.version


def test_times_are_text_that_people_can_read() -> None:
    answer = ledger.offer(Ledger(), an_offer(), at=MONDAY).ledger
    assert encode(answer)["answers"][0]["at"] == "2026-11-23T09:00:00Z"
