"""Plans: the steps of each strategy, everything that is refused, and the candidate's name."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.plan.plan import (
    Creation,
    Deployment,
    ModelVersion,
    NoPlan,
    Plan,
    Sight,
    Snapshot,
    find_stable,
    make_plan,
    name_candidate,
)
from deploy_logic.plan.step import Bake, Probe, Shift, Step
from deploy_logic.policy.policy import Policy
from tests.builders import TIMINGS, WORKSPACE, a_policy, an_offer, model_id, policy_files

SERVES_6 = Snapshot(
    exists=True,
    weights={"blue": 100},
    deployments=(Deployment(name="blue", model_id=model_id("6")),),
)
EMPTY = Snapshot(exists=True)
MISSING = Snapshot(exists=False)
WITH_TEMPLATE = {"endpoint": "fraud", "template": "t.yml", "endpoint_template": "e.yml"}


def a_version(version: str = "7", **changes: Any) -> ModelVersion:
    return ModelVersion(version=version, id=model_id(version), **changes)


def a_sight(snapshot: Snapshot = SERVES_6, **changes: Any) -> Sight:
    return Sight(**{"model": a_version(), "snapshot": snapshot, "timings": TIMINGS, **changes})


def plan_of(policy: Policy, snapshot: Snapshot = SERVES_6) -> Plan:
    plan = make_plan(an_offer(policy), policy_files(policy), a_sight(snapshot))
    assert isinstance(plan, Plan), plan
    return plan


def refusal(policy: Policy, sight: Sight, **offer: Any) -> NoPlan:
    found = make_plan(replace(an_offer(policy), **offer), policy_files(policy), sight)
    assert isinstance(found, NoPlan), found
    return found


def words(steps: tuple[Step, ...]) -> str:
    """Return the steps as one reads a plan aloud."""
    said = []
    for step in steps:
        match step:
            case Probe(name=name):
                said.append(name)
            case Shift(weight=weight):
                said.append(f"shift {weight}")
            case Bake(length=length):
                said.append(f"bake {length}")
    return ", ".join(said)


CANARY = a_policy(weights=(10, 50), bake="10m", final_bake="1h")
ALL_AT_ONCE = a_policy(strategy={"kind": "all-at-once"})
PROBE = "probe 1 (request.json)"
BLUE_GREEN = a_policy(strategy={"kind": "blue-green", "final_bake": "20m"})


@pytest.mark.parametrize(
    ("policy", "snapshot", "steps", "promotion"),
    [
        (
            CANARY,
            SERVES_6,
            f"{PROBE}, shift 10, bake 0:10:00, shift 50, bake 0:10:00",
            "shift 100, bake 1:00:00",
        ),
        (
            a_policy(weights=(1,), bake="0s"),
            SERVES_6,
            f"{PROBE}, shift 1",
            "shift 100",
        ),
        (a_policy(weights=(5,), gates=[]), SERVES_6, "shift 5, bake 0:10:00", "shift 100"),
        (
            a_policy(strategy={"kind": "canary", "equal_steps": {"rise": 30, "bake": "5m"}}),
            SERVES_6,
            f"{PROBE}, shift 30, bake 0:05:00, shift 60, bake 0:05:00, shift 90, bake 0:05:00",
            "shift 100",
        ),
        (
            a_policy(strategy={"kind": "canary", "equal_steps": {"rise": 50}}),
            SERVES_6,
            f"{PROBE}, shift 50",
            "shift 100",
        ),
        (BLUE_GREEN, SERVES_6, PROBE, "shift 100, bake 0:20:00"),
        (a_policy(strategy={"kind": "blue-green"}), SERVES_6, PROBE, "shift 100"),
        (ALL_AT_ONCE, SERVES_6, PROBE, "shift 100"),
        (CANARY, EMPTY, PROBE, "shift 100, bake 1:00:00"),
        (BLUE_GREEN, EMPTY, PROBE, "shift 100, bake 0:20:00"),
        (
            a_policy(
                gates=[{"kind": "probe", "request": name} for name in ("a.json", "b.json")],
                strategy={"kind": "all-at-once"},
            ),
            SERVES_6,
            "probe 1 (a.json), probe 2 (b.json)",
            "shift 100",
        ),
    ],
    ids=[
        "canary",
        "canary without bakes",
        "canary without gates",
        "canary in equal steps",
        "canary in two halves",
        "blue-green",
        "blue-green without a bake",
        "all-at-once",
        "first version by canary goes straight to 100",
        "first version by blue-green",
        "two probes",
    ],
)
def test_steps(policy: Policy, snapshot: Snapshot, steps: str, promotion: str) -> None:
    plan = plan_of(policy, snapshot)
    assert (words(plan.steps), words(plan.promotion)) == (steps, promotion)


def test_plan_fixes_everything_that_the_rollout_needs() -> None:
    policy = a_policy(weights=(10,), deploy=WITH_TEMPLATE, deadline="3h")
    files = policy_files(policy)
    probe = Probe(
        name="probe 1 (request.json)",
        bodies=('{"data": [[1, 2]]}',),
        error_budget=4,
        expect={"status": 200, "within": None, "equals": None, "contains": ""},
    )
    expected = Plan(
        rollout_id=an_offer().rollout_id,
        workspace=WORKSPACE,
        endpoint="fraud",
        model="fraud",
        version="7",
        model_id=model_id("7"),
        policy="fraud-prod",
        policy_hash=files.hash,
        creation=Creation(template=files.template, endpoint_template="", folder="policies"),
        candidate="fraud-v7",
        stable="blue",
        stable_model="fraud",
        stable_version="6",
        weights={"blue": 100},
        steps=(probe, Shift(weight=10), Bake(length=timedelta(minutes=10))),
        promotion=(Shift(weight=100),),
        deadline=timedelta(hours=3),
        timings=TIMINGS,
    )
    assert make_plan(an_offer(policy), files, a_sight()) == expected


@pytest.mark.parametrize(("snapshot", "template"), [(EMPTY, ""), (MISSING, "auth_mode: key\n")])
def test_endpoint_is_created_only_when_it_is_missing(snapshot: Snapshot, template: str) -> None:
    plan = plan_of(a_policy(deploy=WITH_TEMPLATE), snapshot)
    assert (plan.creation.endpoint_template, plan.stable) == (template, None)


TAGGED = a_policy(select={"model": "fraud", "tags": {"stage": "production"}})
PINNED = a_policy(select={"model": "fraud", "version": "7"})

NO_MATCH: Mapping[str, tuple[Policy, Sight, str]] = {
    "version is gone": (
        CANARY,
        a_sight(model=None),
        "model 'fraud' has no version '7' in the workspace",
    ),
    "version is archived": (
        CANARY,
        a_sight(model=a_version(is_archived=True)),
        "version 7 is archived",
    ),
    "tag is missing": (TAGGED, a_sight(), "tag 'stage' of version 7 is missing, not 'production'"),
    "tag says something else": (
        TAGGED,
        a_sight(model=a_version(tags={"stage": "test"})),
        "tag 'stage' of version 7 is 'test', not 'production'",
    ),
    "rule does not allow it": (
        a_policy(select={"model": "fraud", "version": ">= 8"}),
        a_sight(),
        "version 7 is not >= 8",
    ),
    "newer one is registered": (
        CANARY,
        a_sight(registered=(a_version("8"), a_version("7"))),
        "version 7 is older than 8, which is registered",
    ),
    "it serves already": (
        CANARY,
        a_sight(
            Snapshot(
                exists=True,
                weights={"Blue": 100},
                deployments=(Deployment(name="Blue", model_id=model_id("7").upper()),),
            )
        ),
        "version 7 is what 'Blue' serves",
    ),
    "newer one serves": (
        CANARY,
        a_sight(
            Snapshot(
                exists=True,
                weights={"blue": 100, "green": 0},
                deployments=(
                    Deployment(name="green", model_id=model_id("5")),
                    Deployment(name="blue", model_id=model_id("9")),
                ),
            )
        ),
        "version 7 is older than 9",
    ),
}


@pytest.mark.parametrize("what", NO_MATCH)
def test_no_match_when(what: str) -> None:
    policy, sight, reason = NO_MATCH[what]
    assert refusal(policy, sight) == NoPlan(reason=reason, is_no_match=True)


def many(count: int) -> Snapshot:
    deployments = tuple(
        Deployment(name=f"d-{number}", model_id=model_id("1")) for number in range(count)
    )
    return Snapshot(exists=True, weights={"d-0": 100}, deployments=deployments)


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (
            MISSING,
            (
                "endpoint 'fraud' does not exist, and policy 'fraud-prod' has no "
                "deploy.endpoint_template to create it from"
            ),
        ),
        (
            replace(SERVES_6, weights={"blue": 60, "green": 40, "old": 0}),
            (
                "the weights of endpoint 'fraud' are split {'blue': 60, 'green': 40}; "
                "a rollout starts from one stable (give one deployment 100)"
            ),
        ),
        (many(20), "endpoint 'fraud' has 20 deployments (Azure allows 20; retire one)"),
    ],
    ids=["no endpoint", "split weights", "full endpoint"],
)
def test_person_is_needed_when(snapshot: Snapshot, reason: str) -> None:
    assert refusal(CANARY, a_sight(snapshot)) == NoPlan(reason=reason)


def test_nineteen_deployments_leave_room() -> None:
    assert plan_of(CANARY, many(19)).stable == "d-0"


@pytest.mark.parametrize(
    ("policy", "registered", "offer"),
    [
        (a_policy(on_new_version="queue"), (a_version("8"),), {}),
        (CANARY, (a_version("8"),), {"requested_by": "ann"}),
        (CANARY, (a_version("8"),), {"attempt": 2, "requested_by": "ann"}),
        (PINNED, (a_version("8"),), {}),
        (CANARY, (a_version("8", is_archived=True), a_version("7"), a_version("6")), {}),
        (TAGGED, (a_version("8", tags={"stage": "test"}),), {}),
        (a_policy(select={"model": "fraud", "version": "< 8"}), (a_version("8"),), {}),
        (CANARY, (a_version("x"), a_version("1.2.0")), {}),
    ],
    ids=[
        "queue takes all in order",
        "person asked for this one",
        "person retries",
        "rule pins it",
        "newer one is archived",
        "newer one lacks the tag",
        "newer one is not allowed",
        "others cannot be read",
    ],
)
def test_newer_registered_version_does_not_overtake_when(
    policy: Policy, registered: tuple[ModelVersion, ...], offer: dict[str, Any]
) -> None:
    sight = a_sight(model=a_version(tags={"stage": "production"}), registered=registered)
    asked = replace(an_offer(policy), **offer)
    assert isinstance(make_plan(asked, policy_files(policy), sight), Plan)


@pytest.mark.parametrize(
    ("served", "offer"),
    [(model_id("9"), {"requested_by": "ann"}), (model_id("9", model="churn"), {}), ("", {})],
    ids=["person asked for it", "another model serves", "what serves is not known"],
)
def test_older_version_may_follow_when(served: str, offer: dict[str, Any]) -> None:
    snapshot = replace(SERVES_6, deployments=(Deployment(name="blue", model_id=served),))
    asked = replace(an_offer(CANARY), **offer)
    assert isinstance(make_plan(asked, policy_files(CANARY), a_sight(snapshot)), Plan)


@pytest.mark.parametrize(
    ("weights", "stable"),
    [
        ({}, None),
        ({"blue": 0}, None),
        ({"blue": 100}, "blue"),
        ({"blue": 100, "green": 0}, "blue"),
        ({"blue": 50, "green": 50}, None),
    ],
    ids=str,
)
def test_stable_has_all_the_weight(weights: dict[str, int], stable: str | None) -> None:
    assert find_stable(Snapshot(exists=True, weights=weights)) == stable


@pytest.mark.parametrize(
    ("model", "version", "attempt", "pattern"),
    [
        ("fraud", "7", 1, "fraud-v7"),
        ("fraud", "7", 2, "fraud-v7-r2"),
        ("fraud-eu", "2026-11-01", 1, "fraud-eu-v2026-11-01"),
        ("Fraud", "7", 1, "fraud-v7-[0-9a-f]{8}"),
        ("fraud", "1.2.0", 1, "fraud-v1-2-0-[0-9a-f]{8}"),
        ("7th", "1", 1, "m-7th-v1-[0-9a-f]{8}"),
        ("詐欺", "7", 1, "v7-[0-9a-f]{8}"),
        ("詐欺", "欺", 1, "v-[0-9a-f]{8}"),
        ("fraud-detector-europe", "1234567890", 1, "fraud-detector-europe-v-[0-9a-f]{8}"),
        ("a" * 255, "7", 1, "a{23}-[0-9a-f]{8}"),
    ],
)
def test_candidate_is_named(model: str, version: str, attempt: int, pattern: str) -> None:
    assert re.fullmatch(pattern, name_candidate(model, version, attempt=attempt))


names = st.text(min_size=1, max_size=255) | st.text(alphabet="av12-r", min_size=1, max_size=6)
keys = st.tuples(names, names, st.integers(1, 99))


@given(keys)
def test_candidates_name_is_one_that_azure_accepts(key: tuple[str, str, int]) -> None:
    name = name_candidate(key[0], key[1], attempt=key[2])
    assert re.fullmatch(r"[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?", name)
    assert 3 <= len(name) <= 32


@given(keys, keys)
def test_candidates_of_different_versions_have_different_names(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    same = name_candidate(one[0], one[1], attempt=one[2]) == name_candidate(
        other[0], other[1], attempt=other[2]
    )
    assert same == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "1-v2", 1), ("a-v1", "2", 1)),
        (("a", "1-r2", 1), ("a", "1", 2)),
        (("Fraud", "7", 1), ("fraud", "7", 1)),
        (("fraud", "1.2", 1), ("fraud", "1-2", 1)),
        (("a", "1\n2", 1), ("a\n1", "2", 1)),
    ],
)
def test_names_that_look_alike_are_kept_apart(
    one: tuple[str, str, int], other: tuple[str, str, int]
) -> None:
    first = name_candidate(one[0], one[1], attempt=one[2])
    assert first.lower() != name_candidate(other[0], other[1], attempt=other[2]).lower()
