"""Azure Monitor's metrics: both of Microsoft's clients, and the rules behind the answers."""

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.azure_ml.clock import Clock
from local.azure_ml.errors import ArmError
from local.azure_ml.metrics import query, series
from local.azure_ml.metrics.definitions import (
    DEFINITIONS,
    DEPLOYMENT_NAMESPACE,
    ENDPOINT_NAMESPACE,
)
from local.azure_ml.metrics.minute import Gauge, Request, load, sum_up
from local.azure_ml.metrics.record import Record
from local.azure_ml.metrics.sampler import Instance, Sampler, _Use, _uses
from local.azure_ml.store import Store
from tests.local.azure_ml_lab import Lab, lab

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp()
HOUR = "2026-11-23T12:00:00Z/2026-11-23T13:00:00Z"


class Token:
    def get_token(self, *_: str, **__: Any) -> Any:
        from azure.core.credentials import AccessToken  # noqa: PLC0415 - only these tests need it

        return AccessToken("any", 4_000_000_000)


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("metrics")) as emulator:
        emulator.register("m", "1")
        emulator.succeed(emulator.put_endpoint("fraud"))
        for name in ("blue", "Green"):
            emulator.succeed(emulator.put_deployment(f"fraud/{name}", "m:1"))
        # In the middle of a minute and standing still: nothing here falls into two minutes.
        emulator.admin("PUT", "clock", {"frozen": True})
        now = datetime.fromisoformat(emulator.admin("GET", "clock")["now"])
        emulator.admin("PUT", "clock", {"advance": 90 - now.second - now.microsecond / 1e6})
        serve(emulator, "fraud", [("blue", 200, 200, 10.0)] * 8 + [("blue", 424, 500, 30.0)] * 2)
        serve(emulator, "fraud", [("Green", 200, 200, 50.0)] * 3 + [("", 401, None, 1.0)])
        emulator.admin("PUT", "clock", {"advance": 60})
        serve(emulator, "fraud", [("blue", 200, 200, 20.0)] * 5)
        emulator.admin("PUT", "clock", {"advance": 30})
        yield emulator


def serve(aml: Lab, endpoint: str, outcomes: Sequence[tuple[str, int, int | None, float]]) -> None:
    """Let the fake front report requests as the real one does."""
    key = aml.arm("POST", f"onlineEndpoints/{endpoint}/listKeys").json["primaryKey"]
    served = [
        (name, {"status": status, "model_status": model, "latency": latency, "size": 60})
        for name, status, model, latency in outcomes
    ]
    reply = aml.send(
        "POST",
        f"/endpoints/{endpoint}/score",
        {"served": served},
        {"Authorization": f"Bearer {key}"},
    )
    assert reply.status == 200, reply.body


def ask(aml: Lab, resource: str, **parameters: str) -> Any:
    text = "&".join(f"{key.replace('_', '$', 1)}={value}" for key, value in parameters.items())
    path = f"onlineEndpoints/{resource}/providers/microsoft.insights/metrics?{text}"
    reply = aml.arm("GET", path.replace(" ", "%20"))
    assert reply.status == 200, reply.body
    return reply.json


def values(metric: Any) -> dict[tuple[str, ...], list[float]]:
    """The numbers of each series, by the values of its dimensions; minutes without one left out."""
    return {
        tuple(named["value"] for named in one["metadatavalues"]): [
            next(value for key, value in point.items() if key != "timeStamp")
            for point in one["data"]
            if len(point) > 1
        ]
        for one in metric["timeseries"]
    }


# --- Microsoft's clients, as they are


def test_management_client_reads_both_arms_in_one_call(aml: Lab) -> None:
    from azure.mgmt.monitor import MonitorManagementClient  # noqa: PLC0415 - see above

    url = aml.ready["url"]
    client: Any = MonitorManagementClient(
        Token(),
        aml.ready["subscription"],
        base_url=url,
        credential_scopes=[f"{url}/.default"],
        connection_verify=aml.ready["ca"],
    )
    # With its leading slash the resource's id makes a path that starts with two: ARM takes it.
    for uri in (aml.ready["workspace_id"], aml.ready["workspace_id"].lstrip("/")):
        found = client.metrics.list(
            f"{uri}/onlineEndpoints/fraud",
            metricnames="RequestsPerMinute,RequestLatency_P95",
            interval="PT1M",
            aggregation="Average",
            filter="deployment eq '*'",
        )
        requests, latency = found.value
        by = {one.metadatavalues[0].value: one.data for one in latency.timeseries}
        assert {name: [p.average for p in data if p.average] for name, data in by.items()} == {
            "blue": [30.0, 20.0],
            "Green": [50.0],
            "": [1.0],
        }
        assert (requests.unit, latency.unit) == ("Count", "MilliSeconds")
        assert len(by["blue"]) >= 60
        assert (found.interval, found.namespace) == ("PT1M", ENDPOINT_NAMESPACE)
        assert found.resourceregion == aml.ready["location"]
    listed = client.metric_definitions.list(f"{uri}/onlineEndpoints/fraud")
    assert "RequestLatency_P99" in [item.name.value for item in listed]


def test_batch_client_reads_several_deployments(aml: Lab) -> None:
    from azure.monitor.querymetrics import MetricsClient  # noqa: PLC0415 - see above

    client: Any = MetricsClient(aml.ready["url"], Token(), connection_verify=aml.ready["ca"])
    now = datetime.fromisoformat(aml.admin("GET", "clock")["now"])
    ids = [
        f"{aml.ready['workspace_id']}/onlineEndpoints/fraud/deployments/{name}"
        for name in ("blue", "green")
    ]
    found = client.query_resources(
        resource_ids=ids,
        metric_namespace=DEPLOYMENT_NAMESPACE,
        metric_names=["RequestsPerMinute"],
        timespan=(now - timedelta(minutes=30), now),  # the emulator's time, not the machine's
        granularity=timedelta(minutes=1),
        aggregations=["Average"],
        filter="envoy_response_code eq '*'",
    )
    counted = [
        {
            one.metadata_values["envoy_response_code"]: [p.average for p in one.data if p.average]
            for one in result.metrics["RequestsPerMinute"].timeseries
        }
        for result in found
    ]
    assert counted == [{"200": [8.0, 5.0], "424": [2.0]}, {"200": [3.0]}]


def test_definitions_and_namespaces_are_listed(aml: Lab) -> None:
    insights = "providers/Microsoft.Insights"
    for resource, namespace in (
        ("fraud", ENDPOINT_NAMESPACE),
        ("fraud/deployments/blue", DEPLOYMENT_NAMESPACE),
    ):
        found = aml.arm("GET", f"onlineEndpoints/{resource}/{insights}/metricDefinitions").json
        assert {item["name"]["value"] for item in found["value"]} == {
            item.name for item in DEFINITIONS.values() if item.namespace == namespace
        }
        (only,) = aml.arm("GET", f"onlineEndpoints/{resource}/{insights}/metricNamespaces").json[
            "value"
        ]
        assert only["properties"]["metricNamespaceName"] == namespace


# --- what the answers mean


def test_split_by_all_dimensions_every_request_is_counted_once(aml: Lab) -> None:
    split = (
        "deployment eq '*' and statusCode eq '*' and statusCodeClass eq '*'"
        " and modelStatusCode eq '*'"
    )
    (metric,) = ask(aml, "fraud", metricnames="RequestsPerMinute", _filter=split)["value"]
    assert values(metric) == {
        ("blue", "200", "2xx", "200"): [8.0, 5.0],
        ("blue", "424", "4xx", "500"): [2.0],
        ("Green", "200", "2xx", "200"): [3.0],
        ("", "401", "4xx", ""): [1.0],
    }


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        pytest.param("deployment eq 'green'", {("Green",): [3.0]}, id="case-does-not-matter"),
        pytest.param(
            "deployment eq 'BLUE' and statusCodeClass ne '2xx'", {("blue", "4xx"): [2.0]}, id="ne"
        ),
        pytest.param(
            "(deployment eq 'blue' or deployment eq 'green') and statusCode sw '2'",
            {("blue", "200"): [8.0, 5.0], ("Green", "200"): [3.0]},
            id="or",
        ),
        pytest.param("deployment eq 'red'", {}, id="nobody"),
    ],
)
def test_filter_chooses_series(
    aml: Lab, filter_: str, expected: dict[tuple[str, ...], list[float]]
) -> None:
    (metric,) = ask(aml, "fraud", metricnames="requestsperminute", _filter=filter_)["value"]
    assert values(metric) == expected


def test_what_is_not_split_is_averaged_over_its_emitters(aml: Lab) -> None:
    (metric,) = ask(aml, "fraud", metricnames="RequestsPerMinute", _filter="deployment eq 'blue'")[
        "value"
    ]
    assert values(metric) == {("blue",): [5.0, 5.0]}  # of 8 and 2 in the first minute


def test_minutes_without_requests_are_points_without_a_value(aml: Lab) -> None:
    (metric,) = ask(aml, "fraud", metricnames="RequestsPerMinute", _filter="deployment eq 'Green'")[
        "value"
    ]
    points = metric["timeseries"][0]["data"]
    assert len(points) in (60, 61)
    assert sum(set(point) == {"timeStamp"} for point in points) == len(points) - 1


def test_series_are_limited_ordered_and_rolled_up(aml: Lab) -> None:
    asked = {"metricnames": "RequestsPerMinute", "_filter": "deployment eq '*'"}
    (top,) = ask(aml, "fraud", **asked, top="1", orderby="average desc")["value"]
    assert list(values(top)) == [("blue",)]
    (rolled,) = ask(
        aml,
        "fraud",
        metricnames="RequestsPerMinute",
        _filter="deployment eq 'blue' and statusCode eq '*'",
        rollupby="statusCode",
    )["value"]
    assert values(rolled) == {("blue",): [5.0, 5.0]}
    (named,) = ask(aml, "fraud", **asked, resultType="metadata")["value"]
    assert all("data" not in one for one in named["timeseries"])


def test_gpu_has_no_series_and_capacity_is_told_by_every_instance(aml: Lab) -> None:
    gpu, bytes_ = (
        ask(aml, resource, metricnames=name)["value"][0]
        for resource, name in (
            ("fraud/deployments/blue", "GpuUtilizationPercentage"),
            ("fraud", "NetworkBytes"),
        )
    )
    assert gpu["timeseries"] == []
    # Per second, over deployments: 10 requests of 60 bytes, 3, 1; then 5.
    assert values(bytes_) == {(): [pytest.approx((10 + 3 + 1) / 3), 5.0]}


@pytest.mark.parametrize(
    ("resource", "parameters", "status", "words"),
    [
        pytest.param("fraud", {"interval": "PT5M"}, 400, "time grain: PT5M", id="grain"),
        pytest.param("fraud", {"metricnames": "Nothing"}, 400, "Valid metrics", id="metric"),
        pytest.param("fraud", {"aggregation": "Total"}, 400, "aggregation type", id="aggregation"),
        pytest.param("fraud", {"timespan": "yesterday"}, 400, "timespan", id="timespan"),
        pytest.param(
            "fraud", {"timespan": "/".join(HOUR.split("/")[::-1])}, 400, "before", id="back"
        ),
        pytest.param("fraud", {"_filter": "colour eq '*'"}, 400, "combination: colour", id="what"),
        pytest.param("fraud", {"_filter": "deployment = 'a'"}, 400, "Invalid filter", id="no-eq"),
        pytest.param(
            "fraud", {"_filter": "deployment eq '*' or statusCode eq '*'"}, 400, "joins", id="or"
        ),
        pytest.param("fraud", {"_filter": "deployment eq 'a' and"}, 400, "filter", id="open-end"),
        pytest.param("fraud", {"top": "0"}, 400, "top", id="top"),
        pytest.param("fraud", {"orderby": "colour"}, 400, "orderby", id="order"),
        pytest.param("fraud", {"metricnamespace": "a/b"}, 400, "namespace", id="namespace"),
        pytest.param("none", {}, 404, "not found", id="endpoint"),
        pytest.param("fraud/deployments/red", {}, 404, "not found", id="deployment"),
    ],
)
def test_wrong_questions_are_refused(
    aml: Lab, resource: str, parameters: Mapping[str, str], status: int, words: str
) -> None:
    text = "&".join(f"{key.replace('_', '$', 1)}={value}" for key, value in parameters.items())
    path = f"onlineEndpoints/{resource}/providers/Microsoft.Insights/metrics?{text}"
    reply = aml.arm("GET", path.replace(" ", "%20"))
    assert (reply.status, set(reply.json)) == (status, {"code", "message"})
    assert words in reply.json["message"]


@pytest.mark.parametrize(
    ("ids", "words"),
    [
        pytest.param([], "1 to 50", id="none"),
        pytest.param(["/elsewhere"], "no online endpoint", id="foreign"),
        pytest.param(["fraud", "fraud/deployments/blue"], "one type", id="mixed"),
    ],
)
def test_wrong_batches_are_refused(aml: Lab, ids: list[str], words: str) -> None:
    base = f"{aml.ready['workspace_id']}/onlineEndpoints"
    body = {"resourceids": [name if name.startswith("/") else f"{base}/{name}" for name in ids]}
    subscription = aml.ready["subscription"]
    names = f"metricnamespace={ENDPOINT_NAMESPACE}&metricnames=RequestsPerMinute"
    reply = aml.arm("POST", f"/subscriptions/{subscription}/metrics:getBatch?{names}", body)
    assert reply.status == 400
    assert words in reply.json["message"]


# --- lag and restart


@pytest.mark.parametrize("how", ["kill9", "stop"])
def test_counts_outlive_the_process(tmp_path: Path, how: str) -> None:
    with lab(tmp_path) as aml:
        aml.register("m", "1")
        aml.succeed(aml.put_endpoint("fraud"))
        aml.succeed(aml.put_deployment("fraud/blue", "m:1"))
        aml.admin("PUT", "clock", {"frozen": True})
        for _ in range(3):
            serve(aml, "fraud", [("blue", 200, 200, 10.0)] * 4)
            aml.admin("PUT", "clock", {"advance": 60})
        asked = {"metricnames": "RequestsPerMinute", "_filter": "deployment eq '*'"}
        before = ask(aml, "fraud", **asked)["value"]
        assert values(before[0]) == {("blue",): [4.0, 4.0, 4.0]}
        getattr(aml, how)()
        aml.start()
        assert ask(aml, "fraud", **asked)["value"] == before


def test_metrics_are_as_late_as_the_pace_says(tmp_path: Path) -> None:
    with lab(tmp_path) as aml:
        aml.succeed(aml.put_endpoint("fraud"))
        aml.admin("PUT", "clock", {"frozen": True})
        aml.admin("PUT", "pace", {"metrics": 180})
        asked = {"metricnames": "RequestsPerMinute", "_filter": "deployment eq '*'"}
        serve(aml, "fraud", [("", 404, None, 1.0)] * 2)
        seen = []
        for _ in range(4):
            (metric,) = ask(aml, "fraud", **asked)["value"]
            seen.append(values(metric))
            aml.admin("PUT", "clock", {"advance": 60})
        assert seen == [{}, {}, {}, {("",): [2.0]}]


def test_paces_say_how_late_metrics_are(tmp_path: Path) -> None:
    with lab(tmp_path) as aml:
        lags = [aml.admin("PUT", "pace", {"pace": name})["metrics"] for name in ("instant", "demo")]
        assert lags == [0, 2]
        assert aml.admin("PUT", "pace", {"pace": "realistic"})["metrics"] == 180


# --- the pieces


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    store = Store(tmp_path / "state.db")
    clock = Clock(store)
    clock.set({"frozen": True})
    yield clock
    store.close()


def test_closed_minutes_say_the_same_as_open_ones(tmp_path: Path, clock: Clock) -> None:
    lag = [600.0]
    record = Record(tmp_path / "metrics.db", clock, lambda: lag[0])
    for number in range(300):
        request = Request(status=200 + number % 3, model_status=200, latency=number, size=number)
        record.add("Fraud", "blue", request)
        clock.set({"advance": 0.9})
    record.add("fraud", "blue", Gauge(metric="G", dimensions={"instanceId": "a"}, value=2.0))
    lag[0] = 0.0
    opened = list(record.minutes("fraud", 0, clock.time() + 60))
    clock.set({"advance": 600})
    record.add("other", "blue", Gauge(metric="G", dimensions={}, value=1.0))
    assert [
        (start, minute.dump()) for start, minute in record.minutes("fraud", 0, clock.time())
    ] == [(start, load(minute.dump()).dump()) for start, minute in opened]
    record.close()


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [
        pytest.param([7.0], {"": 7, "_P50": 7, "_P90": 7, "_P95": 7, "_P99": 7}, id="one"),
        pytest.param(
            [float(number) for number in range(1, 101)],
            {"": 50.5, "_P50": 50, "_P90": 90, "_P95": 95, "_P99": 99},
            id="hundred",
        ),
    ],
)
def test_percentiles_are_values_that_occurred(
    latencies: list[float], expected: Mapping[str, float]
) -> None:
    found = sum_up(
        "blue", [Request(status=200, model_status=200, latency=item, size=0) for item in latencies]
    )
    assert found.latencies == {f"RequestLatency{key}": value for key, value in expected.items()}


def test_timespans_come_in_every_form() -> None:
    forms = [
        {"timespan": "2026-11-23T11:00:00Z/2026-11-23T12:00:00Z"},
        {"timespan": "2026-11-23T11:00:00 00:00/2026-11-23T12:00:00+00:00"},
        {"timespan": "2026-11-23T11%3A00%3A00%2F2026-11-23T12%3A00%3A00"},
        {"timespan": "PT1H"},
        {"timespan": "PT1H/2026-11-23T12:00:00Z"},
        {"timespan": "2026-11-23T11:00:00Z/PT1H"},
        {"starttime": "2026-11-23T11:00:00.000Z", "endtime": "2026-11-23T12:00:00.000Z"},
        {"starttime": "2026-11-23T11:00:00.000Z"},
        {},
    ]
    read = [query.read(form, ENDPOINT_NAMESPACE, NOON) for form in forms]
    assert {(one.start.isoformat(), one.end.isoformat()) for one in read} == {
        ("2026-11-23T11:00:00+00:00", "2026-11-23T12:00:00+00:00")
    }


def test_aggregations_of_gauges() -> None:
    gauges = [
        Gauge(metric="CpuUtilizationPercentage", dimensions={"instanceId": name}, value=value)
        for name, value in (("a", 10.0), ("a", 20.0), ("b", 60.0))
    ]
    asked = query.read(
        {
            "metricnames": "CpuUtilizationPercentage",
            "aggregation": "average,minimum,maximum",
            "timespan": HOUR,
        },
        DEPLOYMENT_NAMESPACE,
        NOON,
    )
    (metric,) = series.answer(asked, [(int(NOON), sum_up("blue", gauges))], "/id")
    (one,) = metric["timeseries"]
    first = one["data"][0]
    assert {key: value for key, value in first.items() if key != "timeStamp"} == {
        "average": 30.0,
        "minimum": 10.0,
        "maximum": 60.0,
    }
    with pytest.raises(ArmError, match="aggregation type"):
        query.read(
            {"metricnames": "CpuUtilizationPercentage", "aggregation": "total"},
            DEPLOYMENT_NAMESPACE,
            NOON,
        )


def test_sampler_measures_processes_and_instances(tmp_path: Path, clock: Clock) -> None:
    record = Record(tmp_path / "metrics.db", clock, lambda: 0.0)
    group = os.getpgrp()
    instances = [
        Instance(endpoint="fraud", deployment="blue", name=name, group=group) for name in ("a", "b")
    ]
    sampler = Sampler(record, lambda: instances)
    for seconds in (1.0, 2.5):
        sampler.take(instances, {group: _Use(seconds=seconds, size=1 << 20)})
    ((_, minute),) = record.minutes("fraud", 0, clock.time() + 60)
    found = {(name, sample.dimensions["instanceId"]): sample for name, sample in minute.gauges}
    assert found["DeploymentCapacity", "a"].most == 2
    share = found["CpuUtilizationPercentage", "a"].most
    assert share == pytest.approx(100 * 1.5 / 15 / (os.cpu_count() or 1))
    assert 0 < found["CpuMemoryUtilizationPercentage", "b"].most < 100
    record.close()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux: it reads /proc")
def test_uses_are_added_up_by_process_group() -> None:
    used = _uses()[os.getpgrp()]
    assert used.seconds > 0
    assert used.size > 1 << 20
