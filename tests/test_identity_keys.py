"""The tenant's keys: fetched once, renewed when they roll over, and never guessed."""

import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy_logic.adapters.identity_keys import Keys, fetch_keys, read_keys
from deploy_logic.errors import TransientError
from tests.token_lab import FORGED, ISSUER, NEXT, OTHER_TENANT, a_key, a_key_set

MINUTE, HOUR = 60.0, 3600.0
THEIRS = f"https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"


class Server:
    """A key server and the time, both as a test says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.asked = 0
        self.answer: bytes | TransientError = a_key_set()
        self.keys = Keys("https://keys", issuer=ISSUER, fetch=self.fetch, clock=lambda: self.now)

    def fetch(self, address: str) -> bytes:
        assert address == "https://keys"
        self.asked += 1
        if isinstance(self.answer, TransientError):
            raise self.answer
        return self.answer

    def knows(self, kid: str) -> bool:
        return self.keys.find(kid) is not None


DOWN = TransientError("no connection")


def test_keys_are_asked_for_once() -> None:
    server = Server()
    assert server.asked == 0
    assert server.knows("ours")
    assert server.knows("ours")
    assert server.asked == 1


def test_an_unknown_key_is_asked_for_at_most_once_a_minute() -> None:
    server = Server()
    for number in range(100):
        assert not server.knows(f"guess-{number}")
    assert server.asked == 1
    server.now += MINUTE
    assert not server.knows("guess")
    assert not server.knows("another")
    assert server.asked == 2


def test_a_new_key_is_found_and_one_that_was_withdrawn_is_gone() -> None:
    server = Server()
    assert server.knows("ours")
    server.answer = a_key_set(a_key(NEXT, "next"))
    assert not server.knows("next")  # a minute has not passed
    server.now += MINUTE
    assert server.knows("next")
    assert not server.knows("ours")


def test_keys_are_renewed_after_half_a_day() -> None:
    server = Server()
    assert server.knows("ours")
    server.answer = a_key_set(a_key(NEXT, "next"))
    server.now += 12 * HOUR
    assert not server.knows("ours")


def test_known_keys_outlive_an_outage_of_a_day_and_no_more() -> None:
    server = Server()
    assert server.knows("ours")
    server.answer = DOWN
    server.now += 23 * HOUR
    assert server.knows("ours")
    server.now += HOUR
    with pytest.raises(TransientError, match="no connection") as refused:
        server.knows("ours")
    assert refused.value.retry_after == timedelta(seconds=5)
    server.answer = a_key_set()
    server.now += 5
    assert server.knows("ours")


def test_an_unknown_key_in_an_outage_is_neither_refused_nor_let_in() -> None:
    server = Server()
    assert server.knows("ours")
    server.answer = DOWN
    server.now += MINUTE
    with pytest.raises(TransientError, match="no connection"):
        server.knows("next")
    assert server.knows("ours")  # and those that are known go on


def test_a_dead_server_is_not_asked_by_everybody_who_comes() -> None:
    server = Server()
    server.answer = DOWN
    for _ in range(50):
        with pytest.raises(TransientError):
            server.knows("ours")
    assert server.asked == 1
    server.now += 5
    with pytest.raises(TransientError):
        server.knows("ours")
    assert server.asked == 2


def test_many_at_once_ask_once() -> None:
    server = Server()
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: server.knows("ours"), range(64)))
    assert server.asked == 1


SHORT = rsa.generate_private_key(65537, 1024)  # noqa: S505 - what must not count


@pytest.mark.parametrize(
    ("key", "is_taken"),
    [
        (a_key(kid="ours", issuer=ISSUER), True),
        (a_key(kid="ours", x5c=["MIIC"], alg="RS256"), True),
        ({k: v for k, v in a_key().items() if k not in {"use", "issuer"}}, True),
        (a_key(kid="ours", issuer=THEIRS), False),
        (a_key(kid="ours", use="enc"), False),
        (a_key(kid="ours", kty="EC"), False),
        (a_key(kid="ours", kty="oct", k="c2VjcmV0"), False),
        (a_key(SHORT, "ours"), False),
    ],
    ids=["issuer", "certificate", "bare", "of another tenant", "to encrypt", "EC", "oct", "short"],
)
def test_a_key_counts_if_it_is_ours_to_check_signatures(
    key: dict[str, Any], *, is_taken: bool
) -> None:
    found = read_keys(a_key_set(key, a_key(FORGED, "other")), issuer=ISSUER)
    assert set(found) == ({"ours", "other"} if is_taken else {"other"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>sign in to the network</html>",
        b"[]",
        b"{}",
        b'{"keys": []}',
        b'{"keys": ["ours"]}',
        b'{"keys": {"kid": "ours"}}',
        b"[" * 100_000,
        a_key_set({**a_key(), "n": ""}),
        a_key_set({**a_key(), "n": "!!"}),
        json.dumps({"keys": [{k: v for k, v in a_key().items() if k != "kid"}]}).encode(),
        a_key_set(a_key(issuer=THEIRS)),
    ],
    ids=lambda content: str(content[:40]),
)
def test_what_is_no_key_set_never_replaces_one(content: bytes) -> None:
    with pytest.raises(TransientError):
        read_keys(content, issuer=ISSUER)
    server = Server()
    assert server.knows("ours")
    server.answer = content
    server.now += 13 * HOUR
    assert server.knows("ours")
    assert server.asked == 2


# Over the wire


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        status = 302 if self.path == "/moved" else 500 if self.path == "/broken" else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/keys")
        self.end_headers()
        self.wfile.write(a_key_set())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_keys_are_fetched(address: str) -> None:
    assert set(read_keys(fetch_keys(f"{address}/keys"), issuer=ISSUER)) == {"ours"}


@pytest.mark.parametrize("path", ["moved", "broken"])
def test_nothing_but_200_is_an_answer(address: str, path: str) -> None:
    with pytest.raises(TransientError, match=f"{path}: (302|500)"):
        fetch_keys(f"{address}/{path}")


def test_no_server_is_an_outage() -> None:
    with pytest.raises(TransientError, match=r"GET http://127\.0\.0\.1:9/keys: "):
        fetch_keys("http://127.0.0.1:9/keys")
