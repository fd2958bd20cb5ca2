"""The adapters for metrics and logs on answers as Azure documents them, odd ones among them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from deploy_logic.adapters.azure_monitor import AzureMonitor
from deploy_logic.adapters.log_analytics import LogAnalytics, find_address
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.gate.metric import Measured, Reading
from local.azure_ml.certificates import server_context
from tests.builders import WORKSPACE
from tests.contract.https import Canned, Canner, canner
from tests.contract.rooms import AnyToken

NOON = datetime(2026, 11, 23, 12, 0, 40, tzinfo=UTC)
LOGS = "63613592-b6f7-4c3d-a390-22ba13102111"
FIRST, SECOND, THIRD = (f"2026-11-23T12:0{n}:00Z" for n in range(3))


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canner]:
    certificates: Path = tmp_path_factory.mktemp("certificates")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(server_context(certificates)[1]))
        with canner(certificates) as running:
            yield running


@pytest.fixture
def server(running_server: Canner) -> Canner:
    running_server.answers.clear()
    running_server.asked.clear()
    return running_server


def series(points: Mapping[str, float | None], **dimensions: str) -> dict[str, Any]:
    """Return one time series: names in lower case, as the service gives them."""
    data = [
        {"timeStamp": minute} if value is None else {"timeStamp": minute, "average": value}
        for minute, value in points.items()
    ]
    named = [
        {"name": {"value": name.lower(), "localizedValue": name}, "value": value}
        for name, value in dimensions.items()
    ]
    return {"metadatavalues": named, "data": data}


def outcome(deployment: str, status: int, points: Mapping[str, float | None]) -> dict[str, Any]:
    named = {"statusCode": str(status), "statusCodeClass": f"{status // 100}xx"}
    return series(points, deployment=deployment, **named, modelStatusCode=str(status))


def answer(timeseries: Sequence[Any], **changes: Any) -> Canned:
    metric = {"name": {"value": "M"}, "unit": "Count", "timeseries": timeseries, **changes}
    body = {"cost": 1, "interval": "PT1M", "value": [metric]}
    return Canned(body=json.dumps(body).encode())


def read(server: Canner, metric: str, *, stable: str | None = "blue", **changes: Any) -> Measured:
    monitor = AzureMonitor(WORKSPACE, cloud={"resource_manager": server.url}, credential=AnyToken())
    asked = {"since": NOON, "until": NOON + timedelta(minutes=5), **changes}
    return monitor.read(metric, endpoint="fraud", candidate="Green", stable=stable, **asked)


def asked(server: Canner, number: int = 0) -> tuple[str, dict[str, str]]:
    """Return path and parameters of a request."""
    address = urlsplit(server.asked[number].split()[1])
    return address.path, {key: value[0] for key, value in parse_qs(address.query).items()}


COUNTS = [
    outcome("green", 200, {FIRST: 8.0, SECOND: None, THIRD: 20.0}),
    outcome("green", 424, {FIRST: 2.0, SECOND: None, THIRD: None}),
    outcome("green", 503, {FIRST: None, SECOND: 1.0, THIRD: None}),
    outcome("blue", 200, {FIRST: 90.0, SECOND: 110.0, THIRD: None}),
]


@pytest.mark.parametrize(
    ("metric", "candidate", "stable"),
    [
        ("error_rate", Reading(samples=31, value=3 / 31, hits=3), (200, 0.0, 0)),
        ("model_error_rate", Reading(samples=31, value=2 / 31, hits=2), (200, 0.0, 0)),
        ("requests", Reading(samples=31, value=31.0), (200, 200.0, None)),
    ],
)
def test_outcomes_of_both_sides_come_with_one_call(
    server: Canner, metric: str, candidate: Reading, stable: tuple[int, float, int | None]
) -> None:
    server.answers.append(answer(COUNTS))
    found = read(server, metric)
    assert found.candidate == candidate
    samples, value, hits = stable
    assert found.stable == Reading(samples=samples, value=value, hits=hits)
    assert len(server.asked) == 1
    path, said = asked(server)
    assert path.endswith("/onlineEndpoints/fraud/providers/Microsoft.Insights/metrics")
    assert said["$filter"] == (
        "deployment eq 'Green' or deployment eq 'blue' and statusCode eq '*' "
        "and statusCodeClass eq '*' and modelStatusCode eq '*'"
    )
    assert int(said["top"]) >= 100


def test_window_begins_with_a_full_minute(server: Canner) -> None:
    server.answers.append(answer([]))
    found = read(server, "error_rate")
    assert asked(server)[1]["timespan"] == "2026-11-23T12:00:00Z/2026-11-23T12:05:40Z"
    assert found.since == NOON.replace(second=0)


def test_window_that_has_not_begun_asks_nobody(server: Canner) -> None:
    found = read(server, "error_rate", until=NOON)
    assert (found.candidate, found.stable) == (Reading(), Reading())
    assert read(server, "error_rate", until=NOON, stable=None).stable is None
    assert server.asked == []


def test_percentile_is_the_mean_of_minutes_by_their_requests(server: Canner) -> None:
    shown = [
        series({FIRST: 100.0, SECOND: 500.0, THIRD: None}, deployment="green"),
        series({FIRST: 50.0, SECOND: 50.0, THIRD: 9000.0}, deployment="blue"),
    ]
    server.answers += [answer(shown), answer(COUNTS)]
    found = read(server, "latency_p95")
    # ten requests at 100 and one at 500; the third minute of blue had no requests to weigh it
    assert found.candidate == Reading(samples=11, value=1500 / 11)
    assert found.stable == Reading(samples=200, value=50.0)
    assert [asked(server, n)[1]["metricnames"] for n in range(2)] == [
        "RequestLatency_P95",
        "RequestsPerMinute",
    ]
    assert asked(server)[1]["$filter"] == "deployment eq 'Green' or deployment eq 'blue'"


def test_utilisation_is_a_share_of_each_deployment(server: Canner) -> None:
    server.answers += [answer([series({FIRST: 90.0, SECOND: 70.0})]), answer([])]
    found = read(server, "cpu")
    assert found.candidate == Reading(samples=2, value=0.8)
    assert found.stable == Reading()
    path, said = asked(server)
    assert "/deployments/Green/providers/" in path
    assert said["metricnamespace"].endswith("/onlineEndpoints/deployments")


def test_without_a_stable_only_the_candidate_is_asked_about(server: Canner) -> None:
    server.answers.append(answer(COUNTS[:1]))
    assert read(server, "requests", stable=None).stable is None
    assert "blue" not in asked(server)[1]["$filter"]


@pytest.mark.parametrize(
    "body",
    [
        b'{"value": []}',
        b'{"value": [{"timeseries": [{"data": [{"average": 1}]}]}]}',
        b'{"value": [{"timeseries": [{"data": [{"timeStamp": "x", "average": "many"}]}]}]}',
        b'{"value": null}',
        b'{"value": [{"errorCode": "Throttled", "errorMessage": "later", "timeseries": []}]}',
    ],
    ids=["no metric", "no time", "no number", "null", "failed inside"],
)
def test_answer_that_says_nothing_is_asked_for_again(server: Canner, body: bytes) -> None:
    server.answers.append(Canned(body=body))
    with pytest.raises(TransientError, match="RequestsPerMinute of /onlineEndpoints/fraud"):
        read(server, "error_rate")


def test_endpoint_that_is_gone_is_no_zero(server: Canner) -> None:
    server.answers.append(Canned(status=404, body=b'{"code": "NotFound", "message": "no"}'))
    with pytest.raises(WorkspaceError, match="no such resource"):
        read(server, "error_rate")


def test_metric_that_nobody_measures_is_refused(server: Canner) -> None:
    server.answers.append(answer(COUNTS))
    with pytest.raises(WorkspaceError, match="no such metric"):
        read(server, "happiness")


# --- logs


def count(server: Canner, **changes: Any) -> float | None:
    logs = LogAnalytics(LOGS, address=server.url, credential=AnyToken())
    return logs.count("T | count", since=NOON, until=NOON + timedelta(minutes=5), **changes)


def table(*rows: list[Any], columns: int = 1) -> Canned:
    named = [{"name": f"c{number}", "type": "long"} for number in range(columns)]
    body = {"tables": [{"name": "PrimaryResult", "columns": named, "rows": list(rows)}]}
    return Canned(body=json.dumps(body).encode())


@pytest.mark.parametrize(
    ("given", "number"),
    [
        (table([3]), 3.0),
        (table([0]), 0.0),
        (table(["1.5"]), 1.5),
        (table(), None),
        (table([None]), None),
    ],
    ids=["number", "zero", "decimal", "no row", "null"],
)
def test_query_gives_a_number(server: Canner, given: Canned, number: float | None) -> None:
    server.answers.append(given)
    assert count(server) == number
    assert server.asked == [f"POST /v1/workspaces/{LOGS}/query"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (table([1], [2]), "2 rows of 1 columns"),
        (table([1, 2], columns=2), "1 rows of 2 columns"),
        (table(["many"]), "gave 'many'"),
        (table(["NaN"]), "gave 'NaN'"),
        (table([True]), "gave 'True'"),
        (Canned(status=400, body=b'{"error": {"code": "BadArgumentError"}}'), "BadArgumentError"),
        (Canned(status=404, body=b"{}"), "no such workspace"),
    ],
    ids=["rows", "columns", "text", "nan", "bool", "bad query", "no workspace"],
)
def test_query_that_gives_no_number_needs_a_person(
    server: Canner, given: Canned, says: str
) -> None:
    server.answers.append(given)
    with pytest.raises(WorkspaceError, match=says) as caught:
        count(server)
    assert not isinstance(caught.value, TransientError)


@pytest.mark.parametrize(
    "given",
    [
        Canned(body=b'{"tables": [], "error": {"code": "PartialError"}}'),
        Canned(body=b'{"tables": []}'),
        Canned(status=429, body=b'{"error": {"code": "ThrottledError"}}'),
    ],
    ids=["part", "no table", "throttled"],
)
def test_answer_that_is_not_whole_is_asked_for_again(server: Canner, given: Canned) -> None:
    server.answers.append(given)
    with pytest.raises(TransientError):
        count(server)


@pytest.mark.parametrize(
    ("cloud", "logs"),
    [
        ("https://management.azure.com/", "https://api.loganalytics.io"),
        ("https://management.usgovcloudapi.net", "https://api.loganalytics.us"),
        ("https://management.chinacloudapi.cn/", "https://api.loganalytics.azure.cn"),
    ],
)
def test_each_cloud_has_its_logs(cloud: str, logs: str) -> None:
    assert find_address(cloud) == logs


def test_unknown_cloud_is_refused_by_name() -> None:
    with pytest.raises(WorkspaceError, match="'https://localhost:1'"):
        find_address("https://localhost:1")
