"""Where a principal may come from: an access token, checked by us, or the platform's header.

Without either nobody is known. A token that was brought decides alone: when it is bad, the request
is refused, and the header is not looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from deploy_logic.adapters.identity import Principal
from deploy_logic.adapters.identity_keys import Fetch, Keys
from deploy_logic.adapters.identity_platform import read_header
from deploy_logic.adapters.identity_token import Tokens, read_token
from deploy_logic.codec import Json
from deploy_logic.errors import OperationError
from deploy_logic.settings import Settings

_CHALLENGE = 'Bearer realm="rollouts"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Identities:
    """Tells who is asking."""

    tokens: Tokens | None  # None: no tenant is named, and no token counts
    sign_in: Json  # for GET /api/sign-in: nothing secret
    tenant: str
    is_platform_trusted: bool

    @classmethod
    def open(cls, settings: Settings, *, fetch: Fetch | None = None) -> Self:
        """Return what the settings allow; nobody is asked for keys before the first token comes."""
        is_trusted, tenant = settings.trust_platform_identity, settings.tenant
        tokens, sign_in = None, {"kind": "platform" if is_trusted else "none"}
        if tenant:
            authority = settings.authority or settings.cloud["active_directory"]
            root = f"{authority.rstrip('/')}/{tenant}"
            issuer = f"{root}/v2.0"
            tokens = Tokens(
                tenant=tenant,
                audiences=settings.audience,
                # the second is of tokens in the form v1, which a registration can still ask for
                issuers=(issuer, f"https://sts.windows.net/{tenant}/"),
                keys=Keys(f"{root}/discovery/v2.0/keys", issuer=issuer, fetch=fetch),
            )
            client = settings.audience[0]
            # An application that asks for a token for itself must name itself by its id, not by
            # its api:// address (AADSTS90009).
            scope = f"{client}/.default"
            sign_in = {"kind": "token", "authority": issuer, "client_id": client, "scope": scope}
        return cls(tokens=tokens, sign_in=sign_in, tenant=tenant, is_platform_trusted=is_trusted)

    def read(self, headers: Mapping[str, str]) -> Principal:
        """Return who asks; OperationError 401 for nobody, 503 while that cannot be said."""
        return read_principal(headers, self)

    def describe(self) -> Json:
        """Return how to sign in."""
        return dict(self.sign_in)


def read_principal(headers: Mapping[str, str], known: Identities) -> Principal:
    """Return who asks; OperationError 401 for nobody, 503 while that cannot be said."""
    scheme, _, token = _find(headers, "authorization").strip().partition(" ")
    if known.tokens is not None and scheme.lower() == "bearer":
        return read_token(token.strip(), known.tokens)
    if known.is_platform_trusted:
        return read_header(_find(headers, "x-ms-client-principal"), tenant=known.tenant)
    if known.tokens is None:
        raise OperationError(
            "nobody is known: the app is told neither whose tokens count (ROLLOUT_TENANT and "
            "ROLLOUT_AUDIENCE) nor that the platform guards it (ROLLOUT_TRUST_PLATFORM_IDENTITY)",
            status=401,
        )
    text = "nobody is signed in (an access token is needed, as Authorization: Bearer TOKEN)"
    raise OperationError(text, status=401, www_authenticate=_CHALLENGE)


def _find(headers: Mapping[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")
