"""Everybody can use it: axe finds nothing, in light, dark and on a phone; the keyboard suffices."""

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import worlds
from tests.browser.chromium import require
from tests.browser.server import Server

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PHONE = {"width": 360, "height": 780}
_RUN = "(how) => axe.run(document, how).then((found) => found.violations"
_RUN += ".map(({ id, nodes }) => [id, ...nodes.map((one) => one.html + one.failureSummary)]))"
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
LAYOUT = {"rules": {"color-contrast": {"enabled": False}}}  # a phone has the same colours


def history(server: Server) -> str:
    return worlds.long_history(server, 12)


WORLDS = [
    worlds.busy,
    worlds.asking,
    worlds.stopped,
    worlds.in_flight,
    worlds.over,
    worlds.endpoint,
    worlds.policies,
    history,
    worlds.empty,
    worlds.silent,
    worlds.broken,
    worlds.without_rights,
    worlds.signed_out,
]


def find_violations(page: Page, how: object = None) -> list[list[str]]:
    found: list[list[str]] = page.evaluate(_RUN, how or {})
    return found


def open_with_axe(page: Page, address: str) -> None:
    require(AXE, "make node_modules/ready")
    page.goto(address)
    expect(page.locator("h1, .panel, .bone").first).to_be_visible()
    page.evaluate(AXE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: str(world.__name__))
def test_axe_finds_nothing_in_light_dark_and_on_a_phone(
    server: Server, page: Page, world: Callable[[Server], str]
) -> None:
    open_with_axe(page, server.page + world(server))
    assert find_violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert find_violations(page, CONTRAST) == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a dictionary of that shape
    assert find_violations(page, LAYOUT) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_a_dialog(server: Server, page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    open_with_axe(page, server.page + worlds.asking(server))
    page.get_by_role("button", name="Approve").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.locator("[type=submit]").click()  # also what is missing is shown
    assert find_violations(page) == []
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]  # a dictionary of that shape
    assert find_violations(page, LAYOUT) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"


def test_axe_would_find_something(server: Server, page: Page) -> None:
    open_with_axe(page, server.page + worlds.busy(server))
    page.evaluate("document.querySelector('.button').replaceChildren()")
    assert [one[0] for one in find_violations(page)] == ["button-name"]


def test_the_keyboard_alone_asks_for_an_operation(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.asking(server))
    expect(page.get_by_role("button", name="Reject")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    assert page.url.endswith("#/")
    reject = page.get_by_role("button", name="Reject")
    for _ in range(20):
        page.keyboard.press("Tab")
        if reject.evaluate("(it) => it === document.activeElement"):
            break
    assert reject.evaluate("(it) => it.matches(':focus-visible')")
    assert reject.evaluate("(it) => getComputedStyle(it).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("textbox")).to_be_focused()
    page.keyboard.type("bad answers")
    page.keyboard.press("Tab")
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(dialog).not_to_be_visible()
    expect(page.locator("[data-opener^=reject]")).to_be_focused()
    assert server.answers.posts()[0][0].endswith("/reject")


def test_another_page_gets_the_focus_and_the_title(server: Server, page: Page) -> None:
    page.goto(server.page + worlds.busy(server))
    page.get_by_role("link", name="History").click()
    expect(page.get_by_role("heading", name="History")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    expect(page).to_have_title("History · Rollouts")


def test_with_reduced_motion_nothing_moves(server: Server, page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(server.page + worlds.silent(server))
    bone = page.locator(".bone").first
    expect(bone).to_be_visible()
    assert bone.evaluate("(it) => getComputedStyle(it).animationName") == "none"
