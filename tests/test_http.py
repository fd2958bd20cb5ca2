"""HTTP in and out: JSON, and problem details for what is refused."""

import json
from typing import Any

import azure.functions as func
import pytest

from deploy_logic.adapters.http import answer, read_reason
from deploy_logic.errors import OperationError


def a_request(body: bytes) -> func.HttpRequest:
    return func.HttpRequest(method="POST", url="/api/rollouts/r/abort", body=body)


@pytest.mark.parametrize(
    "value", [{"a": [1, None]}, {}, {"name": "größe"}, {"id": "\ud800"}], ids=repr
)
def test_what_an_act_returns_is_answered_as_json(value: dict[str, Any]) -> None:
    response = answer(lambda: value)
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert json.loads(response.get_body()) == value


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409])
def test_refusal_is_a_problem(status: int) -> None:
    def refuse() -> None:
        raise OperationError("there is no rollout 'x'", status=status)

    response = answer(refuse)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    problem = {"type": "about:blank", "title": "there is no rollout 'x'", "status": status}
    assert json.loads(response.get_body()) == problem


def test_what_a_program_needs_of_a_refusal_are_members_of_the_problem() -> None:
    def refuse() -> None:
        raise OperationError("no", status=409, possible=["abort"], title="not this")

    problem = json.loads(answer(refuse).get_body())
    assert problem == {
        "type": "about:blank",
        "title": "no",
        "status": 409,
        "possible": ["abort"],
    }


def test_our_own_mistake_is_not_dressed_up_as_an_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        answer(lambda: 1 / 0)


@pytest.mark.parametrize("status", [200, 404])
def test_nothing_is_cached_or_sniffed(status: int) -> None:
    def act() -> object:
        if status == 200:
            return {}
        raise OperationError("no", status=status)

    headers = answer(act).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"reason": "looks wrong"}', "looks wrong"),
        (b'{"reason": "  looks wrong\\n", "more": 1}', "looks wrong"),
        ('{"reason": "größe"}'.encode(), "größe"),
        (json.dumps({"reason": "x" * 600}).encode(), "x" * 500),
    ],
    ids=["plain", "spaces", "unicode", "long"],
)
def test_reason_is_read(body: bytes, reason: str) -> None:
    assert read_reason(a_request(body)) == reason


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"reason",
        b"\xff",
        b"[" * 10_000,
        b'{"reason": ""}',
        b'{"reason": "  "}',
        b'{"reason": 7}',
        b'{"reason": null}',
        b'{"reason": "' + b"x" * 10_000 + b'"}',
    ],
    ids=lambda body: repr(body[:16]),
)
def test_reason_that_is_not_given_is_asked_for(body: bytes) -> None:
    with pytest.raises(OperationError, match="reason") as refused:
        read_reason(a_request(body))
    assert refused.value.status == 400
