"""Somebody who is signed in: who that is, how policies may name them, and what they may do."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from deploy_logic.errors import OperationError
from deploy_logic.right import APP_ROLES, Right, find_rights

_LOG = logging.getLogger("rollout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who is signed in."""

    id: str  # the Entra object id: names and addresses change hands
    name: str  # for people to read
    # user:, group: and role:, as approvers are written in policies. And name:, which gives no right
    # because names change hands; but a workspace may know by it who registered a version.
    claims: tuple[str, ...]
    rights: frozenset[Right] = frozenset()  # from app roles alone: without one, none


def make_principal(
    object_id: str, *, names: Sequence[str], groups: Iterable[str], roles: Sequence[str]
) -> Principal:
    """Return the principal that those claims of a sign-in make; the first name is shown."""
    return Principal(
        id=object_id,
        name=next(iter(names), ""),
        claims=(
            f"user:{object_id}",
            *(f"group:{one}" for one in groups),
            *(f"role:{one}" for one in roles),
            *(f"name:{one}" for one in dict.fromkeys(names)),
        ),
        rights=find_rights(roles),
    )


def require(principal: Principal, right: Right) -> None:
    """Raise OperationError 403 unless the person has the right."""
    if right not in principal.rights:
        role = APP_ROLES[right]
        text = f"{principal.id} has no right to {right} (the app role {role} gives it)"
        raise OperationError(text, status=403, app_role=role)


def tell_overage(object_id: str) -> None:
    """Log that Entra left this person's groups out: then nobody is known to be in a group.

    https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference#groups-overage-claim
    """
    _LOG.warning("groups left out", extra={"by": object_id})
