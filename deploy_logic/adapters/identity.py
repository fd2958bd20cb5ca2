"""Who is asking, as the platform's authentication says it in its principal header.

The header can be forged wherever the platform does not strip and set it, so it counts only when the
settings say that it does: https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
"""

import base64
import binascii
import json
from collections.abc import Mapping

from deploy_logic.errors import OperationError

_OBJECT_ID = ("http://schemas.microsoft.com/identity/claims/objectidentifier", "oid")


def read_principal(headers: Mapping[str, str], *, is_trusted: bool) -> str:
    """Return the caller's Entra object id; OperationError 401 when there is none to trust."""
    if not is_trusted:
        raise OperationError(
            "nobody is known: the app is told that the platform does not guard it "
            "(ROLLOUT_TRUST_PLATFORM_IDENTITY)",
            status=401,
        )
    header = next((v for k, v in headers.items() if k.lower() == "x-ms-client-principal"), "")
    try:
        claims = json.loads(base64.b64decode(header, validate=True))["claims"]
        found = {claim["typ"]: claim["val"] for claim in claims}
    except (binascii.Error, ValueError, KeyError, TypeError, RecursionError) as error:
        raise OperationError("nobody is signed in (a principal is needed)", status=401) from error
    object_id = next((found[kind] for kind in _OBJECT_ID if found.get(kind)), None)
    if not isinstance(object_id, str):
        raise OperationError("the principal has no object id", status=401)
    return object_id
