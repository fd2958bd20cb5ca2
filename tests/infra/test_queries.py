"""Every query of alerts and workbook, asked of lines that the app has written, by its own code."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from infra.agreement import list_asked
from local.azure_ml.logs.query import Table, run
from tests.log_lab import MAKES, make_lines

INFRA = Path(__file__).parents[2] / "infra"
ALERTS = json.loads((INFRA / "alerts.json").read_text(encoding="utf-8"))
ITEMS = json.loads((INFRA / "workbook.json").read_text(encoding="utf-8"))["items"]
CHARTS = {
    item["name"]: item["content"]["query"] for item in ITEMS if "query" in item.get("content", {})
}
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
# https://learn.microsoft.com/azure/azure-monitor/reference/tables/apptraces and .../apprequests
TRACES = {"TimeGenerated": "datetime", "Message": "string", "SeverityLevel": "int"}
REQUESTS = {
    "TimeGenerated": "datetime",
    "Name": "string",
    "Success": "bool",
    "DurationMs": "real",
    "ItemCount": "int",
}
# What each alert is about: that alone may raise it.
RAISED_BY = {
    "policy-refused": "policy refused",
    "rollout-errored": "rollout errored",
    "rolled-back": "rolled back",
    "rollout-overdue": "rollout overdue",
    "azure-refused": "azure refused",
    "history-lost": "history not archived",
    "sweep-cannot-look": "sweep could not look",
    "sweep-silent": "swept",
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    return make_lines(tmp_path_factory.mktemp("app"))


def ask(query: str, messages: list[str], requests: list[tuple[str, bool]] = ()) -> list[Any]:  # type: ignore[assignment] # none is none
    traces = [
        {"TimeGenerated": NOW - timedelta(minutes=1), "Message": text, "SeverityLevel": 1}
        for text in ["Host started", "{ no JSON", *messages]
    ]
    calls = [
        {"TimeGenerated": NOW, "Name": name, "Success": good, "DurationMs": 5.0, "ItemCount": 1}
        for name, good in requests
    ]
    tables = {
        "AppTraces": Table(columns=TRACES, rows=traces),
        "AppRequests": Table(columns=REQUESTS, rows=calls),
    }
    return run(query, tables, NOW).rows


def event(message: str) -> str:
    return str(json.loads(message)["event"])


def test_every_line_that_a_query_asks_for_was_made(written: Mapping[str, list[str]]) -> None:
    queries = [*CHARTS.values(), *(one["query"] for one in ALERTS["log"])]
    asked = {text for query in queries for text in list_asked(query) if text}
    assert {"rolled back", "no match", "swept"} < asked <= set(MAKES)
    for wanted, messages in written.items():
        assert wanted in {event(message) for message in messages}, wanted


def test_every_line_has_its_keys_as_they_are_documented(written: Mapping[str, list[str]]) -> None:
    page = (INFRA.parent / "docs" / "operating.md").read_text(encoding="utf-8")
    rows = dict(
        re.findall(r"^\| (?:info|warning|error) \| `([^`]+)` \| (.+) \|$", page, re.MULTILINE)
    )
    same = re.findall(r"`(\w+)`", rows["rollout ended"])
    for message in (message for messages in written.values() for message in messages):
        line = json.loads(message)
        name = line.pop("event")
        known = set(re.findall(r"`(\w+)`", rows[name]))
        known |= set(same) if "the same" in rows[name] else set()
        assert line.keys() <= known, name


@pytest.mark.parametrize(
    "alert",
    [one for one in ALERTS["log"] if one["name"] in RAISED_BY],
    ids=lambda one: str(one["name"]),
)
def test_an_alert_is_raised_by_its_line_and_by_no_other(
    alert: dict[str, Any], written: Mapping[str, list[str]]
) -> None:
    about = RAISED_BY[alert["name"]]
    every = [message for messages in written.values() for message in messages]
    its = [message for message in every if event(message) == about]
    assert its
    found = {message["Message"] for message in ask(alert["query"], every)}
    assert found == set(its)
    assert is_raised(alert, its * (alert["threshold"] + 1)) is (alert["name"] != "sweep-silent")
    assert is_raised(alert, []) is (alert["name"] == "sweep-silent")


def is_raised(alert: dict[str, Any], messages: list[str]) -> bool:
    count = len(ask(alert["query"], messages))
    compare = {"GreaterThan": int.__gt__, "LessThan": int.__lt__}[alert["operator"]]
    return bool(compare(count, alert["threshold"]))


def test_a_function_that_fails_raises_its_alert() -> None:
    (alert,) = [one for one in ALERTS["log"] if one["name"] not in RAISED_BY]
    calls = [("on_model_registered", True), ("sweep", False), ("retry", False)]
    assert [row["Name"] for row in ask(alert["query"], [], calls)] == ["sweep"]


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_shows_what_its_lines_say(name: str, written: Mapping[str, list[str]]) -> None:
    every = [message for messages in written.values() for message in messages]
    rows = ask(CHARTS[name], every, [("sweep", True), ("sweep", False)])
    assert rows
    assert ask(CHARTS[name], []) == []
    # every column has a value in some row: a key that no line has would be empty in all
    for column in rows[0]:
        assert any(row[column] not in {None, ""} for row in rows), column


def test_a_line_in_another_form_is_seen_by_no_query(written: Mapping[str, list[str]]) -> None:
    bare = [event(message) for messages in written.values() for message in messages]
    assert all(ask(one["query"], bare) == [] for one in ALERTS["log"])
