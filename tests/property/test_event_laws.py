"""Laws of reading an event: nothing sent raises, and no spelling changes what is read."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from deploy_logic.errors import EventError
from deploy_logic.event import Ignored, ModelRegistered, name_event, parse_json, read_event
from tests.builders import WORKSPACE, an_event_body

# Text as JSON may hold it: any code point, halves of surrogate pairs among them.
texts = st.text(st.characters(exclude_categories=())) | st.text("aA:/.0-", max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
names = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters="/\\?#:"),
    min_size=1,
    max_size=40,
).filter(lambda name: name not in {".", ".."})
KEYS = ("topic", "source", "subject", "eventType", "type", "id", "eventTime", "data_base64", "data")


@st.composite
def pairs_of_json(draw: st.DrawFn) -> str:
    """Return an object whose keys may come twice, as text."""
    keys = st.sampled_from([*KEYS, "ModelName", "modelname", "ModelVersion"]) | texts
    pairs = draw(st.lists(st.tuples(keys, values), max_size=5))
    return "{" + ", ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in pairs) + "}"


def read(text: str) -> ModelRegistered | Ignored | None:
    try:
        event = read_event(text, workspaces=[WORKSPACE])
    except EventError as error:
        str(error).encode()
        return None
    # Whatever was sent: it can be logged, stored and sent on.
    written = [event.event_id, *(event.tags if isinstance(event, ModelRegistered) else ())]
    "".join(written).encode()
    assert len(event.event_id) <= 100
    return event


@settings(max_examples=5_000)
@given(texts | pairs_of_json())
def test_any_text_is_read_ignored_or_refused(text: str) -> None:
    read(text)


@given(st.dictionaries(st.sampled_from(KEYS), values, max_size=3))
def test_any_registration_with_odd_fields_is_read_ignored_or_refused(odd: dict[str, Any]) -> None:
    event = read(json.dumps({**an_event_body(), **odd}))
    if isinstance(event, ModelRegistered):
        assert event.model.isprintable()
        assert event.version.isprintable()


@given(pairs_of_json())
def test_any_data_is_read_or_refused(data: str) -> None:
    text = json.dumps(an_event_body(subject="", data="@")).replace('"@"', data)
    event = read(text)
    assert not isinstance(event, Ignored)


@given(names, names | st.integers(), st.randoms(use_true_random=False))
def test_no_spelling_changes_what_is_read(model: str, version: str | int, chance: Any) -> None:
    plain = an_event_body(
        subject=f"models/{model}:{version}", data={"ModelName": model, "ModelVersion": version}
    )
    data = {_spell(key, chance): value for key, value in plain["data"].items()}
    other = {_spell(key, chance): value for key, value in plain.items()}
    other[next(key for key in other if key.lower() == "data")] = data
    if chance.random() < 0.5:  # CloudEvents
        for old, new in (("topic", "source"), ("eventtype", "type"), ("eventtime", "time")):
            other[new] = other.pop(next(key for key in other if key.lower() == old))
    items = list(other.items())
    chance.shuffle(items)
    first, second = read(json.dumps(plain)), read(json.dumps(dict(items)))
    assert first == second
    assert isinstance(first, ModelRegistered)
    assert (first.model, first.version) == (model, str(version))


@given(names, names, names, names)
def test_subject_and_data_agree_or_the_event_is_refused(
    model: str, version: str, other_model: str, other_version: str
) -> None:
    body = an_event_body(
        subject=f"models/{other_model}:{other_version}",
        data={"ModelName": model, "ModelVersion": version},
    )
    is_one = (model, version) == (other_model, other_version)
    assert isinstance(read(json.dumps(body)), ModelRegistered) is is_one


@given(values)
def test_naming_an_event_never_raises(body: object) -> None:
    name_event(parse_json(json.dumps(body)) if _is_json(body) else body).encode()


def _is_json(body: object) -> bool:
    try:
        json.dumps(body, allow_nan=False)
    except ValueError:
        return False
    return True


def _spell(key: str, chance: Any) -> str:
    return "".join(chance.choice((letter.upper(), letter.lower())) for letter in key)
