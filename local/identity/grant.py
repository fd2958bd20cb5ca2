"""What people have granted and clients have not fetched yet: codes, device codes, refresh tokens.

All of it is in memory: who restarts the provider signs in again.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from local.identity.registration import BY_ADDRESS, CLIENT, OPENID, SCOPES, Person

CODE_LIFE = 600.0  # seconds
DEVICE_LIFE = 900.0
_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no word comes of them
_CHALLENGE = range(43, 129)  # characters, RFC 7636


class GrantError(Exception):
    """A refusal in OAuth's words, with the number that Entra gives it."""

    def __init__(
        self, error: str, number: int, text: str, *, status: int = HTTPStatus.BAD_REQUEST
    ) -> None:
        """Keep what clients look at."""
        super().__init__(f"AADSTS{number}: {text}")
        self.error, self.number, self.status = error, number, status


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Somebody has signed in, for a scope."""

    person: Person
    scope: str
    nonce: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    grant: Grant
    redirect_uri: str
    challenge: str
    until: float


@dataclass(slots=True, kw_only=True)
class _Device:
    user_code: str
    scope: str
    until: float
    person: Person | None = None
    is_declined: bool = False


@dataclass(slots=True, kw_only=True)
class Grants:
    """Everything that is open."""

    clock: Callable[[], float] = time.monotonic
    _codes: dict[str, _Code] = field(default_factory=dict)
    _devices: dict[str, _Device] = field(default_factory=dict)
    _refresh: dict[str, Grant] = field(default_factory=dict)

    # Authorization code, with PKCE

    def open_code(self, grant: Grant, *, redirect_uri: str, challenge: str) -> str:
        """Return a code for whoever can prove the challenge."""
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(
            grant=grant,
            redirect_uri=redirect_uri,
            challenge=challenge,
            until=self.clock() + CODE_LIFE,
        )
        return code

    def redeem_code(self, form: Mapping[str, str]) -> Grant:
        """Return what was granted for the code; it is used up, whatever comes of it."""
        found = self._codes.pop(form.get("code", ""), None)
        if found is None or found.until < self.clock():
            raise GrantError("invalid_grant", 70008, "the code has expired, or was used")
        if form.get("redirect_uri") != found.redirect_uri:
            raise GrantError("invalid_grant", 500112, "redirect_uri is not that of the request")
        proof = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        proven = base64.urlsafe_b64encode(proof).rstrip(b"=").decode()
        if not hmac.compare_digest(proven, found.challenge):
            raise GrantError("invalid_grant", 501481, "code_verifier does not match the challenge")
        return found.grant

    # Device code

    def open_device(self, scope: str) -> tuple[str, str]:
        """Return the code of the device, and the one that a person types."""
        device_code = secrets.token_urlsafe(32)
        user_code = "".join(secrets.choice(_LETTERS) for _ in range(9))
        until = self.clock() + DEVICE_LIFE
        self._devices[device_code] = _Device(user_code=user_code, scope=scope, until=until)
        return device_code, user_code

    def answer_device(self, user_code: str, person: Person | None) -> bool:
        """Let the person in on that device, or nobody; False when no device waits for the code."""
        typed = user_code.strip().upper()
        for device in self._devices.values():
            is_waiting = device.person is None and not device.is_declined
            if device.user_code == typed and is_waiting and device.until >= self.clock():
                device.person, device.is_declined = person, person is None
                return True
        return False

    def redeem_device(self, form: Mapping[str, str]) -> Grant:
        """Return what was granted on the device, once somebody has."""
        code = form.get("device_code", "")
        found = self._devices.get(code)
        if found is None:
            raise GrantError("bad_verification_code", 70018, "there is no such device code")
        if found.until < self.clock():
            del self._devices[code]
            raise GrantError("expired_token", 70020, "the device code has expired")
        if found.is_declined:
            del self._devices[code]
            raise GrantError("authorization_declined", 70017, "the person has declined")
        if found.person is None:
            raise GrantError("authorization_pending", 70016, "nobody has signed in yet")
        del self._devices[code]
        return Grant(person=found.person, scope=found.scope)

    # Refresh tokens

    def open_refresh(self, grant: Grant) -> str:
        """Return a token for which there is another access token."""
        token = secrets.token_urlsafe(32)
        self._refresh[token] = grant
        return token

    def redeem_refresh(self, form: Mapping[str, str]) -> Grant:
        """Return what was granted; the token is used up, and another comes with the answer."""
        found = self._refresh.pop(form.get("refresh_token", ""), None)
        if found is None:
            raise GrantError("invalid_grant", 70000, "the refresh token is not valid")
        return found


def check_client(client: str) -> None:
    """Refuse an application that is not registered."""
    if client != CLIENT:
        text = f"application {client!r} was not found in the directory"
        raise GrantError("unauthorized_client", 700016, text)


def check_scope(scope: str) -> str:
    """Return the scope; refuse one that is not for our application."""
    asked = set(scope.split()) - OPENID
    if BY_ADDRESS in asked:
        text = "the application asks for a token for itself, and must name itself by its id"
        raise GrantError("invalid_resource", 90009, text)
    if not asked or not asked <= SCOPES:
        raise GrantError("invalid_scope", 70011, f"scope {scope!r} is not valid")
    return scope


def check_challenge(query: Mapping[str, str]) -> str:
    """Return the PKCE challenge; a client without a secret must bring one."""
    challenge = query.get("code_challenge", "")
    if query.get("code_challenge_method") != "S256" or len(challenge) not in _CHALLENGE:
        text = "proof key for code exchange is required (code_challenge, by S256)"
        raise GrantError("invalid_request", 9002325, text)
    return challenge
