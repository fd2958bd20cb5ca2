"""Tokens for tests, right ones and wrong ones, made by hand and not by what checks them."""

import base64
import json
import time
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

TENANT = "aaaaaaaa-0000-4000-8000-00000000000a"
OTHER_TENANT = "bbbbbbbb-0000-4000-8000-00000000000b"
CLIENT = "cccccccc-0000-4000-8000-00000000000c"
ANN = "11111111-2222-3333-4444-555555555555"
AUTHORITY = "https://login.microsoftonline.com"
ISSUER = f"{AUTHORITY}/{TENANT}/v2.0"
ISSUER_V1 = f"https://sts.windows.net/{TENANT}/"
OURS, FORGED, NEXT = (rsa.generate_private_key(65537, 2048) for _ in range(3))


def some_claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a good access token of Ann's; None takes one away."""
    now = int(time.time())
    claims = {
        "aud": CLIENT,
        "iss": ISSUER,
        "iat": now,
        "nbf": now,
        "exp": now + 24 * 3600,  # a table is made long before its last test runs
        "azp": CLIENT,
        "name": "Ann",
        "oid": ANN,
        "preferred_username": "ann@contoso.com",
        "roles": ["Rollouts.Operate"],
        "scp": "Rollouts.Use",
        "sub": "pairwise-ann",
        "tid": TENANT,
        "ver": "2.0",
        **changes,
    }
    return {key: value for key, value in claims.items() if value is not None}


def part(raw: object) -> str:
    """Return one part of a token: JSON, or bytes as they are."""
    data = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def a_token(
    claims: object = None,
    *,
    key: RSAPrivateKey = OURS,
    kid: object = "ours",
    header: Mapping[str, Any] | None = None,
) -> str:
    """Return a token signed with RS256, whatever its header says."""
    head = {"typ": "JWT", "alg": "RS256", "kid": kid, **(header or {})}
    unsigned = f"{part(head)}.{part(some_claims() if claims is None else claims)}"
    return f"{unsigned}.{part(key.sign(unsigned.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def a_token_signed_with_the_public_key() -> str:
    """Return a token under HS256 whose secret is our public key, which everybody knows."""
    unsigned = f"{part({'typ': 'JWT', 'alg': 'HS256', 'kid': 'ours'})}.{part(some_claims())}"
    pem = OURS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    signature = hmac.HMAC(pem, hashes.SHA256())
    signature.update(unsigned.encode())
    return f"{unsigned}.{part(signature.finalize())}"


def a_key(key: RSAPrivateKey = OURS, kid: str = "ours", **more: Any) -> dict[str, Any]:
    """Return the public half as Entra's key sets have it."""
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "use": "sig",
        "kid": kid,
        "n": part(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8)),
        "e": part(numbers.e.to_bytes(3)),
        "issuer": f"{AUTHORITY}/{{tenantid}}/v2.0",
        **more,
    }


def a_key_set(*keys: Mapping[str, Any]) -> bytes:
    return json.dumps({"keys": list(keys or (a_key(),))}).encode()
