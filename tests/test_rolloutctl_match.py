"""`rolloutctl match`: what it prints for events of every kind, and its exit codes."""

import argparse
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from rolloutctl import match
from tests.builders import WORKSPACE, an_event_body, an_event_text

POLICY = """\
policy: {name}
select: {{model: "{model}", version: "{version}"{tags}}}
deploy: {{endpoint: "{endpoint}", template: templates/t.yml}}
strategy: {{kind: all-at-once}}
"""


def write(folder: Path, *policies: dict[str, str]) -> Path:
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    (folder / "templates" / "t.yml").write_text("instance_count: 1\n")
    usual = {"model": "fraud", "version": "latest", "endpoint": "fraud", "tags": ""}
    texts = [POLICY.format(**{**usual, **policy}) for policy in policies]
    (folder / "all.yaml").write_text("---\n".join(texts))
    return folder


class Shell:
    """Runs the command as `python -m rolloutctl match` would, and keeps what it said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.err = ""
        self.code = -1

    def run(self, *options: str) -> str:
        parser = argparse.ArgumentParser()
        match.add_arguments(parser)
        self._capsys.readouterr()
        self.code = match.run(parser.parse_args(options))
        said = self._capsys.readouterr()
        self.err = said.err
        return said.out

    def ask(self, text: str, *options: str) -> Any:
        event = self.folder / "event.json"
        event.write_bytes(text.encode("utf-8", "surrogatepass"))
        policies = str(self.folder / "policies")
        given = ("--policies", policies, "--event", str(event), "--json", *options)
        return json.loads(self.run(*given))


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    write(
        tmp_path / "policies",
        {"name": "fraud-prod"},
        {"name": "all-fraud", "model": "glob:fraud*", "endpoint": "all-{model}"},
        {"name": "churn-prod", "model": "churn", "endpoint": "churn"},
        {"name": "from-ten", "version": ">= 10", "endpoint": "later"},
    )
    return Shell(tmp_path, capsys)


def test_every_policy_answers_an_event(shell: Shell) -> None:
    assert shell.ask(an_event_text()) == [
        {
            "event": "e-1",
            "kind": "model_registered",
            "reason": None,
            "model": "fraud",
            "version": "7",
            "answers": [
                {
                    "policy": "fraud-prod",
                    "match": True,
                    "reason": "model 'fraud' is selected by 'fraud', version '7' by 'latest'; it "
                    "is offered to endpoint 'fraud'",
                },
                {
                    "policy": "all-fraud",
                    "match": True,
                    "reason": "model 'fraud' is selected by 'glob:fraud*', version '7' by "
                    "'latest'; it is offered to endpoint 'all-fraud'",
                },
                {
                    "policy": "churn-prod",
                    "match": False,
                    "reason": "model 'fraud' is not 'churn'",
                },
                {"policy": "from-ten", "match": False, "reason": "version 7 is not >= 10"},
            ],
        }
    ]
    assert (shell.code, shell.err) == (0, "")


def test_array_of_both_schemas_is_answered_event_by_event(shell: Shell) -> None:
    cloud = an_event_body(version="12", id="e-2")
    cloud |= {"source": cloud.pop("topic"), "type": cloud.pop("eventType"), "specversion": "1.0"}
    other = an_event_body(id="e-3", eventType="Microsoft.MachineLearningServices.RunCompleted")
    bad = an_event_body(id="e-4", subject="models/fraud:8")
    nameless = {**an_event_body(), "id": None}
    found = shell.ask(json.dumps([an_event_body(), cloud, other, bad, nameless, 7]))
    assert [(one["event"], one["kind"], one["version"]) for one in found] == [
        ("e-1", "model_registered", "7"),
        ("e-2", "model_registered", "12"),
        ("e-3", "ignored", None),
        ("e-4", "refused", None),
        (None, "model_registered", "7"),
        (None, "refused", None),
    ]
    assert [bool(one["reason"]) for one in found] == [False, False, True, True, False, True]
    assert [len(one["answers"]) for one in found] == [4, 4, 0, 0, 4, 0]
    assert [one["match"] for one in found[1]["answers"]] == [True, True, False, True]
    assert list(found[2]) == ["event", "kind", "reason", "model", "version", "answers"]
    assert shell.code == 0


@pytest.mark.parametrize(
    ("stable", "matches"),
    [("fraud=6", True), ("fraud=7", False), ("FRAUD=8", False), ("other=8", True)],
)
def test_stable_has_newer_asked(shell: Shell, stable: str, *, matches: bool) -> None:
    found = shell.ask(an_event_text(), "--stable", stable)[0]["answers"][0]
    assert found["match"] is matches
    if not matches:
        version = stable.partition("=")[2]
        assert f"(endpoint 'fraud' serves '{version}')" in found["reason"]


def test_stables_of_several_endpoints(shell: Shell) -> None:
    answers = shell.ask(an_event_text(), "--stable", "fraud=8", "--stable", "all-fraud=9")
    assert [one["match"] for one in answers[0]["answers"]] == [False, False, False, False]


@pytest.mark.parametrize("stable", ["fraud", "=7", "fraud="])
def test_stable_that_is_none_is_an_error_of_the_command_line(shell: Shell, stable: str) -> None:
    with pytest.raises(SystemExit) as ended:
        shell.ask(an_event_text(), "--stable", stable)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ((), "model_registered"),
        (("--workspace", WORKSPACE.upper() + "/"), "model_registered"),
        (("--workspace", WORKSPACE + "-2"), "ignored"),
        (("--workspace", WORKSPACE + "-2", "--workspace", WORKSPACE), "model_registered"),
    ],
)
def test_workspace(shell: Shell, options: tuple[str, ...], kind: str) -> None:
    assert shell.ask(an_event_text(), *options)[0]["kind"] == kind


def test_events_come_from_stdin(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(an_event_text().encode())))
    policies = str(shell.folder / "policies")
    out = shell.run("--policies", policies, "--event", "-", "--json")
    assert json.loads(out)[0]["event"] == "e-1"


def test_byte_order_mark_is_forgiven(shell: Shell) -> None:
    assert shell.ask("\ufeff" + an_event_text())[0]["kind"] == "model_registered"


def test_no_events_have_no_answers(shell: Shell) -> None:
    assert shell.ask("[]") == []
    assert shell.code == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON: Expecting value"),
        (b"{", "not JSON"),
        (b"[1, NaN]", "not JSON: NaN is no number of JSON"),
        ("{}".encode("utf-16"), "byte 0 is not UTF-8"),
        (None, "No such file or directory"),
    ],
)
def test_file_that_is_no_json_is_an_error(shell: Shell, content: bytes | None, says: str) -> None:
    event = shell.folder / "event.json"
    if content is not None:
        event.write_bytes(content)
    policies = str(shell.folder / "policies")
    assert shell.run("--policies", policies, "--event", str(event), "--json") == ""
    assert shell.code == 1
    assert shell.err.startswith(f"{event}: ")
    assert says in shell.err


def test_event_with_a_contradiction_is_refused_and_the_others_are_answered(shell: Shell) -> None:
    twice = an_event_text().replace("{", '{"id": "other", ', 1)
    found = shell.ask(f"[{twice}, {an_event_text()}]")
    assert [one["kind"] for one in found] == ["refused", "model_registered"]
    assert "'id' twice" in found[0]["reason"]
    assert shell.ask(twice)[0]["kind"] == "refused"


def test_policies_with_errors_are_complained_about_and_the_others_answer(shell: Shell) -> None:
    (shell.folder / "policies" / "bad.yaml").write_text("policy: bad-one\nselekt: {}\n")
    found = shell.ask(an_event_text())
    assert [one["policy"] for one in found[0]["answers"]][:1] == ["fraud-prod"]
    assert "bad.yaml:" in shell.err
    assert shell.code == 1


def test_folder_that_is_none_is_an_error(shell: Shell) -> None:
    event = shell.folder / "event.json"
    event.write_text(an_event_text())
    shell.run("--policies", str(shell.folder / "nowhere"), "--event", str(event))
    assert shell.code == 1
    assert "is not a folder" in shell.err


def test_tags_are_said_to_be_read_back(shell: Shell) -> None:
    write(shell.folder / "policies", {"name": "tagged", "tags": ", tags: {stage: production}"})
    reason = shell.ask(an_event_text())[0]["answers"][0]["reason"]
    assert "tags {'stage': 'production'} are read back when the rollout starts" in reason


def test_without_json_people_can_read_it(shell: Shell) -> None:
    event = shell.folder / "event.json"
    event.write_text(json.dumps([an_event_body(), an_event_body(eventType="Other")]))
    out = shell.run("--policies", str(shell.folder / "policies"), "--event", str(event))
    lines = out.splitlines()
    assert lines[0] == "event e-1: model 'fraud' version '7' was registered"
    assert lines[1].startswith("  match     fraud-prod: model 'fraud' is selected")
    assert lines[3] == "  no match  churn-prod: model 'fraud' is not 'churn'"
    assert lines[5] == "event e-1: ignored: its type 'Other' is not ModelRegistered"
    assert len(lines) == 6


def test_odd_events_can_be_printed_anywhere(shell: Shell) -> None:
    odd = [
        an_event_body(id="\ud800\n"),
        an_event_body(model="\udfff"),
        an_event_body(model="größe"),
    ]
    found = shell.ask(json.dumps(odd))
    assert [one["kind"] for one in found] == ["model_registered", "refused", "model_registered"]
    out = shell.run(
        "--policies", str(shell.folder / "policies"), "--event", str(shell.folder / "event.json")
    )
    out.encode()
