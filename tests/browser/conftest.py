"""One Chromium for these tests, and a page that fails its test on any error of its own."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect

from tests.browser.chromium import open_browser
from tests.browser.server import Server, fresh_answers

PATIENCE = 20_000  # milliseconds until a condition counts as never coming
WIDE = (1280, 900)
expect.set_options(timeout=PATIENCE)


# Of the folder and not of the session: while it is open, its event loop counts as running, and
# other tests of the same process could begin none of their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    with open_browser() as found:
        yield found


@pytest.fixture(scope="package")
def one_server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="package")
def one_context(browser: Browser) -> Iterator[BrowserContext]:
    """One for all: a new one for each test takes as long as the test."""
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def server(one_server: Server) -> Server:
    one_server.answers = fresh_answers()
    return one_server


@pytest.fixture
def errors() -> list[str]:
    """What the page complains of; a test that means it to complain clears the list."""
    return []


@pytest.fixture
def page(one_context: BrowserContext, server: Server, errors: list[str]) -> Iterator[Page]:
    """A tab of its own, and so a sign-in of its own."""
    page = one_context.new_page()
    listen(page, server, errors)
    yield page
    page.close()
    assert errors == []


@pytest.fixture
def timed(browser: Browser, server: Server, errors: list[str]) -> Iterator[Page]:
    """A page whose clock the test moves; such a clock belongs to the context."""
    context = browser.new_context()
    page = context.new_page()
    page.clock.install()
    listen(page, server, errors)
    yield page
    context.close()
    assert errors == []


def listen(page: Page, server: Server, errors: list[str]) -> None:
    """Write down what the page complains of, and what it asks of strangers."""
    page.set_default_timeout(PATIENCE)
    page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
    origins = (server.url, server.authority, "data:", "about:")

    def hear(message: ConsoleMessage) -> None:
        # a refusal is written to the console by the browser itself
        if message.type == "error" and "Failed to load resource" not in message.text:
            errors.append(message.text)

    def see(asked: Request) -> None:
        if not asked.url.startswith(origins):
            errors.append(asked.url)

    page.on("console", hear)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", see)
