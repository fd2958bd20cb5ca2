"""Events: every dialect that Azure and its samples use is read, everything else is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.errors import EventError
from deploy_logic.event import MODEL_REGISTERED, Ignored, ModelRegistered, read_event
from tests.builders import WORKSPACE, an_event_body, an_event_text

EVENTS = Path(__file__).parent / "events"
SCHEMAS = ("grid", "cloud")

# file -> model and version
READ = {
    **{f"{schema}-{case}-{kind}": ("fraud", "7") for schema in SCHEMAS
       for case in ("pascal", "camel") for kind in ("number", "text")},
    **{f"{schema}-{what}": ("fraud", "7") for schema in SCHEMAS
       for what in ("data-missing", "data-null", "subject-missing")},
    "grid-sdk-fixture-2019": ("fraud", "3"),
    "grid-workspace-in-another-case": ("fraud", "7"),
    "grid-type-in-another-case": ("fraud", "7"),
    "grid-subject-in-another-case": ("fraud", "7"),
    "grid-subject-of-something-else": ("fraud", "7"),
    "grid-name-with-colon": ("team:fraud", "7"),
    "grid-name-with-colon-in-subject-alone": ("team:fraud", "7"),
    "grid-name-in-unicode": ("betrug-größe-詐欺", "7"),
    "grid-version-007": ("fraud", "007"),
    "grid-version-1.2.0-rc.1": ("fraud", "1.2.0-rc.1"),
    "grid-extra-fields": ("fraud", "7"),
    "grid-tags-null": ("fraud", "7"),
    "grid-tags-list": ("fraud", "7"),
    "grid-tags-of-numbers": ("fraud", "7"),
    "grid-keys-twice-alike": ("fraud", "7"),
    "grid-time-missing": ("fraud", "7"),
    "grid-id-missing": ("fraud", "7"),
    "grid-id-endless": ("fraud", "7"),
}  # fmt: skip

# file -> what the reason says
IGNORED = {
    **{f"{schema}-wrong-type": "'Microsoft.MachineLearningServices.RunStatusChanged' is not"
       for schema in SCHEMAS},
    **{f"{schema}-wrong-workspace": "workspaces/team-2' is not ours" for schema in SCHEMAS},
    "grid-type-missing": "its type '' is not ModelRegistered",
    "grid-topic-missing": "workspace '' is not ours",
    "empty-object": "its type '' is not ModelRegistered",
}  # fmt: skip

# file -> what the error says
REFUSED = {
    **{f"{schema}-version-disagrees": "subject 'models/fraud:7' and data 'fraud:8' disagree"
       for schema in SCHEMAS},
    **{f"{schema}-name-disagrees": "subject 'models/fraud:7' and data 'churn:7' disagree"
       for schema in SCHEMAS},
    "grid-name-in-another-case": "data 'Fraud:7' disagree",
    "grid-version-number-against-007": "subject 'models/fraud:007' and data 'fraud:7' disagree",
    "grid-version-fraction": "model version ''",
    "grid-version-true": "model version ''",
    "grid-version-with-slash": "model version '7/../8'",
    "grid-version-null": "model version ''",
    "grid-version-empty": "model version ''",
    "grid-name-missing-everywhere": "model name ''",
    "grid-name-too-long": "model name 'fff",
    "grid-name-with-newline": r"model name 'fraud\n7'",
    "grid-name-with-space-at-the-end": "model name 'fraud '",
    "grid-name-dots": "model name '..'",
    "grid-name-half-a-surrogate-pair": r"model name '\ud800'",
    "grid-subject-without-version": "subject 'models/fraud' and data 'fraud:7' disagree",
    "grid-keys-twice-differently": "data says 'modelname' twice, differently",
    "grid-data-is-text": "data 'fraud:7' is not a JSON object",
    "batch-of-one": "is not one JSON object",
    "null": "'null\\n' is not one JSON object",
}  # fmt: skip


def read(text: str) -> ModelRegistered | Ignored:
    return read_event(text, workspaces=[WORKSPACE])


def recorded(name: str) -> str:
    return (EVENTS / f"{name}.json").read_text(encoding="utf-8")


def test_every_recorded_event_has_an_expectation() -> None:
    files = sorted(path.stem for path in EVENTS.glob("*.json"))
    assert files == sorted([*READ, *IGNORED, *REFUSED])


@pytest.mark.parametrize("name", READ)
def test_reads(name: str) -> None:
    event = read(recorded(name))
    assert isinstance(event, ModelRegistered)
    assert (event.model, event.version) == READ[name]
    assert event.workspace.lower() == WORKSPACE.lower()


@pytest.mark.parametrize("name", IGNORED)
def test_ignores(name: str) -> None:
    event = read(recorded(name))
    assert isinstance(event, Ignored)
    assert IGNORED[name] in event.reason


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str) -> None:
    with pytest.raises(EventError, match=r"^reading an event: ") as refused:
        read(recorded(name))
    assert REFUSED[name] in str(refused.value)
    assert len(str(refused.value)) < 1000  # quotes no whole payload


@pytest.mark.parametrize("name", ["grid-pascal-number", "cloud-camel-text"])
def test_keeps_all_that_the_event_says(name: str) -> None:
    time = json.loads(recorded(name)).get("eventTime") or json.loads(recorded(name))["time"]
    assert read(recorded(name)) == ModelRegistered(
        event_id="e-1",
        workspace=WORKSPACE,
        model="fraud",
        version="7",
        time=time,
        tags={"stage": "production"},
        properties={"auc": "0.93"},
    )


@pytest.mark.parametrize("name", ["grid-wrong-type", "cloud-wrong-workspace"])
def test_ignored_event_keeps_its_id(name: str) -> None:
    event = read(recorded(name))
    assert isinstance(event, Ignored)
    assert event.event_id == "e-1"


@pytest.mark.parametrize(
    ("name", "event_id"), [("grid-id-missing", ""), ("grid-id-endless", "e" * 100)]
)
def test_event_id_is_short_whatever_is_sent(name: str, event_id: str) -> None:
    assert read(recorded(name)).event_id == event_id


def test_tags_become_text() -> None:
    event = read(recorded("grid-tags-of-numbers"))
    assert isinstance(event, ModelRegistered)
    assert event.tags == {"auc": "0.93", "n": "1", "ok": "true", "none": "null", "list": "[1]"}


@pytest.mark.parametrize("name", ["grid-tags-null", "grid-tags-list"])
def test_tags_that_are_no_object_are_none(name: str) -> None:
    event = read(recorded(name))
    assert isinstance(event, ModelRegistered)
    assert event.tags == {}


@pytest.mark.parametrize("text", ["", " ", "{", "[" * 100_000, "\ud800", "1", '"x"', "NaN", "true"])
def test_what_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(EventError, match=r"is not (one JSON object|JSON)"):
        read(text)


@pytest.mark.parametrize("digits", [4_300, 5_000])
def test_version_of_thousands_of_digits_is_refused(digits: int) -> None:
    text = an_event_text(subject="", version=7).replace(
        '"ModelVersion": 7', f'"ModelVersion": {"9" * digits}'
    )
    with pytest.raises(EventError):
        read(text)


def test_no_workspace_is_everybodys() -> None:
    assert isinstance(read_event(an_event_text(topic=""), workspaces=[WORKSPACE]), Ignored)


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
anything = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8
)
spelled = st.sampled_from(["", MODEL_REGISTERED, WORKSPACE, "models/fraud:7", "fraud", "7"])
nearly = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("topic", "source", "Subject", "subject", "eventType", "type", "id", "eventTime"),
        spelled | anything,
    )
    | {
        "data": anything
        | st.dictionaries(
            st.sampled_from(["ModelName", "modelName", "ModelVersion", "modelTags", "x"]),
            spelled | anything,
        )
    },
)


@given(anything | nearly)
def test_any_json_is_read_ignored_or_refused(value: Any) -> None:
    check_answer(json.dumps(value))


@given(st.fixed_dictionaries({"topic": st.just(WORKSPACE)}), nearly)
def test_any_registration_is_read_or_refused(base: dict[str, Any], changes: dict[str, Any]) -> None:
    check_answer(json.dumps({**an_event_body(), **changes, **base}))


@given(st.text() | st.text(alphabet='{}[]",:0 '))
def test_any_text_is_read_ignored_or_refused(text: str) -> None:
    check_answer(text)


def check_answer(text: str) -> None:
    try:
        event = read(text)
    except EventError:
        return
    if isinstance(event, ModelRegistered):
        assert event.model.isprintable()
        assert event.version.isprintable()
        assert not set(event.model + event.version) & set("/\\?#")
        assert 1 <= len(event.model) <= 255
        assert 1 <= len(event.version) <= 255
        assert event.workspace.lower() == WORKSPACE.lower()
