"""Matching: one answer per policy with its reason, and names that find the same rollout again."""

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.matching import (
    NoMatch,
    Offer,
    endpoint_key,
    make_rollout_id,
    match_policies,
)
from tests.builders import WORKSPACE, a_policy, an_event

names = st.text(min_size=1, max_size=255)
endpoints = st.text(string.ascii_letters + string.digits + "-", min_size=3, max_size=32)


def test_match_is_an_offer_to_the_ledger_of_the_policys_endpoint() -> None:
    policy = a_policy(select={"model": "fraud", "version": ">= 3"}, on_new_version="queue")
    assert match_policies(an_event(version="7", event_id="e-9"), [policy]) == (
        Offer(
            rollout_id=make_rollout_id(WORKSPACE, "fraud", "fraud", "7"),
            workspace=WORKSPACE,
            endpoint="fraud",
            model="fraud",
            version="7",
            policy="fraud-prod",
            version_rule=">= 3",
            on_new_version="queue",
            event_id="e-9",
        ),
    )


@pytest.mark.parametrize(
    ("select", "reason"),
    [
        ({"model": "churn"}, "model 'fraud' is not 'churn'"),
        ({"model": "Fraud"}, "model 'fraud' is not 'Fraud'"),
        ({"model": "fraud", "version": "8"}, "version 7 is not 8, which the rule pins"),
        ({"model": "fraud", "version": ">= 8"}, "version 7 is not >= 8"),
    ],
    ids=str,
)
def test_no_match_has_its_reason(select: dict[str, str], reason: str) -> None:
    answers = match_policies(an_event(), [a_policy(select=select)])
    assert answers == (NoMatch(policy="fraud-prod", reason=reason),)


def test_every_policy_answers_in_the_order_of_the_policies() -> None:
    policies = [
        a_policy(policy="first-one"),
        a_policy(policy="second-one", select={"model": "churn"}),
        a_policy(policy="third-one", deploy={"endpoint": "other", "template": "t.yml"}),
    ]
    answers = match_policies(an_event(), policies)
    assert [one.policy for one in answers] == ["first-one", "second-one", "third-one"]
    assert [type(one) for one in answers] == [Offer, NoMatch, Offer]


def test_without_policies_there_is_no_answer() -> None:
    assert match_policies(an_event(), []) == ()


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (("fraud", "fraud-detector", "7"), r"fraud-fraud-detector-7-[0-9a-f]{12}"),
        (("Fraud", "Fraud", "1.2.0-rc.1"), r"fraud-fraud-1\.2\.0-rc\.1-[0-9a-f]{12}"),
        (("fraud", "größe 詐欺", "7"), r"fraud-gr-e-7-[0-9a-f]{12}"),
        (("fraud", "f" * 255, "7"), r"fraud-f{54}-[0-9a-f]{12}"),
    ],
    ids=["plain", "case and dots", "unicode", "long"],
)
def test_rollout_id_can_be_read_by_people(name: tuple[str, str, str], pattern: str) -> None:
    assert re.fullmatch(pattern, make_rollout_id(WORKSPACE, *name))


@given(endpoints, names, names, st.integers(1, 10**6))
def test_rollout_id_is_what_the_scheduler_allows(
    endpoint: str, model: str, version: str, attempt: int
) -> None:
    found = make_rollout_id(WORKSPACE, endpoint, model, version, attempt=attempt)
    assert re.fullmatch(r"[a-z0-9.-]{1,100}", found)
    assert make_rollout_id(WORKSPACE, endpoint, model, version, attempt=attempt) == found
    # Azure compares the names of workspaces and endpoints without case
    again = make_rollout_id(WORKSPACE.upper(), endpoint.upper(), model, version, attempt=attempt)
    assert again == found


@given(st.lists(st.tuples(names, names, st.integers(1, 3)), unique=True, min_size=2, max_size=5))
def test_different_versions_have_different_rollout_ids(
    keys: list[tuple[str, str, int]],
) -> None:
    found = {make_rollout_id(WORKSPACE, "fraud", m, v, attempt=a) for m, v, a in keys}
    assert len(found) == len(keys)


def test_rollout_id_depends_on_workspace_and_endpoint() -> None:
    found = {
        make_rollout_id(workspace, endpoint, "fraud", "7")
        for workspace in (WORKSPACE, WORKSPACE + "2")
        for endpoint in ("fraud", "fraud-eu")
    }
    assert len(found) == 4


def test_endpoint_key_is_the_same_in_any_case_and_differs_between_workspaces() -> None:
    key = endpoint_key(WORKSPACE, "Fraud")
    assert re.fullmatch(r"fraud-[0-9a-f]{12}", key)
    assert endpoint_key(WORKSPACE.upper(), "FRAUD") == key
    assert endpoint_key(WORKSPACE + "2", "Fraud") != key
    assert endpoint_key(WORKSPACE, "Fraud-eu") != key
