"""Where a watch is shown: a picture that moves, plain lines, or lines of JSON."""

import json
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from rolloutctl.online.follow import News
from rolloutctl.online.frame import Look, draw, style_of
from rolloutctl.words import Json, clean, find_signs, print_time

_A_SECOND = 2  # times that the picture is drawn: a countdown moves once


class Screen(Protocol):
    """What a watch tells."""

    def show(self, news: News) -> None:
        """Show a rollout and what is new in it."""

    def note(self, text: str) -> None:
        """Tell something about the watching itself."""

    def close(self) -> None:
        """Leave everything as it stands."""


class JsonScreen:
    """One JSON object a line."""

    def __init__(self) -> None:
        """Begin with nothing shown."""
        self._last: Json | None = None

    def show(self, news: News) -> None:
        """Print new lines, and the rollout when something else of it has changed."""
        for line in news.lines:
            self._print({"kind": "line", **line})
        rest = {key: value for key, value in news.shown.items() if not key.startswith("timeline")}
        if rest != self._last:
            self._last = rest
            self._print({"kind": "rollout", "rollout": rest})

    def note(self, text: str) -> None:
        """Print the note."""
        self._print({"kind": "note", "text": text})

    def close(self) -> None:
        """Do nothing: everything is printed."""

    def _print(self, value: Json) -> None:
        print(json.dumps(value), flush=True)


class PlainScreen:
    """One line of text for everything that happens."""

    def __init__(self) -> None:
        """Begin with nothing shown."""
        self._is_begun = False

    def show(self, news: News) -> None:
        """Print new lines; at first, what it is about, and at the end, how it ended."""
        shown = news.shown
        if not self._is_begun:
            self._is_begun = True
            about = f"{shown['model']} {shown['version']} to endpoint {shown['endpoint']}"
            self._print(f"{shown['rollout_id']}: {about}, by policy {shown['policy']}")
        for text in _texts(news):
            self._print(text)
        if shown.get("ended"):
            self._print(f"{shown['phase']}: {shown['reason']}")

    def note(self, text: str) -> None:
        """Print the note."""
        self._print(f"-- {text}")

    def close(self) -> None:
        """Do nothing: everything is printed."""

    def _print(self, text: str) -> None:
        print(clean(text), flush=True)


class LiveScreen:
    """A picture at the bottom of the terminal, and above it a line for everything that happens."""

    def __init__(self, console: Console, now: Callable[[], datetime]) -> None:
        """Take the terminal, and the app's clock: the bake counts down between two looks."""
        self._console = console
        self._now = now
        self._signs = find_signs(console.encoding)
        self._shown: Json | None = None
        self._live = Live(
            console=console,
            get_renderable=self._draw,
            refresh_per_second=_A_SECOND,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, news: News) -> None:
        """Draw the rollout, and print new lines above it."""
        for text in _texts(news):
            self._console.print(Text(clean(text)))
        self._shown = news.shown
        self._live.refresh()
        if news.shown.get("ended"):
            self.close()
            phase = clean(news.shown["phase"])
            self._console.print(Text(phase, style_of(phase)))

    def note(self, text: str) -> None:
        """Print the note above the picture."""
        self._console.print(Text(f"-- {clean(text)}", "yellow"))

    def close(self) -> None:
        """Leave the last picture where it is."""
        self._live.stop()

    def _draw(self) -> Group:
        if self._shown is None:
            return Group()
        drawn = draw(self._shown, Look(now=self._now(), signs=self._signs))
        return Group(Text(), drawn)  # apart from the lines above it


def open_screen(*, wants_json: bool, now: Callable[[], datetime]) -> Screen:
    """Return what this output can show."""
    if wants_json:
        return JsonScreen()
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
    if not console.is_terminal or console.is_dumb_terminal:
        return PlainScreen()
    return LiveScreen(console, now)


def _texts(news: News) -> list[str]:
    first = [f"-- {news.missed} lines went by unseen"] if news.missed else []
    return [*first, *(f"{print_time(one['at'])}  {_one_line(one['text'])}" for one in news.lines)]


def _one_line(text: Any) -> str:  # noqa: ANN401 - JSON
    return " ".join(str(text).split())
