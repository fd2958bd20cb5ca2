"""The keys that a tenant signs its tokens with: fetched when needed, kept, renewed, never guessed.

Who asks for a key hears that there is none only while the keys could be had.
"""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from deploy_logic.errors import TransientError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

type Fetch = Callable[[str], bytes]  # raises TransientError

_TIMEOUT = 5  # seconds, to connect and to read: somebody waits for the answer
_FRESH = 12 * 3600.0  # seconds; Entra rolls keys over at any time, and then names both for a while
_USABLE = 24 * 3600.0  # beyond that, a key that was withdrawn could still be in use here
_REST = 60.0  # between two fetches, whatever keys people name
_REST_AFTER_FAILURE = 5.0
_LEAST_BITS = 2048
_OK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is known of the keys; replaced as a whole, so that no lock is needed to look."""

    keys: Mapping[str, "RSAPublicKey"]
    fetched: float = -math.inf
    tried: float = -math.inf
    why: str = ""  # the last attempt brought nothing


class Keys:
    """The signing keys of one tenant."""

    def __init__(
        self,
        address: str,
        *,
        issuer: str,
        fetch: Fetch | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where the key set is, and whose keys in it count; nothing is fetched yet."""
        self._address, self._issuer = address, issuer
        self._fetch, self._clock = fetch or fetch_keys, clock
        self._seen = _Seen(keys={})
        self._lock = threading.Lock()

    def find(self, kid: str) -> "RSAPublicKey | None":
        """Return the key of that name, or None where the tenant has none.

        TransientError when neither can be said, because the keys cannot be had.
        """
        seen = self._seen
        if kid in seen.keys and self._clock() - seen.fetched < _FRESH:
            return seen.keys[kid]
        with self._lock:  # who comes meanwhile waits, and then finds what was fetched
            seen = self._seen = self._renew(self._seen)
        is_usable = self._clock() - seen.fetched < _USABLE
        if is_usable and kid in seen.keys:
            return seen.keys[kid]
        if seen.why or not is_usable:
            raise TransientError(
                f"reading the keys that tokens are signed with: {seen.why}",
                retry_after=timedelta(seconds=_REST_AFTER_FAILURE),
            )
        return None

    def _renew(self, seen: _Seen) -> _Seen:
        now = self._clock()
        if now - seen.tried < (_REST_AFTER_FAILURE if seen.why else _REST):
            return seen
        try:
            keys = read_keys(self._fetch(self._address), issuer=self._issuer)
        except TransientError as error:
            return _Seen(keys=seen.keys, fetched=seen.fetched, tried=now, why=str(error))
        return _Seen(keys=keys, fetched=now, tried=now)


def read_keys(content: bytes, *, issuer: str) -> dict[str, "RSAPublicKey"]:
    """Return the RSA keys of a key set by their names; TransientError when there is none.

    A key that names its issuer counts only when that is ours: the set of one tenant can have keys
    of others in it. https://learn.microsoft.com/entra/identity-platform/access-tokens#validate-the-issuer
    """
    # Late: a sixth of a second, and no event needs them.
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415
    from jwt import PyJWK  # noqa: PLC0415
    from jwt.exceptions import PyJWTError  # noqa: PLC0415

    keys = {}
    try:
        for one in json.loads(content)["keys"]:
            key = PyJWK(one, algorithm="RS256").key if _is_ours(one, issuer) else None
            if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_BITS:
                keys[str(one["kid"])] = key
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, PyJWTError) as error:
        raise TransientError(f"this is no key set: {error!r}", code="NoAnswer") from error
    if not keys:
        raise TransientError(f"the set has no RSA key of {issuer}", code="NoAnswer")
    return keys


def _is_ours(one: Mapping[str, Any], issuer: str) -> bool:
    """Tell whether it is an RSA key to sign with, of this issuer or of none in particular."""
    tenant = issuer.removesuffix("/v2.0").rpartition("/")[2]
    named = str(one.get("issuer", issuer)).replace("{tenantid}", tenant)
    return one.get("kty") == "RSA" and one.get("use", "sig") == "sig" and named == issuer


def fetch_keys(address: str) -> bytes:
    """Return the key set at that address; TransientError when there is no answer."""
    from azure.core import PipelineClient  # noqa: PLC0415 - no event needs it
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - as above
    from azure.core.rest import HttpRequest, HttpResponse  # noqa: PLC0415 - as above

    client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(address, policies=[])
    try:
        with client:  # a redirect is not followed: nothing here does that
            answer = client.send_request(
                HttpRequest("GET", address), connection_timeout=_TIMEOUT, read_timeout=_TIMEOUT
            )
    except (AzureError, ValueError) as error:
        raise TransientError(f"GET {address}: {error}", code=type(error).__name__) from error
    if answer.status_code != _OK:
        raise TransientError(f"GET {address}: {answer.status_code}", code="NoAnswer")
    return answer.content
