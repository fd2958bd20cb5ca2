"""Who is asking, as the platform's authentication says it in its principal header.

The header can be forged wherever the platform does not strip and set it, so it counts only when the
settings say that it does: https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deploy_logic.errors import OperationError
from deploy_logic.right import EVERY_RIGHT, Right

_LONG = "http://schemas.microsoft.com"
_OBJECT_ID = (f"{_LONG}/identity/claims/objectidentifier", "oid")
_SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
_NAME = ("name", "preferred_username", "upn", f"{_SOAP}/name", f"{_SOAP}/upn")
_GROUP = (f"{_LONG}/ws/2008/06/identity/claims/groups", "groups")
_ROLE = (f"{_LONG}/ws/2008/06/identity/claims/role", "roles")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Somebody who is signed in."""

    id: str  # the Entra object id: names and addresses change hands
    name: str  # for people to read
    # user:, group: and role:, as approvers are written in policies. And name:, which gives no right
    # because names change hands; but a workspace may know by it who registered a version.
    claims: tuple[str, ...]
    rights: frozenset[Right] = EVERY_RIGHT  # who may sign in is decided at the platform


def read_principal(headers: Mapping[str, str], *, is_trusted: bool) -> Principal:
    """Return who calls; OperationError 401 when there is nobody to trust."""
    if not is_trusted:
        raise OperationError(
            "nobody is known: the app is told that the platform does not guard it "
            "(ROLLOUT_TRUST_PLATFORM_IDENTITY)",
            status=401,
        )
    header = next((v for k, v in headers.items() if k.lower() == "x-ms-client-principal"), "")
    try:
        claims = json.loads(base64.b64decode(header, validate=True))["claims"]
        found = [(claim["typ"], claim["val"]) for claim in claims]
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OperationError("nobody is signed in (a principal is needed)", status=401) from error
    ids = _values(found, _OBJECT_ID)
    if not ids:
        raise OperationError("the principal has no object id", status=401)
    groups = [f"group:{one}" for one in _values(found, _GROUP)]
    roles = [f"role:{one}" for one in _values(found, _ROLE)]
    names = list(dict.fromkeys(_values(found, _NAME)))
    return Principal(
        id=ids[0],
        name=next(iter(names), ""),
        claims=(f"user:{ids[0]}", *groups, *roles, *(f"name:{one}" for one in names)),
    )


def require(principal: Principal, right: Right) -> None:
    """Raise OperationError 403 unless the person has the right."""
    if right not in principal.rights:
        raise OperationError(f"{principal.id} has no right to {right}", status=403)


def _values(found: Sequence[tuple[object, object]], kinds: Sequence[str]) -> list[str]:
    """Return the texts of those claims, those of the first kind first."""
    return [
        value
        for kind in kinds
        for named, value in found
        if named == kind and isinstance(value, str) and value
    ]
