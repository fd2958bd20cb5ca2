"""Autoscale settings: kept, refused where they make no sense, carried out on the capacity."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.local.azure_ml_lab import Lab, Reply, lab, until
from tests.local.test_azure_ml_metrics import serve


@pytest.fixture
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("autoscale")) as emulator:
        emulator.register("m", "1")
        emulator.succeed(emulator.put_endpoint("fraud"))
        emulator.succeed(emulator.put_deployment("fraud/blue", "m:1"))
        emulator.admin("PUT", "clock", {"frozen": True})
        yield emulator


def path(aml: Lab) -> str:
    group = aml.ready["workspace_id"].partition("/providers/")[0]
    return f"{group}/providers/Microsoft.Insights/autoscalesettings/own"


def setting(aml: Lab, capacity: tuple[int, int, int], *rules: Any, **more: Any) -> Reply:
    least, usual, most = (str(number) for number in capacity)
    target = f"{aml.ready['workspace_id']}/onlineEndpoints/fraud/deployments/blue"
    profile = {
        "name": "usual",
        "capacity": {"minimum": least, "default": usual, "maximum": most},
        "rules": list(rules),
    }
    own = {"targetResourceUri": target, "profiles": [profile]} | more
    return aml.arm("PUT", path(aml), {"properties": own})


def rule(aml: Lab, operator: str, threshold: float, direction: str, **action: Any) -> Any:
    return {
        "metricTrigger": {
            "metricName": "RequestsPerMinute",
            "metricResourceUri": f"{aml.ready['workspace_id']}/onlineEndpoints/fraud",
            "timeGrain": "PT1M",
            "statistic": "Average",
            "timeWindow": "PT5M",
            "timeAggregation": "Average",
            "operator": operator,
            "threshold": threshold,
        },
        "scaleAction": {
            "direction": direction,
            "type": "ChangeCount",
            "value": "2",
            "cooldown": "PT5M",
        }
        | action,
    }


def capacity(aml: Lab) -> int:
    return int(aml.get_deployment("fraud/blue")["sku"]["capacity"])


def idle(aml: Lab) -> bool:
    return not aml.admin("GET", "state")["running_operations"]


def test_capacity_is_brought_between_the_bounds(aml: Lab) -> None:
    assert setting(aml, (3, 3, 5)).status == 201
    until(lambda: capacity(aml) == 3)
    assert aml.pool()[-1]["instances"] == 3
    until(lambda: idle(aml))
    assert setting(aml, (1, 1, 2)).status == 200
    until(lambda: capacity(aml) == 2)


def test_rules_scale_out_by_what_was_measured_and_rest_in_between(aml: Lab) -> None:
    out = rule(aml, "GreaterThan", 10, "Increase")
    back = rule(aml, "LessThan", 3, "Decrease", value="1")
    assert setting(aml, (1, 1, 4), out, back).status == 201
    serve(aml, "fraud", [("blue", 200, 200, 5.0)] * 20)
    aml.admin("PUT", "clock", {"advance": 61})
    until(lambda: capacity(aml) == 3 and idle(aml))
    aml.admin("PUT", "clock", {"advance": 61})
    assert capacity(aml) == 3
    aml.admin("PUT", "clock", {"advance": 300})
    serve(aml, "fraud", [("blue", 200, 200, 5.0)])
    aml.admin("PUT", "clock", {"advance": 61})
    until(lambda: capacity(aml) == 2)


def test_disabled_setting_does_nothing_and_the_ones_kept_are_listed(aml: Lab) -> None:
    assert setting(aml, (3, 3, 5), enabled=False).status == 201
    aml.admin("PUT", "clock", {"advance": 61})
    assert capacity(aml) == 1
    listed = aml.arm("GET", path(aml).rpartition("/")[0]).json["value"]
    assert [item["name"] for item in listed] == ["own"]
    assert aml.arm("GET", path(aml)).json["properties"]["enabled"] is False
    aml.kill9()
    aml.start()
    assert aml.arm("GET", path(aml)).status == 200
    assert aml.arm("DELETE", path(aml)).status == 200
    assert aml.arm("DELETE", path(aml)).status == 204
    assert aml.arm("GET", path(aml)).status == 404


def test_settings_that_make_no_sense_are_refused(aml: Lab) -> None:
    wrong = [
        setting(aml, (3, 2, 5)),
        setting(aml, (0, 1, 5)),
        setting(aml, (1, 1, 2), targetResourceUri="/elsewhere"),
        setting(aml, (1, 1, 2), profiles=[]),
        setting(aml, (1, 1, 2), rule(aml, "About", 1, "Increase")),
        setting(aml, (1, 1, 2), rule(aml, "LessThan", 1, "Sideways")),
        setting(aml, (1, 1, 2), {"metricTrigger": {}, "scaleAction": {}}),
    ]
    assert [reply.status for reply in wrong] == [400] * len(wrong)
    assert aml.arm("GET", path(aml)).status == 404
