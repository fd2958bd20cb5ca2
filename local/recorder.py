"""Records what a command shows in a terminal: as an asciicast, and one moment of it as a picture.

The cast is asciinema's format, version 2: https://docs.asciinema.org/manual/asciicast/v2/
"""

import codecs
import io
import itertools
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fcntl import ioctl
from pathlib import Path

import pyte
from pyte.screens import Char
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import SVG_EXPORT_THEME
from rich.text import Text

# rich's own format names a font of a network; this one takes what the reader has.
_PICTURE = """<svg class="rich-terminal" viewBox="0 0 {width} {height}"
  xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
_BRIGHT = "bright"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """Of a terminal, in characters."""

    columns: int = 110
    lines: int = 34


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Something that the command wrote, and how long after its start."""

    after: float  # seconds
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """All that a command wrote, and what it ended with."""

    title: str
    size: Size
    parts: tuple[Shown, ...]
    code: int


def record(
    command: Sequence[str], *, title: str, environment: Mapping[str, str], size: Size | None = None
) -> Recording:
    """Run the command in a terminal until it ends; title is what somebody would have typed."""
    size = size or Size()
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size.lines, size.columns, 0, 0))
    usual = {"TERM": "xterm-256color", "COLORTERM": "", "PYTHONIOENCODING": "utf-8"}
    begin = time.monotonic()
    child = subprocess.Popen(
        command,
        env={**os.environ, **usual, **environment},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        parts = [Shown(after=0.0, text=f"$ {title}\r\n")]
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for more in _read(ours):
            text = decoder.decode(more)
            parts.append(Shown(after=round(time.monotonic() - begin, 3), text=text))
        return Recording(title=title, size=size, parts=tuple(parts), code=child.wait())
    finally:
        child.kill()
        child.wait()
        os.close(ours)


def _read(descriptor: int) -> Iterator[bytes]:
    while True:
        select.select([descriptor], [], [])
        try:
            more = os.read(descriptor, 65536)
        except OSError:  # Linux says so when nobody holds the other end any more
            return
        if not more:
            return
        yield more


def print_cast(recording: Recording) -> str:
    """Return the recording as an asciicast."""
    size = recording.size
    header = {
        "version": 2,
        "width": size.columns,
        "height": size.lines,
        "title": recording.title,
        "env": {"TERM": "xterm-256color"},
    }
    lines = [json.dumps(header)]
    lines += [json.dumps([part.after, "o", part.text]) for part in recording.parts]
    return "\n".join([*lines, ""])


def find_screen(recording: Recording, texts: Sequence[str]) -> pyte.Screen:
    """Return the terminal as it last showed all of that; LookupError when it never did."""
    screens = _screens(recording)
    shown = ((number, _text(screen)) for number, screen in enumerate(screens))
    found = [number for number, text in shown if all(one in text for one in texts)]
    if not found:
        raise LookupError(f"recording {recording.title!r}: {texts!r} was never on the screen")
    return next(itertools.islice(_screens(recording), found[-1], None))


def leave_out_repeats(recording: Recording) -> Recording:
    """Return the recording without what changed nothing: a picture that was drawn as it was."""
    parts, before = [], ("", 0, 0)
    for part, screen in zip(recording.parts, _screens(recording), strict=True):
        after = (_text(screen), screen.cursor.x, screen.cursor.y)
        if after != before or "\x1b[?" in part.text:  # the cursor is hidden, or comes back
            parts.append(part)
        before = after
    return replace(recording, parts=tuple(parts))


def _screens(recording: Recording) -> Iterator[pyte.Screen]:
    """Give the terminal after each part; it is always the same one."""
    screen = pyte.Screen(recording.size.columns, recording.size.lines)
    stream = pyte.Stream(screen)
    for part in recording.parts:
        stream.feed(part.text)
        yield screen


def _text(screen: pyte.Screen) -> str:
    return "\n".join(line.rstrip() for line in screen.display)


def draw_screen(screen: pyte.Screen, *, title: str) -> str:
    """Return the terminal as a picture in SVG, without the empty lines at its end."""
    lines = [line.rstrip() for line in screen.display]
    while lines and not lines[-1]:
        del lines[-1]
    quiet = io.StringIO()
    console = Console(
        record=True, file=quiet, width=screen.columns, force_terminal=True, color_system="standard"
    )
    for number in range(len(lines)):
        cells = [screen.buffer[number][column] for column in range(screen.columns)]
        runs = [
            ("".join(cell.data for cell in run), style)
            for style, run in itertools.groupby(cells, key=_style)
        ]
        console.print(Text.assemble(*runs, no_wrap=True))
    drawn = console.export_svg(
        title=title, theme=SVG_EXPORT_THEME, code_format=_PICTURE, unique_id="watch"
    )
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def _style(cell: Char) -> Style:
    colour = None if cell.fg == "default" else cell.fg.replace("brown", "yellow")
    if colour is not None and colour.startswith(_BRIGHT):
        colour = f"bright_{colour.removeprefix(_BRIGHT)}"
    return Style(color=colour, bold=cell.bold)


def write_recording(
    recording: Recording, folder: Path, pictures: Mapping[str, Sequence[str]]
) -> None:
    """Write the cast without repeats, and a picture of the last moment that has its texts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "watch.cast").write_text(print_cast(leave_out_repeats(recording)), encoding="utf-8")
    for name, texts in pictures.items():
        drawn = draw_screen(find_screen(recording, texts), title=recording.title)
        (folder / f"{name}.svg").write_text(drawn, encoding="utf-8")
