"""Access tokens: what counts, and everything that does not."""

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.adapters.identity import Principal
from deploy_logic.adapters.identity_keys import Keys
from deploy_logic.adapters.identity_token import Tokens, read_token
from deploy_logic.errors import OperationError, TransientError
from deploy_logic.right import Right
from tests.token_lab import (
    ANN,
    AUTHORITY,
    CLIENT,
    FORGED,
    ISSUER,
    ISSUER_V1,
    OTHER_TENANT,
    TENANT,
    a_key_set,
    a_token,
    a_token_signed_with_the_public_key,
    part,
    some_claims,
)

DAY = 24 * 3600
OID = "99999999-2222-3333-4444-555555555555"


def tokens(fetch: Callable[[str], bytes] = lambda _address: a_key_set()) -> Tokens:
    keys = Keys(f"{AUTHORITY}/{TENANT}/discovery/v2.0/keys", issuer=ISSUER, fetch=fetch)
    audiences = (CLIENT, f"api://{CLIENT}")
    return Tokens(tenant=TENANT, audiences=audiences, issuers=(ISSUER, ISSUER_V1), keys=keys)


OURS = tokens()


def changed(**claims: Any) -> str:
    return a_token(some_claims(**claims))


def since(seconds: int) -> int:
    return int(time.time()) + seconds


def without_signature() -> str:
    return f"{part({'typ': 'JWT', 'alg': 'none', 'kid': 'ours'})}.{part(some_claims())}."


# What counts


def test_a_good_token_says_who_asks_and_what_they_may_do() -> None:
    groups, roles = ["g-1", "g-2"], ["Rollouts.Read", "owner"]
    found = read_token(changed(groups=groups, roles=roles), OURS)
    assert found == Principal(
        id=ANN,
        name="Ann",
        claims=(
            f"user:{ANN}", "group:g-1", "group:g-2", "role:Rollouts.Read", "role:owner",
            "name:Ann", "name:ann@contoso.com",
        ),
        rights=frozenset({Right.READ}),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "rights"),
    [
        ({"aud": f"api://{CLIENT}"}, 2),
        ({"iss": ISSUER_V1, "ver": "1.0", "azp": None, "appid": CLIENT}, 2),
        ({"azp": "dddddddd-0000-4000-8000-00000000000d"}, 2),  # the roles decide, not the client
        ({"scp": None, "idtyp": "app", "roles": ["Rollouts.Operate"]}, 2),  # an application
        ({"scp": None, "idtyp": "app", "roles": None}, 0),
        ({"roles": None}, 0),  # scp gives nothing
        ({"scp": "Rollouts.Operate Rollouts.Read", "roles": []}, 0),
        ({"roles": "Rollouts.Operate"}, 0),  # not a list: not ours to guess
        ({"roles": [["Rollouts.Operate"], 7, None, {"a": "Rollouts.Read"}]}, 0),
        ({"roles": {"Rollouts.Operate": True}}, 0),
        ({"wids": ["62e90394-69f5-4237-9190-012177145e10"], "roles": None}, 0),
        ({"groups": [f"{n:08}-0000-4000-8000-000000000000" for n in range(200)]}, 2),
    ],
    ids=[
        "api address", "form v1", "other client", "application",
        "application without a role", "person without a role", "scopes", "role as a text",
        "no texts", "roles as an object", "directory role", "200 groups",
    ],
)  # fmt: skip
def test_it_counts_and_its_roles_decide(changes: dict[str, Any], rights: int) -> None:
    found = read_token(changed(**changes), OURS)
    assert (found.id, len(found.rights)) == (ANN, rights)


@pytest.mark.parametrize(
    "changes", [{"exp": -20}, {"nbf": 20, "iat": 20}], ids=["just expired", "just before"]
)
def test_clocks_may_differ_a_little(changes: dict[str, int]) -> None:
    token = changed(**{key: since(seconds) for key, seconds in changes.items()})
    assert read_token(token, OURS).id == ANN


@pytest.mark.parametrize(
    "overage",
    [
        {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x"}}},
        {"hasgroups": True},
    ],
    ids=["claim names", "has groups"],
)
def test_groups_left_out_by_entra_are_told(
    overage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    found = read_token(changed(**overage), OURS)
    assert not [one for one in found.claims if one.startswith("group:")]
    assert [record.message for record in caplog.records] == ["groups left out"]


# What does not

FAR = {"kid": "x" * 201}
BAD: dict[str, tuple[str, str]] = {
    "nothing": ("", "DecodeError"),
    "no token": ("abc", "DecodeError"),
    "two parts": (".".join(a_token().split(".")[:2]), "refused"),
    "four parts": (f"{a_token()}.x", "refused"),
    "truncated": (a_token()[:-20], "refused"),
    "signature left out": (a_token().rpartition(".")[0] + ".", "InvalidSignatureError"),
    "not ASCII": (f"ä{a_token()}", "refused"),
    "expired": (changed(exp=since(-90)), "expired"),
    "expired long ago": (changed(exp=0), "expired"),
    "not valid yet": (changed(nbf=since(DAY)), "not yet valid"),
    "issued in the future": (changed(iat=since(DAY)), "not yet valid"),
    "expiry is no number": (changed(exp="never"), "exp"),
    "expiry is endless": (a_token(b'{"exp": 1e999}'), "refused"),
    **{f"no {key}": (changed(**{key: None}), key) for key in ("exp", "nbf", "iat", "iss", "aud")},
    "other audience": (changed(aud="https://management.azure.com"), "InvalidAudienceError"),
    "audience in part": (changed(aud=CLIENT[:-1]), "InvalidAudienceError"),
    "several audiences": (changed(aud=[CLIENT, "https://graph.microsoft.com"]), "several"),
    "no audience in a list": (changed(aud=[]), "refused"),
    "other tenant": (
        changed(tid=OTHER_TENANT, iss=f"{AUTHORITY}/{OTHER_TENANT}/v2.0"),
        "InvalidIssuerError",
    ),
    "other tenant's tid": (changed(tid=OTHER_TENANT), "not of tenant"),
    "no tid": (changed(tid=None), "not of tenant"),
    "tid is a list": (changed(tid=[TENANT]), "not of tenant"),
    "issuer of all tenants": (changed(iss=f"{AUTHORITY}/common/v2.0"), "InvalidIssuerError"),
    "issuer in part": (changed(iss=ISSUER[:-1]), "InvalidIssuerError"),
    "issuer with more": (changed(iss=f"{ISSUER}/"), "InvalidIssuerError"),
    "issuer is a list": (changed(iss=[ISSUER]), "refused"),
    "no object id": (changed(oid=None), "oid"),
    "empty object id": (changed(oid=""), "oid"),
    "object id is no GUID": (changed(oid="ann"), "oid"),
    "object id with more": (changed(oid=f"{ANN}\n"), "oid"),
    "object id is a list": (changed(oid=[ANN]), "oid"),
    "ID token": (changed(azp=None, scp=None, nonce="n"), "ID token"),
    "client is no text": (changed(azp={"id": CLIENT}), "ID token"),
    "forged": (a_token(key=FORGED), "InvalidSignatureError"),
    "forged under its own name": (a_token(key=FORGED, kid="forged"), "does not have"),
    "key of another name": (a_token(kid="theirs"), "does not have"),
    "no key named": (a_token(header={"kid": None}), "refused"),
    "key name is empty": (a_token(kid=""), "kid"),
    "key name is endless": (a_token(header=FAR), "kid"),
    "key name is a list": (a_token(kid=["ours"]), "refused"),
    "algorithm none": (without_signature(), "not RS256"),
    "algorithm None": (a_token(header={"alg": "None"}), "not RS256"),
    "no algorithm": (a_token(header={"alg": None}), "not RS256"),
    "algorithm is a list": (a_token(header={"alg": ["RS256"]}), "refused"),
    "HS256 with the public key": (a_token_signed_with_the_public_key(), "not RS256"),
    "PS256": (a_token(header={"alg": "PS256"}), "not RS256"),
    "RS512": (a_token(header={"alg": "RS512"}), "not RS256"),
    "brings its own key": (
        a_token(key=FORGED, kid="own", header={"jwk": {"kty": "RSA"}, "jku": "https://eve"}),
        "does not have",
    ),
    "something critical": (a_token(header={"crit": ["exp"], "exp": 1}), "refused"),
    "payload left out": (a_token(header={"b64": False, "crit": ["b64"]}), "refused"),
    "claims are a list": (a_token([some_claims()]), "refused"),
    "claims are no JSON": (a_token(b"{"), "refused"),
    "claims without end": (a_token(b"[" * 10_000), "refused"),
    "header without end": (f"{part(b'[' * 10_000)}.{part({})}.x", "refused"),
    "too long": (changed(groups=["g" * 36] * 600), "characters"),
    "too long and nothing": ("." * 1_000_000, "characters"),
}


@pytest.mark.parametrize(("token", "says"), BAD.values(), ids=BAD)
def test_it_is_refused(token: str, says: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(OperationError, match=says) as refused:
        read_token(token, OURS)
    assert refused.value.status == 401
    assert str(refused.value).startswith("the token is refused: ")
    assert len(str(refused.value)) < 300
    assert [record.message for record in caplog.records] == ["token refused"]


def test_an_algorithm_that_is_not_ours_asks_for_no_key() -> None:
    asked: list[str] = []

    def fetch(address: str) -> bytes:
        asked.append(address)
        return a_key_set()

    theirs = tokens(fetch)
    for token in (without_signature(), a_token_signed_with_the_public_key(), "." * 30_000):
        with pytest.raises(OperationError):
            read_token(token, theirs)
    assert asked == []


def test_without_keys_nobody_is_refused_for_good_and_nobody_is_let_in() -> None:
    def fetch(_address: str) -> bytes:
        raise TransientError("no answer")

    for token in (a_token(), a_token(key=FORGED)):
        with pytest.raises(OperationError, match="no answer") as refused:
            read_token(token, tokens(fetch))
        assert refused.value.status == 503


# Laws

A_TOKEN = changed(oid=OID, roles=["Rollouts.Read"])


@given(
    st.integers(0, len(A_TOKEN) - 1),
    st.sampled_from(["replace", "insert", "remove"]),
    st.characters() | st.sampled_from("ABab01-_.="),
)
def test_no_changed_character_makes_somebody_else(place: int, how: str, character: str) -> None:
    new = "" if how == "remove" else character
    mutant = A_TOKEN[:place] + new + A_TOKEN[place + (how != "insert") :]
    assert_same_or_refused(mutant)


@given(st.data())
def test_no_changed_bit_makes_somebody_else(data: st.DataObject) -> None:
    """Bits of what the parts mean: base64 that still reads, claims that still are JSON."""
    parts = A_TOKEN.split(".")
    which = data.draw(st.integers(0, 2))
    raw = bytearray(raw_of(parts[which]))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    parts[which] = part(bytes(raw))
    assert_same_or_refused(".".join(parts))


@given(st.dictionaries(st.sampled_from(sorted(some_claims())), st.text(max_size=40), min_size=1))
def test_no_other_claims_stand_under_the_signature(changes: dict[str, str]) -> None:
    head, _, signature = A_TOKEN.split(".")
    claims = part({**some_claims(), **changes})
    with pytest.raises(OperationError):
        read_token(f"{head}.{claims}.{signature}", OURS)


def raw_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def assert_same_or_refused(mutant: str) -> None:
    """The encoding has letters that do not matter: the very same signed bytes may still count."""
    found: object
    try:
        one = read_token(mutant, OURS)
        found = (one.id, set(one.rights))
    except OperationError as refused:
        found = refused.status
    assert found in (401, (OID, {"read"}))
