"""What the sweep says of rollouts that should have been over by now, whatever the reason.

Every wait of a rollout ends, so this is either an engine that stands still or a mistake of ours.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from deploy_logic.ledger.record import Ledger
from deploy_logic.policy.policy import Policy
from deploy_logic.ports import Engine
from deploy_logic.settings import Settings

_LOG = logging.getLogger("rollout")
# Beyond its deadline a rollout has yet to look, to roll back, and to retire the candidate.
_GRACE = timedelta(hours=4)
_NO_POLICY = Policy.model_fields["deadline"].default  # its file is gone, or was mended since


def warn_of_overdue(
    books: Iterable[Ledger],
    policies: Iterable[Policy],
    *,
    settings: Settings,
    engine: Engine,
    now: datetime,
) -> None:
    """Log each rollout that runs longer than its deadlines together; said again by every sweep."""
    limits = {policy.policy: _limit(policy) for policy in policies}
    for book in books:
        running = book.running
        if running is None or book.since is None:
            continue
        limit = limits.get(running.policy, _NO_POLICY) + settings.creation_deadline + _GRACE
        if now - book.since <= limit or _waits_its_turn(engine, running.rollout_id):
            continue
        extra = {
            "rollout_id": running.rollout_id,
            "endpoint": book.endpoint,
            "model": running.model,
            "version": running.version,
            "policy": running.policy,
            "since": book.since.isoformat(),
            "hours": round((now - book.since) / timedelta(hours=1), 1),
        }
        _LOG.error("rollout overdue", extra=extra)


def _limit(policy: Policy) -> timedelta:
    """Return what the policy allows: the time of the whole counts after the approval before."""
    before = policy.approval.before if policy.approval else None
    return policy.deadline + (before.deadline if before else timedelta(0))


def _waits_its_turn(engine: Engine, rollout_id: str) -> bool:
    """Whether it has not begun: there is a cap, and others run."""
    shown = engine.show_rollout(rollout_id) or {}
    return (shown.get("awaits") or {}).get("what") == "turn"
