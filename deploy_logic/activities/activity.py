"""Step 5 of 5: what every activity is: it answers with all that it knows, failures too.

States: done; working (under way, look again); busy (ask again); failed (the candidate is bad);
broke (a person is needed). What an answer carries is in the payload when it is called again.
"""

import functools
import logging
from collections.abc import Callable

from deploy_logic.codec import Json
from deploy_logic.errors import TransientError, WorkspaceError
from deploy_logic.ports import Outside

_LOG = logging.getLogger("rollout")
_CONFLICT = 409
# What one call of an activity asks the endpoint at most: it should be over within a minute.
_MOST_ASKED, _LONGEST_ASKING = 40, 30_000  # requests; milliseconds that their answers took

type Activity = Callable[[Outside, Json], Json]


def tell_all(activity: Activity) -> Activity:
    """Turn a failure into an answer: whether asking again may help is known here and only here."""

    @functools.wraps(activity)
    def telling(outside: Outside, payload: Json) -> Json:
        try:
            return activity(outside, payload)
        except WorkspaceError as error:
            # A conflict means that another operation runs on the endpoint: Azure allows one.
            again = isinstance(error, TransientError) or error.status == _CONFLICT
            state = "busy" if again else "broke"
            about: Json = {
                key: payload[key] for key in ("rollout_id", "endpoint") if key in payload
            }
            extra: Json = {
                **about,
                "activity": activity.__name__,
                "state": state,
                "code": error.code,
            }
            _LOG.warning("azure refused", extra=extra)
            answer: Json = {"state": state, "reason": str(error), "code": error.code}
            if isinstance(error, TransientError):
                answer["retry_after"] = error.retry_after.total_seconds()
            return answer

    return telling


def is_full(asked: int, milliseconds: int) -> bool:
    """Whether one call of an activity has asked enough; it is called again for the rest."""
    return asked >= _MOST_ASKED or milliseconds >= _LONGEST_ASKING
