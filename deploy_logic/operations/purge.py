"""What the timer does after the sweep: the engine forgets what is over, once the archive has it.

Ledgers keep their memory, so a version that was rolled out is not rolled out again.
"""

import logging
from datetime import datetime, timedelta

from deploy_logic.errors import WorkspaceError
from deploy_logic.outbox import list_all_rows
from deploy_logic.ports import Archive, Past

_LOG = logging.getLogger("rollout")
_MOST = 500  # instances in one go; the next sweep goes on
_SERVED = timedelta(days=1)  # a rollout has dozens of these, and nobody looks at one that is over


def purge(*, past: Past, archive: Archive, retention: timedelta, now: datetime) -> list[str]:
    """Purge what has been over for the retention; return what was.

    All of a rollout is appended once more before it is purged: what the archive has already stays
    as it is, and what it never got, because it was down for longer than a day, is there then.
    """
    purged: list[str] = []
    try:
        served = past.list_served(now - min(retention, _SERVED))
        over = dict.fromkeys([*served, *past.list_over(now - retention)])
        for instance in list(over)[:_MOST]:
            shown = past.show_over(instance)
            if shown is not None:
                archive.append(list_all_rows(shown))
            past.purge(instance)
            purged.append(instance)
    except WorkspaceError as error:  # the engine keeps the rest, and the next sweep asks again
        _LOG.warning("purge waits for the archive", extra={"reason": str(error)})
    if purged:
        _LOG.info("purged", extra={"purged": len(purged)})
    return purged
