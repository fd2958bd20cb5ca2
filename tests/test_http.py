"""HTTP in and out: the host's request and response, and what is said when the app is broken."""

import json
import logging

import azure.functions as func
import pytest

from deploy_logic.adapters.http import break_off, read_visit, respond
from deploy_logic.api.visit import Answer


def test_request_is_read_as_a_visit() -> None:
    visit = read_visit(
        func.HttpRequest(
            method="POST",
            url="/api/rollouts/r/abort",
            headers={"Content-Type": "application/json"},
            params={"limit": "3"},
            route_params={"rollout_id": "r", "operation": "abort"},
            body=b"{}",
        )
    )
    assert visit.parts == {"rollout_id": "r", "operation": "abort"}
    assert (visit.query, visit.body) == ({"limit": "3"}, b"{}")
    assert visit.headers["content-type"] == "application/json"
    assert visit.visitor is None


@pytest.mark.parametrize("kind", ["application/json", "text/html; charset=utf-8", "image/png"])
def test_answer_is_sent_as_it_is(kind: str) -> None:
    response = respond(Answer(status=404, kind=kind, body=b"\xff{}"))
    assert (response.status_code, response.get_body()) == (404, b"\xff{}")
    assert response.headers["Content-Type"] == kind


def test_nothing_is_cached_or_sniffed_unless_an_answer_says_so() -> None:
    headers = respond(Answer(status=200, kind="text/css", body=b"")).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    own = Answer(status=200, kind="text/css", body=b"", headers={"Cache-Control": "no-cache"})
    assert respond(own).headers["Cache-Control"] == "no-cache"


def test_a_broken_app_says_where_to_look_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    def break_down(none: int) -> Answer:
        try:
            return Answer(status=1 // none, kind="", body=b"")
        except ZeroDivisionError:
            return break_off("show_rollout")

    with caplog.at_level(logging.ERROR, logger="rollout"):
        answer, other = break_down(0), break_down(0)
    problem = json.loads(answer.body)
    assert (answer.status, problem["status"]) == (500, 500)
    assert b"division" not in answer.body
    assert problem["id"] != json.loads(other.body)["id"]
    record = caplog.records[0]
    assert (record.message, vars(record)["id"]) == ("route broke", problem["id"])
    assert record.exc_info is not None
