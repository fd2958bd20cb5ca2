"""replay, export, and plan at a running app: what goes there, and what comes back."""

import json
from pathlib import Path
from typing import Any

import pytest

from rolloutctl.exit import Exit
from tests.ctl.app import App
from tests.ctl.conftest import Run

EVENT = {"id": "e-1", "subject": "models/fraud:7"}
OFFERED = {"event_id": "e-1", "answer": "offered", "rollout_ids": ["r-1"], "reason": "matched"}
REFUSED = {"event_id": "", "answer": "refused", "rollout_ids": [], "reason": "no subject"}


def result(number: int) -> dict[str, Any]:
    return {**OFFERED, "event_id": f"e-{number}"}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EVENT),
        json.dumps([EVENT]),
        json.dumps([EVENT], indent=2),
        f"{json.dumps(EVENT)}\n",
        "\ufeff" + json.dumps(EVENT),
    ],
    ids=["object", "array", "indented", "line", "bom"],
)
def test_an_event_is_read_however_it_is_written(
    app: App, run: Run, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "events.json"
    path.write_text(text, encoding="utf-8")
    app.answers = [{"results": [OFFERED]}]
    done = run("replay", str(path), "--reason", "the app was down")
    assert done.code == Exit.OK, done.err
    assert app.posts() == [("replay", {"events": [EVENT], "reason": "the app was down"})]
    assert done.out == "e-1  offered  r-1: matched\n"


def test_lines_and_several_files_and_stdin_are_put_together(
    app: App, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text('{"id": 1}\n\n[{"id": 2}, {"id": 3}]\n{"id": 4}')
    app.answers = [{"results": [OFFERED]}]
    assert run("replay", str(path), "-", "--reason", "x", stdin='{"id": 5}').code == Exit.OK
    assert [one["id"] for one in app.posts()[0][1]["events"]] == [1, 2, 3, 4, 5]


def test_many_events_go_in_several_requests(app: App, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text(json.dumps([{"id": number} for number in range(150)]))
    first, second = ([result(n) for n in range(100)], [result(n) for n in range(100, 150)])
    app.answers = [{"results": first}, {"results": second}]
    done = run("replay", str(path), "--reason", "x", "--json")
    assert [len(body["events"]) for _, body in app.posts()] == [100, 50]
    assert done.json == {"results": [*first, *second]}


def test_an_event_that_is_refused_is_an_answer_of_no(app: App, run: Run) -> None:
    app.answers = [{"results": [OFFERED, REFUSED]}]
    done = run("replay", "-", "--reason", "x", stdin="[{}, {}]")
    assert done.code == Exit.NO
    assert "without id  refused  no subject" in done.out


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no events in"),
        (b"[]", "no events in"),
        (b'{"id": 1}\nnot json', ":2: not JSON: Expecting value"),
        (b"\xff", "byte 0 is not UTF-8"),
        (b"[" * 100_000, ":1: not JSON"),
    ],
    ids=["nothing", "empty", "text", "bytes", "deep"],
)
def test_a_file_without_events_is_a_mistake(
    app: App, run: Run, tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "events.json"
    path.write_bytes(content)
    done = run("replay", str(path), "--reason", "x")
    assert done.code == Exit.USAGE
    assert says in done.err
    assert app.posts() == []


def test_a_file_that_is_not_there_is_a_mistake(run: Run) -> None:
    done = run("replay", "nowhere.json", "--reason", "x")
    assert (done.code, "No such file" in done.err) == (Exit.USAGE, True)


# export


def test_the_archive_is_written_out_line_by_line(app: App, run: Run) -> None:
    app.lines = ['{"a": 1}', '{"b": "é"}']
    done = run("export", "--since", "2026-11-01", "--until", "2026-12-01")
    assert (done.code, done.out) == (Exit.OK, '{"a": 1}\n{"b": "é"}\n')
    assert done.err == "2 lines\n"
    assert app.asked[0][1] == "export?since=2026-11-01T00:00:00Z&until=2026-12-01T00:00:00Z"


def test_a_file_appears_only_when_all_is_in_it(app: App, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "archive.jsonl"
    app.lines, app.breaks_off = ["{}"] * 3, True
    done = run("export", "--output", str(path))
    assert done.code == Exit.UNREACHABLE
    assert "broke off" in done.err
    assert list(tmp_path.glob("archive*")) == []
    app.breaks_off = False
    assert run("export", "--output", str(path), "--json").code == Exit.OK
    assert path.read_text() == "{}\n" * 3
    assert run("export", "--output", str(path)).code == Exit.USAGE  # it is there already


# plan


ANSWER = {
    "policy": "fraud-prod",
    "endpoint": "fraud",
    "answer": "started",
    "reason": "nothing else runs on the endpoint",
    "rollout_id": "r-1",
    "steps": ["weight 10", "bake 10m"],
}
NO = {"policy": "churn", "endpoint": None, "answer": "no match", "reason": "another model"}


def test_the_app_is_asked_about_a_version(app: App, run: Run) -> None:
    app.answers = [{"answers": [ANSWER, NO]}]
    named = ("--model", "fraud", "--model-version", "7", "--tag", "auc=0.9", "--workspace", "w")
    done = run("plan", "--app", app.url, *named)
    assert done.code == Exit.OK, done.err
    assert done.out == (
        "started  policy fraud-prod, endpoint fraud: nothing else runs on the endpoint\n"
        "  r-1\n   1. weight 10\n   2. bake 10m\nno match  policy churn: another model\n"
    )
    body = {"model": "fraud", "version": "7", "workspace": "w", "tags": {"auc": "0.9"}}
    assert app.posts() == [("plan", body)]


def test_the_app_is_asked_about_each_event(app: App, run: Run) -> None:
    plans: list[dict[str, Any]] = [
        {"answers": [NO]},
        {"answers": [], "reason": "another type of event"},
    ]
    given = ("plan", "--app", app.url, "--event", "-")
    app.answers = [*plans]
    assert run(*given, "--json", stdin=json.dumps([EVENT] * 2)).json == {"plans": plans}
    assert app.posts() == [("plan", {"event": EVENT})] * 2
    app.answers = [*plans]
    said = run(*given, stdin=json.dumps([EVENT] * 2)).out
    assert said == "no match  policy churn: another model\nanother type of event\n"


@pytest.mark.parametrize(
    "given",
    [
        ("--app", "URL"),
        ("--app", "URL", "--model", "m"),
        ("--app", "URL", "--model", "m", "--model-version", "1", "--tag", "x"),
        ("--app", "URL", "--policies", "policies", "--event", "-"),
        ("--app", "URL", "--event", "-", "--first"),
        ("--event", "-"),
        ("--policies", "policies"),
        ("--policies", "policies", "--event", "-", "--model", "m"),
        (),
    ],
    ids=" ".join,
)
def test_a_plan_is_online_or_offline_and_not_half_of_each(
    app: App, run: Run, given: tuple[str, ...]
) -> None:
    done = run("plan", *(app.url if one == "URL" else one for one in given))
    assert done.code == Exit.USAGE
    assert app.posts() == []
