"""Who asked for what, and what came of it: one line in the log and one row in the archive."""

import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import datetime

from deploy_logic.codec import Json, encode
from deploy_logic.errors import WorkspaceError
from deploy_logic.ports import Archive

_LOG = logging.getLogger("rollout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that a known person asked for. The keys are an API."""

    at: datetime
    by: str  # object id
    name: str  # for people to read; gives no right
    operation: str  # such as approve
    target: str  # the rollout, endpoint or policy; empty: everything
    reason: str  # as the person gave it
    outcome: str  # accepted, refused
    why: str  # it was refused; empty: it was not
    status: int  # of HTTP


def audit(archive: Archive, line: Line) -> None:
    """Write the line down; where the archive does not take it, the log has it still."""
    plain: Json = encode(line)
    # `name` is what loggers call themselves: no value may travel by it
    shown = {key: value for key, value in plain.items() if key != "name"}
    _LOG.info("person asked", extra={**shown, "by_name": line.name})
    digest = hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:32]
    try:
        archive.append([{"kind": "audit", "id": digest, **plain}])
    except WorkspaceError as error:
        _LOG.error("audit not archived", extra={**shown, "error": str(error)})
