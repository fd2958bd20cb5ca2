"""`rolloutctl plan`: every step with its times and writes, offline."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from deploy_logic.plan.plan import ModelVersion, Plan, Sight, Snapshot, make_plan
from deploy_logic.policy.files import read_policies
from rolloutctl import plan as command
from rolloutctl.schedule import print_iso, print_words, schedule
from tests.builders import (
    TIMINGS,
    WORKSPACE,
    a_policy,
    an_event_body,
    an_offer,
    model_id,
    policy_files,
)

POLICY = """\
policy: fraud-prod
select: {model: fraud}
deploy:
  endpoint: fraud
  template: templates/deployment.yml
  endpoint_template: templates/endpoint.yml
strategy: {kind: canary, steps: [{weight: 10, bake: 10m}, {weight: 50, bake: 30m}], final_bake: 1h}
gates: [{kind: probe, request: requests/r.json, expect: {within: 2s}}]
---
policy: churn-prod
select: {model: churn}
deploy: {endpoint: churn, template: templates/deployment.yml}
strategy: {kind: all-at-once}
---
policy: tagged
select: {model: tagged, tags: {stage: production}}
deploy: {endpoint: tagged, template: templates/deployment.yml}
strategy: {kind: all-at-once}
"""


class Shell:
    """Runs the command as `python -m rolloutctl plan` would, and keeps what it said."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.policies = folder / "policies"
        self._capsys = capsys
        self.err = ""
        self.code = -1
        for part in ("templates", "requests"):
            (self.policies / part).mkdir(parents=True)
        (self.policies / "templates" / "deployment.yml").write_text("instance_count: 1\n")
        (self.policies / "templates" / "endpoint.yml").write_text("auth_mode: key\n")
        (self.policies / "requests" / "r.json").write_text("{}")
        (self.policies / "all.yaml").write_text(POLICY)

    def run(self, body: object, *options: str) -> str:
        event = self.folder / "event.json"
        event.write_text(json.dumps(body))
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        given = ["--policies", str(self.policies), "--event", str(event), *options]
        self._capsys.readouterr()
        self.code = command.run(parser.parse_args(given))
        said = self._capsys.readouterr()
        self.err = said.err
        return said.out

    def ask(self, body: object, *options: str) -> Any:
        return json.loads(self.run(body, "--json", *options))

    def plan(self, body: object, *options: str) -> Any:
        """Return the one plan of the one event."""
        ((found,),) = [one["plans"] for one in self.ask(body, *options)]
        return found["plan"] or found["reason"]

    def snapshot(self, value: object) -> tuple[str, str]:
        path = self.folder / "snapshot.json"
        path.write_text(json.dumps(value))
        return "--snapshot", str(path)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(tmp_path, capsys)


def test_canary_beside_a_stable(shell: Shell) -> None:
    found = shell.plan(an_event_body())
    assert (found["candidate"], found["stable"], found["deadline"]) == (
        "fraud-v7",
        "current",
        "PT8H",
    )
    shown = [(s["kind"], s["weight"], s["bake"], s["earliest_end"]) for s in found["steps"]]
    assert shown == [
        ("create_candidate", 0, None, "PT0S"),
        ("probe", 0, None, "PT0S"),
        ("shift", 10, None, "PT0S"),
        ("bake", 10, "PT10M", "PT10M"),
        ("shift", 50, None, "PT10M"),
        ("bake", 50, "PT30M", "PT40M"),
        ("shift", 100, None, "PT40M"),
        ("bake", 100, "PT1H", "PT1H40M"),
        ("read_back", 100, None, "PT1H40M"),
        ("retire", 100, None, "PT1H40M"),
    ]
    assert found["steps"][1]["gates"] == ["probe 1 (requests/r.json)"]
    assert found["earliest_end_words"] == "1 hour 40 minutes"
    assert shell.code == 0


def test_writes_come_with_their_step_and_earliest_moment(shell: Shell) -> None:
    writes = shell.plan(an_event_body())["writes"]
    assert [(w["write"], w["name"], w["step"], w["at_earliest"]) for w in writes] == [
        ("create_deployment", "fraud-v7", 1, "PT0S"),
        ("set_traffic", "fraud", 3, "PT0S"),
        ("set_traffic", "fraud", 5, "PT10M"),
        ("set_traffic", "fraud", 7, "PT40M"),
        ("delete_deployment", "current", 10, "PT1H40M"),
    ]
    weights = [write["weights"] for write in writes if write["write"] == "set_traffic"]
    assert weights == [
        {"current": 90, "fraud-v7": 10},
        {"current": 50, "fraud-v7": 50},
        {"current": 0, "fraud-v7": 100},
    ]


def test_first_version_creates_the_endpoint_and_goes_straight_to_all_traffic(
    shell: Shell,
) -> None:
    found = shell.plan(an_event_body(), "--first")
    assert found["stable"] is None
    assert [step["kind"] for step in found["steps"]] == [
        "create_endpoint",
        "create_candidate",
        "probe",
        "shift",
        "bake",
        "read_back",
    ]
    assert [write["write"] for write in found["writes"]] == [
        "create_endpoint",
        "create_deployment",
        "set_traffic",
    ]


def test_first_version_without_a_template_of_the_endpoint_has_no_plan(shell: Shell) -> None:
    reason = shell.plan(an_event_body(model="churn"), "--first")
    assert "endpoint 'churn' does not exist" in reason
    assert shell.code == 0


def test_snapshot_names_the_stable(shell: Shell) -> None:
    serving = {
        "exists": True,
        "weights": {"blue": 100, "old": 0},
        "deployments": [
            {"name": "blue", "model_id": f"{WORKSPACE}/models/fraud/versions/6"},
            {"name": "old", "model_id": f"{WORKSPACE}/models/fraud/versions/5"},
        ],
    }
    found = shell.plan(an_event_body(), *shell.snapshot(serving))
    assert found["stable"] == "blue"
    assert found["writes"][-1]["name"] == "blue"
    older = shell.plan(an_event_body(version=5), *shell.snapshot(serving))
    assert older == "version 5 is older than 6"


def test_split_snapshot_has_no_plan(shell: Shell) -> None:
    split = {
        "exists": True,
        "weights": {"blue": 90, "green": 10},
        "deployments": [{"name": n, "model_id": ""} for n in ("blue", "green")],
    }
    assert "are split" in shell.plan(an_event_body(), *shell.snapshot(split))


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ([], "snapshot: [] is not a JSON object with exists, region, weights, deployments"),
        ({"exists": True, "weigths": {}}, "snapshot: key 'weigths' is not one of exists,"),
        ({"weights": {}}, "snapshot.exists:"),
        ({"exists": "perhaps"}, "snapshot.exists: 'perhaps'"),
        ({"exists": True, "weights": {"blue": 101}}, "blue: 101 is not a whole percent"),
        ({"exists": True, "weights": {"blue": -1}}, "blue: -1 is not a whole percent"),
        ({"exists": True, "weights": {"blue": 1.5}}, "snapshot.weights.blue: 1.5"),
        ({"exists": True, "weights": {"blue": 100}}, "'blue' is not one of its deployments: it"),
        ({"exists": True, "deployments": ["blue"]}, "deployments[0]: 'blue' is not a JSON object"),
        ({"exists": True, "deployments": [{"nmae": "x"}]}, "deployments[0]: key 'nmae' is not"),
        ({"exists": True, "deployments": [{"name": "x"}]}, "deployments.0.model_id"),
    ],
)
def test_snapshot_that_is_none_is_an_error_at_its_place(
    shell: Shell, value: object, says: str
) -> None:
    assert shell.run(an_event_body(), *shell.snapshot(value)) == ""
    assert shell.code == 1
    assert says in shell.err


def test_snapshot_that_is_missing_is_an_error(shell: Shell) -> None:
    shell.run(an_event_body(), "--snapshot", str(shell.folder / "none.json"))
    assert (shell.code, "No such file" in shell.err) == (1, True)


@pytest.mark.parametrize(("tags", "is_planned"), [({"stage": "production"}, True), ({}, False)])
def test_tags_are_believed_from_the_event(
    shell: Shell, tags: dict[str, str], *, is_planned: bool
) -> None:
    data = {"ModelName": "tagged", "ModelVersion": 7, "ModelTags": tags}
    found = shell.plan(an_event_body(model="tagged", data=data))
    assert isinstance(found, dict) is is_planned
    if not is_planned:
        assert found == "tag 'stage' of version 7 is missing, not 'production'"


@pytest.mark.parametrize("time", ["2026-11-23T08:59:00.1234567Z", "", "yesterday", "0001-01-01"])
def test_any_time_will_do(shell: Shell, time: str) -> None:
    assert shell.plan(an_event_body(eventTime=time))["candidate"] == "fraud-v7"


def test_hash_and_rollout_id_are_those_of_the_app(shell: Shell) -> None:
    ((found,),) = [one["plans"] for one in shell.ask(an_event_body())]
    assert found["rollout_id"] == an_offer().rollout_id
    files = read_policies(shell.policies).policies[0]
    assert found["plan"]["hash"] == files.hash


def test_events_that_are_none_and_policies_that_do_not_match_have_no_plans(shell: Shell) -> None:
    events = [an_event_body(model="other"), an_event_body(eventType="Other"), "bad"]
    found = shell.ask(events)
    assert [(one["kind"], one["plans"]) for one in found] == [
        ("model_registered", []),
        ("ignored", []),
        ("refused", []),
    ]
    out = shell.run(events)
    assert "no policy matches; `rolloutctl match` says why" in out
    assert "ignored: its type 'Other'" in out


def test_policies_with_errors_end_with_1_and_the_others_are_planned(shell: Shell) -> None:
    (shell.policies / "bad.yaml").write_text("policy: 7\n")
    assert shell.plan(an_event_body())["candidate"] == "fraud-v7"
    assert shell.code == 1
    assert "bad.yaml" in shell.err


def test_without_json_people_can_read_it(shell: Shell) -> None:
    lines = shell.run(an_event_body()).splitlines()
    assert lines[1].startswith("  policy fraud-prod, endpoint fraud, ")
    assert "candidate fraud-v7, stable current, policy hash " in lines[2]
    assert "     1. create candidate 'fraud-v7' at weight 0 (ends at once to 1 hour)" in lines
    assert lines[-1].startswith("    writes: create_deployment fraud-v7, set_traffic fraud,")


# --- times


def a_plan(**changes: Any) -> Plan:
    policy = a_policy(**changes)
    snapshot = Snapshot(exists=True)
    model = ModelVersion(version="7", id=model_id("7"))
    sight = Sight(model=model, snapshot=snapshot, timings=TIMINGS)
    made = make_plan(an_offer(policy), policy_files(policy), sight)
    assert isinstance(made, Plan)
    return replace(made, stable="blue")


def numbers(shown: Any) -> Iterator[tuple[str, str]]:
    return ((step["earliest_end"], step["latest_end"]) for step in shown["steps"])


def test_latest_end_is_cut_by_the_deadline_but_for_what_follows_promotion() -> None:
    found = schedule(a_plan(strategy={"kind": "all-at-once"}, deadline="2h"))
    assert list(numbers(found)) == [
        ("PT0S", "PT1H"),  # creation
        ("PT0S", "PT2H"),  # three probes of half an hour: the deadline is before
        ("PT0S", "PT2H"),
        ("PT0S", "PT3H"),  # the old stable may still be retired
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """A kind of step that a later version of the app may have."""

    name: str
    approvers: tuple[str, ...]
    deadline: timedelta
    kind: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dance:
    """Another."""

    steps: int


@pytest.mark.parametrize(
    ("length", "iso", "words"),
    [
        (timedelta(0), "PT0S", "at once"),
        (timedelta(seconds=1), "PT1S", "1 second"),
        (timedelta(minutes=90), "PT1H30M", "1 hour 30 minutes"),
        (timedelta(days=2), "P2D", "2 days"),
        (timedelta(days=1, hours=2, seconds=3), "P1DT2H3S", "1 day 2 hours 3 seconds"),
        (timedelta(seconds=1.5), "PT1.500000S", "2 seconds"),
    ],
)
def test_lengths_are_written_twice(length: timedelta, iso: str, words: str) -> None:
    assert (print_iso(length), print_words(length)) == (iso, words)
