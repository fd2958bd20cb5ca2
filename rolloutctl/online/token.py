"""Where a token comes from: the command line, the environment, an earlier login, or az."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from rolloutctl.exit import RefusedError, UnreachableError
from rolloutctl.online.az import AzError, find_az
from rolloutctl.online.cache import Kept, find_cache, recall, remember
from rolloutctl.online.client import Client
from rolloutctl.online.device import SignIn, renew

VARIABLE = "ROLLOUTCTL_TOKEN"
RESOURCE = "ROLLOUTCTL_RESOURCE"  # of the app in Entra, where only the platform knows it
_EARLY = timedelta(minutes=2)


class Tokens:
    """Finds the token for one app, and finds it again when it is over."""

    def __init__(self, address: str, *, told: str, environment: Mapping[str, str]) -> None:
        """Take the app, the token that was told, and the environment."""
        self._address = address
        self._told = told or environment.get(VARIABLE, "")
        self._environment = environment
        self._cache = find_cache(environment)
        self._found: Kept | None = None

    def find(self) -> str:
        """Return a token, or nothing when nobody is signed in; the app says whether that will do.

        Every command asks this before each of its requests, a long watch too.
        """
        if self._told:
            return self._told
        kept = self._found or recall(self._cache, self._address)
        if kept is None or _is_over(kept):
            kept = self._renew(kept) or self._ask_az()
        self._found = kept
        return kept.access_token if kept else ""

    def _renew(self, kept: Kept | None) -> Kept | None:
        if kept is None or not kept.refresh_token:
            return None
        fresh = renew(kept)
        if fresh is not None:
            remember(self._cache, self._address, fresh)
        return fresh

    def _ask_az(self) -> Kept | None:
        """Return what az has for the app, if somebody is signed in there."""
        az = find_az()
        if not az.is_there:
            return None
        how = read_sign_in(self._address)
        resource = self._environment.get(RESOURCE, "")
        options = ("--resource", resource) if how is None else ("--scope", how.scope)
        if not options[1]:
            return None
        try:
            answer = az.ask("account", "get-access-token", *options)
        except AzError:
            return None  # nobody is signed in there, or not for this app: the app will say 401
        text, ends = str(answer.get("accessToken", "")), answer.get("expires_on", 0)
        if not text:
            return None
        until = datetime.fromtimestamp(float(ends), UTC) if ends else datetime.now(UTC)
        known = how or SignIn(authority="", client_id="", scope=resource)
        return Kept(
            authority=known.authority,
            client_id=known.client_id,
            scope=known.scope,
            access_token=text,
            until=until.isoformat(),
        )


def find_tokens(address: str, told: str, environment: Mapping[str, str]) -> Callable[[], str]:
    """Return what finds the token for the app."""
    return Tokens(address, told=told, environment=environment).find


def read_sign_in(address: str) -> SignIn | None:
    """Return how the app wants people to sign in; None where the platform sees to that."""
    with Client(address) as client:
        try:
            said = client.get_as_nobody("sign-in")
        except RefusedError as error:
            if error.status in {401, 404}:  # the platform stands before it, or it is older
                return None
            raise
    if said.get("kind") != "token":
        return None
    found = {key: said.get(key) for key in ("authority", "client_id", "scope")}
    missing = [key for key, value in found.items() if not isinstance(value, str) or not value]
    if missing:
        raise UnreachableError(f"signing in: the app does not say its {missing[0]}")
    return SignIn(**{key: str(value) for key, value in found.items()})


def _is_over(kept: Kept) -> bool:
    return kept.ends - _EARLY <= datetime.now(UTC)
