"""What a person may do, as the API's routes ask for it, and which app roles give it. Pure."""

from collections.abc import Iterable, Mapping
from enum import StrEnum


class Right(StrEnum):
    """One right; each comes with an app role in Entra. Stored strings are an API."""

    READ = "read"  # see rollouts, ledgers, policies
    OPERATE = "operate"  # approve, reject, pause, resume, abort, hold, release, start, ...
    PROMOTE_NOW = "promote_now"  # leave out the steps, bakes and gates that remain


EVERY_RIGHT = frozenset(Right)
# The least app role that gives each right; infra/app-registration.json makes them.
APP_ROLES: Mapping[Right, str] = {
    Right.READ: "Rollouts.Read",
    Right.OPERATE: "Rollouts.Operate",
    Right.PROMOTE_NOW: "Rollouts.PromoteNow",
}
_GIVES: Mapping[str, frozenset[Right]] = {
    APP_ROLES[Right.READ]: frozenset({Right.READ}),
    APP_ROLES[Right.OPERATE]: frozenset({Right.READ, Right.OPERATE}),
    APP_ROLES[Right.PROMOTE_NOW]: EVERY_RIGHT,
}


def find_rights(roles: Iterable[str]) -> frozenset[Right]:
    """Return what these app roles give together; a role that is not ours gives nothing."""
    return frozenset(right for role in roles for right in _GIVES.get(role, ()))
