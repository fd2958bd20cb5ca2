"""What a version rule reads in tags, properties and times: each caller decides what it can know."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from deploy_logic.activities.workspace import ACTIVITIES
from deploy_logic.adapters.azure_ml import _model_version
from deploy_logic.codec import decode, encode
from deploy_logic.ledger.ledger import offer
from deploy_logic.ledger.record import Ledger, Start
from deploy_logic.matching import NoMatch, Offer, match_policies
from deploy_logic.plan.plan import (
    Deployment,
    ModelVersion,
    NoPlan,
    Plan,
    Sight,
    Snapshot,
    make_plan,
)
from deploy_logic.policy.files import PolicyFiles, read_policies
from deploy_logic.policy.policy import Policy
from deploy_logic.rollout import Phase
from deploy_logic.version.rule import parse_version_rule
from rolloutctl.match import answer
from tests.builders import (
    MONDAY,
    TIMINGS,
    WORKSPACE,
    a_policy,
    an_event,
    an_offer,
    model_id,
    policy_files,
)
from tests.desk import HOUR, Counter
from tests.fakes import Clock, FakeWorkspace, an_outside
from tests.world import World

RELEASE: Mapping[str, Any] = {"scheme": "semver", "from": "tag:release", "allow": "^1"}


def selecting(rule: object, **changes: Any) -> Policy:
    return a_policy(select={"model": "fraud", "version": rule}, **changes)


def released(version: str, release: str) -> ModelVersion:
    return ModelVersion(version=version, id=model_id(version), tags={"release": release})


BY_TAG = selecting(RELEASE)
SERVES_6 = Snapshot(
    exists=True,
    weights={"blue": 100},
    deployments=(Deployment(name="blue", model_id=model_id("6")),),
)


# The event: only what the version's text decides


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (RELEASE, None),
        ({"from": "property:build"}, None),
        ({"scheme": "registered"}, None),
        ({"scheme": "semver"}, "version 'main-7' is not a semantic version"),
        ({"scheme": "registered", "allow": "regex:^rel"}, "does not match 'regex:^rel'"),
        ({"scheme": "alphabetical", "allow": "regex:^main-"}, None),
    ],
    ids=str,
)
def test_event_is_matched_by_what_it_decides(rule: object, reason: str | None) -> None:
    (found,) = match_policies(an_event(version="main-7"), [selecting(rule)])
    if reason is None:
        assert isinstance(found, Offer)
        assert parse_version_rule(found.version_rule) == selecting(rule).select.version
    else:
        assert isinstance(found, NoMatch)
        assert reason in found.reason


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (RELEASE, "by {scheme: semver, from: tag:release, allow: ^1}; it is offered"),
        (RELEASE, "; its tag:release is read back when the rollout starts"),
        ({"scheme": "registered"}, "; its time of registration is read back"),
        (">= 3", "by '>= 3'; it is offered to endpoint 'fraud'"),
    ],
    ids=str,
)
def test_match_shows_the_rule_as_people_write_it(rule: object, says: str) -> None:
    (shown,) = answer(an_event(), [selecting(rule)], {"fraud": "8" if rule != ">= 3" else "6"})
    assert shown["match"]
    assert says in shown["reason"]


# The ledger: nothing makes room for what could turn out to be older


@pytest.mark.parametrize("way", ["supersede", "finish_first", "queue"])
@pytest.mark.parametrize("rule", [RELEASE, {"scheme": "registered"}], ids=str)
def test_version_that_cannot_be_compared_waits_behind_those_in_flight(
    rule: object, way: str
) -> None:
    policy = selecting(rule, on_new_version=way)
    ledger = Ledger()
    for version in ("9", "7", "8"):
        decision = offer(ledger, an_offer(policy, version=version), at=MONDAY)
        ledger = decision.ledger
    assert decision.actions == ()
    assert ledger.running == an_offer(policy, version="9")
    assert [one.version for one in ledger.waiting] == ["7", "8"]
    assert ledger.answers[-1].answer == "queued"


def test_version_that_cannot_be_compared_starts_when_nothing_of_its_model_is_in_flight() -> None:
    decision = offer(Ledger(), an_offer(BY_TAG), at=MONDAY)
    assert decision.actions == (Start(offer=an_offer(BY_TAG)),)
    other = an_offer(a_policy(select={"model": "churn", "version": RELEASE}))
    assert offer(decision.ledger, other, at=MONDAY).ledger.answers[-1].answer == "superseding"


def test_ledger_compares_by_the_scheme_of_the_rule() -> None:
    policy = selecting({"scheme": "semver", "allow": "^1"})
    ledger = offer(Ledger(), an_offer(policy, version="1.10.0"), at=MONDAY).ledger
    older = offer(ledger, an_offer(policy, version="1.9.0"), at=MONDAY).ledger.answers[-1]
    assert older.reason == "no match: version 1.9.0 is older than 1.10.0"
    newer = offer(ledger, an_offer(policy, version="1.11.0"), at=MONDAY).ledger.answers[-1]
    assert newer.answer == "superseding"


# The plan: with full knowledge


def plan(
    policy: Policy,
    model: ModelVersion,
    *,
    served: ModelVersion | None = None,
    registered: Sequence[ModelVersion] = (),
    **asked: Any,
) -> Plan | NoPlan:
    sight = Sight(
        model=model,
        registered=tuple(registered),
        served=served,
        snapshot=SERVES_6,
        timings=TIMINGS,
    )
    wanted = replace(an_offer(policy, version=model.version), **asked)
    return make_plan(wanted, policy_files(policy), sight)


SEVEN = "tag 'release' of version 7 ('1.2.0')"
REFUSED: Mapping[str, tuple[Plan | NoPlan, str]] = {
    "it has no such tag": (
        plan(BY_TAG, ModelVersion(version="7", id=model_id("7"))),
        "tag 'release' of version 7 is missing",
    ),
    "its tag is not allowed": (
        plan(BY_TAG, released("7", "2.0.0")),
        "tag 'release' of version 7 ('2.0.0') is not in '^1'",
    ),
    "the stable's tag is newer": (
        plan(BY_TAG, released("7", "1.2.0"), served=released("6", "1.3.0")),
        f"{SEVEN} is older than tag 'release' of version 6 ('1.3.0')",
    ),
    "the stable has left the registry": (
        plan(BY_TAG, released("7", "1.2.0")),
        "the stable's tag 'release' of version 6 is missing, so nothing counts as newer",
    ),
    "a newer one is registered": (
        plan(BY_TAG, released("7", "1.2.0"), registered=[released("5", "1.2.1")]),
        f"{SEVEN} is older than tag 'release' of version 5 ('1.2.1'), which is registered",
    ),
    "an equal one that the rule picks is registered": (
        plan(BY_TAG, released("7", "1.2.0"), registered=[released("8", "1.2.0")]),
        f"{SEVEN} is not newer than its equal {SEVEN.replace('7', '8')}, which is registered",
    ),
    "a lower one is registered and the lowest is picked": (
        plan(
            selecting({"pick": "lowest"}),
            ModelVersion(version="7", id=model_id("7")),
            registered=[ModelVersion(version="5", id=model_id("5"))],
        ),
        "version 7 is not lower than 5, which is registered",
    ),
    "nobody says when it was registered": (
        plan(selecting({"scheme": "registered"}), ModelVersion(version="7", id=model_id("7"))),
        "version '7' has no time of registration",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_plan_is_refused_when(why: str) -> None:
    found, reason = REFUSED[why]
    assert found == NoPlan(reason=reason, is_no_match=True)


MADE: Mapping[str, Plan | NoPlan] = {
    "its tag is newer than the stable's": plan(
        BY_TAG, released("5", "1.3.0"), served=released("6", "1.2.0")
    ),
    "others are older or not read": plan(
        BY_TAG,
        released("7", "1.3.0"),
        served=released("6", "1.2.0"),
        registered=[released("9", "1.2.9"), released("8", "x"), released("10", "2.0.0")],
    ),
    "an equal one is not picked": plan(
        BY_TAG,
        released("7", "1.3.0"),
        served=released("6", "1.2.0"),
        registered=[released("3", "1.3.0")],
    ),
    "older is allowed": plan(
        selecting({**RELEASE, "allow_older": True}),
        released("7", "1.0.0"),
        served=released("6", "1.2.0"),
        registered=[released("8", "1.9.0")],
    ),
    "it was registered later": plan(
        selecting({"scheme": "registered"}),
        ModelVersion(version="a", id=model_id("a"), created=MONDAY),
        served=ModelVersion(version="6", id=model_id("6"), created=MONDAY - HOUR),
    ),
    "a person asked for it": plan(
        BY_TAG, released("7", "1.0.0"), served=released("6", "1.2.0"), requested_by="ann"
    ),
}


@pytest.mark.parametrize("why", MADE)
def test_plan_is_made_when(why: str) -> None:
    assert isinstance(MADE[why], Plan)


def test_sight_and_rule_travel_to_the_orchestrator() -> None:
    sight = Sight(
        model=ModelVersion(version="7", id="i", properties={"a": "b"}, created=MONDAY),
        served=released("6", "1.0.0"),
        snapshot=SERVES_6,
        timings=TIMINGS,
    )
    assert decode(Sight, json.loads(json.dumps(encode(sight)))) == sight
    files = policy_files(BY_TAG)
    travelled = PolicyFiles.model_validate(json.loads(json.dumps(files.model_dump(mode="json"))))
    assert travelled == files
    assert travelled.hash == files.hash


# look: what the stable serves is read


class Office:
    """A workspace that serves version 6, and the activity that looks at it."""

    def __init__(self) -> None:
        self.workspace = FakeWorkspace(Clock())
        self.workspace.serve("6")
        self.workspace.register("7", release="1.3.0")
        self.workspace.calls.clear()

    def look(self) -> Sight:
        outside = an_outside(self.workspace, lambda: [policy_files(BY_TAG)])
        return decode(Sight, ACTIVITIES["look"](outside, encode(an_offer(BY_TAG)))["sight"])


def test_look_takes_the_stable_from_the_registered_ones() -> None:
    office = Office()
    office.workspace.register("6", release="1.2.0")
    assert office.look().served == released("6", "1.2.0")
    assert office.workspace.calls.count("get_model_version") == 0


def test_look_reads_a_stable_that_is_archived_with_one_more_call() -> None:
    office = Office()
    archived = replace(released("6", "1.2.0"), is_archived=True)
    office.workspace.models["fraud", "6"] = archived
    assert office.look().served == archived
    assert office.workspace.calls.count("get_model_version") == 1


def test_look_reads_no_stable_of_another_model() -> None:
    office = Office()
    made = office.workspace.endpoints["fraud"].deployments["blue"]
    made.model_id = model_id("6", model="churn")
    assert office.look().served is None


def test_adapter_reads_properties_and_the_time_of_registration() -> None:
    found = {
        "id": f"{WORKSPACE}/models/fraud/versions/7",
        "properties": {"tags": {"a": 1}, "properties": {"build": 12, "b": "c"}},
        "systemData": {"createdAt": "2026-11-23T09:00:00.0000009Z"},
    }
    read = _model_version(found)
    assert (read.tags, read.properties) == ({"a": "1"}, {"build": "12", "b": "c"})
    assert read.created == MONDAY
    assert _model_version({"id": found["id"]}).properties == {}


# The sweep


def test_sweep_offers_the_one_that_the_rule_picks() -> None:
    desk = Counter(BY_TAG)
    for version, release in (("7", "1.9.0"), ("8", "1.10.0"), ("9", "1.2.0"), ("10", "2.0.0")):
        desk.register(version, tags={"release": release})
    desk.register("11")
    desk.sweep()
    assert desk.offered() == ["8"]


def test_sweep_offers_the_newest_when_older_ones_are_allowed() -> None:
    desk = Counter(selecting({**RELEASE, "allow_older": True}))
    for version, release in (("7", "1.9.0"), ("8", "1.2.0")):
        desk.register(version, tags={"release": release})
    desk.sweep()
    assert desk.offered() == ["8"]


def test_sweep_offers_again_what_has_its_tag_by_now() -> None:
    desk = Counter(BY_TAG)
    desk.register("7")
    desk.engine.offer(an_offer(BY_TAG))
    desk.engine.end(an_offer(BY_TAG), Phase.NO_MATCH, "tag 'release' of version 7 is missing")
    desk.engine.offered.clear()
    desk.sweep()
    assert desk.offered() == []
    desk.register("7", tags={"release": "1.0.0"})
    desk.sweep()
    assert desk.offered() == ["7"]


# The whole story


def test_older_release_that_arrives_late_stops_nothing() -> None:
    world = World([policy_files(BY_TAG)], delay=lambda: 0.1)
    world.workspace.serve("1")
    world.workspace.register("1", release="1.0.0")

    def register(version: str, release: str) -> None:
        world.workspace.register(version, release=release)
        world.offer(an_offer(BY_TAG, version=version))

    world.after(timedelta(0), lambda: register("2", "1.3.0"))
    world.after(timedelta(minutes=12), lambda: register("3", "1.2.9"))
    world.run()
    ends = {run.offer.version: run.result["phase"] for run in world.runs if run.result}
    assert ends == {"2": "succeeded", "3": "no_match"}


# The policy file


def test_long_form_is_read_from_a_file_and_its_mistake_is_placed(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "t.yml").write_text("instance_count: 1\n")
    text = (
        "policy: good-one\n"
        "select:\n"
        "  model: fraud\n"
        '  version: {scheme: semver, from: tag:release, allow: "^1"}\n'
        "deploy: {endpoint: fraud, template: templates/t.yml}\n"
        "strategy: {kind: all-at-once}\n"
    )
    (tmp_path / "good.yaml").write_text(text)
    bad = text.replace("good-one", "bad-one").replace("^1", "^1 |").replace("fraud,", "other,")
    (tmp_path / "bad.yaml").write_text(bad)
    loaded = read_policies(tmp_path)
    assert [one.policy.select.version for one in loaded.policies] == [BY_TAG.select.version]
    (complaint,) = loaded.complaints
    assert (complaint.line, complaint.column) == (4, 59)
    assert str(complaint).startswith("bad.yaml:4:59: select.version.allow: ")
