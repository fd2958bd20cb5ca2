"""Log Analytics' queries: Microsoft's client as it is, and what of the language is understood."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.azure_ml.logs.expression import QueryError
from local.azure_ml.logs.query import Table, run
from tests.local.azure_ml_lab import Lab, lab
from tests.local.test_azure_ml_metrics import Token, serve

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ROWS = [
    {
        "TimeGenerated": NOW - timedelta(minutes=minutes),
        "DeploymentName": name,
        "ResponseCode": code,
        "TotalDurationMs": length,
        "Message": text,
    }
    for minutes, name, code, length, text in (
        (1, "blue", 200, 10, "it began"),
        (2, "blue", 424, 30, "Traceback (most recent call last):"),
        (3, "green", 200, 20, "KeyError: 'data'"),
        (90, "green", 500, None, "out of memory"),
    )
]
_ORDERED = [[424], [200]]
TYPES = {
    "TimeGenerated": "datetime",
    "DeploymentName": "string",
    "ResponseCode": "int",
    "TotalDurationMs": "int",
    "Message": "string",
}


def ask(text: str) -> list[list[Any]]:
    found = run(f"T {text}", {"T": Table(columns=TYPES, rows=ROWS)}, NOW)
    assert all(set(row) == set(found.columns) for row in found.rows)
    return [list(row.values()) for row in found.rows]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("| count", [[4]]),
        ("| where ResponseCode == 200 | count", [[2]]),
        ('| where ResponseCode != "200" | count', [[2]]),
        ("| where ResponseCode >= 400 and DeploymentName == 'blue' | count", [[1]]),
        ("| where TimeGenerated > ago(5m) | count", [[3]]),
        ("| where TimeGenerated > datetime(2026-11-23T11:58:30Z) | count", [[1]]),
        ('| where Message contains "TRACEBACK" or Message has "keyerror" | count', [[2]]),
        ('| where Message startswith "key" and not(Message endswith "x") | count', [[1]]),
        ('| where Message !contains "e" | count', [[0]]),
        ('| where DeploymentName =~ "BLUE" | count', [[2]]),
        ('| where DeploymentName in ("green", "red") | count', [[2]]),
        ('| where DeploymentName !in~ ("GREEN") | count', [[2]]),
        ("| where isnull(TotalDurationMs) // a comment\n | count", [[1]]),
        ("| where (ResponseCode > 400) | project Message | take 1", [[ROWS[1]["Message"]]]),
        ("| top 1 by TotalDurationMs | project TotalDurationMs", [[30]]),
        (
            "| order by DeploymentName asc, ResponseCode desc | project c=ResponseCode | limit 2",
            _ORDERED,
        ),
        ("| summarize count() by DeploymentName", [["blue", 2], ["green", 2]]),
        ("| summarize bad=countif(ResponseCode >= 400), all=count()", [[2, 4]]),
        ("| where ResponseCode == 1 | summarize n=count()", [[0]]),
        ("| summarize avg(TotalDurationMs), max(TotalDurationMs)", [[20.0, 30]]),
        ("| summarize percentile(TotalDurationMs, 95), dcount(DeploymentName)", [[30, 2]]),
        ("| summarize by ResponseCode | count", [[3]]),
        ("| summarize sumif(TotalDurationMs, ResponseCode < 300)", [[30]]),
        ("| extend c = ResponseCode, d = c | where d == 424 | project d", [[424]]),
        ("| extend a = parse_json(Message) | where isnull(a.b.c) | count", [[4]]),
        (
            """| extend a = parse_json('{"b": {"c": 1.5}}') | project x = todouble(a.b.c)
| take 1""",
            [[1.5]],
        ),
        ("""| where tostring(parse_json('{"b": "c"}').b) == 'c' | count""", [[4]]),
        ("| summarize n=count() by bin(TimeGenerated, 1h) | project n", [[3], [1]]),
    ],
)
def test_what_is_understood(text: str, expected: Any) -> None:
    assert ask(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("| evaluate a = 1", "'evaluate' is not emulated"),
        ("| extend a = Colour", "named 'Colour'"),
        ("| join (U) on x", "'join' is not emulated"),
        ("| where Colour == 1", "named 'Colour'"),
        ("| where ResponseCode ~ 1", "could not be parsed"),
        ("| where ResponseCode matches 'x'", "'matches' is not emulated"),
        ("| where strlen(Message) > 1", "'strlen' is not emulated"),
        ("| summarize variance(ResponseCode)", "'variance' is not emulated"),
        ("| where", "ends too early"),
        ("where ResponseCode == 1", "expected '|'"),
        ("| take x", "expected a number"),
        ("| where Message > 5", "cannot be compared"),
        ("| where TimeGenerated > datetime(soon)", "is not a date"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, words: str) -> None:
    with pytest.raises(QueryError) as refused:
        ask(text)
    assert words in str(refused.value)


@pytest.fixture(scope="module")
def aml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with lab(tmp_path_factory.mktemp("logs")) as emulator:
        emulator.register("m", "1")
        emulator.succeed(emulator.put_endpoint("Fraud"))
        emulator.succeed(emulator.put_deployment("Fraud/blue", "m:1"))
        serve(emulator, "Fraud", [("blue", 200, 200, 10.4)] * 3 + [("blue", 424, 500, 30.0)])
        yield emulator


def client(aml: Lab) -> Any:
    from azure.monitor.query import LogsQueryClient  # noqa: PLC0415 - only these tests need it

    return LogsQueryClient(Token(), endpoint=aml.ready["url"], connection_verify=aml.ready["ca"])


def test_logs_client_counts_what_passed(aml: Lab) -> None:
    text = """
        AmlOnlineEndpointTrafficLog
        | where EndpointName == 'Fraud' and DeploymentName == 'blue'
        | summarize requests = count(), failed = countif(ResponseCode >= 400) by ModelStatusCode
    """
    guid = aml.arm("GET", "").json["properties"]["workspaceId"]
    found = client(aml).query_workspace(guid, text, timespan=timedelta(hours=1))
    (table,) = found.tables
    assert table.columns == ["ModelStatusCode", "requests", "failed"]
    assert sorted(list(row) for row in table.rows) == [[200, 3, 0], [500, 1, 1]]


def test_logs_client_reads_the_console_by_resource(aml: Lab) -> None:
    found = client(aml).query_resource(
        aml.ready["workspace_id"],
        "AmlOnlineEndpointConsoleLog | where Message has 'lines' | project DeploymentName, Message",
        timespan=None,
    )
    assert [list(row) for row in found.tables[0].rows] == [
        ["blue", "5000 lines of inference-server of Fraud/blue"]
    ]


def test_logs_of_a_killed_process_are_still_there(aml: Lab) -> None:
    text = {"query": "AmlOnlineEndpointTrafficLog | count"}
    path = f"/v1{aml.ready['workspace_id']}/query"
    headers = {"Authorization": "Bearer any"}
    before = aml.send("POST", path, text, headers).json["tables"][0]["rows"]
    aml.kill9()
    aml.start()
    assert aml.send("POST", path, text, headers).json["tables"][0]["rows"] == before


@pytest.mark.parametrize(
    ("path", "query", "status", "words"),
    [
        ("workspaces/another", "AmlOnlineEndpointTrafficLog", 404, "nothing at"),
        ("{id}", "StormEvents | count", 400, "'StormEvents'"),
        ("{id}", "AmlOnlineEndpointTrafficLog | render timechart", 400, "'render'"),
    ],
)
def test_queries_are_refused_in_the_words_of_kusto(
    aml: Lab, path: str, query: str, status: int, words: str
) -> None:
    scope = path.replace("{id}", aml.ready["workspace_id"].strip("/"))
    headers = {"Authorization": "Bearer any"}
    reply = aml.send("POST", f"/v1/{scope}/query", {"query": query}, headers)
    assert reply.status == status
    assert words in reply.json["error"]["innererror"]["message"]
