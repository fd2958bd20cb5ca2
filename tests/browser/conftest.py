"""One Chromium for these tests, and a page that fails its test on any error of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.browser.server import Server, fresh_answers

CHROMIUM = Path("/usr/bin/chromium")
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 20_000  # milliseconds until a condition counts as never coming
WIDE = (1280, 900)


def require(tool: Path, command: str) -> None:
    """Skip where the tool is missing, with what installs it; in CI that is a failure."""
    if tool.exists():
        return
    said = f"{tool.name} is missing: {command}"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


# Of the folder and not of the session: while it is open, its event loop counts as running, and
# other tests of the same process could begin none of their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    require(CHROMIUM, "sudo apt-get install --yes chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*_FLAGS])
        yield found
        found.close()


@pytest.fixture(scope="package")
def one_server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(one_server: Server) -> Server:
    one_server.answers = fresh_answers()
    return one_server


@pytest.fixture
def errors() -> list[str]:
    """What the page complains of; a test that means it to complain clears the list."""
    return []


@pytest.fixture
def page(browser: Browser, server: Server, errors: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": WIDE[0], "height": WIDE[1]})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    origins = (server.url, server.authority, "data:")

    def hear(message: ConsoleMessage) -> None:
        # a refusal is written to the console by the browser itself
        if message.type == "error" and "Failed to load resource" not in message.text:
            errors.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(origins) else errors.append(asked.url),
    )
    yield page
    context.close()
    assert errors == []
