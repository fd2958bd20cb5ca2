"""The topic and the chats of local/: Microsoft's own client publishes to them, and what is refused.

The token comes from the emulator's identity endpoint, the certificate from its authority.
"""

import json
import logging
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import ManagedIdentityCredential

from deploy_logic.adapters.event_grid import EventGridTopic
from deploy_logic.adapters.webhook import Webhook
from deploy_logic.announcement.event import make_event
from deploy_logic.errors import TransientError, WorkspaceError
from local.event_grid_topic import find_wrong
from local.program import Program
from tests.local.azure_ml_lab import lab
from tests.test_announcement_wording import LINE, ROLLOUT, a_message

TOKEN = "e30.eyJhdWQiOiJodHRwczovL2V2ZW50Z3JpZC5henVyZS5uZXQifQ.e30"
ELSEWHERE = "e30.eyJhdWQiOiJodHRwczovL21hbmFnZW1lbnQuYXp1cmUuY29tIn0.e30"


class Sink:
    """The channels as a child process, and the ways to ask them."""

    def __init__(self, folder: Path) -> None:
        command = ("local.channels", "--certificates", str(folder / "certificates"))
        self.program = Program("channels", command, log=folder / "channels.log")
        self.program.start()
        self.url: str = self.program.ready["url"]
        self.ca: str = self.program.ready["ca"]

    def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - https on loopback
            f"{self.url}{path}", method=method, data=data, headers=dict(headers or {})
        )
        tls = ssl.create_default_context(cafile=self.ca)
        try:
            with urllib.request.urlopen(request, context=tls, timeout=60) as answer:  # noqa: S310
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as refusal:
            return refusal.code, refusal.read().decode()

    def received(self) -> Any:
        return json.loads(self.ask("GET", "/received")[1])

    def tell(self, name: str, *answers: dict[str, Any]) -> None:
        assert self.ask("POST", f"/answers/{name}", list(answers))[0] == 200

    def topic(self, token: str = TOKEN) -> EventGridTopic:
        return EventGridTopic(f"{self.url}/api/events", credential=Holder(token))


class Holder:
    """Has a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *scopes: str, **_options: Any) -> AccessToken:
        assert scopes == ("https://eventgrid.azure.net/.default",)
        return AccessToken(self._token, 4_000_000_000)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    sink = Sink(tmp_path_factory.mktemp("channels"))
    try:
        yield sink
    finally:
        sink.program.stop()


@pytest.fixture
def sink(running: Sink, monkeypatch: pytest.MonkeyPatch) -> Sink:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", running.ca)
    for name in ("topic", "teams"):
        running.tell(name)
    return running


# --- the topic


def test_an_event_arrives_as_it_was_sent(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    before = len(sink.received()["events"])
    event = make_event(a_message())
    with caplog.at_level(logging.WARNING):
        sink.topic().publish(event)
        sink.topic().publish(event)
    first, again = sink.received()["events"][before:]
    assert first == again
    assert first.pop("time").startswith("2026-11-23T09:30:00")
    assert first == {key: value for key, value in event.items() if key != "time"}
    assert first["data"] == {"rollout": ROLLOUT, "line": LINE}
    assert caplog.records == []


def test_the_token_comes_from_the_platforms_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lab(tmp_path / "azure_ml") as emulator:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", emulator.ready["ca"])
        monkeypatch.setenv("IDENTITY_ENDPOINT", emulator.ready["identity_endpoint"])
        monkeypatch.setenv("IDENTITY_HEADER", emulator.ready["identity_header"])
        sink = Sink(tmp_path / "azure_ml")  # the same authority
        try:
            endpoint = f"{sink.url}/api/events"
            with ManagedIdentityCredential() as credential:
                EventGridTopic(endpoint, credential=credential).publish(make_event(a_message()))
            assert [one["subject"] for one in sink.received()["events"]] == [
                f"endpoints/fraud/rollouts/{ROLLOUT['rollout_id']}"
            ]
        finally:
            sink.program.stop()


def test_a_token_for_somebody_else_is_refused_for_good(sink: Sink) -> None:
    with pytest.raises(WorkspaceError, match="401") as caught:
        sink.topic(ELSEWHERE).publish(make_event(a_message()))
    assert not isinstance(caught.value, TransientError)
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("answer", "again", "status", "after"),
    [
        ({"status": 429, "retry_after": 30}, True, "429", 30),
        ({"status": 503, "retry_after": 5}, True, "503", 5),
        ({"status": 500}, True, "500", 0),
        ({"status": 408}, True, "408", 0),
        ({"status": 400}, False, "400", 0),
        ({"status": 403}, False, "403", 0),
        ({"status": 404, "body": "no topic"}, False, "404", 0),
        ({"status": 413}, False, "413", 0),
        ({"status": 307}, False, "307", 0),
    ],
    ids=str,
)
def test_a_refusal_says_whether_to_ask_again(
    sink: Sink, answer: dict[str, Any], status: str, after: int, *, again: bool
) -> None:
    asked = sink.received()["refused"].get("topic", 0)
    sink.tell("topic", {**answer, "times": 0})
    with pytest.raises(WorkspaceError, match=f": {status}: ") as caught:
        sink.topic().publish(make_event(a_message()))
    assert isinstance(caught.value, TransientError) is again
    if isinstance(caught.value, TransientError):
        assert caught.value.retry_after == timedelta(seconds=after)
    assert sink.received()["refused"]["topic"] == asked + 1  # nobody asks again behind our back


def test_a_topic_that_is_not_there_is_asked_again(sink: Sink) -> None:
    nobody = EventGridTopic("https://localhost:1/api/events", credential=Holder(TOKEN))
    with pytest.raises(TransientError, match="publishing to https://localhost:1/api/events"):
        nobody.publish(make_event(a_message()))
    assert sink.program.is_alive()


def test_without_a_token_it_is_asked_again(sink: Sink) -> None:
    class Nobody:
        def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
            raise ClientAuthenticationError("no identity")

    topic = EventGridTopic(f"{sink.url}/api/events", credential=Nobody())
    with pytest.raises(TransientError, match="no identity"):
        topic.publish(make_event(a_message()))


GOOD = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, ""),
        ({"time": "2026-11-23T09:30:00.1234567Z", "data": {}, "traceparent": "x"}, ""),
        ({"id": ""}, "id: missing or empty"),
        ({"source": None}, "source: missing or empty"),
        ({"type": 7}, "type: 7 is no text"),
        ({"specversion": "0.3"}, "specversion: '0.3' is not '1.0'"),
        ({"subject": ""}, "subject: '' is no text"),
        ({"time": "2026-11-23"}, "time: '2026-11-23' is not of RFC 3339"),
        ({"time": "2026-11-23T09:30:00"}, "time: '2026-11-23T09:30:00' is not of RFC 3339"),
        ({"time": "2026-13-23T09:30:00Z"}, "time: '2026-13-23T09:30:00Z' is not of RFC 3339"),
        ({"data": 1, "data_base64": "MQ=="}, "both data and data_base64"),
        ({"rollout_id": "x"}, "'rollout_id' is no name of an attribute"),
    ],
    ids=str,
)
def test_what_is_no_cloud_event_is_known(changes: dict[str, Any], wrong: str) -> None:
    assert find_wrong({**GOOD, **changes}) == wrong


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("", [GOOD], {}, 200),
        ("", [], {}, 400),
        ("", GOOD, {}, 400),
        ("", [GOOD, {**GOOD, "id": ""}], {}, 400),
        ("", ["x"], {}, 400),
        ("", b"{", {}, 400),
        ("", [{**GOOD, "data": "x" * 1024 * 1024}], {}, 413),
        ("", [GOOD], {"Content-Type": "application/json"}, 415),
        ("", [GOOD], {"Authorization": ""}, 401),
        ("", [GOOD], {"Authorization": "Bearer x"}, 401),
        ("", [GOOD], {"Authorization": "Bearer e30.e30.e30"}, 401),
        ("?api-version=2024-06-01", [GOOD], {}, 400),
    ],
    ids=[
        "right", "empty", "no array", "one of two", "no object", "no JSON", "too large",
        "other content", "no token", "no token at all", "no audience", "other version",
    ],
)  # fmt: skip
def test_the_topic_takes_whole_batches_or_nothing(
    sink: Sink, path: str, body: object, headers: dict[str, str], status: int
) -> None:
    before = sink.received()["events"]
    kind = "application/cloudevents-batch+json; charset=utf-8"
    sent = {"Content-Type": kind, "Authorization": f"Bearer {TOKEN}", **headers}
    query = path or "?api-version=2018-01-01"
    assert sink.ask("POST", f"/api/events{query}", body, sent)[0] == status
    assert sink.received()["events"] == [*before, *([GOOD] if status == 200 else [])]


# --- the chats


def test_a_chat_takes_what_our_client_sends(sink: Sink) -> None:
    port = sink.url.rpartition(":")[2]
    web = Webhook(
        private_hosts=[f"localhost:{port}"],
        setting="ROLLOUT_CHANNEL_HOSTS",
        content_type="application/json",
        tls=ssl.create_default_context(cafile=sink.ca),
    )
    sink.tell("teams", {"status": 429, "retry_after": 3, "body": "slow down"})
    url = f"{sink.url}/chat/teams?sig=secret"
    told = web.post(url, {"text": "1"}, idempotency_key="a")
    assert (told.status, told.body, told.retry_after) == (429, "slow down", timedelta(seconds=3))
    assert web.post(url, {"text": "2"}, idempotency_key="a").status == 200
    assert sink.received()["chats"]["teams"][-1] == {"text": "2"}


@pytest.mark.parametrize("body", [b"{", b"[]"])
def test_a_chat_refuses_what_is_no_message(sink: Sink, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    assert sink.ask("POST", "/chat/other", body, kind) == (400, "invalid_payload")
