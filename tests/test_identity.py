"""Who is asking: a principal counts only where the platform sets it."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.adapters.identity import Principal, read_principal, require
from deploy_logic.errors import OperationError
from deploy_logic.right import Right

LONG = "http://schemas.microsoft.com/identity/claims/objectidentifier"
ANN = "11111111-2222-3333-4444-555555555555"


def header(claims: Any) -> str:
    return base64.b64encode(json.dumps({"claims": claims}).encode()).decode()


def claim(kind: str, value: Any) -> dict[str, Any]:
    return {"typ": kind, "val": value}


@pytest.mark.parametrize("name", ["X-MS-CLIENT-PRINCIPAL", "x-ms-client-principal"])
@pytest.mark.parametrize(
    "claims",
    [
        [claim("oid", ANN)],
        [claim(LONG, ANN)],
        [claim("name", "Ann"), claim(LONG, ANN), claim("oid", "somebody-else")],
    ],
    ids=["short claim", "long claim", "long claim first"],
)
def test_object_id_is_who_asks(name: str, claims: list[dict[str, Any]]) -> None:
    assert read_principal({name: header(claims)}, is_trusted=True).id == ANN


ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


@pytest.mark.parametrize(
    ("more", "claims"),
    [
        ([], ()),
        ([claim("groups", "g-1"), claim("groups", "g-2")], ("group:g-1", "group:g-2")),
        ([claim("roles", "approver"), claim(ROLE, "operator")], ("role:operator", "role:approver")),
        ([claim("roles", "r"), claim("groups", "g")], ("group:g", "role:r")),
        ([claim("groups", ""), claim("roles", 7), claim("groups", ["g"])], ()),
        ([claim("group", "g"), claim("role", "r"), claim("user", "eve")], ()),
        ([claim("name", "group:g"), claim("wids", "w"), claim("scp", "role:r")], ("name:group:g",)),
        (
            [claim("upn", "a@b.c"), claim("name", "Ann"), claim("preferred_username", "a@b.c")],
            ("name:Ann", "name:a@b.c"),
        ),
    ],
    ids=["none", "groups", "roles", "both", "no texts", "other claims", "disguised", "names"],
)
def test_groups_and_roles_are_claims_as_policies_write_them(
    more: list[dict[str, Any]], claims: tuple[str, ...]
) -> None:
    signed_in = {"x-ms-client-principal": header([claim("oid", ANN), *more])}
    assert read_principal(signed_in, is_trusted=True).claims == (f"user:{ANN}", *claims)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ([claim("preferred_username", "ann@contoso.com"), claim("name", "Ann")], "Ann"),
        ([claim("preferred_username", "ann@contoso.com")], "ann@contoso.com"),
        ([], ""),
        ([claim("name", 7)], ""),
    ],
    ids=["name", "address", "none", "no text"],
)
def test_name_is_for_people_to_read(more: list[dict[str, Any]], name: str) -> None:
    signed_in = {"x-ms-client-principal": header([claim("oid", ANN), *more])}
    known = read_principal(signed_in, is_trusted=True)
    assert (known.id, known.name) == (ANN, name)


def test_nobody_is_known_where_the_platform_does_not_guard() -> None:
    with pytest.raises(OperationError, match="ROLLOUT_TRUST_PLATFORM_IDENTITY") as refused:
        read_principal({"x-ms-client-principal": header([claim("oid", ANN)])}, is_trusted=False)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ms-client-principal": ""},
        {"x-ms-client-principal": "not base64!"},
        {"x-ms-client-principal": "größe"},
        {"x-ms-client-principal": base64.b64encode(b"not json").decode()},
        {"x-ms-client-principal": base64.b64encode(b"\xff").decode()},
        {"x-ms-client-principal": base64.b64encode(b"[]").decode()},
        {"x-ms-client-principal": base64.b64encode(b"{}").decode()},
        {"x-ms-client-principal": base64.b64encode(b"[" * 50_000).decode()},
        {"x-ms-client-principal": header(None)},
        {"x-ms-client-principal": header({"oid": ANN})},
        {"x-ms-client-principal": header(["oid"])},
        {"x-ms-client-principal": header([{"typ": "oid"}])},
        {"x-ms-client-principal": header([])},
        {"x-ms-client-principal": header([claim("name", "Ann")])},
        {"x-ms-client-principal": header([claim("oid", "")])},
        {"x-ms-client-principal": header([claim("oid", 7)])},
        {"x-ms-client-principal": header([claim("oid", [ANN])])},
        {"x-ms-client-principal-id": ANN},
    ],
    ids=lambda headers: str(headers)[:70],
)
def test_everything_else_is_nobody(headers: dict[str, str]) -> None:
    with pytest.raises(OperationError) as refused:
        read_principal(headers, is_trusted=True)
    assert refused.value.status == 401


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_any_header_is_somebody_or_refused(text: str) -> None:
    with pytest.raises(OperationError):  # arbitrary text does not hit a whole principal
        read_principal({"x-ms-client-principal": text}, is_trusted=True)


def test_a_right_that_somebody_has_not_is_refused() -> None:
    reader = Principal(id="ann", name="", claims=(), rights=frozenset({Right.READ}))
    require(reader, Right.READ)
    with pytest.raises(OperationError, match="ann has no right to operate") as caught:
        require(reader, Right.OPERATE)
    assert caught.value.status == 403
