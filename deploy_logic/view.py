"""How a rollout looks to people: to the HTTP API, the terminal and the engine's status. Pure."""

import json
from dataclasses import replace

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

    The whole of it is the orchestration's result.
    """
    left_out = 0
    while True:
        shown = encode(replace(rollout, timeline=rollout.timeline[left_out:]))
        shown["timeline_left_out"] = left_out
        too_long = len(json.dumps(shown)) > _LONGEST_STATUS
        if not too_long or left_out >= len(rollout.timeline):
            return shown
        left_out += 1


def summarise(shown: Json) -> Json:
    """Return a shown rollout without its timeline, for lists."""
    return {key: value for key, value in shown.items() if not key.startswith("timeline")}
