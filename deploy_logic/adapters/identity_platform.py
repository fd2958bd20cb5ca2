"""Who is asking, as the platform's authentication says it in its principal header.

The header can be forged wherever the platform does not strip and set it, so it counts only when the
settings say that it does: https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
"""

import base64
import binascii
import json
from collections.abc import Sequence

from deploy_logic.adapters.identity import Principal, make_principal, tell_overage
from deploy_logic.errors import OperationError

_LONG = "http://schemas.microsoft.com"
_OBJECT_ID = (f"{_LONG}/identity/claims/objectidentifier", "oid")
_TENANT = (f"{_LONG}/identity/claims/tenantid", "tid")
_SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims"
_NAME = ("name", "preferred_username", "upn", f"{_SOAP}/name", f"{_SOAP}/upn")
_GROUP = (f"{_LONG}/ws/2008/06/identity/claims/groups", "groups")
_ROLE = (f"{_LONG}/ws/2008/06/identity/claims/role", "roles")
_OVERAGE = ("_claim_names", "hasgroups")


def read_header(header: str, *, tenant: str) -> Principal:
    """Return who the header names; OperationError 401 when that is nobody, or of another tenant.

    tenant is empty where the settings name none: then the platform alone decides who signs in.
    """
    try:
        claims = json.loads(base64.b64decode(header, validate=True))["claims"]
        found = [(claim["typ"], claim["val"]) for claim in claims]
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OperationError("nobody is signed in (a principal is needed)", status=401) from error
    ids = _values(found, _OBJECT_ID)
    if not ids:
        raise OperationError("the principal has no object id", status=401)
    if tenant and any(one.lower() != tenant for one in _values(found, _TENANT)):
        raise OperationError(f"the principal is not of tenant {tenant}", status=401)
    if _values(found, _OVERAGE):
        tell_overage(ids[0])
    return make_principal(
        ids[0],
        names=_values(found, _NAME),
        groups=_values(found, _GROUP),
        roles=_values(found, _ROLE),
    )


def _values(found: Sequence[tuple[object, object]], kinds: Sequence[str]) -> list[str]:
    """Return the texts of those claims, those of the first kind first."""
    return [
        value
        for kind in kinds
        for named, value in found
        if named == kind and isinstance(value, str) and value
    ]
