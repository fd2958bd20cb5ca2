"""The host with a small app: Event Grid webhook, HTTP routes, settings, a broken app."""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.local_host import ROOT, Answer, LocalHost

pytestmark = pytest.mark.e2e

APPS = ROOT / "tests/local/apps"
WEBHOOK = "/runtime/webhooks/EventGrid"


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalHost]:
    host = LocalHost(APPS / "hello", tmp_path_factory.mktemp("hello")).start()
    yield host
    assert host.stop() == 0


def an_event(**changes: object) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "topic": "/subscriptions/s",
        "subject": "models/fraud:1",
        "eventType": "Microsoft.MachineLearningServices.ModelRegistered",
        "eventTime": "2026-11-22T10:00:00.1234567Z",
        "data": {},
        "dataVersion": "1",
        **changes,
    }


def a_cloud_event(**changes: object) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),
        "source": "/subscriptions/s",
        "type": "ModelRegistered",
        "time": "2026-11-22T10:00:00Z",
        "subject": "models/fraud:1",
        "data": {},
        **changes,
    }


def seen(host: LocalHost) -> list[str]:
    answer: list[str] = host.http("GET", "/v1/seen").json()
    return answer


# Event Grid webhook -------------------------------------------------------------------------------


def test_handler_gets_the_class_of_the_payload(host: LocalHost) -> None:
    event, cloud, text = an_event(), a_cloud_event(), an_event()
    assert host.event("hello", [event]).status == 202
    assert host.event("hello_cloud", cloud).status == 202
    assert host.event("hello_text", [text]).status == 202
    assert seen(host)[-3:] == [
        f"EventGridEvent {event['id']} models/fraud:1",
        f"CloudEvent {cloud['id']} /subscriptions/s",
        f"text {text['id']}",
    ]


def test_either_schema_reaches_a_handler_of_the_other(host: LocalHost) -> None:
    event = an_event(subject="models/other:1")
    answer = host.event("hello", [a_cloud_event(id="c-1"), event])
    assert answer.status == 202
    assert {line.split()[0] for line in seen(host)[-2:]} == {"CloudEvent", "EventGridEvent"}


def test_one_bad_event_fails_the_batch_and_the_others_still_ran(host: LocalHost) -> None:
    good = an_event()
    answer = host.event("hello", [good, an_event(subject="models/bad:1")])
    assert answer.status == 500
    assert any(good["id"] in line for line in seen(host))


def test_events_of_a_batch_run_at_the_same_time(host: LocalHost) -> None:
    pair = [an_event(), an_event()]
    assert host.event("meet", pair).status == 202
    assert {f"met {event['id']}" for event in pair} <= set(seen(host))


def test_unparsable_time_fails_before_user_code(host: LocalHost) -> None:
    event = an_event(eventTime="yesterday")
    assert host.event("hello", [event]).status == 500
    assert not any(event["id"] in line for line in seen(host))


@pytest.mark.parametrize(
    ("method", "name", "kind", "status"),
    [
        ("POST", "nobody", "Notification", 404),
        ("OPTIONS", "nobody", "", 404),
        ("POST", "", "Notification", 404),
        ("POST", "get_seen", "Notification", 404),
        ("POST", "HELLO", "Notification", 202),
        ("POST", "hello", "Unsubscribe", 202),
        ("POST", "hello", "Surprise", 400),
        ("POST", "hello", "", 400),
        ("GET", "hello", "Notification", 400),
    ],
)
def test_webhook_status(host: LocalHost, method: str, name: str, kind: str, status: int) -> None:
    body: object = None if method == "GET" else [an_event()]
    headers = {"aeg-event-type": kind} if kind else {}
    path = f"{WEBHOOK}?functionName={name}"
    assert host.http(method, path, body, headers).status == status


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("eventgrid.azure.net", "eventgrid.azure.net"),
        ("eventgrid.azure.us", "eventgrid.azure.us"),
        ("evil.example", "eventgrid.azure.net"),
    ],
)
def test_options_allows_event_grid_only(host: LocalHost, origin: str, allowed: str) -> None:
    answer = host.http(
        "OPTIONS", f"{WEBHOOK}?functionName=hello", headers={"WebHook-Request-Origin": origin}
    )
    assert answer.status == 200
    assert answer.headers["Webhook-Allowed-Origin"] == allowed


@pytest.mark.parametrize(
    "body",
    [
        [{"data": {"validationCode": "C-1"}}],
        {"specversion": "1.0", "data": json.dumps({"validationCode": "C-1"})},
    ],
)
def test_validation_code_is_sent_back(host: LocalHost, body: object) -> None:
    answer = host.event("hello", body, "SubscriptionValidation")
    assert answer.status == 200
    assert answer.json() == {"validationResponse": "C-1"}


@pytest.mark.parametrize("body", [b"not json", [], [{}], {"data": "not json"}, 7])
def test_validation_without_code_is_refused(host: LocalHost, body: object) -> None:
    assert host.event("hello", body, "SubscriptionValidation").status == 400


# HTTP routes --------------------------------------------------------------------------------------


def test_request_and_answer_cross_the_host(host: LocalHost) -> None:
    answer = host.http(
        "POST", "/v1/items/5/a/b%2Fc%20d?x=1&x=2&y=", {"a": 1}, {"X-Two": "z", "X-Mixed": "A"}
    )
    assert answer.status == 201
    assert answer.headers["X-Local"] == "yes"
    assert answer.headers["Set-Cookie"] == "flavour=oat; HttpOnly; Path=/"
    request = answer.json()
    assert request["method"] == "POST"
    assert request["url"].startswith(host.url)
    assert request["params"] == {"id": "5", "rest": "a/b%2Fc d"}
    assert request["query"] == {"x": "1,2"}
    assert request["headers"]["x-mixed"] == "A"
    assert request["body"] == '{"a": 1}'


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/items/joe", 200),
        ("GET", "/v1/items/5", 201),  # the more specific of two that fit, and not the first
        ("GET", "/v1/items/joe/more", 404),
        ("DELETE", "/v1/items/5/x", 404),
        ("POST", "/v1/seen", 404),
        ("GET", "/api/seen", 404),
        ("GET", "/nowhere", 404),
        ("GET", "/admin/nowhere", 404),
        ("POST", "/admin/functions/hello", 404),
    ],
)
def test_route_status(host: LocalHost, method: str, path: str, status: int) -> None:
    body: object = {} if method == "POST" else None
    assert host.http(method, path, body).status == status


def test_failing_handler_answers_500_without_its_message(host: LocalHost) -> None:
    answer = host.http("GET", "/v1/broken")
    assert (answer.status, answer.body) == (500, b"")
    assert "a secret that stays in the log" in host.log.read_text(encoding="utf-8")


def test_asynchronous_handler_logs_under_its_own_invocation(host: LocalHost) -> None:
    ids = host.http("GET", "/v1/invocation").json()
    assert ids["of the context"] == ids["of the logs"]


def test_status_and_functions_are_told(host: LocalHost) -> None:
    assert host.http("GET", "/admin/host/status").json()["state"] == "Running"
    functions = host.http("GET", "/admin/functions").json()
    assert {function["name"] for function in functions} == set(host.ready["functions"])


def test_executions_are_counted_with_their_time(host: LocalHost) -> None:
    before = host.http("GET", "/admin/executions").json()
    host.http("GET", "/v1/invocation")
    after = host.http("GET", "/admin/executions").json()
    (name,) = [name for name in after if after[name] != before.get(name)]
    was = before.get(name, {"executions": 0, "seconds": 0})
    assert after[name]["executions"] == was["executions"] + 1
    assert after[name]["seconds"] > was["seconds"]


def principal(answer: Answer) -> object:
    return answer.json()["headers"].get("x-ms-client-principal-id")


def test_principal_headers_of_callers_are_stripped(host: LocalHost) -> None:
    headers = {"X-MS-CLIENT-PRINCIPAL-ID": "somebody", "X-MS-CLIENT-PRINCIPAL": "e30="}
    answer = host.http("GET", "/v1/items/5/x", headers=headers)
    assert not [name for name in answer.json()["headers"] if "principal" in name]


def test_principal_headers_are_kept_when_told_so(tmp_path: Path) -> None:
    host = LocalHost(APPS / "hello", tmp_path, options=["--trust-principal-header"]).start()
    headers = {"X-MS-CLIENT-PRINCIPAL-ID": "somebody"}
    assert principal(host.http("GET", "/v1/items/5/x", headers=headers)) == "somebody"
    host.stop()


# Settings and failures ----------------------------------------------------------------------------


def test_settings_file_fills_in_what_the_environment_leaves_out(tmp_path: Path) -> None:
    settings = tmp_path / "local.settings.json"
    settings.write_text(json.dumps({"Values": {"FROM_FILE": "file", "FROM_BOTH": "file"}}))
    host = LocalHost(
        APPS / "hello",
        tmp_path,
        env={"FROM_BOTH": "environment"},
        options=["--settings", str(settings)],
    ).start()
    assert host.http("GET", "/v1/setting/FROM_FILE").body == b"file"
    assert host.http("GET", "/v1/setting/FROM_BOTH").body == b"environment"
    host.stop()


@pytest.mark.parametrize(
    ("app", "options", "message"),
    [
        ("broken", [], "cannot load the on_event function"),
        ("nowhere", [], "no function_app.py found"),
        ("hello", ["--settings", "nowhere.json"], "nowhere.json: not found"),
        ("durable", [], "durable functions need --engine"),
    ],
)
def test_what_cannot_run_ends_with_the_reason(
    app: str, options: list[str], message: str, tmp_path: Path
) -> None:
    (tmp_path / "nowhere").mkdir()
    folder = APPS / app if app != "nowhere" else tmp_path / "nowhere"
    env = {"SAMPLE_LOG": str(tmp_path / "log"), "SAMPLE_SCHEDULE": "0 0 0 1 1 *"}
    host = LocalHost(folder, tmp_path, env=env, options=options)
    assert host.wait_for_end() == 1
    assert message in host.log.read_text(encoding="utf-8")


def test_host_ends_when_its_stdin_does(tmp_path: Path) -> None:
    host = LocalHost(APPS / "hello", tmp_path).start()
    host.end_stdin()
    assert host.wait_for_end() == 0
