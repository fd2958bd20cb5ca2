"""Takes the pictures of docs/images from the demo: `python -m tests.browser.screenshots`.

The demo's policy with longer steps, so that there is time to look: it is the same story.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page

from local.demo.story import POLICIES, Demo, check_environment
from local.program import REPOSITORY
from local.stack import Stack
from tests.browser.chromium import open_browser

IMAGES = REPOSITORY / "docs" / "images"
_DATA = REPOSITORY / ".local" / "pictures"
_QUICK = "[{weight: 30, bake: 3s}, {weight: 70, bake: 3s}]"
_SLOW = "[{weight: 10, bake: 15s}, {weight: 50, bake: 40s}]"
_PATIENCE = 600.0  # seconds until the story counts as stuck
_WIDE, _PHONE = (1280, 720), (375, 740)


def main() -> None:
    """Play the demo, and take a picture of each moment."""
    check_environment()
    IMAGES.mkdir(exist_ok=True)
    with playing() as stack, open_browser() as browser:
        wide = open_page(browser, stack, _WIDE)
        dark = open_page(browser, stack, _WIDE, scheme="dark")
        phone = open_page(browser, stack, _PHONE, scale=2)
        until(stack, lambda: find(stack, "2", is_measured), "the canary at 50, measured")
        for name, page in (("wide", wide), ("phone", phone), ("dark", dark)):
            page.get_by_text("Bakes at weight 50").or_(
                page.get_by_text("error_rate 2")
            ).first.wait_for()
            page.screenshot(path=IMAGES / f"dashboard-{name}.png")
        bad = until(stack, lambda: find(stack, "3", is_over), "the bad version rolled back")
        wide.goto(f"{address(stack)}#/rollouts/{bad['rollout_id']}")
        wide.get_by_text("stopped here").wait_for()
        wide.screenshot(
            path=IMAGES / "dashboard-rollout.png", clip=_clip(1280, 1180), full_page=True
        )
        until(stack, lambda: find(stack, "4", is_over), "the end")
        wide.goto(f"{address(stack)}#/rollouts")
        wide.get_by_role("link", name="fraud-detector 4").wait_for()
        wide.set_viewport_size({"width": 1280, "height": 560})
        wide.screenshot(path=IMAGES / "dashboard-history.png")


@contextmanager
def playing() -> Iterator[Stack]:
    """Run the stack with the demo on it, in its own thread; end both."""
    shutil.rmtree(_DATA, ignore_errors=True)
    stack = Stack(policies=_slow_policies(), data=_DATA / "run", pace="demo")
    demo = Demo(stack, say=lambda line: print(line, flush=True))  # noqa: T201 - a terminal program
    training = demo.train()
    try:
        stack.start()
        if training.wait() != 0:
            raise SystemExit((stack.data / "train.log").read_text(errors="replace"))
        player = threading.Thread(target=demo.play, daemon=True)
        player.start()
        yield stack
        player.join(_PATIENCE)
    finally:
        training.kill()
        stack.stop()


def _slow_policies() -> Path:
    """Copy the demo's policies to where their paths lead to the same files."""
    folder = _DATA / "policies"
    shutil.copytree(POLICIES, folder)
    (path,) = [one for one in folder.glob("*.yaml") if _QUICK in one.read_text()]
    path.write_text(path.read_text().replace(_QUICK, _SLOW))
    return folder


def address(stack: Stack) -> str:
    """Return where the page is."""
    return f"{stack.host.ready['url']}/api/dashboard"


def open_page(
    browser: Browser,
    stack: Stack,
    size: tuple[int, int],
    *,
    scheme: Literal["light", "dark"] = "light",
    scale: int = 1,
) -> Page:
    """Open the first page, signed in."""
    page = browser.new_page(
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        device_scale_factor=scale,
    )
    page.set_default_timeout(60_000)
    page.goto(address(stack))
    sign_in(page, "Ann")
    return page


def sign_in(page: Page, person: str) -> None:
    """Sign in at the local identity provider, which asks who one wants to be."""
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=person).click()
    page.get_by_role("heading", name="Endpoints").wait_for()


def find(stack: Stack, version: str, is_it: Callable[[Any], bool]) -> Any:
    """Return the rollout of that version of the fraud detector, once it is like that."""
    for one in stack.ask_app("GET", "rollouts")["rollouts"]:
        if (one["model"], one["version"]) == ("fraud-detector", version) and is_it(one):
            return one
    return None


def is_measured(rollout: Any) -> bool:
    """Whether the candidate has 50, and both its gates have passed."""
    verdicts = [gate["verdict"] for gate in rollout["measured"].values()]
    has_half = rollout["weights"].get(rollout["candidate"]) == 50
    return has_half and len(verdicts) > 1 and {*verdicts} == {"pass"}


def is_over(rollout: Any) -> bool:
    """Whether nothing follows."""
    return rollout["ended"] is not None


def until[T](stack: Stack, look: Callable[[], T | None], what: str) -> T:
    """Return what the look finds, once it finds something."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        found = look()
        if found is not None:
            return found
        time.sleep(0.3)
    raise SystemExit(f"taking pictures: never seen: {what} ({stack.host.ready['url']})")


def _clip(width: int, height: int) -> Any:
    return {"x": 0, "y": 0, "width": width, "height": height}


if __name__ == "__main__":
    main()
