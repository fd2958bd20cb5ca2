"""The page on the real product: a person signs in, watches a canary, and aborts it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from local.stack import Stack
from tests.browser.chromium import open_browser
from tests.browser.screenshots import address, sign_in
from tests.e2e.scene import SLOW, Scene, write_policies

pytestmark = pytest.mark.e2e
PATIENCE = 60_000  # milliseconds


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("scene")
    policies = write_policies(folder / "policies", {"watched": (SLOW, "")})
    stack = Stack(policies=policies, data=folder / "data", pace="instant")
    try:
        stack.start()
        yield Scene(stack, folder)
    finally:
        stack.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page, errors = context.new_page(), list[str]()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert errors == []


def test_a_person_watches_a_canary_and_aborts_it_from_the_page(scene: Scene, page: Page) -> None:
    # Given a page on which nothing has happened yet
    page.goto(address(scene.stack))
    sign_in(page, "Ann")
    expect(page.get_by_role("heading", name="Nothing was rolled out yet")).to_be_visible()
    # When a first version goes live, and a second one begins its canary
    scene.register_and_end("watched")
    version = scene.register("watched")
    scene.reached("watched", version, "weights read back")
    # Then the page shows it without being loaded again
    card = page.get_by_role("region", name="Endpoint watched")
    expect(card.get_by_role("listitem").filter(has_text="candidate")).to_contain_text("10 %")
    # When it is aborted
    card.get_by_role("button", name="Abort").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("complaints came in")
    dialog.get_by_role("button", name="Abort").click()
    # Then it is rolled back, and the rollout's own page has the reason
    ended = scene.ended("watched", version)
    assert ended["phase"] == "failed"
    page.goto(f"{address(scene.stack)}#/rollouts/{ended['rollout_id']}")
    expect(page.locator(".reason")).to_contain_text("complaints came in")
    expect(page.get_by_text("stopped here")).to_be_visible()
    assert scene.weights("watched") == {ended["stable"]: 100}
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("row").filter(has_text=f"watched {version}")).to_contain_text("failed")


def test_who_may_only_read_is_offered_nothing(scene: Scene, page: Page) -> None:
    page.goto(f"{address(scene.stack)}#/policies")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Bob").click()
    stop = page.get_by_role("button", name="Stop everything")
    expect(stop).to_have_attribute("aria-disabled", "true")
    expect(page.get_by_text("needs the app role Rollouts.Operate").first).to_be_visible()
