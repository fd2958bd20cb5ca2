"""What the pages show of what the API says."""

from playwright.sync_api import Page, expect

from tests.browser import answers, worlds
from tests.browser.server import Server


def test_an_endpoint_shows_live_weights_and_the_rollout_in_flight(
    server: Server, page: Page
) -> None:
    page.goto(server.page + worlds.busy(server))
    card = page.get_by_role("region", name="Endpoint fraud")
    expect(card.get_by_role("listitem").filter(has_text="stable")).to_contain_text("70 %")
    expect(card.get_by_role("listitem").filter(has_text="candidate")).to_contain_text("30 %")
    expect(card).to_contain_text("progressing")
    expect(card).to_contain_text("Bakes at weight 30 for another")
    expect(card.locator("[aria-current=step]")).to_contain_text("bake 3s")
    rate = card.get_by_role("row").filter(has_text="error_rate 2")
    expect(rate).to_contain_text("inconclusive")
    expect(rate).to_contain_text("0 % (0 of 33)")
    expect(rate).to_contain_text("at most 10 %")


def test_the_countdown_of_a_bake_goes_on_by_itself(server: Server, timed: Page) -> None:
    timed.goto(server.page + worlds.busy(server))
    left = timed.locator("[data-until]").first
    expect(left).to_contain_text("2 min")
    worlds.silent(server)
    before = left.inner_text()
    timed.clock.run_for(2_000)
    expect(left).not_to_have_text(before)


def test_what_waits_for_people_stands_first_and_says_for_whom_and_until_when(
    server: Server, page: Page
) -> None:
    page.goto(server.page + worlds.asking(server))
    expect(page.get_by_role("heading", level=2).first).to_have_text("fraud")
    asked = page.get_by_role("region", name="What is awaited")
    expect(asked).to_contain_text("approval to promote")
    expect(asked).to_contain_text("group:ml-leads, user:on-call")
    expect(asked).to_contain_text("1 of 2")
    expect(asked).to_contain_text("no answer by then is a no")


def test_a_rollout_shows_its_reason_charts_and_whole_timeline(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.over(server))
    expect(page.get_by_role("heading", level=1)).to_contain_text("fraud-detector 3 on fraud")
    expect(page.locator(".reason")).to_contain_text("43.48% (10 of 23")
    expect(page.get_by_text("stopped here")).to_be_visible()
    for title in ("Weights", "error_rate 2"):
        expect(page.get_by_role("img", name=title, exact=True)).to_be_visible()
    rate = page.locator("figure").filter(has=page.locator("figcaption", has_text="error_rate 2"))
    assert rate.locator("path.mark.fail title").text_content() is not None
    assert rate.locator(".mark").count() == 4  # one more measurement had no data to draw
    told = server.answers.rollouts[worlds.BAD]["timeline"]
    expect(page.locator(".timeline > li")).to_have_count(len(told))
    page.locator(".timeline summary").filter(has_text="above 10%").click()
    expect(page.locator(".timeline pre").filter(has_text='"hits": 10')).to_be_visible()


def test_a_long_timeline_shows_its_end_first(server: Server, page: Page) -> None:
    address = worlds.over(server)
    rollout = server.answers.rollouts[worlds.BAD]
    rollout["timeline"] = [
        {"at": rollout["started"], "text": f"line {number}", "figures": {}} for number in range(250)
    ]
    page.goto(server.page + address)
    expect(page.get_by_text("line 249", exact=True)).to_be_visible()
    expect(page.get_by_text("line 149", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Show 150 older lines").click()
    expect(page.get_by_text("line 0", exact=True)).to_be_visible()


def test_a_thousand_rollouts_come_a_page_at_a_time(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.long_history(server))
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    expect(rows.first).to_contain_text("fraud-detector 1000")
    page.get_by_role("link", name="Older").click()
    expect(rows.first).to_contain_text("fraud-detector 950")
    page.go_back()
    expect(rows.first).to_contain_text("fraud-detector 1000")


def test_the_filters_of_the_history_stand_in_the_address(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.long_history(server, 20))
    page.get_by_label("Phase").select_option("errored")
    page.get_by_label("Endpoint").fill("fraud")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(4)
    assert page.url.endswith("#/rollouts?phase=errored&endpoint=fraud")
    page.reload()
    expect(page.locator("tbody tr")).to_have_count(4)
    expect(page.get_by_label("Phase")).to_have_value("errored")
    page.goto(f"{server.page}#/rollouts?model=nothing-like-it")
    expect(page.get_by_role("heading", name="No rollout is like that")).to_be_visible()


def test_an_endpoint_has_its_quarantine_kept_deployments_and_answers(
    server: Server, page: Page
) -> None:
    page.goto(server.page + worlds.endpoint(server))
    expect(page.get_by_text("audit until Friday")).to_be_visible()
    expect(page.get_by_role("heading", name="In quarantine")).to_be_visible()
    expect(page.get_by_role("button", name="Retry churn 5")).to_be_visible()
    expect(page.get_by_role("button", name="Revert to churn-v3")).to_be_visible()
    page.goto(f"{server.page}#/endpoints/fraud")
    expect(page.get_by_text("nothing else runs on the endpoint").first).to_be_visible()


def test_the_policies_are_shown_with_what_is_wrong_with_others(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.policies(server))
    expect(page.get_by_text("120 is not a whole percent")).to_be_visible()
    suspended = page.get_by_role("listitem").filter(has_text="churn-prod")
    expect(suspended).to_contain_text("Suspended by you")
    expect(suspended).to_contain_text("we retrain")


def test_a_dry_run_says_what_every_policy_would_answer(server: Server, page: Page) -> None:
    server.answers.plan = {
        "answers": [
            {
                "policy": "fraud-prod",
                "endpoint": "fraud",
                "answer": "superseding",
                "reason": "fraud-detector 2 runs",
                "rollout_id": "r",
                "steps": ["weight 10", "bake 10m"],
            },
            {"policy": "churn-prod", "endpoint": "churn", "answer": "no match", "reason": "name"},
        ]
    }
    page.goto(server.page + worlds.policies(server))
    page.get_by_label("Model").fill("fraud-detector")
    page.get_by_label("Version").fill("8")
    page.get_by_label("Tags").fill("stage=production, auc=0.93")
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_text("superseding")).to_be_visible()
    expect(page.get_by_text("bake 10m")).to_be_visible()
    tags = {"stage": "production", "auc": "0.93"}
    assert server.answers.posts() == [
        ("plan", {"model": "fraud-detector", "version": "8", "tags": tags})
    ]
    page.get_by_label("Tags").fill("production")
    page.get_by_role("button", name="Dry run").click()
    expect(page.get_by_text("NAME=VALUE")).to_be_visible()
    assert len(server.answers.posts()) == 1


def test_what_comes_from_outside_is_text_and_never_markup(server: Server, page: Page) -> None:
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script><b>bold</b>"
    worlds.busy(server, answers.awaiting_approval(text=evil))
    server.answers.rollouts[worlds.CANARY]["policy"] = evil
    server.answers.endpoints[1]["held"]["reason"] = evil
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.goto(f"{server.page}#/")
    expect(page.get_by_text(evil).first).to_be_visible()
    assert page.locator("main img, main script").count() == 0


def test_nothing_of_what_is_open_or_focused_is_lost_when_news_come(
    server: Server, timed: Page
) -> None:
    timed.goto(server.page + worlds.in_flight(server))
    timed.locator(".timeline summary").first.click()
    timed.get_by_role("button", name="Abort").focus()
    rollout = server.answers.rollouts[worlds.CANARY]
    server.answers.rollouts[worlds.CANARY] = worlds.taken(rollout, "freeze", "the sweep")
    timed.clock.fast_forward(25_000)
    expect(timed.get_by_text("freeze by the sweep")).to_be_visible()
    expect(timed.locator(".timeline details").first).to_have_attribute("open", "")
    expect(timed.get_by_role("button", name="Abort")).to_be_focused()
