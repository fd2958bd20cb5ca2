"""Overlaps: two policies that could take the same version to the same endpoint, and no others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.matching import Offer, PolicyIndex
from deploy_logic.policy.overlap import find_overlaps
from deploy_logic.policy.policy import Policy
from tests.builders import a_policy, an_event

type Side = tuple[str, str] | tuple[str, str, dict[str, str]]


def a_side(side: Side, name: str = "policy-one") -> Policy:
    model, endpoint, *rest = side
    tags = rest[0] if rest else {}
    select = {"model": model, "tags": tags}
    deploy = {"endpoint": endpoint, "template": "t.yml"}
    return a_policy(policy=name, select=select, deploy=deploy)


APART: list[tuple[Side, Side]] = [
    (("fraud", "fraud"), ("churn", "fraud")),
    (("fraud", "fraud"), ("Fraud", "fraud")),
    (("fraud", "fraud"), ("fraud", "fraud-eu")),
    (("fraud", "{model}"), ("fraud", "eu-{model}")),
    (("glob:fraud-*", "fraud"), ("churn", "fraud")),
    (("glob:fraud-*", "fraud"), ("glob:churn-*", "fraud")),
    (("glob:*-eu", "fraud"), ("glob:*-us", "fraud")),
    (("glob:fraud-?", "fraud"), ("regex:^churn", "fraud")),
    (("regex:^a-(eu|us)$", "all"), ("regex:^b-(eu|us)$", "all")),
    (("glob:*", "fraud"), ("glob:*", "churn")),
    (("glob:*", "a-{model}"), ("glob:*", "b-{model}")),
    (("glob:*", "{model}"), ("glob:*", "{model}-eu")),
    (("glob:*", "a-{model}-z"), ("glob:*", "b-thing")),
    (("fraud", "fraud", {"stage": "a"}), ("fraud", "fraud", {"stage": "b"})),
    (("fraud", "fraud", {"auc": ">= 0.9"}), ("fraud", "fraud", {"auc": "low"})),
]
TOGETHER: list[tuple[Side, Side]] = [
    (("fraud", "fraud"), ("fraud", "FRAUD")),
    (("fraud", "{model}"), ("fraud", "fraud")),
    (("glob:fraud-*", "fraud"), ("fraud-eu", "fraud")),
    (("glob:fraud-*", "{model}"), ("fraud-eu", "fraud-eu")),
    (("glob:fraud-*", "fraud"), ("glob:*-eu", "fraud")),
    (("glob:fraud-*", "fraud"), ("regex:fraud", "Fraud")),
    (("regex:^a|b", "all"), ("regex:^c", "all")),
    (("regex:^ab?", "all"), ("regex:^ac", "all")),
    (("regex:(?i)^a", "all"), ("regex:^A", "all")),
    (("glob:a[bc]", "all"), ("glob:ab", "all")),
    (("glob:*", "{model}"), ("glob:*", "{model}")),
    (("glob:*", "{model}"), ("regex:^f", "fraud")),
    (("glob:*", "a-{model}"), ("glob:*", "{model}-a")),
    (("fraud", "fraud", {"stage": "a"}), ("fraud", "fraud", {"team": "b"})),
    (("fraud", "fraud", {"auc": ">= 0.9"}), ("fraud", "fraud", {"auc": "0.95"})),
]


@pytest.mark.parametrize("pair", APART, ids=str)
def test_policies_are_apart(pair: tuple[Side, Side]) -> None:
    for sides in (pair, pair[::-1]):
        assert find_overlaps([a_side(side) for side in sides]) == []


@pytest.mark.parametrize("pair", TOGETHER, ids=str)
def test_policies_overlap(pair: tuple[Side, Side]) -> None:
    for sides in (pair, pair[::-1]):
        assert find_overlaps([a_side(side) for side in sides]) == [(0, 1)]


def test_every_pair_is_found_once_in_order() -> None:
    sides: list[Side] = [("a-b", "one"), ("glob:a-*", "one"), ("churn", "one"), ("a-b", "ONE")]
    assert find_overlaps([a_side(side) for side in sides]) == [(0, 1), (0, 3), (1, 3)]


def test_ten_thousand_policies_are_compared_by_name_and_endpoint_not_each_with_each() -> None:
    sides: list[Side] = [(f"model-{n}", "shared") for n in range(5_000)]
    sides += [(f"glob:many-{n}-*", f"e-{n}") for n in range(200)]
    sides += [("same", f"x-{n}") for n in range(4_800)]
    one = a_side(("any", "any"))
    policies = [
        one.model_copy(
            update={
                "select": one.select.model_copy(update={"model": side[0]}),
                "deploy": one.deploy.model_copy(update={"endpoint": side[1]}),
            }
        )
        for side in sides
    ]
    assert find_overlaps(policies) == []


_models = st.sampled_from(
    [
        *("a", "ab", "b-a", "glob:a*", "glob:*a", "glob:?", "glob:[ab]*"),
        *("regex:^a", "regex:^ab?$", "regex:a|b", "regex:^(a|b)-", "regex:^a+", "regex:b$"),
        *("regex:^[ab]", "regex:^\\Qa\\E", "regex:^ab|b[(]", "regex:^ab[[:alpha:](]|b"),
    ]
)
_endpoints = st.sampled_from(["abc", "ABC", "{model}", "x-{model}", "{model}-x", "x-a-x", "x-ab"])
_names = ["a", "b", "ab", "b-a", "a-b", "aab", "ba", "abc", "x-a", "a-x", "A", "AB"]


@given(_models, _endpoints, _models, _endpoints)
def test_what_is_found_apart_never_meets(m: str, e: str, n: str, f: str) -> None:
    policies = [a_side((m, e), "policy-one"), a_side((n, f), "policy-two")]
    if find_overlaps(policies):
        return
    index = PolicyIndex(policies)
    for name in _names:
        offers = [one for one in index.match(an_event(model=name)) if isinstance(one, Offer)]
        keys = [offer.endpoint.lower() for offer in offers]
        assert len(set(keys)) == len(keys)
