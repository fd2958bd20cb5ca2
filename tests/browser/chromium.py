"""Debian's Chromium, driven by playwright; nothing is downloaded."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def require(tool: Path, command: str) -> None:
    """Skip where the tool is missing, with what installs it; in CI that is a failure."""
    if tool.exists():
        return
    said = f"{tool.name} is missing: {command}"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


@contextlib.contextmanager
def open_browser() -> Iterator[Browser]:
    """Give a browser; while it is open, this thread can begin no event loop of its own."""
    require(CHROMIUM, "sudo apt-get install --yes chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=[*_FLAGS])
        try:
            yield browser
        finally:
            browser.close()
