"""Signs tokens with a key of its own, kept in a folder, and gives out the public half."""

import base64
import hashlib
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from local.identity.registration import CLIENT, GRANTED, TENANT, Person

LIFE = 3600  # seconds; Entra's are between 60 and 90 minutes
_BITS = 2048

type Claims = dict[str, Any]


class Issuer:
    """One tenant's tokens. Whoever opens the same folder signs with the same key."""

    def __init__(self, folder: Path, *, url: str) -> None:
        """Make the key when there is none yet."""
        self._key = _open_key(folder)
        self._root = f"{url}/{TENANT}"
        self.issuer = f"{self._root}/v2.0"
        numbers = self._key.public_key().public_numbers()
        self._modulus = _encode(numbers.n.to_bytes(_BITS // 8))
        self._exponent = _encode(numbers.e.to_bytes(3))
        self.kid = _encode(hashlib.sha256(self._modulus.encode()).digest())[:27]

    def key_set(self) -> Claims:
        """Return the public keys, as Entra shows them."""
        one = {
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "n": self._modulus,
            "e": self._exponent,
            "issuer": self.issuer,
        }
        return {"keys": [one]}

    def access_token(self, person: Person, **changes: object) -> str:
        """Return a token with which the person asks our application; None takes a claim away."""
        claims = {"aud": CLIENT, "azp": CLIENT, "azpacr": "0", "scp": GRANTED}
        return self._sign({**self._claims(person), **claims, **changes})

    def id_token(self, person: Person, *, nonce: str = "") -> str:
        """Return a token that says to the client who has signed in; it is no credential."""
        return self._sign({**self._claims(person), "aud": CLIENT, "nonce": nonce or None})

    def _claims(self, person: Person) -> Claims:
        now = int(time.time())
        return {
            "ver": "2.0",
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + LIFE,
            "tid": TENANT,
            "oid": person.id,
            # for each application another, so that nobody takes it for the person's id
            "sub": _encode(hashlib.sha256(f"{CLIENT} {person.id}".encode()).digest()),
            "uti": _encode(uuid.uuid4().bytes),
            "name": person.name or None,
            "preferred_username": person.address or None,
            # Entra leaves out what is empty
            "roles": list(person.roles) or None,
            "groups": list(person.groups) or None,
        }

    def _sign(self, claims: Mapping[str, object]) -> str:
        said = {key: value for key, value in claims.items() if value is not None}
        return jwt.encode(said, self._key, algorithm="RS256", headers={"kid": self.kid})


def _open_key(folder: Path) -> RSAPrivateKey:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "key.pem"
    if not path.exists():
        key = generate_private_key(65537, _BITS)
        text = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        part = path.with_name(f"key.{os.getpid()}")  # whole, or not there
        part.touch(mode=0o600)
        part.write_bytes(text)
        part.rename(path)
    found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(found, RSAPrivateKey):
        raise TypeError(f"{path}: this is no RSA key")
    return found


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
