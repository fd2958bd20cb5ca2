"""What people ask from the page: a dialog with the figures, a reason, and what comes of it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from deploy_logic.rollout import OF_PEOPLE, Phase
from tests.browser import answers, worlds
from tests.browser.server import Server

type World = Callable[[Server], str]


def paused(server: Server) -> str:
    return worlds.busy(server, answers.a_rollout(paused_by="somebody"))


def free(server: Server) -> str:
    worlds.busy(server)
    return "#/endpoints/pricing"


ROLLOUT = f"rollouts/{worlds.CANARY}"
# the situation, the button, where it is posted, what the body has beside the reason
ASKS = [
    pytest.param(worlds.asking, "Approve", f"{ROLLOUT}/approve", ("figures",), id="approve"),
    pytest.param(worlds.asking, "Reject", f"{ROLLOUT}/reject", ("figures",), id="reject"),
    pytest.param(worlds.drifted, "Adopt weights", f"{ROLLOUT}/adopt", ("figures",), id="adopt"),
    pytest.param(
        worlds.drifted, "Restore weights", f"{ROLLOUT}/restore", ("figures",), id="restore"
    ),
    pytest.param(worlds.busy, "Pause", f"{ROLLOUT}/pause", (), id="pause"),
    pytest.param(paused, "Resume", f"{ROLLOUT}/resume", (), id="resume"),
    pytest.param(worlds.busy, "Promote now", f"{ROLLOUT}/promote_now", (), id="promote_now"),
    pytest.param(worlds.in_flight, "Abort", f"{ROLLOUT}/abort", (), id="abort"),
    pytest.param(worlds.over, "Retry", "endpoints/fraud/retry", ("model", "version"), id="retry"),
    pytest.param(
        worlds.endpoint,
        "Revert to churn-v3",
        "endpoints/churn/revert",
        ("deployment",),
        id="revert",
    ),
    pytest.param(free, "Hold", "endpoints/pricing/hold", (), id="hold"),
    pytest.param(worlds.endpoint, "Release", "endpoints/churn/release", (), id="release"),
    pytest.param(
        worlds.endpoint,
        "Release churn 5",
        "endpoints/churn/release",
        ("model", "version"),
        id="release-a-version",
    ),
    pytest.param(
        worlds.policies, "Suspend fraud-prod", "policies/fraud-prod/suspend", (), id="suspend"
    ),
    pytest.param(
        worlds.policies, "Resume churn-prod", "policies/churn-prod/resume", (), id="resume-a-policy"
    ),
    pytest.param(worlds.policies, "Stop everything", "stop", (), id="stop"),
    pytest.param(worlds.stopped, "Go on", "go-on", (), id="go-on"),
]


def open_dialog(page: Page, name: str) -> Locator:
    page.get_by_role("button", name=name, exact=True).first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    return dialog


def test_every_operation_of_people_has_a_test_here() -> None:
    here = {str(one.id) for one in ASKS}
    assert {one.value for one in OF_PEOPLE} <= here


@pytest.mark.parametrize(("world", "name", "path", "more"), ASKS)
def test_what_is_asked_says_what_follows_and_is_posted_with_its_reason(
    server: Server, page: Page, world: World, name: str, path: str, more: tuple[str, ...]
) -> None:
    page.goto(server.page + world(server))
    dialog = open_dialog(page, name)
    expect(dialog.get_by_role("textbox")).to_be_focused()
    dialog.get_by_role("textbox").fill("  because  ")
    dialog.locator("[type=submit]").click()
    expect(dialog).not_to_be_visible()
    (posted,) = server.answers.posts()
    assert posted[0] == path
    assert posted[1]["reason"] == "because"
    assert {*posted[1]} == {"reason", *more}
    if "figures" in more:
        assert posted[1]["figures"] == server.answers.rollouts[worlds.CANARY]["awaits"]["figures"]


def test_an_answer_shows_the_figures_that_it_rests_on(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.asking(server))
    dialog = open_dialog(page, "Approve")
    expect(dialog).to_contain_text("fraud-detector-v2 30 % (candidate)")
    expect(dialog.get_by_role("row").filter(has_text="latency_p95 3")).to_contain_text("7.603 ms")
    digest = server.answers.rollouts[worlds.CANARY]["awaits"]["figures"]
    expect(dialog).to_contain_text(digest)


def test_nothing_is_asked_without_a_reason(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.busy(server))
    dialog = open_dialog(page, "Abort")
    dialog.get_by_role("textbox").fill("   ")
    dialog.locator("[type=submit]").click()
    expect(dialog.get_by_text("nothing is asked without a reason")).to_be_visible()
    expect(dialog.get_by_role("textbox")).to_be_focused()
    expect(dialog.get_by_role("textbox")).to_have_attribute("aria-invalid", "true")
    assert server.answers.posts() == []


def test_figures_that_have_changed_are_shown_anew_and_the_reason_is_kept(
    server: Server, page: Page
) -> None:
    page.goto(server.page + worlds.asking(server))
    dialog = open_dialog(page, "Approve")
    path = f"{ROLLOUT}/approve"
    changed = {"title": "it rests on other figures (look again)", "figures": "0123456789ab"}
    server.answers.refusals[f"POST {path}"] = (409, changed)
    server.answers.rollouts[worlds.CANARY]["awaits"]["figures"] = "0123456789ab"
    dialog.get_by_role("textbox").fill("looks good")
    dialog.locator("[type=submit]").click()
    expect(dialog.get_by_role("alert")).to_contain_text("figures have changed since you looked")
    expect(dialog).to_contain_text("0123456789ab")
    expect(dialog.get_by_role("textbox")).to_have_value("looks good")
    server.answers.refusals.clear()
    dialog.locator("[type=submit]").click()
    expect(dialog).not_to_be_visible()
    assert server.answers.posts()[-1] == (path, {"reason": "looks good", "figures": "0123456789ab"})


def test_a_refusal_is_said_in_the_dialog_with_what_is_possible(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.asking(server))
    dialog = open_dialog(page, "Approve")
    refusal = {"title": "only group:ml-leads may answer", "approvers": ["group:ml-leads"]}
    server.answers.refusals[f"POST {ROLLOUT}/approve"] = (403, refusal)
    dialog.get_by_role("textbox").fill("please")
    dialog.locator("[type=submit]").click()
    expect(dialog.get_by_role("alert")).to_contain_text("only group:ml-leads may answer")
    server.answers.refusals[f"POST {ROLLOUT}/approve"] = (
        409,
        {"title": "it is promoting", "possible": ["abort"]},
    )
    dialog.locator("[type=submit]").click()
    expect(dialog.get_by_role("alert")).to_contain_text("Possible now: abort")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Approve")).to_be_focused()


def test_what_was_asked_counts_as_asked_until_the_timeline_tells(
    server: Server, timed: Page
) -> None:
    timed.goto(server.page + worlds.in_flight(server))
    dialog = open_dialog(timed, "Pause")
    dialog.get_by_role("textbox").fill("because")
    dialog.locator("[type=submit]").click()
    expect(timed.locator(".asked")).to_contain_text("Asked ")
    expect(timed.get_by_role("button", name="Pause")).to_have_attribute("aria-disabled", "true")
    expect(timed.get_by_role("status").last).to_contain_text("Pause was asked")
    rollout = server.answers.rollouts[worlds.CANARY]
    server.answers.rollouts[worlds.CANARY] = worlds.taken(rollout, "pause", answers.ME)
    timed.clock.fast_forward(25_000)
    expect(timed.locator(".asked")).to_have_count(0)
    expect(timed.get_by_role("button", name="Pause")).not_to_have_attribute("aria-disabled", "true")


def test_what_the_ledger_refuses_after_all_is_said(server: Server, timed: Page) -> None:
    timed.goto(server.page + worlds.endpoint(server))
    dialog = open_dialog(timed, "Retry churn 5")
    dialog.get_by_role("textbox").fill("because")
    dialog.locator("[type=submit]").click()
    expect(timed.locator(".asked").first).to_contain_text("Asked ")
    line = {
        "at": answers.encode_time(answers.now()),
        "model": "churn",
        "version": "5",
        "policy": "",
        "event_id": "",
        "answer": "refused",
        "reason": "retry: everything is stopped",
        "by": answers.ME,
    }
    server.answers.endpoints[1]["answers"].append(line)
    timed.clock.fast_forward(25_000)
    expect(timed.locator(".notice")).to_contain_text("Retry: refused. retry: everything is stopped")


def test_what_is_not_possible_is_disabled_and_says_why(server: Server, page: Page) -> None:
    worlds.busy(server, answers.a_rollout(phase=Phase.PREPARING))
    page.goto(server.page)
    button = page.get_by_role("button", name="Promote now")
    expect(button).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("Promote now: possible from the first live traffic")).to_be_visible()
    button.click(force=True)  # what says that it is disabled is not clicked otherwise
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_role("status").last).to_contain_text("Not now: possible from the first")


@pytest.mark.parametrize(
    ("rights", "open_ones"),
    [
        pytest.param(["read"], [], id="read"),
        pytest.param(["read", "operate"], ["Pause", "Abort"], id="operate"),
    ],
)
def test_who_has_no_right_sees_the_buttons_and_which_right_they_need(
    server: Server, page: Page, rights: list[str], open_ones: list[str]
) -> None:
    worlds.busy(server)
    server.answers.me["rights"] = rights
    page.goto(server.page)
    expect(page.get_by_text("needs the app role Rollouts.PromoteNow")).to_be_visible()
    for name in ("Pause", "Abort", "Promote now"):
        is_closed = page.get_by_role("button", name=name).get_attribute("aria-disabled") == "true"
        assert is_closed is (name not in open_ones), name


def test_going_back_without_a_deployment_named_offers_those_that_are_kept(
    server: Server, page: Page
) -> None:
    page.goto(server.page + worlds.endpoint(server))
    dialog = open_dialog(page, "Revert to churn-v3")
    expect(dialog).to_contain_text("goes into quarantine")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Revert to churn-v3")).to_be_focused()
    assert server.answers.posts() == []
