"""Signing in: with a code, from the cache, once more without one, and by way of az."""

import json
import os
import stat
from pathlib import Path

import pytest

from rolloutctl.exit import Exit
from tests.ctl.app import OPERATOR, App
from tests.ctl.az import put_az
from tests.ctl.conftest import Run

SCOPE = "api://app/.default"


@pytest.fixture
def tokens(app: App) -> App:
    app.sign_in = {
        "kind": "token",
        "authority": f"{app.url}/idp",
        "client_id": "client-1",
        "scope": SCOPE,
    }
    return app


def cache(home: Path) -> Path:
    return home / "cache" / "rolloutctl" / "tokens.json"


def test_a_code_is_shown_and_the_token_is_kept(tokens: App, run_as_nobody: Run, home: Path) -> None:
    tokens.pending = 2
    done = run_as_nobody("login")
    assert done.code == Exit.OK, done.err
    assert f"the app names {tokens.url}/idp for signing in" in done.err
    assert "open https://login.example/device and enter the code ABCD-EFGH" in done.err
    assert done.out == "signed in as Ada; rights: read, operate\n"
    assert stat.S_IMODE(cache(home).stat().st_mode) == 0o600
    assert stat.S_IMODE(cache(home).parent.stat().st_mode) == 0o700
    asked = [form for kind, _, form, _ in tokens.asked if kind == "IDP"]
    assert asked[0] == {"client_id": "client-1", "scope": f"{SCOPE} offline_access"}
    assert len(asked) == 4
    assert OPERATOR not in done.out + done.err
    assert run_as_nobody("list").code == Exit.OK


def test_logging_out_forgets_it(tokens: App, run_as_nobody: Run) -> None:
    assert run_as_nobody("login").code == Exit.OK
    assert run_as_nobody("logout").out == f"forgot the sign-in to {tokens.url}\n"
    assert run_as_nobody("list").code == Exit.REFUSED
    assert run_as_nobody("logout", "--json").json == {"app": tokens.url, "forgotten": False}


def test_a_token_that_is_over_is_renewed_and_the_new_one_kept(
    tokens: App, run_as_nobody: Run
) -> None:
    tokens.lifetime = 0
    assert run_as_nobody("login").code == Exit.OK
    assert run_as_nobody("list").code == Exit.OK
    assert run_as_nobody("list").code == Exit.OK  # with the second refresh token, not the first
    assert tokens.refreshed == 2


def test_when_it_cannot_be_renewed_a_person_must_sign_in(tokens: App, run_as_nobody: Run) -> None:
    tokens.lifetime = 0
    assert run_as_nobody("login").code == Exit.OK
    tokens.refreshed = 7
    done = run_as_nobody("list")
    assert done.code == Exit.REFUSED
    assert "rolloutctl login" in done.err


def test_a_refused_sign_in_says_why(tokens: App, run_as_nobody: Run, home: Path) -> None:
    tokens.sign_in_error = "access_denied"
    done = run_as_nobody("login")
    assert done.code == Exit.REFUSED
    assert done.err.endswith("rolloutctl: signing in: you said no [31m\n")
    assert not cache(home).exists()


def test_tokens_that_others_may_read_are_not_used(
    tokens: App, run_as_nobody: Run, home: Path
) -> None:
    assert run_as_nobody("login").code == Exit.OK
    cache(home).chmod(0o644)
    before = len(tokens.asked)
    done = run_as_nobody("list")
    assert done.code == Exit.USAGE
    assert f"(chmod 600 {cache(home)})" in done.err
    assert len(tokens.asked) == before


def test_the_token_of_one_app_does_not_go_to_another(
    tokens: App, run_as_nobody: Run, home: Path
) -> None:
    assert run_as_nobody("login").code == Exit.OK
    known = json.loads(cache(home).read_text())
    cache(home).write_text(json.dumps({"https://elsewhere": known[tokens.url]}))
    assert run_as_nobody("list").code == Exit.REFUSED
    assert tokens.asked[-1][3] == ""


@pytest.mark.parametrize("text", ["[]", "{}", '{"x": 1}'])
def test_a_cache_of_another_kind_is_as_good_as_none(
    tokens: App, run_as_nobody: Run, home: Path, text: str
) -> None:
    del tokens
    cache(home).parent.mkdir(parents=True)
    cache(home).write_text(text)
    cache(home).chmod(0o600)
    assert run_as_nobody("list").code == Exit.REFUSED


def test_a_broken_cache_is_said(tokens: App, run_as_nobody: Run, home: Path) -> None:
    del tokens
    cache(home).parent.mkdir(parents=True)
    cache(home).write_text("{")
    cache(home).chmod(0o600)
    done = run_as_nobody("list")
    assert done.code == Exit.USAGE
    assert "(delete it, and log in again)" in done.err


@pytest.mark.parametrize(
    "authority", ["http://login.contoso.com/t/v2.0", "https://me:x@login.contoso.com", "nowhere"]
)
def test_no_code_is_asked_of_an_authority_that_anybody_could_be(
    tokens: App, run_as_nobody: Run, authority: str
) -> None:
    tokens.sign_in["authority"] = authority
    done = run_as_nobody("login")
    assert done.code == Exit.USAGE
    assert "the authority's address" in done.err


def test_where_the_platform_signs_people_in_it_is_said_how(run_as_nobody: Run) -> None:
    done = run_as_nobody("login")
    assert done.code == Exit.USAGE
    assert "ROLLOUTCTL_RESOURCE=api://CLIENT_ID" in done.err


# By way of az


def test_the_token_of_az_is_taken_when_there_is_no_other(
    tokens: App, run_as_nobody: Run, home: Path
) -> None:
    az = put_az(home, {"account get-access-token": {"accessToken": OPERATOR, "expires_on": 9e9}})
    assert run_as_nobody("list").code == Exit.OK
    assert az.asked() == [f"account get-access-token --scope {SCOPE} --output json"]
    assert tokens.heard_tokens() >= {f"Bearer {OPERATOR}"}


def test_where_only_the_platform_knows_the_app_it_is_named(
    app: App, run_as_nobody: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    az = put_az(home, {"account get-access-token": {"accessToken": OPERATOR, "expires_on": 9e9}})
    assert run_as_nobody("list").code == Exit.REFUSED
    assert az.asked() == []
    monkeypatch.setenv("ROLLOUTCTL_RESOURCE", "api://app")
    assert run_as_nobody("list").code == Exit.OK
    assert az.asked() == ["account get-access-token --resource api://app --output json"]
    del app


def test_an_az_that_nobody_is_signed_in_to_is_no_help(
    tokens: App, run_as_nobody: Run, home: Path
) -> None:
    del tokens
    put_az(home, {})
    done = run_as_nobody("list")
    assert done.code == Exit.REFUSED
    assert "rolloutctl login" in done.err


def test_a_token_that_was_told_is_the_only_one(tokens: App, run_as_nobody: Run, home: Path) -> None:
    az = put_az(home, {})
    assert run_as_nobody("list", "--token", "not-one").code == Exit.REFUSED
    assert az.asked() == []
    assert tokens.heard_tokens() == {"Bearer not-one"}
    assert os.environ.get("ROLLOUTCTL_TOKEN") is None
