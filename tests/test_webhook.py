"""Other people's services: what is sent, what may come back, and who is never called."""

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from deploy_logic.adapters.webhook import Resolve, Webhook
from deploy_logic.gate.gate import Answer
from local.azure_ml.certificates import server_context
from tests.test_address import PRIVATE

KEY = "0123456789abcdef"
PATIENCE = 60.0  # seconds for what comes at once, on a machine that is busy
LOOPBACK = ("127.0.0.1",)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Ok\r\nContent-Length: 0\r\n\r\n"
type Reply = Callable[[socket.socket], None]


def says(body: bytes, status: str = "200 OK", *headers: str) -> Reply:
    """Return an answer as it is on the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return raw("\r\n".join(lines).encode() + body)


def raw(content: bytes) -> Reply:
    return lambda connection: connection.sendall(content)


def finds(*addresses: str) -> Resolve:
    return lambda _host, _port: addresses


class Service:
    """Somebody's server on loopback, which answers byte for byte what the test says."""

    def __init__(self, folder: Path) -> None:
        self._tls, self.authority = server_context(folder)
        self.reply: Reply = says(b"{}")
        self.is_mute = False  # takes the connection and says nothing, not even hello
        self.requests: list[bytes] = []
        self.is_over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/fraud?code=secret"

    def close(self) -> None:
        self.is_over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listener.accept()
            except OSError:
                return
            # a caller who does not trust us, or has heard enough, goes away in the middle
            with taken, contextlib.suppress(OSError):
                if self.is_mute:
                    self.is_over.wait()
                    return
                with self._tls.wrap_socket(taken, server_side=True) as connection:
                    self.requests.append(read_request(connection))
                    self.reply(connection)


def read_request(connection: socket.socket) -> bytes:
    found = b""
    while b"\r\n\r\n" not in found:
        found += connection.recv(65536)
    head, _, body = found.partition(b"\r\n\r\n")
    (length,) = [
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Len")
    ]
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "certificates")
    try:
        yield made
    finally:
        made.close()


def webhook(
    service: Service,
    *,
    allowed: str = "localhost",
    resolves_to: tuple[str, ...] = LOOPBACK,
    within: float = PATIENCE,
) -> Webhook:
    return Webhook(
        private_hosts=[f"{allowed}:{service.port}"],
        tls=ssl.create_default_context(cafile=service.authority),
        resolve=finds(*resolves_to),
        within=within,
    )


def ask(service: Service, *, within: float = PATIENCE) -> Answer:
    return webhook(service, within=within).post(service.url, {"id": 1}, idempotency_key=KEY)


# --- what is sent, and what comes back


def test_the_question_is_one_post(service: Service) -> None:
    service.reply = says(b'{"verdict": "pass"}')
    answer = ask(service)
    assert (answer.status, answer.body, answer.error) == (200, '{"verdict": "pass"}', "")
    (request,) = service.requests
    head, _, body = request.decode().partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    headers = dict(line.split(": ", 1) for line in rest)
    assert first == "POST /fraud?code=secret HTTP/1.1"
    assert headers["Host"] == f"localhost:{service.port}"
    assert headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["Idempotency-Key"] == KEY
    assert json.loads(body) == {"id": 1}


@pytest.mark.parametrize(
    ("reply", "status", "body"),
    [
        (says(b"all is well"), 200, "all is well"),
        (says(b"", "204 No Content"), 204, ""),
        (says("größer".encode("latin-1")), 200, "gr��er"),
        (says(b"no", "403 Forbidden"), 403, "no"),
        (says(b"boom", "500 Oh"), 500, "boom"),
        (raw(CHUNKED), 200, "ok"),
        (raw(CONTINUE), 202, ""),
    ],
    ids=["no JSON", "nothing", "no UTF-8", "no", "out of order", "in chunks", "continue"],
)  # fmt: skip
def test_whatever_is_answered_is_the_answer(
    service: Service, reply: Reply, status: int, body: str
) -> None:
    service.reply = reply
    answer = ask(service)
    assert (answer.status, answer.body, answer.is_cut) == (status, body, False)


def test_a_redirect_is_not_followed(service: Service) -> None:
    place = f"Location: https://localhost:{service.port}/private"
    service.reply = says(b"", "307 Temporary Redirect", place)
    assert ask(service).status == 307
    assert len(service.requests) == 1


@pytest.mark.parametrize("length", [64 * 1024, 64 * 1024 + 1, 20_000_000])
def test_a_huge_answer_is_cut(service: Service, length: int) -> None:
    service.reply = says(b"x" * length)
    answer = ask(service)
    assert answer.status == 200
    assert answer.body == "x" * 64 * 1024
    assert answer.is_cut is (length > 64 * 1024)


def test_who_wants_to_be_left_alone_says_for_how_long(service: Service) -> None:
    service.reply = says(b"", "429 Too Many", "Retry-After: 30")
    assert ask(service).retry_after == timedelta(seconds=30)
    service.reply = says(b"", "429 Too Many", "Retry-After: Wed, 21 Oct 2026 07:28:00 GMT")
    assert ask(service).retry_after == timedelta(0)


def test_a_chat_is_sent_its_kind_of_content_and_a_refusal_names_its_setting(
    service: Service,
) -> None:
    chat = Webhook(
        private_hosts=[f"localhost:{service.port}"],
        setting="ROLLOUT_CHANNEL_HOSTS",
        content_type="application/json",
        tls=ssl.create_default_context(cafile=service.authority),
        resolve=finds(*LOOPBACK),
    )
    assert chat.post(service.url, {}, idempotency_key=KEY).status == 200
    assert b"\r\nContent-Type: application/json\r\n" in service.requests[0]
    elsewhere = chat.post("https://localhost:1/", {}, idempotency_key=KEY)
    assert elsewhere.error.endswith("or 'localhost:1' in ROLLOUT_CHANNEL_HOSTS)")


# --- no answer


def drip(content: bytes) -> Reply:
    """Send that, and then a byte now and then, for ever."""

    def reply(connection: socket.socket) -> None:
        connection.sendall(content)
        while True:
            connection.sendall(b"x")
            threading.Event().wait(0.02)

    return reply


def wait(service: Service) -> Reply:
    def reply(_connection: socket.socket) -> None:
        service.is_over.wait()

    return reply


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 200 OK\r\nX-",
        b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n",
    ],
    ids=["its status", "its headers", "its body"],
)
def test_an_answer_that_drips_ends_at_the_deadline(service: Service, content: bytes) -> None:
    service.reply = drip(content)
    answer = ask(service, within=0.5)
    assert (answer.status, answer.error) == (None, "no answer within 0.5 s")
    assert answer.milliseconds >= 500


def test_who_says_nothing_does_not_answer(service: Service) -> None:
    service.reply = wait(service)
    assert ask(service, within=0.5).error == "no answer within 0.5 s"


def test_who_does_not_even_say_hello_does_not_answer(service: Service) -> None:
    service.is_mute = True
    assert ask(service, within=0.5).error == "no answer within 0.5 s"


def reset(connection: socket.socket) -> None:
    """End the connection as a crash or a firewall does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def close_properly(connection: socket.socket) -> None:
    """Say less than was announced, and end the connection as TLS asks for."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{")
    assert isinstance(connection, ssl.SSLSocket)
    connection.unwrap()


def reset_after(content: bytes) -> Reply:
    def reply(connection: socket.socket) -> None:
        connection.sendall(content)
        reset(connection)

    return reply


@pytest.mark.parametrize(
    "reply",
    [
        reset,
        close_properly,
        reset_after(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"),
        raw(b""),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"),
        raw(b'HTTP/1.1 200 OK\r\n\r\n{"verdict": "pass"}'),
        raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
        raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
    ],
    ids=[
        "reset at once", "ended in the body",
        "reset in the body", "closed at once", "closed in the body",
        "closed in a chunk", "without a length and not closed properly", "no HTTP",
        "a thousand headers", "an endless header",
    ],
)  # fmt: skip
def test_what_is_no_whole_answer_is_none(service: Service, reply: Reply) -> None:
    service.reply = reply
    answer = ask(service)
    assert answer.status is None
    assert answer.error
    assert "within" not in answer.error
    assert len(service.requests) == 1  # it is not sent again behind our back


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    hook = Webhook(private_hosts=[f"localhost:{port}"], resolve=finds(*LOOPBACK))
    answer = hook.post(f"https://localhost:{port}/", {}, idempotency_key=KEY)
    assert "Connection refused" in answer.error


def test_an_address_that_does_not_answer_gives_way_to_the_next(service: Service) -> None:
    hook = webhook(service, resolves_to=("127.0.0.2", "127.0.0.1"))
    assert hook.post(service.url, {}, idempotency_key=KEY).status == 200


def test_a_certificate_that_nobody_vouches_for_is_no_answer(service: Service) -> None:
    hook = Webhook(private_hosts=[f"localhost:{service.port}"], resolve=finds(*LOOPBACK))
    answer = hook.post(service.url, {}, idempotency_key=KEY)
    assert "certificate verify failed" in answer.error
    assert service.requests == []


# --- who may be called


def test_loopback_is_not_called_unless_the_settings_say_so(service: Service) -> None:
    for allowed in ("elsewhere.contoso.com", "127.0.0.1"):
        answer = webhook(service, allowed=allowed).post(service.url, {}, idempotency_key=KEY)
        assert answer.status is None
        assert answer.error == (
            "host 'localhost' is at 127.0.0.1, which is not public (a public address, or "
            f"'localhost:{service.port}' in ROLLOUT_GATE_HOSTS)"
        )
    assert service.requests == []
    assert ask(service).status == 200


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_of_a_private_address_is_not_called(address: str) -> None:
    for found in ([address], ["8.8.8.8", address]):
        hook = Webhook(resolve=finds(*found))
        answer = hook.post("https://gates.contoso.com/", {}, idempotency_key=KEY)
        assert answer.status is None
        assert answer.error.startswith(f"host 'gates.contoso.com' is at {address}, which is not")


def test_it_is_the_checked_address_that_is_called_and_the_name_that_is_vouched_for(
    service: Service,
) -> None:
    # a name that the machine's resolver does not know, and that is somewhere else the second time
    asked: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> tuple[str, ...]:
        asked.append((host, port))
        return LOOPBACK if len(asked) == 1 else ("10.0.0.1",)

    hook = Webhook(
        private_hosts=[f"gates.invalid:{service.port}"],
        tls=ssl.create_default_context(cafile=service.authority),
        resolve=resolve,
    )
    answer = hook.post(f"https://gates.invalid:{service.port}/", {}, idempotency_key=KEY)
    assert "Hostname mismatch, certificate is not valid for 'gates.invalid'" in answer.error
    assert asked == [("gates.invalid", service.port)]


def test_no_proxy_comes_between(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert ask(service).status == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://gates.contoso.com/?code=secret",
        "ftp://gates.contoso.com/secret",
        "https:///secret",
        "https://user:secret@gates.contoso.com/",
        "https://gates.contoso.com:99999/secret",
        "https://gates.contoso.com:secret/",
        "https://[gates.contoso.com/secret",
        "https://gates.contoso.com/a b?code=secret",
        "https://gates.contoso.com/\r\nX-secret: y",
        "https://gates.contoso.com/größer?code=secret",
        "secret",
    ],
)
def test_what_is_no_https_address_is_not_called_nor_quoted(url: str) -> None:
    def resolve(_host: str, _port: int) -> tuple[str, ...]:
        raise AssertionError("nobody may be asked for")

    answer = Webhook(resolve=resolve).post(url, {}, idempotency_key=KEY)
    assert answer.status is None
    assert answer.error
    if not url.endswith(":secret/"):  # a port that is none is no key
        assert "secret" not in answer.error


def test_a_name_that_nobody_knows_is_no_answer() -> None:
    def resolve(_host: str, _port: int) -> tuple[str, ...]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    answer = Webhook(resolve=resolve).post("https://gates.invalid/", {}, idempotency_key=KEY)
    assert "Name or service not known" in answer.error


def test_a_name_without_addresses_is_no_answer() -> None:
    hook = Webhook(resolve=finds())
    answer = hook.post("https://gates.invalid/", {}, idempotency_key=KEY)
    assert answer.error == "host 'gates.invalid' has no address"


def test_the_machine_is_asked_where_a_host_is(service: Service) -> None:
    # `localhost` may be ::1 here as well, where nobody listens: both are tried
    hook = Webhook(
        private_hosts=[f"localhost:{service.port}"],
        tls=ssl.create_default_context(cafile=service.authority),
    )
    assert hook.post(service.url, {}, idempotency_key=KEY).status == 200
