"""Who is asking: a principal counts only where the platform sets it, and a bad token never."""

import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.adapters.identity import Principal, require
from deploy_logic.adapters.identity_source import Identities
from deploy_logic.errors import OperationError
from deploy_logic.right import EVERY_RIGHT, Right
from deploy_logic.settings import read_settings
from tests.builders import WORKSPACE
from tests.token_lab import (
    ANN,
    CLIENT,
    FORGED,
    ISSUER,
    OTHER_TENANT,
    TENANT,
    a_key_set,
    a_token,
    some_claims,
)

LONG = "http://schemas.microsoft.com/identity/claims/objectidentifier"
NAME = "x-ms-client-principal"
EVE = "66666666-7777-8888-9999-000000000000"
PLATFORM = {"ROLLOUT_TRUST_PLATFORM_IDENTITY": "true"}
TOKENS = {"ROLLOUT_TENANT": TENANT, "ROLLOUT_AUDIENCE": f"{CLIENT}, api://{CLIENT}"}


def identities(**settings: str) -> Identities:
    environment = {"ROLLOUT_WORKSPACES": WORKSPACE, **settings}
    read = read_settings(environment, app=Path("app"))
    return Identities.open(read, fetch=lambda _address: a_key_set())


GUARDED = identities(**PLATFORM)


def header(claims: Any) -> str:
    return base64.b64encode(json.dumps({"claims": claims}).encode()).decode()


def claim(kind: str, value: Any) -> dict[str, Any]:
    return {"typ": kind, "val": value}


def principal(*more: dict[str, Any]) -> Principal:
    return GUARDED.read({NAME: header([claim("oid", ANN), *more])})


# The platform's header


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
    assert GUARDED.read({name: header(claims)}).id == ANN


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
    assert principal(*more).claims == (f"user:{ANN}", *claims)


@pytest.mark.parametrize(
    ("roles", "rights"),
    [
        ([], set()),
        (["Rollouts.Read"], {"read"}),
        (["Rollouts.Operate"], {"read", "operate"}),
        (["Rollouts.PromoteNow"], {"read", "operate", "promote_now"}),
        (["Rollouts.Operate", "Rollouts.Read"], {"read", "operate"}),
        (["rollouts.read", "Rollouts.*", "Rollouts.Read ", "read", "owner"], set()),
    ],
    ids=["none", "read", "operate", "promote now", "two", "others"],
)
@pytest.mark.parametrize("source", ["header", "token"])
def test_rights_come_from_app_roles_alone(source: str, roles: list[str], rights: set[str]) -> None:
    if source == "header":
        found = principal(*(claim("roles", role) for role in roles), claim("scp", "Rollouts.Read"))
    else:
        headers = {"Authorization": f"Bearer {a_token(some_claims(roles=roles))}"}
        found = identities(**TOKENS).read(headers)
    assert found.rights == rights


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
    known = principal(*more)
    assert (known.id, known.name) == (ANN, name)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {NAME: ""},
        {NAME: "not base64!"},
        {NAME: "größe"},
        {NAME: base64.b64encode(b"not json").decode()},
        {NAME: base64.b64encode(b"\xff").decode()},
        {NAME: base64.b64encode(b"[]").decode()},
        {NAME: base64.b64encode(b"{}").decode()},
        {NAME: base64.b64encode(b"[" * 50_000).decode()},
        {NAME: header(None)},
        {NAME: header({"oid": ANN})},
        {NAME: header(["oid"])},
        {NAME: header([{"typ": "oid"}])},
        {NAME: header([])},
        {NAME: header([claim("name", "Ann")])},
        {NAME: header([claim("oid", "")])},
        {NAME: header([claim("oid", 7)])},
        {NAME: header([claim("oid", [ANN])])},
        {"x-ms-client-principal-id": ANN},
    ],
    ids=lambda headers: str(headers)[:70],
)
def test_everything_else_is_nobody(headers: dict[str, str]) -> None:
    with pytest.raises(OperationError) as refused:
        GUARDED.read(headers)
    assert refused.value.status == 401


@given(st.text() | st.binary().map(lambda raw: base64.b64encode(raw).decode()))
def test_any_header_is_somebody_or_refused(text: str) -> None:
    with pytest.raises(OperationError):  # arbitrary text does not hit a whole principal
        GUARDED.read({NAME: text})


@pytest.mark.parametrize("kind", ["_claim_names", "hasgroups"])
def test_groups_that_entra_left_out_are_told(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    assert principal(claim(kind, "true")).claims == (f"user:{ANN}",)
    (record,) = caplog.records
    assert (record.message, vars(record)["by"]) == ("groups left out", ANN)


# Which source counts

ANN_BY_HEADER = header([claim("oid", ANN)])
EVE_BY_HEADER = header([claim("oid", EVE)])
GOOD, BAD = f"Bearer {a_token()}", f"Bearer {a_token(key=FORGED)}"


@pytest.mark.parametrize(
    ("settings", "headers", "says"),
    [
        ({}, {NAME: ANN_BY_HEADER}, "ROLLOUT_TRUST_PLATFORM_IDENTITY"),
        ({}, {"Authorization": GOOD}, "ROLLOUT_TENANT"),
        ({}, {}, "nobody is known"),
        (TOKENS, {}, "an access token is needed"),
        (TOKENS, {NAME: ANN_BY_HEADER}, "an access token is needed"),
        (TOKENS, {"Authorization": "Basic YW5uOmFubg=="}, "an access token is needed"),
        (TOKENS, {"Authorization": "Bearer"}, "the token is refused"),
        (TOKENS, {"Authorization": f"{GOOD},{GOOD}"}, "the token is refused"),
        (PLATFORM, {"Authorization": GOOD}, "a principal is needed"),
        ({**TOKENS, **PLATFORM}, {"Authorization": BAD, NAME: ANN_BY_HEADER}, "token is refused"),
        ({**TOKENS, **PLATFORM}, {"Authorization": "Bearer ", NAME: ANN_BY_HEADER}, "is refused"),
        (
            {**TOKENS, **PLATFORM},
            {NAME: header([claim("oid", ANN), claim("tid", OTHER_TENANT)])},
            "not of tenant",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else "",
)
def test_nobody_is_known_without_a_source_that_counts(
    settings: dict[str, str], headers: dict[str, str], says: str
) -> None:
    with pytest.raises(OperationError, match=says) as refused:
        identities(**settings).read(headers)
    assert refused.value.status == 401


@pytest.mark.parametrize(
    ("settings", "headers", "who"),
    [
        (TOKENS, {"Authorization": GOOD}, ANN),
        (TOKENS, {"authorization": GOOD.replace("Bearer ", "bearer  ")}, ANN),
        (PLATFORM, {NAME: EVE_BY_HEADER, "Authorization": GOOD}, EVE),
        ({**TOKENS, **PLATFORM}, {NAME: EVE_BY_HEADER, "Authorization": GOOD}, ANN),
        ({**TOKENS, **PLATFORM}, {NAME: EVE_BY_HEADER}, EVE),
        ({**TOKENS, **PLATFORM}, {NAME: EVE_BY_HEADER, "Authorization": "Basic eA=="}, EVE),
        (
            {**TOKENS, **PLATFORM},
            {NAME: header([claim("oid", ANN), claim("tid", TENANT.upper())])},
            ANN,
        ),
    ],
    ids=["token", "lower case", "platform checks it", "token first", "no token", "basic", "tenant"],
)
def test_the_source_that_counts_says_who_asks(
    settings: dict[str, str], headers: dict[str, str], who: str
) -> None:
    assert identities(**settings).read(headers).id == who


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, {"kind": "none"}),
        (PLATFORM, {"kind": "platform"}),
        (
            {**TOKENS, **PLATFORM},
            {
                "kind": "token",
                "authority": ISSUER,
                "client_id": CLIENT,
                "scope": f"{CLIENT}/.default",
            },
        ),
    ],
    ids=["none", "platform", "token"],
)
def test_it_says_how_to_sign_in(settings: dict[str, str], said: dict[str, str]) -> None:
    assert identities(**settings).describe() == said


# Rights


def test_a_right_that_somebody_has_not_is_refused_with_the_role_that_gives_it() -> None:
    reader = Principal(id="ann", name="", claims=(), rights=frozenset({Right.READ}))
    require(reader, Right.READ)
    with pytest.raises(OperationError, match="ann has no right to operate") as caught:
        require(reader, Right.OPERATE)
    assert caught.value.status == 403
    assert caught.value.members == {"app_role": "Rollouts.Operate"}


def test_a_principal_has_no_right_unless_it_is_said() -> None:
    nobody = Principal(id="ann", name="", claims=())
    for right in EVERY_RIGHT:
        with pytest.raises(OperationError):
            require(nobody, right)


def test_a_refused_token_is_logged_without_the_token(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(OperationError) as refused:
        identities(**TOKENS).read({"Authorization": BAD})
    (record,) = [one for one in caplog.records if one.name == "rollout"]
    assert (record.message, vars(record)["reason"]) == ("token refused", str(refused.value))
    assert not any(piece in str(vars(record)) for piece in BAD.split(" ")[1].split("."))
    assert 'error="invalid_token"' in str(refused.value.members["www_authenticate"])
