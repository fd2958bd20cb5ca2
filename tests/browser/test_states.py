"""The page when there is nothing, not yet, no answer, or nobody who may see it."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser import worlds
from tests.browser.server import TOKEN, Server


def test_while_nothing_was_answered_yet_a_skeleton_stands_there(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.silent(server))
    expect(page.locator(".bone").first).to_be_visible()
    expect(page.locator("main")).to_have_attribute("aria-busy", "true")


def test_where_nothing_was_rolled_out_the_page_says_how_to_begin(
    server: Server, page: Page
) -> None:
    page.goto(server.page + worlds.empty(server))
    expect(page.get_by_role("heading", name="Nothing was rolled out yet")).to_be_visible()
    expect(page.get_by_text("az ml model create")).to_be_visible()
    expect(page.locator("main")).not_to_have_attribute("aria-busy", "true")


def test_an_app_that_fails_from_the_start_is_said_and_asked_again(
    server: Server, timed: Page
) -> None:
    timed.goto(server.page + worlds.broken(server))
    expect(timed.get_by_text("something broke, id 7f3a")).to_be_visible()
    server.answers.refusals.clear()
    timed.clock.fast_forward(61_000)
    expect(timed.get_by_role("heading", name="Nothing was rolled out yet")).to_be_visible()


def test_what_is_old_is_shown_as_old_and_asked_more_and_more_seldom(
    server: Server, timed: Page
) -> None:
    timed.goto(server.page + worlds.busy(server))
    expect(timed.locator("#status")).to_have_text("up to date")
    worlds.broken(server)
    timed.clock.fast_forward(4_000)
    expect(timed.locator(".notice")).to_contain_text("What you see may be old")
    expect(timed.get_by_role("heading", name="fraud", exact=True)).to_be_visible()
    expect(timed.locator("#status")).to_contain_text("last heard")
    asked = len(server.answers.asked)
    timed.clock.run_for(5_000)  # the next look is at twice the pace, which was 3 seconds
    assert len(server.answers.asked) == asked
    server.answers.refusals.clear()
    timed.get_by_role("button", name="Ask now").click()
    expect(timed.locator(".notice")).to_have_count(0)
    expect(timed.locator("#status")).to_have_text("up to date")


def test_while_nothing_changes_it_asks_more_seldom(server: Server, timed: Page) -> None:
    timed.goto(server.page + worlds.in_flight(server))
    expect(timed.get_by_role("heading", level=1)).to_be_visible()
    counts = []
    for _ in range(8):
        timed.clock.run_for(15_000)
        timed.wait_for_load_state("networkidle")
        counts.append(server.answers.asked.count(("GET", f"rollouts/{worlds.CANARY}", {})))
    assert counts[-1] <= 14  # 40 without back-off, in two minutes
    assert counts[-1] > counts[3]  # and yet it goes on


def test_a_hidden_tab_asks_nothing_and_asks_at_once_when_it_is_seen_again(
    server: Server, timed: Page
) -> None:
    timed.goto(server.page + worlds.busy(server))
    expect(timed.get_by_role("heading", name="fraud", exact=True)).to_be_visible()
    _set_hidden(timed, is_hidden=True)
    asked = len(server.answers.asked)
    timed.clock.run_for(120_000)
    assert len(server.answers.asked) == asked
    worlds.asking(server)
    _set_hidden(timed, is_hidden=False)
    expect(timed.get_by_role("region", name="What is awaited")).to_be_visible()


def _set_hidden(page: Page, *, is_hidden: bool) -> None:
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden',"
        " { configurable: true, get: () => hidden });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        is_hidden,
    )


def test_a_change_of_phase_is_said_aloud(server: Server, timed: Page) -> None:
    timed.goto(server.page + worlds.busy(server))
    expect(timed.get_by_role("heading", name="fraud", exact=True)).to_be_visible()
    worlds.asking(server)
    timed.clock.fast_forward(25_000)
    said = timed.locator("#said")
    expect(said).to_have_text("fraud-detector 2 on fraud: waiting.")
    expect(said).to_have_attribute("aria-live", "polite")


def test_when_everything_is_stopped_every_page_says_so(server: Server, page: Page) -> None:
    worlds.stopped(server)
    for address in ("#/", "#/rollouts", "#/policies"):
        page.goto(server.page + address)
        expect(page.locator(".notice.bad")).to_contain_text("prices are wrong everywhere")


def test_a_rollout_that_is_not_there_is_said(server: Server, page: Page) -> None:
    worlds.busy(server)
    page.goto(f"{server.page}#/rollouts/nothing")
    expect(page.get_by_role("heading", name="It is not there")).to_be_visible()


def test_who_may_not_read_is_told_which_role_to_ask_for(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.without_rights(server))
    expect(page.get_by_text("signed in as Bob Nobody")).to_be_visible()
    expect(page.get_by_text("Rollouts.Read")).to_be_visible()
    assert [path for _, path, _ in server.answers.asked] == ["sign-in", "me"]


def test_a_right_that_was_taken_away_meanwhile_is_said(server: Server, timed: Page) -> None:
    timed.goto(server.page + worlds.busy(server))
    expect(timed.get_by_role("heading", name="fraud", exact=True)).to_be_visible()
    server.answers.refusals["GET rollouts"] = (403, {"title": "it needs the right read"})
    timed.clock.fast_forward(25_000)
    expect(timed.get_by_role("heading", name="You have no right to see rollouts")).to_be_visible()
    expect(timed.get_by_role("heading", name="fraud", exact=True)).to_have_count(0)


# Signing in


def test_signing_in_comes_back_to_the_same_page_with_a_token_that_only_this_tab_has(
    server: Server, page: Page
) -> None:
    worlds.in_flight(server)
    server.ask_for_tokens()
    page.goto(f"{server.page}#/rollouts/{worlds.CANARY}")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("fraud-detector 2")
    assert page.url == f"{server.page}#/rollouts/{worlds.CANARY}"
    expect(page.get_by_text("Ann Operator")).to_be_visible()
    assert page.evaluate("localStorage.length") == 0
    assert page.evaluate("document.cookie") == ""
    assert TOKEN in page.evaluate("JSON.stringify(sessionStorage)")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_contain_text("fraud-detector 2")


def test_signing_out_forgets_the_token(server: Server, page: Page) -> None:
    worlds.signed_out(server)
    page.goto(server.page)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    page.reload()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_sign_in_that_is_over_is_asked_for_again(server: Server, timed: Page) -> None:
    worlds.busy(server)
    server.ask_for_tokens()
    timed.goto(server.page)
    timed.get_by_role("button", name="Sign in").click()
    expect(timed.get_by_role("heading", name="fraud", exact=True)).to_be_visible()
    timed.clock.fast_forward(3_700_000)
    expect(timed.get_by_text("Your sign-in is over")).to_be_visible()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param("code=stolen&state=mine", "not to a sign-in that was begun", id="forged"),
        pytest.param("error=access_denied&state=mine", "not to a sign-in", id="forged-error"),
    ],
)
def test_an_answer_to_no_sign_in_of_ours_is_refused(
    server: Server, page: Page, answer: str, says: str
) -> None:
    worlds.signed_out(server)
    page.goto(f"{server.page}#{answer}")
    expect(page.get_by_text(says)).to_be_visible()
    assert "stolen" not in page.url
    assert [path for _, path, _ in server.answers.asked] == ["sign-in"]


def test_where_the_platform_signs_in_the_page_has_nothing_to_do(server: Server, page: Page) -> None:
    worlds.busy(server)
    page.goto(server.page)
    expect(page.get_by_role("heading", name="fraud", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    server.answers.refusals["GET me"] = (401, {"title": "nobody is signed in"})
    page.reload()
    expect(page.get_by_role("button", name="Load again")).to_be_visible()


def test_an_app_that_knows_nobody_says_what_to_set(server: Server, page: Page) -> None:
    worlds.signed_out(server)
    server.answers.sign_in = {"kind": "none"}
    page.goto(server.page)
    expect(page.get_by_role("heading", name="Nobody can sign in yet")).to_be_visible()
    expect(page.get_by_text("ROLLOUT_TENANT")).to_be_visible()
