"""Step 5 of 5: the activity that keeps history in the archive. No rollout waits for it."""

import logging

from deploy_logic.activities.activity import tell_all
from deploy_logic.codec import Json
from deploy_logic.ports import Outside

_LOG = logging.getLogger("rollout")


def archive(outside: Outside, payload: Json) -> Json:
    """Append rows. Where this was the last attempt, the log says what the archive lacks."""
    answer = _append(outside, payload)
    if answer["state"] != "done" and payload["is_last"]:
        lines = [row["index"] for row in payload["rows"] if row["kind"] == "line"]
        extra = {
            "rollout_id": payload["rollout_id"],
            "first": min(lines, default=None),
            "last": max(lines, default=None),
            "reason": answer["reason"],
            # the engine has the timeline too, and the sweep appends all of it before it purges
            "mend": f"GET /api/rollouts/{payload['rollout_id']} has these lines of the timeline",
        }
        _LOG.error("history not archived", extra=extra)
    return answer


@tell_all
def _append(outside: Outside, payload: Json) -> Json:
    outside.archive().append(payload["rows"])
    return {"state": "done"}
