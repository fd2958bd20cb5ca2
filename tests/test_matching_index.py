"""The index of policies, endpoints for every model of a pattern, and who uses both."""

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy_logic import matching
from deploy_logic.app import App
from deploy_logic.codec import Json, encode
from deploy_logic.errors import WorkspaceError
from deploy_logic.ledger.controls import Controls
from deploy_logic.ledger.record import Answer, Barred, Ledger
from deploy_logic.ledger.turns import Turns
from deploy_logic.matching import NoMatch, Offer, PolicyIndex, make_rollout_id, match_policies
from deploy_logic.operations import intake
from deploy_logic.operations.sweep import sweep
from deploy_logic.plan.plan import ModelVersion
from deploy_logic.policy.policy import Policy
from deploy_logic.settings import PUBLIC_CLOUD, Settings
from tests.builders import WORKSPACE, a_policy, an_event, an_event_text, model_id
from tests.fakes import Clock, FakeWorkspace

HOUR = timedelta(hours=1)
SETTINGS = Settings(
    workspaces=(WORKSPACE,),
    policies=Path("policies"),
    cloud=PUBLIC_CLOUD,
    poll_interval=timedelta(seconds=15),
    creation_deadline=HOUR,
    shift_deadline=HOUR,
    sweep_look_back=2 * HOUR,
    trust_platform_identity=True,
)


def policy(name: str, model: str, *, endpoint: str = "fraud", **changes: Any) -> Policy:
    select = {"model": model, **changes.pop("select", {})}
    deploy = {"endpoint": endpoint, "template": "t.yml"}
    return a_policy(policy=name, select=select, deploy=deploy, **changes)


class Ledgers:
    """As much of an engine as is asked here: it keeps what was offered, and the ledgers given."""

    def __init__(self) -> None:
        self.offered: list[Offer] = []
        self.ledgers: dict[str, Ledger] = {}

    def offer(self, offer: Offer, *, barred: Barred | None = None) -> None:
        assert barred is None
        self.offered.append(offer)

    def show_controls(self) -> Controls:
        return Controls()

    def show_turns(self) -> Turns:
        return Turns()

    def show_ledger(self, workspace: str, endpoint: str) -> Json | None:
        assert workspace == WORKSPACE
        found = self.ledgers.get(endpoint)
        return None if found is None else encode(found)

    def list_ledgers(self) -> list[Json]:
        return []

    def note_sweep(self, at: datetime) -> None:
        del at

    def handle(self, text: str, policies: list[Policy]) -> list[str]:
        return intake.handle_event(
            text,
            settings=SETTINGS,
            policies=PolicyIndex(policies),
            engine=self,  # type: ignore[arg-type] # only a part of it
        )

    def sweep(self, workspace: FakeWorkspace, policies: list[Policy]) -> list[tuple[str, ...]]:
        sweep(
            settings=SETTINGS,
            policies=PolicyIndex(policies),
            engine=self,  # type: ignore[arg-type] # only a part of it
            open_workspace=lambda _id: workspace,
            now=workspace.clock.now,
        )
        return [(one.policy, one.endpoint, one.model, one.version) for one in self.offered]


# --- the index


def test_index_gives_the_policies_that_select_the_model_in_their_order() -> None:
    policies = [
        policy("by-regex", "regex:^fraud-(eu|us)$"),
        policy("by-name", "fraud-eu"),
        policy("another", "fraud-de"),
        policy("by-glob", "glob:fraud-*"),
        policy("by-name-too", "fraud-eu"),
    ]
    index = PolicyIndex(policies)
    assert [one.policy for one in index.select("fraud-eu")] == [
        "by-regex",
        "by-name",
        "by-glob",
        "by-name-too",
    ]
    assert [one.policy for one in index.select("fraud-de")] == ["another", "by-glob"]
    assert index.select("churn") == ()
    assert list(index) == policies
    assert len(index) == 5


def test_index_without_policies_selects_nothing() -> None:
    assert PolicyIndex([]).match(an_event()) == ()


def test_index_answers_only_for_policies_that_select_the_model() -> None:
    policies = [policy(f"policy-{n}", f"model-{n}", endpoint=f"e-{n}") for n in range(10_000)]
    policies.append(policy("too-old", "glob:model-77", select={"version": ">= 100"}))
    answers = PolicyIndex(policies).match(an_event(model="model-77"))
    assert [type(one) for one in answers] == [Offer, NoMatch]
    assert [one.policy for one in answers] == ["policy-77", "too-old"]


def test_asking_the_index_looks_at_no_policy_that_does_not_match(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    index = PolicyIndex([policy(f"policy-{n}", f"model-{n}") for n in range(1_000)])
    asked: list[str] = []
    real = matching.match_selected

    def match_selected(event: Any, one: Policy) -> Offer | NoMatch:
        asked.append(one.policy)
        return real(event, one)

    monkeypatch.setattr(matching, "match_selected", match_selected)
    index.match(an_event(model="model-5"))
    assert asked == ["policy-5"]


# --- endpoints


@pytest.mark.parametrize(
    ("endpoint", "model", "named"),
    [
        ("{model}", "fraud-eu", "fraud-eu"),
        ("ml-{model}-prod", "fraud", "ml-fraud-prod"),
        ("fraud", "fraud_eu", "fraud"),  # all models of the pattern share it
        ("{model}", "abc", "abc"),
        ("{model}", "a" * 32, "a" * 32),
        ("{model}", "Fraud", "Fraud"),
        ("m{model}", "1", None),  # too short
        ("{model}", "ab", None),
        ("{model}", "a" * 33, None),
        ("ml-{model}-prod", "x" * 25, None),
        ("{model}", "fraud_eu", None),
        ("{model}", "1st-model", None),
        ("{model}", "fraud-", None),
        ("{model}", "größe", None),
        ("{model}", "team:fraud", None),
    ],
)
def test_endpoint_for_every_model_of_a_pattern(
    endpoint: str, model: str, named: str | None
) -> None:
    one = policy("all-models", "glob:*", endpoint=endpoint)
    (answer,) = match_policies(an_event(model=model), [one])
    if named is None:
        assert isinstance(answer, NoMatch)
        assert "cannot be the name of one: 3 to 32 letters" in answer.reason
        assert repr(endpoint) in answer.reason
        return
    assert isinstance(answer, Offer)
    assert answer.endpoint == named
    assert answer.rollout_id == make_rollout_id(WORKSPACE, named, model, "7")


@pytest.mark.parametrize(
    "endpoint", ["{model}{model}", "{name}", "1-{model}", "{model}-", "{Model}", "a" * 33, "a_b"]
)
def test_endpoint_that_could_never_be_one_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match=r"deploy\.endpoint"):
        policy("all-models", "glob:*", endpoint=endpoint)


# --- the trigger


def test_trigger_offers_what_matches_and_logs_only_who_was_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    others = [policy(f"policy-{n}", f"model-{n}") for n in range(50)]
    wants = [
        policy("all-fraud", "glob:fraud-*", endpoint="{model}"),
        policy("old-ones", "fraud-eu", select={"version": "< 3"}),
    ]
    engine = Ledgers()
    with caplog.at_level(logging.INFO, logger="rollout"):
        offered = engine.handle(an_event_text(model="fraud-eu"), [*others, *wants])
    assert offered == [one.rollout_id for one in engine.offered]
    assert [(one.policy, one.endpoint) for one in engine.offered] == [("all-fraud", "fraud-eu")]
    assert [record.message for record in caplog.records] == ["no match", "version offered"]


def test_trigger_says_that_no_policy_selects_the_model(caplog: pytest.LogCaptureFixture) -> None:
    engine = Ledgers()
    with caplog.at_level(logging.INFO, logger="rollout"):
        assert engine.handle(an_event_text(), [policy("other", "churn")]) == []
    (record,) = caplog.records
    assert record.message == "no match"
    assert vars(record)["reason"] == "none of 1 policies selects model 'fraud'"


def test_two_events_with_one_id_are_two() -> None:
    engine = Ledgers()
    for version in ("7", "8"):
        engine.handle(an_event_text(version=version, id="same"), [policy("one", "fraud")])
    assert [one.version for one in engine.offered] == ["7", "8"]


def test_app_builds_the_index_once(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "t.yml").write_text("instance_count: 1\n")
    (tmp_path / "one.yaml").write_text(
        "policy: one\nselect: {model: 'glob:fraud-*'}\n"
        "deploy: {endpoint: '{model}', template: t/t.yml}\nstrategy: {kind: all-at-once}\n"
    )
    settings = {"ROLLOUT_WORKSPACES": WORKSPACE, "ROLLOUT_POLICIES": str(tmp_path)}
    app = App(environment=settings, folder=tmp_path)
    assert app.policies is app.policies
    assert [one.policy for one in app.policies.select("fraud-eu")] == ["one"]


# --- the sweep


def registry(*versions: tuple[str, str], age: timedelta = HOUR) -> FakeWorkspace:
    workspace = FakeWorkspace(Clock())
    for model, version in versions:
        workspace.models[model, version] = ModelVersion(
            version=version,
            id=model_id(version, model=model),
            created=datetime.now(UTC) - age,
        )
    return workspace


def test_sweep_offers_every_model_of_a_pattern() -> None:
    workspace = registry(("fraud-eu", "3"), ("fraud-us", "9"), ("churn", "1"), ("fraud_x", "2"))
    one = policy("all-fraud", "glob:fraud?*", endpoint="{model}")
    assert Ledgers().sweep(workspace, [one]) == [
        ("all-fraud", "fraud-eu", "fraud-eu", "3"),
        ("all-fraud", "fraud-us", "fraud-us", "9"),
    ]


def test_sweep_asks_the_registry_for_each_thing_once() -> None:
    workspace = registry(("fraud-eu", "3"), ("fraud-us", "9"))
    policies = [
        policy("by-glob", "glob:fraud-*", endpoint="{model}"),
        policy("by-regex", "regex:^fraud", endpoint="x-{model}"),
        policy("by-name", "fraud-eu", endpoint="other"),
    ]
    assert len(Ledgers().sweep(workspace, policies)) == 5
    assert sorted(workspace.calls) == ["list_model_versions"] * 2 + ["list_models"]


def test_sweep_of_exact_names_lists_no_models() -> None:
    workspace = registry(("fraud", "3"))
    policies = [policy("one", "fraud")]
    assert Ledgers().sweep(workspace, policies) == [("one", "fraud", "fraud", "3")]
    assert workspace.calls == ["list_model_versions"]


def test_sweep_asks_again_what_could_not_be_asked() -> None:
    workspace = registry(("fraud", "3"))
    refusals = iter([WorkspaceError("throttled")])

    def fault(_method: str, _when: str) -> None:
        refusal = next(refusals, None)
        if refusal is not None:
            raise refusal

    workspace.fault = fault
    policies = [policy("first", "glob:fraud", endpoint="a-b"), policy("second", "glob:fraud")]
    assert [one[0] for one in Ledgers().sweep(workspace, policies)] == ["second"]


@pytest.mark.parametrize(
    ("answers", "tags", "offered"),
    [
        (["started", "no_match"], {"stage": "production"}, 1),
        (["started", "no_match"], {}, 0),
        (["started", "no_match", "started"], {"stage": "production"}, 0),
        (["quarantined"], {}, 0),
    ],
)
def test_sweep_offers_again_what_was_last_no_match_while_tags_can_change(
    answers: list[str], tags: dict[str, str], offered: int
) -> None:
    workspace = registry(("fraud", "7"))
    workspace.models["fraud", "7"] = replace(workspace.models["fraud", "7"], tags=tags)
    engine = Ledgers()
    told = tuple(
        Answer(
            at=datetime.now(UTC),
            model="fraud",
            version="7",
            policy="one",
            event_id="e",
            answer=answer,
            reason="",
        )
        for answer in answers
    )
    engine.ledgers["fraud"] = Ledger(answers=told)
    assert len(engine.sweep(workspace, [policy("one", "fraud", select={"tags": tags})])) == offered
