"""The local identity provider: the flows of a page and of a command line, and their refusals.

What it gives out is held against the very code that checks tokens in the app.
"""

import base64
import hashlib
import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import jwt
import pytest

from deploy_logic.adapters.identity_source import Identities
from deploy_logic.errors import OperationError
from deploy_logic.right import Right
from deploy_logic.settings import read_settings
from local.identity.grant import Grant, GrantError, Grants
from local.identity.issuer import Issuer
from local.identity.registration import CLIENT, PEOPLE, TENANT
from tests.builders import WORKSPACE
from tests.local.local_host import PATIENCE, Program

OAUTH = f"/{TENANT}/oauth2/v2.0"
BACK = "http://127.0.0.1:7071/api/dashboard"
SCOPE = f"{CLIENT}/.default openid offline_access"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=")
ASKED = {
    "client_id": CLIENT,
    "response_type": "code",
    "redirect_uri": BACK,
    "scope": SCOPE,
    "state": "s&1",
    "nonce": "n1",
    "code_challenge": CHALLENGE.decode(),
    "code_challenge_method": "S256",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)

    def sent_back(self) -> dict[str, str]:
        """Return what the client hears where the redirect leads."""
        assert self.status == 302, self.text
        where = urlsplit(self.headers["Location"])
        assert f"{where.scheme}://{where.netloc}{where.path}" == BACK
        return dict(parse_qsl(where.query or where.fragment))


class Provider:
    """The provider in a process of its own, asked without following anything."""

    def __init__(self, ready: Mapping[str, Any]) -> None:
        self.url, self.port = ready["url"], ready["port"]
        settings = {
            "ROLLOUT_WORKSPACES": WORKSPACE,
            "ROLLOUT_TENANT": ready["tenant"],
            "ROLLOUT_AUDIENCE": ready["client_id"],
            "ROLLOUT_AUTHORITY": ready["url"],
        }
        self.identities = Identities.open(read_settings(settings, app=Path("app")))

    def ask(
        self, method: str, path: str, form: Mapping[str, str] | None = None, **headers: str
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        kind = {"Content-Type": "application/x-www-form-urlencoded"} if form is not None else {}
        try:
            body = None if form is None else urlencode(form)
            connection.request(method, path, body, {**kind, **headers})
            answer = connection.getresponse()
            text = answer.read().decode()
            return Answer(status=answer.status, headers=dict(answer.getheaders()), text=text)
        finally:
            connection.close()

    def authorize(self, method: str = "GET", **changes: str | None) -> Answer:
        asked = {key: value for key, value in {**ASKED, **changes}.items() if value is not None}
        if method == "GET":
            return self.ask("GET", f"{OAUTH}/authorize?{urlencode(asked)}")
        return self.ask("POST", f"{OAUTH}/authorize", asked)

    def code(self, person: str = "lea", **changes: str) -> str:
        return self.authorize("POST", person=person, **changes).sent_back()["code"]

    def redeem(self, code: str, **changes: str) -> Answer:
        form = {
            "grant_type": "authorization_code",
            "client_id": CLIENT,
            "code": code,
            "redirect_uri": BACK,
            "code_verifier": VERIFIER,
            **changes,
        }
        return self.ask("POST", f"{OAUTH}/token", form)

    def who(self, token: str) -> str:
        """Return whose token it is, as the app sees it."""
        return self.identities.read({"Authorization": f"Bearer {token}"}).name


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    folder: Path = tmp_path_factory.mktemp("identity")
    options = ["--data", str(folder / "data")]
    program = Program("local.identity", options, log=folder / "log", env={})
    program.wait_until_ready()
    yield Provider(program.ready)
    program.stop()


# A page signs in


def test_a_page_signs_somebody_in_who_is_then_known_to_the_app(provider: Provider) -> None:
    shown = provider.authorize()
    assert shown.status == 200
    assert all(one.name in shown.text for one in PEOPLE.values())
    sent_back = provider.authorize("POST", person="lea").sent_back()
    assert sent_back["state"] == "s&1"
    answer = provider.redeem(sent_back["code"]).json()
    found = provider.identities.read({"authorization": f"Bearer {answer['access_token']}"})
    lea = PEOPLE["lea"]
    assert (found.id, found.name) == (lea.id, "Lea")
    assert found.rights == frozenset({Right.READ, Right.OPERATE})
    assert {"group:ml-leads", f"user:{lea.id}"} <= set(found.claims)
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3600)


def test_its_id_token_is_for_the_page_and_no_credential(provider: Provider) -> None:
    answer = provider.redeem(provider.code()).json()
    claims = jwt.decode(answer["id_token"], options={"verify_signature": False})
    assert (claims["nonce"], claims["aud"], claims["name"]) == ("n1", CLIENT, "Lea")
    with pytest.raises(OperationError, match="ID token"):
        provider.who(answer["id_token"])


def test_the_answer_can_be_put_behind_the_hash(provider: Provider) -> None:
    answer = provider.authorize("POST", person="ann", response_mode="fragment")
    assert f"{BACK}#code=" in answer.headers["Location"]


def test_a_refresh_token_gives_others_once(provider: Provider) -> None:
    token = provider.redeem(provider.code("bob")).json()["refresh_token"]
    form = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token}
    answer = provider.ask("POST", f"{OAUTH}/token", form).json()
    assert provider.who(answer["access_token"]) == "Bob"
    assert answer["refresh_token"] != token
    assert provider.ask("POST", f"{OAUTH}/token", form).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": "https://graph.microsoft.com/.default"}, "invalid_scope"),
        ({"scope": f"api://{CLIENT}/.default"}, "invalid_resource"),
        ({"prompt": "none"}, "login_required"),
    ],
    ids=["no challenge", "short", "plain", "implicit", "no resource", "graph", "itself", "silent"],
)
def test_a_request_that_cannot_be_granted_is_told_to_the_client(
    provider: Provider, changes: dict[str, Any], error: str
) -> None:
    told = provider.authorize(**changes).sent_back()
    assert (told["error"], told["state"]) == (error, "s&1")
    assert told["error_description"].startswith("AADSTS")
    if "prompt" not in changes:
        assert provider.authorize("POST", person="ann", **changes).sent_back()["error"] == error


def test_nobody_can_be_chosen_who_is_not_there(provider: Provider) -> None:
    for person in ("", "mallory"):
        told = provider.authorize("POST", person=person).sent_back()
        assert told["error"] == "access_denied"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "changes",
    [
        {"redirect_uri": "https://eve.example/api/dashboard"},
        {"redirect_uri": "http://127.0.0.1.eve.example/api/dashboard"},
        {"redirect_uri": "http://127.0.0.1@eve.example/api/dashboard"},
        {"redirect_uri": "http://eve@127.0.0.1:7071/api/dashboard"},
        {"redirect_uri": "http://127.0.0.1:7071/api/rollouts"},
        {"redirect_uri": "http://127.0.0.1:7071/api/dashboard?next=x"},
        {"redirect_uri": "http://127.0.0.1:7071/api/dashboard#x"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": ""},
        {"client_id": "00000000-0000-0000-0000-0000000000c2"},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_nobody_is_sent_where_the_application_is_not(
    provider: Provider, method: str, changes: dict[str, str]
) -> None:
    answer = provider.authorize(method, person="ann", **changes)
    assert answer.status == 400
    assert "Location" not in answer.headers
    assert answer.json()["error_codes"] in ([50011], [700016])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "w" * 43}, "invalid_grant"),
        ({"code_verifier": ""}, "invalid_grant"),
        ({"redirect_uri": f"{BACK}/"}, "invalid_grant"),
        ({"code": "guess"}, "invalid_grant"),
        ({"client_id": "other"}, "unauthorized_client"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
    ],
    ids=["verifier", "no verifier", "place", "code", "client", "password", "credentials"],
)
def test_a_code_is_worth_nothing_to_somebody_else(
    provider: Provider, changes: dict[str, str], error: str
) -> None:
    answer = provider.redeem(**{"code": provider.code(), **changes})
    assert (answer.status, answer.json()["error"]) == (400, error)


def test_a_code_is_used_up_whatever_comes_of_it(provider: Provider) -> None:
    code = provider.code()
    assert provider.redeem(code, code_verifier="w" * 43).status == 400
    assert provider.redeem(code).json()["error"] == "invalid_grant"


# A command line signs in


def ask_for_device(provider: Provider) -> dict[str, Any]:
    form = {"client_id": CLIENT, "scope": SCOPE}
    answer: dict[str, Any] = provider.ask("POST", f"{OAUTH}/devicecode", form).json()
    return answer


def poll(provider: Provider, device: Mapping[str, Any]) -> dict[str, Any]:
    form = {"grant_type": DEVICE, "client_id": CLIENT, "device_code": device["device_code"]}
    answer: dict[str, Any] = provider.ask("POST", f"{OAUTH}/token", form).json()
    return answer


def test_a_device_is_signed_in_on_a_page(provider: Provider) -> None:
    device = ask_for_device(provider)
    assert device["user_code"] in device["message"]
    assert device["verification_uri"] in device["message"]
    assert poll(provider, device)["error"] == "authorization_pending"
    shown = provider.ask("GET", f"/devicelogin?user_code={device['user_code']}")
    assert f'value="{device["user_code"]}"' in shown.text
    done = provider.ask(
        "POST", "/devicelogin", {"user_code": device["user_code"].lower(), "person": "max"}
    )
    assert "signed in on the device as Max" in done.text
    answer = poll(provider, device)
    assert provider.who(answer["access_token"]) == "Max"
    assert answer["refresh_token"]
    assert poll(provider, device)["error"] == "bad_verification_code"  # it is used up


def test_a_device_can_be_declined(provider: Provider) -> None:
    device = ask_for_device(provider)
    form = {"user_code": device["user_code"], "person": ""}
    assert "Declined" in provider.ask("POST", "/devicelogin", form).text
    again = provider.ask("POST", "/devicelogin", {**form, "person": "ann"})
    assert again.status == 400
    assert poll(provider, device)["error"] == "authorization_declined"


def test_an_unknown_code_signs_nobody_in(provider: Provider) -> None:
    form = {"user_code": "WRONGCODE", "person": "ann"}
    assert provider.ask("POST", "/devicelogin", form).status == 400
    assert provider.ask("POST", f"{OAUTH}/devicecode", {"client_id": "x"}).status == 400
    wrong_scope = {"client_id": CLIENT, "scope": "openid"}
    assert provider.ask("POST", f"{OAUTH}/devicecode", wrong_scope).json()["error_codes"] == [70011]


class Time:
    now = 0.0


@pytest.mark.parametrize("is_late", [False, True], ids=["in time", "late"])
def test_codes_do_not_live_for_ever(*, is_late: bool) -> None:
    grants = Grants(clock=lambda: Time.now)
    Time.now = 0.0
    grant = Grant(person=PEOPLE["ann"], scope=SCOPE)
    code = grants.open_code(grant, redirect_uri=BACK, challenge=CHALLENGE.decode())
    device_code, user_code = grants.open_device(SCOPE)
    form = {"code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
    device = {"device_code": device_code}
    redeems: list[tuple[Callable[[Mapping[str, str]], Grant], dict[str, str], float]] = [
        (grants.redeem_code, form, 600),
        (grants.redeem_device, device, 900),
    ]
    for redeem, asked, life in redeems:
        if not is_late and redeem == grants.redeem_device:
            assert grants.answer_device(user_code, PEOPLE["ann"])
        Time.now = life + 1 if is_late else life
        if is_late:
            with pytest.raises(GrantError, match="expired"):
                redeem(asked)
        else:
            assert redeem(asked).person == PEOPLE["ann"]
    assert not grants.answer_device(user_code, PEOPLE["ann"])


# Addresses, and who may ask


def test_what_it_says_of_itself_is_where_things_are(provider: Provider) -> None:
    said = provider.ask("GET", f"/{TENANT}/v2.0/.well-known/openid-configuration").json()
    assert said["issuer"] == provider.identities.describe()["authority"]
    assert said["jwks_uri"] == f"{provider.url}/{TENANT}/discovery/v2.0/keys"
    (key,) = provider.ask("GET", urlsplit(said["jwks_uri"]).path).json()["keys"]
    token = provider.ask("GET", "/token/ann").text
    assert jwt.get_unverified_header(token)["kid"] == key["kid"]
    assert not {"d", "p", "q"} & set(key)
    for name in ("authorization_endpoint", "token_endpoint", "device_authorization_endpoint"):
        assert said[name].startswith(f"{provider.url}{OAUTH}/")


@pytest.mark.parametrize("person", PEOPLE)
def test_a_command_line_gets_a_token_of_whoever_it_names(provider: Provider, person: str) -> None:
    token = provider.ask("GET", f"/token/{person}").text
    assert provider.who(token) == PEOPLE[person].name


def test_there_is_no_token_of_somebody_who_is_not_there(provider: Provider) -> None:
    answer = provider.ask("GET", "/token/mallory")
    assert (answer.status, answer.json()["error"]) == (404, "invalid_grant")


@pytest.mark.parametrize(
    ("origin", "path", "is_let"),
    [
        ("http://127.0.0.1:7071", f"{OAUTH}/token", True),
        ("http://localhost:7071", f"/{TENANT}/v2.0/.well-known/openid-configuration", True),
        ("https://eve.example", f"{OAUTH}/token", False),
        ("http://127.0.0.1.eve.example", f"{OAUTH}/token", False),
        ("null", f"{OAUTH}/token", False),
        ("http://127.0.0.1:7071", "/token/ann", False),
    ],
    ids=["the app", "by name", "elsewhere", "looks like it", "nowhere", "shortcut"],
)
def test_pages_of_this_machine_may_read_what_pages_need(
    provider: Provider, origin: str, path: str, *, is_let: bool
) -> None:
    for method in ("OPTIONS", "POST" if path.endswith("/token") else "GET"):
        headers = provider.ask(method, path, Origin=origin).headers
        assert headers.get("Access-Control-Allow-Origin") == (origin if is_let else None)


def test_a_foreign_name_for_this_machine_gets_nothing(provider: Provider) -> None:
    answer = provider.ask("GET", "/token/ann", Host=f"eve.example:{provider.port}")
    assert (answer.status, answer.text) == (421, "")


def test_what_is_shown_cannot_be_made_to_say_something_else(provider: Provider) -> None:
    asked = '"><script>alert(1)</script>'
    shown = provider.authorize(state=asked, nonce=asked)
    device = provider.ask("GET", f"/devicelogin?{urlencode({'user_code': asked})}")
    for page in (shown, device):
        assert not re.search("<script", page.text)
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]


def test_signing_out_leads_back_to_the_page(provider: Provider) -> None:
    way = urlencode({"post_logout_redirect_uri": BACK})
    assert provider.ask("GET", f"{OAUTH}/logout?{way}").headers["Location"] == BACK
    elsewhere = urlencode({"post_logout_redirect_uri": "https://eve.example/"})
    assert provider.ask("GET", f"{OAUTH}/logout?{elsewhere}").status == 200


def test_the_key_stays_when_it_starts_again(tmp_path: Path) -> None:
    first, again = (Issuer(tmp_path / "data", url="http://127.0.0.1:1") for _ in range(2))
    assert first.key_set() == again.key_set()
    assert (tmp_path / "data" / "key.pem").stat().st_mode & 0o077 == 0
    assert Issuer(tmp_path / "other", url="http://127.0.0.1:1").kid != first.kid
