"""Who is asking, as an access token of Entra ID says it, once it was checked here.

What is checked follows https://learn.microsoft.com/entra/identity-platform/claims-validation
"""

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from deploy_logic.adapters.identity import Principal, make_principal, tell_overage
from deploy_logic.adapters.identity_keys import Keys
from deploy_logic.errors import OperationError, TransientError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

_LOG = logging.getLogger("rollout")
_ALGORITHM = "RS256"  # the only one that Entra signs with; no token chooses another
_LEEWAY = 60  # seconds that clocks may differ
_LONGEST = 20_000  # characters: 200 groups, the most that Entra puts in, take 12,000
_LONGEST_KID = 200
_REQUIRED = ("exp", "nbf", "iat", "iss", "aud")
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAMES = ("name", "preferred_username", "upn", "unique_name")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Which tokens count."""

    tenant: str  # in lower case
    audiences: tuple[str, ...]
    issuers: tuple[str, ...]
    keys: Keys


def read_token(token: str, tokens: Tokens) -> Principal:
    """Return whose token it is; OperationError 401 when it does not count, and 503 without keys.

    The reason is told and logged, the token never.
    """
    try:
        return _principal(_verify(token, tokens), tokens)
    except OperationError as error:
        _LOG.warning("token refused", extra={"reason": str(error)})
        raise


def _principal(claims: Mapping[str, Any], tokens: Tokens) -> Principal:
    if claims.get("tid") != tokens.tenant:
        raise _refusal(f"it is not of tenant {tokens.tenant}")
    object_id = claims.get("oid")
    if not isinstance(object_id, str) or _GUID.fullmatch(object_id) is None:
        raise _refusal("it has no object id (oid)")
    # Of one registration, an ID token has the audience of an access token; but it is for the one
    # who signs in, names no client that it was issued to, and is no credential.
    if not any(isinstance(claims.get(key), str) for key in ("azp", "appid")):
        raise _refusal("it names no client (azp), as an ID token (an access token is needed)")
    if "groups" in _object(claims.get("_claim_names")) or claims.get("hasgroups"):
        tell_overage(object_id)
    return make_principal(
        object_id,
        names=[text for key in _NAMES for text in _texts([claims.get(key)])],
        groups=_texts(claims.get("groups")),
        roles=_texts(claims.get("roles")),
    )


def _verify(token: str, tokens: Tokens) -> dict[str, Any]:
    """Return the claims of a token that a key of the tenant signed, for us and for now."""
    import jwt  # noqa: PLC0415 - a sixth of a second, and no event needs it

    if len(token) > _LONGEST:
        raise _refusal(f"it has {len(token)} characters (at most {_LONGEST})")
    try:
        header = jwt.get_unverified_header(token)
        key = _find_key(_kid(header), tokens.keys)
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[_ALGORITHM],
            audience=tokens.audiences,
            issuer=tokens.issuers,
            leeway=_LEEWAY,
            options={"require": list(_REQUIRED)},
        )
    except jwt.ExpiredSignatureError as error:
        raise _refusal("it has expired (sign in again)") from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise _refusal(f"{type(error).__name__}: {error}") from error
    if not isinstance(claims["aud"], str):
        raise _refusal("it has several audiences")
    return claims


def _kid(header: Mapping[str, Any]) -> str:
    """Return the name of the key; refuse every algorithm but ours before a key is looked for."""
    if header.get("alg") != _ALGORITHM:
        raise _refusal(f"its algorithm is not {_ALGORITHM}")
    kid = header.get("kid")
    if not isinstance(kid, str) or not 0 < len(kid) <= _LONGEST_KID:
        raise _refusal("it names no key (kid)")
    return kid


def _find_key(kid: str, keys: Keys) -> "RSAPublicKey":
    try:
        key = keys.find(kid)
    except TransientError as error:
        rest = int(error.retry_after.total_seconds())
        raise OperationError(str(error), status=503, retry_after=rest) from error
    if key is None:
        raise _refusal("it is signed with a key that the tenant does not have")
    return key


def _refusal(why: str) -> OperationError:
    hint = 'Bearer realm="rollouts", error="invalid_token"'
    return OperationError(f"the token is refused: {why}", status=401, www_authenticate=hint)


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    """Return the texts of a claim that should be a list of them; whatever else is there is not."""
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []
