"""What a person may do, as the API's routes ask for it. Pure."""

from enum import StrEnum


class Right(StrEnum):
    """One right; each comes with an app role in Entra. Stored strings are an API."""

    READ = "read"  # see rollouts, ledgers, policies
    OPERATE = "operate"  # approve, reject, pause, resume, abort, hold, release, start, ...
    PROMOTE_NOW = "promote_now"  # leave out the steps, bakes and gates that remain


EVERY_RIGHT = frozenset(Right)
