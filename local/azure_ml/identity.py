"""The identity endpoint, in App Service's managed identity protocol, and the bearer check."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

from aiohttp import web

from local.azure_ml.clock import Clock
from local.azure_ml.errors import ArmError
from local.azure_ml.store import Json, Store
from local.azure_ml.web import answer
from local.azure_ml.workspace import TENANT

_LIFE = 24 * 3600  # managed identity tokens live a day
_PRINCIPAL = "00000000-0000-0000-0000-00000000000b"
_API_VERSION = "2019-08-01"


class Identity:
    """Issues tokens to whoever knows the identity header; signs tokens for endpoints too."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._clock = clock
        kept = store.get("secrets", "identity")
        if kept is None:
            kept = {"header": secrets.token_hex(16), "key": secrets.token_hex(32)}
            store.put("secrets", "identity", kept)
        self.header: str = kept["header"]
        self._key = bytes.fromhex(kept["key"])

    async def token(self, request: web.Request) -> web.Response:
        """`GET /msi/token?resource=...&api-version=2019-08-01`."""
        given = request.headers.get("X-IDENTITY-HEADER", "")
        if not hmac.compare_digest(given.encode(), self.header.encode()):
            return answer({"statusCode": 401, "message": "X-IDENTITY-HEADER is wrong"}, status=401)
        resource = request.query.get("resource")
        if request.query.get("api-version") != _API_VERSION or not resource:
            message = f"resource and api-version={_API_VERSION} are required"
            return answer({"statusCode": 400, "message": message}, status=400)
        expires = int(self._clock.time()) + _LIFE
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{TENANT}/",
            "tid": TENANT,
            "oid": _PRINCIPAL,
            "sub": _PRINCIPAL,
            "exp": expires,
        }
        return answer(
            {
                "access_token": self.sign(claims),
                "expires_on": str(expires),
                "resource": resource,
                "token_type": "Bearer",
            }
        )

    def sign(self, claims: Mapping[str, object]) -> str:
        """Make a token in the form of a JWT (HS256)."""
        head = _encode(json.dumps({"typ": "JWT", "alg": "HS256"}).encode())
        unsigned = f"{head}.{_encode(json.dumps(claims).encode())}"
        return f"{unsigned}.{self._signature(unsigned)}"

    def claims(self, token: str) -> Json | None:
        """Give the claims of a token signed here and not expired, or None."""
        unsigned, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(unsigned).encode()):
            return None
        _, _, payload = unsigned.partition(".")
        claims: Json = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return claims if claims["exp"] > self._clock.time() else None

    def _signature(self, text: str) -> str:
        return _encode(hmac.digest(self._key, text.encode(), hashlib.sha256))


def bearer(authorization: str | None) -> str | None:
    """Give the token of an Authorization header, or None."""
    scheme, _, token = (authorization or "").partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None


def require_bearer(request: web.Request) -> None:
    """Refuse a request without a bearer token; which one does not matter here."""
    if bearer(request.headers.get("Authorization")) is None:
        raise ArmError(
            401,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing or no bearer token.",
        )


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
