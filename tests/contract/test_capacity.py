"""What the region has free, as the emulator tells it."""

from dataclasses import replace

import pytest

from tests.contract.rooms import TEMPLATE, AnyToken, EmulatorRoom, a_plan, new_endpoint


@pytest.mark.parametrize(("count", "needed"), [(1, 5), (50, 240)])
def test_needed_cores_have_the_reserve_for_upgrades(
    emulator: EmulatorRoom, count: int, needed: int
) -> None:
    template = TEMPLATE.replace("instance_count: 1", f"instance_count: {count}")
    plan = a_plan(emulator, new_endpoint(emulator), "green", template=template)
    found = emulator.workspace.find_capacity(plan)
    assert found is not None
    assert (found.family, found.needed) == ("standardDSv2Family", needed)
    assert 0 < found.free <= 200


def test_machines_of_a_region_are_asked_for_once_and_what_is_free_each_time(
    emulator: EmulatorRoom,
) -> None:
    plan = a_plan(emulator, new_endpoint(emulator), "green")
    workspace = emulator.open(AnyToken())
    seen = workspace.get_endpoint(plan.endpoint)
    assert seen is not None
    with emulator.requests() as asked:
        for _ in range(2):
            assert workspace.find_capacity(replace(plan, region=seen.region)) is not None
    assert [one.rpartition("/")[2] for one in asked] == ["vmSizes", "usages", "usages"]


@pytest.mark.parametrize(
    "template",
    [
        TEMPLATE.replace("Standard_DS3_v2", "Standard_Odd_v9"),
        TEMPLATE.replace("instance_count: 1", "instance_count: many"),
        "type: kubernetes\ninstance_type: defaultinstancetype\n",
    ],
    ids=["unknown machine", "no number", "kubernetes"],
)
def test_what_the_region_does_not_list_is_not_known(emulator: EmulatorRoom, template: str) -> None:
    plan = a_plan(emulator, new_endpoint(emulator), "green", template=template)
    assert emulator.workspace.find_capacity(plan) is None
