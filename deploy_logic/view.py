"""How a rollout looks to people: to the HTTP API, the terminal and the engine's status. Pure."""

import json

from deploy_logic.codec import Json, encode
from deploy_logic.rollout import Rollout

# An instance's custom status may be 16 KB of UTF-16 text on Azure Storage:
# https://learn.microsoft.com/azure/azure-functions/durable/durable-functions-custom-orchestration-status
_LONGEST_STATUS = 7_500  # characters of JSON


def show(rollout: Rollout) -> Json:
    """Return the whole rollout as the API shows it."""
    return encode(rollout)


def show_status(rollout: Rollout) -> Json:
    """Return the rollout small enough for the engine's status; old lines go first, and are counted.

    When not even a line fits, the end of the reason goes too. The whole of it is the
    orchestration's result.
    """
    shown = encode(rollout)
    lines = shown["timeline"]
    shown |= {"timeline": [], "timeline_left_out": len(lines)}
    room = _LONGEST_STATUS - len(json.dumps(shown))
    for line in reversed(lines):
        room -= len(json.dumps(line)) + len(", ")
        if room < 0:
            break
        shown["timeline_left_out"] -= 1
    shown["timeline"] = lines[shown["timeline_left_out"] :]
    kept = len(rollout.reason)
    while kept and not _fits(shown):
        kept //= 2
        shown["reason"] = rollout.reason[:kept] + "…"
    return shown


def _fits(shown: Json) -> bool:
    return len(json.dumps(shown)) <= _LONGEST_STATUS


def summarise(shown: Json) -> Json:
    """Return a shown rollout without its timeline, for lists."""
    return {key: value for key, value in shown.items() if not key.startswith("timeline")}
