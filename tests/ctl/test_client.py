"""The line to the app: where a token may go, and what becomes of every kind of answer."""

import stat
from pathlib import Path

import pytest

from rolloutctl.exit import Exit, UsageError
from rolloutctl.online.http import check_address
from tests.ctl.app import OPERATOR, READER, App
from tests.ctl.conftest import Run
from tests.ctl.story import ID, rollout


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://app.contoso.com/", "https://app.contoso.com"),
        ("https://app.contoso.com:8443/x", "https://app.contoso.com:8443/x"),
        ("http://127.0.0.1:7071", "http://127.0.0.1:7071"),
        ("http://[::1]:7071", "http://[::1]:7071"),
        ("http://localhost:7071/", "http://localhost:7071"),
    ],
)
def test_a_token_may_go_there(text: str, address: str) -> None:
    assert check_address(text, "app") == address


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("http://app.contoso.com", "over http anybody could read the token"),
        ("http://127.0.0.1.contoso.com", "over http"),
        ("http://localhost.contoso.com", "over http"),
        ("https://me:secret@app.contoso.com", "is no address"),
        ("https://app.contoso.com?code=KEY", "a query"),
        ("https://app.contoso.com#x", "a fragment"),
        ("https://app.contoso.com:port", "could not be cast"),
        ("app.contoso.com", "is no address"),
        ("ftp://app.contoso.com", "is no address"),
        ("", "is no address"),
    ],
)
def test_a_token_may_not_go_there(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check_address(text, "app")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (302, Exit.UNREACHABLE),
        (307, Exit.UNREACHABLE),
        (500, Exit.UNREACHABLE),
        (503, Exit.UNREACHABLE),
        (0, Exit.UNREACHABLE),
        (404, Exit.UNREACHABLE),  # without problem details: some other server
    ],
)
def test_what_is_no_answer_of_the_app_s(app: App, run: Run, status: int, code: Exit) -> None:
    app.faults = [status]
    done = run("list")
    assert (done.code, done.out) == (code, "")
    assert done.err.startswith("rolloutctl: asking http://127.0.0.1:")
    assert OPERATOR not in done.err
    assert len(app.asked) == 1  # nothing is asked twice, and no redirect is followed


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (404, 2), (415, 2), (401, 3), (403, 3), (409, 3), (429, 4), (503, 4)],
)
def test_the_exit_code_says_who_refused(app: App, run: Run, status: int, code: int) -> None:
    title = "abort of 'x': it is succeeded (possible now: nothing)"
    app.refusal = {"status": status, "title": title, "possible": []}
    done = run("abort", ID, "--reason", "why")
    assert done.code == code
    assert title in done.err
    assert done.err.count("\n") == 1


def test_a_refusal_in_json_has_all_that_the_app_said(app: App, run: Run) -> None:
    app.refusal = {"status": 409, "title": "no", "possible": ["retry"]}
    done = run("abort", ID, "--reason", "why", "--json")
    assert done.code == Exit.REFUSED
    assert '"possible": ["retry"]' in done.err


def test_nobody_is_told_how_to_sign_in(app: App, run_as_nobody: Run) -> None:
    done = run_as_nobody("list")
    assert done.code == Exit.REFUSED
    assert f"(rolloutctl login --app {app.url})" in done.err


def test_the_platform_s_own_401_is_understood(app: App, run: Run) -> None:
    app.faults = [401]
    done = run("list")
    assert done.code == Exit.REFUSED
    assert "nobody is signed in" in done.err


def test_a_right_that_is_missing_is_named(app: App, run_as_nobody: Run) -> None:
    app.rollouts = [rollout()]
    assert run_as_nobody("show", ID, "--token", READER).code == Exit.OK
    done = run_as_nobody("abort", ID, "--reason", "why", "--token", READER)
    assert done.code == Exit.REFUSED
    assert "(Rollouts.Operate)" in done.err


def test_the_token_may_come_from_stdin(app: App, run_as_nobody: Run) -> None:
    assert run_as_nobody("list", "--token", "-", stdin=f"{OPERATOR}\n").code == Exit.OK
    assert app.heard_tokens() == {f"Bearer {OPERATOR}"}


def test_a_password_of_the_netrc_file_goes_nowhere(app: App, run: Run, home: Path) -> None:
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    netrc.chmod(stat.S_IRUSR | stat.S_IWUSR)
    assert run("list").code == Exit.OK
    assert app.heard_tokens() == {f"Bearer {OPERATOR}"}


def test_the_address_may_be_that_of_the_api(app: App, run: Run) -> None:
    assert run("list", "--app", f"{app.url}/api/").code == Exit.OK


def test_a_name_stays_one_part_of_the_path(app: App, run: Run) -> None:
    assert run("show", "../policies?x=1#y").code == Exit.USAGE
    (_, path, _, _) = app.asked[0]
    assert path == "rollouts/../policies?x=1#y"


def test_without_an_app_it_is_said_how_to_name_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROLLOUTCTL_APP")
    done = run("list")
    assert done.code == Exit.USAGE
    assert "--app URL" in done.err


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(app: App, run: Run, status: int) -> None:
    app.faults = [status]
    done = run("list")
    assert done.code == Exit.UNREACHABLE
    assert f"it sends us on to '{app.url}/idp/elsewhere' (the app's own address)" in done.err
    assert [method for method, *_ in app.asked] == ["GET"]
