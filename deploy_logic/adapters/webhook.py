"""Somebody else's service over https: one question, one answer, and no way into a private network.

A name may resolve to one address when it is checked and to another when it is called. So it is
resolved once here, every address is checked, and the connection goes to the very address that was.
https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html
"""

import http.client
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Buffer, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import SplitResult, urlsplit

import certifi

from deploy_logic.address import is_public
from deploy_logic.codec import Json
from deploy_logic.duration import parse_retry_after
from deploy_logic.gate.gate import Answer, quote

type Resolve = Callable[[str, int], Sequence[str]]  # host and port to addresses

_WITHIN = 10.0  # seconds for everything, from the name to the last byte
_CONNECT = 3.0  # seconds for one address of several
_MOST = 64 * 1024  # bytes of an answer that are read
_PORT = 443


def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of the host, as the machine's resolver says, each once."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(address[0]) for *_, address in found))


def read_tls() -> ssl.SSLContext:
    """Return whom to trust: this machine's authorities and Mozilla's, for images without any."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


class Webhook:
    """The Web port. Nothing here logs, and no sentence quotes more of an address than its host.

    Addresses may hold a key, as those of function apps and of chats do.
    """

    def __init__(
        self,
        *,
        private_hosts: Collection[str] = (),
        setting: str = "ROLLOUT_GATE_HOSTS",
        content_type: str = "application/cloudevents+json; charset=utf-8",
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolve,
        within: float = _WITHIN,
    ) -> None:
        """Take the hosts, with port, that may be called although they are private.

        setting is the app setting that names them, for those who meet a refusal.
        """
        self._private_hosts = frozenset(private_hosts)
        self._setting = setting
        self._content_type = content_type
        self._tls = tls or read_tls()
        self._tls.sslsocket_class = _Timed
        self._resolve = resolve
        self._within = within

    def post(self, url: str, body: Json, *, idempotency_key: str) -> Answer:
        """Send the body and return the answer; a redirect is an answer and is not followed."""
        begin = time.monotonic()
        try:
            parts, port = _read_url(url)
            with self._open(parts.hostname or "", port, begin + self._within) as opened:
                request = _Request(
                    parts=parts,
                    body=_encode(body),
                    content_type=self._content_type,
                    idempotency_key=idempotency_key,
                )
                status, content, retry_after = _exchange(opened, request)
        except TimeoutError:
            error = f"no answer within {self._within:g} s"
            return Answer(status=None, milliseconds=_since(begin), error=error)
        # what the network, the other side's certificate, and its idea of HTTP can be
        except (OSError, http.client.HTTPException, ValueError) as error:
            said = quote(str(error) or type(error).__name__)
            return Answer(status=None, milliseconds=_since(begin), error=said)
        return Answer(
            status=status,
            milliseconds=_since(begin),
            body=content[:_MOST].decode(errors="replace"),
            is_cut=len(content) > _MOST,
            retry_after=retry_after,
        )

    def _open(self, host: str, port: int, deadline: float) -> "_Timed":
        addresses = self._find(host, port)
        for address in addresses[:-1]:
            try:
                return self._connect(address, host, port, deadline)
            except OSError:  # what the last one says counts
                continue
        return self._connect(addresses[-1], host, port, deadline)

    def _connect(self, address: str, host: str, port: int, deadline: float) -> "_Timed":
        patience = min(_CONNECT, _remaining(deadline))
        raw = socket.create_connection((address, port), timeout=patience)
        try:
            raw.settimeout(_remaining(deadline))
            opened = self._tls.wrap_socket(raw, server_hostname=host, suppress_ragged_eofs=False)
        except BaseException:
            raw.close()
            raise
        if not isinstance(opened, _Timed):
            raise TypeError("the context makes the connections that it was told to make")
        opened.deadline = deadline
        return opened

    def _find(self, host: str, port: int) -> tuple[str, ...]:
        """Return the host's addresses, all of which may be called; one that may not spoils all."""
        shown = f"[{host}]" if ":" in host else host
        found = [ipaddress.ip_address(address) for address in self._resolve(host, port)]
        if not found:
            raise ValueError(f"host {host!r} has no address")
        if f"{shown}:{port}" not in self._private_hosts:
            bad = next((address for address in found if not is_public(address)), None)
            if bad is not None:
                raise ValueError(
                    f"host {host!r} is at {bad}, which is not public (a public address, or "
                    f"'{shown}:{port}' in {self._setting})"
                )
        return tuple(str(address) for address in found)


class _Timed(ssl.SSLSocket):
    """A connection whose reads all end at one deadline, however slowly the other side drips."""

    deadline: float

    def recv_into(self, buffer: Buffer, nbytes: int | None = None, flags: int = 0) -> int:
        self.settimeout(_remaining(self.deadline))
        return super().recv_into(buffer, nbytes, flags)


def _read_url(url: str) -> tuple[SplitResult, int]:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise ValueError("the address is not one of https")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("the address holds what no address may (only printable ASCII, no space)")
    if "@" in parts.netloc:
        raise ValueError("the address holds a user or a password")
    return parts, _PORT if parts.port is None else parts.port


def _encode(body: Json) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What is sent."""

    parts: SplitResult
    body: bytes
    content_type: str
    idempotency_key: str


def _exchange(opened: _Timed, sent: _Request) -> tuple[int, bytes, timedelta]:
    """Return status, answer and Retry-After on this connection; a byte too many where it is cut."""
    parts = sent.parts
    connection = http.client.HTTPConnection(parts.hostname or "")
    connection.auto_open = 0  # a lost connection is not made again, to who knows which address
    connection.sock = opened
    headers = {
        "Host": parts.netloc,
        "Content-Type": sent.content_type,
        "Idempotency-Key": sent.idempotency_key,
        "Accept": "application/json",
        "User-Agent": "azure-ml-continuous-deployment",
        "Connection": "close",
    }
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        opened.settimeout(_remaining(opened.deadline))
        connection.request("POST", path, body=sent.body, headers=headers)
        with connection.getresponse() as response:
            content = response.read(_MOST + 1)
            # http.client takes a connection that ends early for the end, when it reads in pieces
            if len(content) <= _MOST and response.length:
                raise http.client.HTTPException("the answer ends before its end")
            return response.status, content, parse_retry_after(response.headers.get("Retry-After"))
    finally:
        connection.close()


def _remaining(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _since(begin: float) -> int:
    return round((time.monotonic() - begin) * 1000)
