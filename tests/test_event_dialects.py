"""Events as the outside sends them, well and badly: read, ignored or refused, nothing else."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.errors import EventError
from deploy_logic.event import (
    Ignored,
    ModelRegistered,
    name_event,
    parse_json,
    read_body,
    read_event,
)
from deploy_logic.matching import make_offer
from tests.builders import WORKSPACE, a_policy, an_event_body, an_event_text

DIALECTS = json.loads((Path(__file__).parent / "data/events/dialects.json").read_text("utf-8"))
MEGABYTE = 1_000_000


def read(text: str) -> ModelRegistered | Ignored:
    return read_event(text, workspaces=[WORKSPACE])


def refusal(text: str) -> str:
    with pytest.raises(EventError) as refused:
        read(text)
    said = str(refused.value)
    assert said.startswith("reading an event: ")
    assert len(said) < 1_000  # quotes no whole payload
    said.encode()  # can be written to any log
    return said


def registered(text: str) -> ModelRegistered:
    event = read(text)
    assert isinstance(event, ModelRegistered)
    return event


def with_data(written: str, *, subject: str = '""') -> str:
    """Return an event with that JSON text as its data."""
    body = an_event_text(subject="@subject", data="@data")
    return body.replace('"@data"', written).replace('"@subject"', subject)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect["name"])
def test_every_dialect_is_read(dialect: dict[str, Any]) -> None:
    event = registered(json.dumps(dialect["event"]))
    assert (event.model, event.version) == (dialect["model"], dialect["version"])
    assert event.workspace.lower() == WORKSPACE.lower()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect["name"])
def test_text_with_or_without_escapes_is_the_same(dialect: dict[str, Any]) -> None:
    plain = json.dumps(dialect["event"], ensure_ascii=False)
    assert read(plain) == read(json.dumps(dialect["event"]))


# --- contradictions


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('{"ModelName": "fraud", "ModelVersion": 7, "ModelVersion": 8}', "'ModelVersion' twice"),
        ('{"ModelName": "fraud", "modelname": "churn", "ModelVersion": 7}', "'modelname' twice"),
        ('{"ModelName": "fraud", "ModelVersion": 1, "modelVersion": true}', "'modelVersion' twice"),
        ('{"ModelName": "fraud", "ModelVersion": 1, "ModelVersion": 1.0}', "'ModelVersion' twice"),
        ('{"ModelName": "f", "ModelVersion": 7, "ModelTags": {"a": "1", "a": "2"}}', "'a' twice"),
        (
            '{"ModelName": "f", "ModelVersion": 7, "ModelTags": {"a": {"b": 1, "b": 2}}}',
            "'b' twice",
        ),
    ],
)
def test_contradictory_duplicate_keys_are_refused(written: str, says: str) -> None:
    assert says in refusal(with_data(written))


@pytest.mark.parametrize("key", ["id", "topic", "eventType", "data"])
def test_contradictory_envelope_is_refused(key: str) -> None:
    body = an_event_text()
    assert f"{key!r} twice" in refusal(body.replace("{", f'{{"{key}": "first", ', 1))


def test_duplicates_that_agree_are_one() -> None:
    event = registered(
        with_data('{"ModelName": "fraud", "ModelVersion": 7, "ModelVersion": 7, "modelVersion": 7}')
    )
    assert (event.model, event.version) == ("fraud", "7")


def test_contradiction_in_a_field_that_nobody_reads_is_none_of_ours() -> None:
    event = registered(
        with_data('{"ModelName": "fraud", "ModelVersion": 7, "more": {"a": 1, "a": 2}}')
    )
    assert event.version == "7"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"source": WORKSPACE + "-2"}, "topic"),
        ({"type": "Microsoft.MachineLearningServices.ModelDeployed"}, "it has two types"),
        ({"data_base64": "e30="}, "data and data_base64"),
    ],
)
def test_two_envelopes_that_disagree_are_refused(changes: dict[str, Any], says: str) -> None:
    assert says in refusal(an_event_text(**changes))


@pytest.mark.parametrize("subject", ["models/fraud:8", "models/churn:7", "models/Fraud:7"])
@pytest.mark.parametrize("schema", ["grid", "cloud"])
def test_subject_and_data_that_disagree_are_refused(schema: str, subject: str) -> None:
    body = an_event_body(subject=subject)
    if schema == "cloud":
        body |= {"source": body.pop("topic"), "type": body.pop("eventType")}
    assert "disagree" in refusal(json.dumps(body))


# --- odd values


@pytest.mark.parametrize("version", ["1.5", "7.0", "1e2", "true", "[7]", '{"a": 1}', "-0.5"])
def test_version_of_the_wrong_type_is_refused_even_if_the_subject_has_one(version: str) -> None:
    data = f'{{"ModelName": "fraud", "ModelVersion": {version}}}'
    said = refusal(with_data(data, subject='"models/fraud:7"'))
    assert "model version ''" in said
    assert "neither text nor a whole number" in said


@pytest.mark.parametrize("name", ["true", "[]", "{}", "1.5"])
def test_name_of_the_wrong_type_is_refused(name: str) -> None:
    assert "model name ''" in refusal(with_data(f'{{"ModelName": {name}, "ModelVersion": 7}}'))


@pytest.mark.parametrize("digits", [255, 256, 4_300, 4_301, 900_000])
def test_whole_numbers_of_any_length(digits: int) -> None:
    text = with_data(f'{{"ModelName": "fraud", "ModelVersion": {"9" * digits}}}')
    if digits <= 255:
        assert registered(text).version == "9" * digits
    else:
        assert "model version '999" in refusal(text)


@pytest.mark.parametrize("number", ["9" * 5_000, "1e999", "-1e-999"])
def test_huge_number_in_a_field_that_nobody_reads_harms_nothing(number: str) -> None:
    text = with_data(f'{{"ModelName": "fraud", "ModelVersion": 7, "Size": {number}}}')
    assert registered(text).version == "7"


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_of_json_is_refused(constant: str) -> None:
    said = refusal(with_data(f'{{"ModelName": "fraud", "ModelVersion": {constant}}}'))
    assert f"is not JSON: {constant}" in said


@pytest.mark.parametrize("depth", [10, 900, 2_500, 5_000, 9_000, 100_000, 400_000])
@pytest.mark.parametrize("place", ["data", "tags", "more", "id"])
@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_deep_nesting_never_raises_but_event_error(depth: int, place: str, brackets: str) -> None:
    opening = '{"a":' if brackets == "{}" else "["
    deep = opening * depth + "1" + brackets[1] * depth
    name = '"ModelName": "fraud", "ModelVersion": 7'
    text = {
        "data": with_data(deep),
        "tags": with_data(f'{{{name}, "ModelTags": {{"deep": {deep}}}}}'),
        "more": with_data(f'{{{name}, "more": {deep}}}'),
        "id": an_event_text(id="@id").replace('"@id"', deep),
    }[place]
    try:
        event = read(text)
    except EventError:
        return
    assert isinstance(event, ModelRegistered)


@pytest.mark.parametrize(
    "text",
    [
        "[" * MEGABYTE,
        '{"a":' * (MEGABYTE // 5),
        '"' + "x" * MEGABYTE,
        "{" + " " * MEGABYTE,
        "\ud800" * 10,
        "\x00",
        "\ufeff" + an_event_text(),
    ],
    ids=["lists", "objects", "string", "blanks", "surrogates", "null", "byte order mark"],
)
def test_what_is_no_json_is_refused(text: str) -> None:
    assert "is not JSON" in refusal(text)


def test_event_of_a_megabyte_is_read() -> None:
    tags = {f"tag-{number}": "x" * 1_000 for number in range(1_000)}
    text = an_event_text(data={"ModelName": "fraud", "ModelVersion": 7, "ModelTags": tags})
    assert len(text) > MEGABYTE
    assert len(registered(text).tags) == 1_000


def test_event_of_a_megabyte_of_duplicates_is_read() -> None:
    text = "1"
    while len(text) < MEGABYTE // 2:
        text = f'{{"a": {text}, "a": {text}}}'
    assert registered(with_data(f'{{"ModelName": "f", "ModelVersion": 7, "x": {text}}}')).model


@pytest.mark.parametrize("where", ["data", "subject"])
@pytest.mark.parametrize("name", ["fraud\ud800", "\ud83d"])
def test_half_a_surrogate_pair_in_a_name_is_refused(name: str, where: str) -> None:
    if where == "data":
        text = an_event_text(subject="", data={"ModelName": name, "ModelVersion": 7})
    else:
        text = an_event_text(subject=f"models/{name}:7", data=None)
    assert "model name" in refusal(text)


@pytest.mark.parametrize(
    "changes",
    [{"id": "e\ud800\n1"}, {"eventTime": "\udfff\r\nforged log line"}],
    ids=["id", "time"],
)
def test_what_could_break_a_log_or_an_encoding_is_written_out(changes: dict[str, str]) -> None:
    event = registered(an_event_text(**changes))
    assert (event.event_id + event.time).isprintable()
    (event.event_id + event.time).encode()


def test_tags_can_be_encoded_whatever_they_hold() -> None:
    data = {"ModelName": "f", "ModelVersion": 7, "ModelTags": {"a\ud800": "b\udfff", "n": [1]}}
    event = registered(an_event_text(subject="", data=data))
    assert event.tags == {r"a\ud800": r"b\udfff", "n": "[1]"}


def test_unicode_names_are_kept_as_they_are_spelled() -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    for name in (composed, decomposed):
        data = {"ModelName": name, "ModelVersion": 7}
        assert registered(an_event_text(model=name, data=data)).model == name
    data = {"ModelName": composed, "ModelVersion": 7}
    assert "disagree" in refusal(an_event_text(subject=f"models/{decomposed}:7", data=data))


# --- base64


@pytest.mark.parametrize(
    ("encoded", "says"),
    [
        ("e30=!", "is not base64"),
        ("e30", "is not base64"),
        (7, "is not base64"),
        (base64.b64encode(b"\xff").decode(), "is not base64 of text in UTF-8"),
        (base64.b64encode(b"{").decode(), "is not JSON"),
        (base64.b64encode(b"[1]").decode(), "data_base64 [1] is not a JSON object"),
    ],
)
def test_data_in_base64_that_cannot_be_read_is_refused(encoded: object, says: str) -> None:
    body = an_event_body(data_base64=encoded)
    del body["data"]
    assert says in refusal(json.dumps(body))


# --- whose, and which


def test_without_a_list_any_workspace_is_ours() -> None:
    event = read_event(an_event_text(topic="/elsewhere"), workspaces=None)
    assert isinstance(event, ModelRegistered)
    assert event.workspace == "/elsewhere"


@pytest.mark.parametrize("workspace", ["", None, True, "a\nb", "\ud800"])
def test_no_workspace_is_nobodys(workspace: object) -> None:
    event = read_event(an_event_text(topic=workspace), workspaces=None)
    assert isinstance(event, Ignored)


def test_identity_is_workspace_model_and_version_and_never_the_event_id() -> None:
    policy = a_policy()
    first, other, again = (
        make_offer(registered(an_event_text(version=version, id=event_id)), policy)
        for version, event_id in (("7", "same"), ("8", "same"), ("7", "another"))
    )
    assert first.rollout_id != other.rollout_id
    assert first.rollout_id == again.rollout_id


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"id": "e-1"}, "e-1"),
        ({"ID": 7}, "7"),
        ({"id": None}, ""),
        ({"id": "x" * 500}, "x" * 100),
        ([], ""),
        (None, ""),
    ],
)
def test_event_is_named_by_its_id(body: object, name: str) -> None:
    assert name_event(body) == name


def test_one_bad_event_of_an_array_harms_no_other() -> None:
    text = f'[{{"id": "a", "id": "b"}}, {an_event_text()}]'
    events = parse_json(text)
    assert isinstance(events, list)
    bad, good = events
    with pytest.raises(EventError, match="'id' twice"):
        read_body(bad, workspaces=None)
    assert isinstance(read_body(good, workspaces=None), ModelRegistered)


def test_tags_that_are_nested_too_deeply_are_refused() -> None:
    deep: list[object] = []
    for _ in range(200_000):
        deep = [deep]
    body = {
        "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
        "topic": WORKSPACE,
        "data": {"modelName": "fraud", "modelVersion": "7", "modelTags": {"stage": deep}},
    }
    with pytest.raises(EventError, match="nested too deeply"):
        read_body(body, workspaces=[WORKSPACE])
