"""One rollout as people see it: weights, steps, the bake, gates, and what it waits for. Pure."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from rolloutctl.words import (
    Json,
    Signs,
    bar,
    clean,
    lasted,
    print_length,
    print_time,
    read_time,
    weight_bar,
)

_WIDTH = 20  # of bars
_ENDLESS = 10_000  # columns of what is no terminal
_STYLES: Mapping[str, str] = {
    "succeeded": "bold green",
    "failed": "bold red",
    "errored": "bold red",
    "superseded": "bold yellow",
    "waiting": "bold yellow",
    "rolling_back": "bold yellow",
    "pass": "green",
    "fail": "red",
    "error": "red",
    "inconclusive": "yellow",
}
ANSWERS = ("approve", "reject", "adopt", "restore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """When and with what it is drawn."""

    now: datetime
    signs: Signs


def draw(shown: Json, look: Look) -> Group:
    """Return the rollout as something that rich draws."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True, style="dim", min_width=8)
    grid.add_column()
    for label, content in _rows(shown, look):
        grid.add_row(label, content)
    return Group(_headline(shown, look), grid)


def write(shown: Json, look: Look, width: int = _ENDLESS) -> str:
    """Return the same as plain text."""
    text = io.StringIO()
    console = Console(file=text, width=width, color_system=None, force_terminal=False)
    console.print(draw(shown, look))
    return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())


def style_of(word: str) -> str:
    """Return the colour of a phase or a verdict."""
    return _STYLES.get(word, "")


def _headline(shown: Json, look: Look) -> Text:
    phase = clean(shown["phase"])
    line = Text.assemble((clean(shown["rollout_id"]), "bold"), "  ", (phase, style_of(phase)), "  ")
    line.append(lasted(shown, look.now))
    if shown.get("paused_by"):
        line.append(f"  paused by {clean(shown['paused_by'])}", "bold yellow")
    return line


def _rows(shown: Json, look: Look) -> Iterator[tuple[str, Any]]:
    attempt = f", attempt {shown['attempt']}" if shown.get("attempt", 1) > 1 else ""
    what = f"{shown['model']} {shown['version']} to endpoint {shown['endpoint']}"
    yield "version", Text(clean(f"{what}, by policy {shown['policy']}{attempt}"))
    if shown.get("weights"):
        yield "weights", _weights(shown, look)
    mirror = {name: share for name, share in (shown.get("mirror") or {}).items() if share}
    if mirror:
        yield (
            "mirror",
            Text(clean(", ".join(f"{name} {share} %" for name, share in mirror.items()))),
        )
    if shown.get("steps"):
        yield "steps", _steps(shown, look)
    if shown.get("bake"):
        yield "bake", _bake(shown["bake"], look)
    if shown.get("measured"):
        yield "gates", _gates(shown)
    if shown.get("awaits"):
        yield "waits", _awaits(shown)
    if shown.get("ended") and shown.get("reason"):
        yield "reason", Text(clean(shown["reason"]))


def _weights(shown: Json, look: Look) -> Text:
    names = {"candidate": shown.get("candidate"), "stable": shown.get("stable")}
    roles = {name: role for role, name in names.items() if name}
    widest = max(len(clean(name)) for name in shown["weights"])
    lines = []
    for name, weight in sorted(shown["weights"].items(), key=lambda one: (-one[1], one[0])):
        role = roles.get(name, "")
        line = Text(f"{clean(name):<{widest}}  ")
        drawn = weight_bar(weight, width=_WIDTH, signs=look.signs)
        line.append(drawn, "cyan" if role == "candidate" else "")
        line.append(f" {weight:>3}{f'  {role}' if role else ''}")
        lines.append(line)
    return Text("\n").join(lines)


def _steps(shown: Json, look: Look) -> Text:
    begun, phase = shown.get("step", 0), shown["phase"]
    is_over, is_good = bool(shown.get("ended")), phase == "succeeded"
    lines = []
    for number, step in enumerate(shown["steps"], 1):
        if number < begun or (is_over and is_good):
            sign, style = look.signs.done, "green"
        elif number > begun:
            sign, style = look.signs.next, "dim"
        elif is_over or phase == "rolling_back":
            sign, style = look.signs.bad, "red"
        else:
            sign, style = look.signs.now, "bold"
        lines.append(Text(f"{sign} {clean(step)}", style))
    return Text("\n").join(lines)


def _bake(bake: Json, look: Look) -> Text:
    since, until = read_time(bake["since"]), read_time(bake["until"])
    whole, left = until - since, until - look.now
    part = 1 - left / whole if whole else 1.0
    rest = f"{print_length(left)} left" if left.total_seconds() > 0 else "about to end"
    drawn = bar(part, width=_WIDTH, signs=look.signs)
    return Text(f"{drawn} {rest} of {print_length(whole)} at weight {bake['weight']}")


def _gates(shown: Json) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column()
    figures = {line["text"]: line.get("figures") for line in shown.get("timeline", ())}
    for name, last in shown["measured"].items():
        verdict = clean(last["verdict"])
        said = clean(str(last["reason"]).removeprefix(f"{name}: "))
        content = Text.assemble(f"{clean(name)}: ", said, _samples(figures.get(last["reason"])))
        grid.add_row(Text(verdict, style_of(verdict)), content)
    return grid


def _samples(figures: Json | None) -> str:
    """Return on how much a measurement rests, and since when, where it says so."""
    candidate = (figures or {}).get("candidate")
    if figures is None or not isinstance(candidate, dict) or "samples" not in candidate:
        return ""
    window = f"{_clock(figures.get('since'))} to {_clock(figures.get('until'))}"
    return f" ({candidate['samples']} samples, at least {figures.get('min_samples')}; {window})"


def _clock(text: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(text)).astimezone(UTC):%H:%M:%S}"
    except ValueError:
        return "-"


def _awaits(shown: Json) -> Text:
    awaited = shown["awaits"]
    lines = [Text(clean(awaited["text"]), "bold yellow")]
    if awaited.get("until"):
        lines.append(Text(f"until {print_time(awaited['until'])}, then it is a no"))
    if awaited.get("quorum", 1) > 1:
        by = ", ".join(map(clean, awaited["approved_by"])) or "nobody"
        lines.append(Text(f"{awaited['quorum']} must approve; so far: {by}"))
    if awaited.get("approvers"):
        lines.append(Text(f"asked: {clean(', '.join(awaited['approvers']))}"))
    answers = [one for one in awaited.get("operations", ()) if one in ANSWERS]
    if answers:
        lines.append(Text(f"figures {clean(awaited['figures'])}"))
        lines += [
            Text(f"rolloutctl {one} {clean(shown['rollout_id'])} --reason TEXT") for one in answers
        ]
    return Text("\n").join(lines)
