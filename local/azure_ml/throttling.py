"""ARM's token buckets: every answer says what is left, and an empty one refuses if told to."""

import math
import time

from local.azure_ml.errors import ArmError, user_error
from local.azure_ml.store import Json

_KINDS = {"GET": "reads", "HEAD": "reads", "DELETE": "deletes"}
# Sizes and refills per second, per principal, subscription and region.
_LIMITS = {"reads": (250, 25.0), "writes": (200, 10.0), "deletes": (200, 10.0)}
_GLOBAL = 15  # times as large is the bucket of the whole subscription


class _Bucket:
    def __init__(self, size: int, per_second: float) -> None:
        self.size = size
        self.per_second = per_second
        self._level = float(size)
        self._seen = time.monotonic()

    def take(self) -> float:
        """Take one token and give what is left: below zero when there was none."""
        moment = time.monotonic()
        refilled = self._level + (moment - self._seen) * self.per_second
        self._seen = moment
        left = min(float(self.size), refilled) - 1
        self._level = max(0.0, left)
        return left


class Throttling:
    """The buckets; they refuse nobody unless they are told to."""

    def __init__(self) -> None:
        self._buckets = {kind: _Bucket(*limits) for kind, limits in _LIMITS.items()}
        self._refuses = False

    def take(self, method: str) -> dict[str, str]:
        """Count one request and give the headers of its answer, or answer 429."""
        kind = _KINDS.get(method, "writes")
        bucket = self._buckets[kind]
        left = bucket.take()
        if left < 0 and self._refuses:
            wait = max(1, math.ceil(-left / bucket.per_second))
            message = f"Number of {kind} for subscription exceeded; retry after {wait} seconds."
            headers = {"Retry-After": str(wait)}
            raise ArmError(429, "SubscriptionRequestsThrottled", message, headers=headers)
        shown = max(0, int(left))
        name = "x-ms-ratelimit-remaining-subscription"
        return {
            f"{name}-{kind}": str(shown),
            f"{name}-global-{kind}": str(shown * _GLOBAL + _GLOBAL - 1),
        }

    def set(self, asked: Json) -> Json:
        """Take `refuse`, and for reads, writes and deletes `{"size", "per_second"}`."""
        wrong = set(asked) - {"refuse", *_LIMITS}
        if wrong:
            raise user_error(f"{min(wrong)!r} is not one of refuse, {', '.join(_LIMITS)}")
        if not isinstance(asked.get("refuse", False), bool):
            raise user_error(f"refuse {asked['refuse']!r} is not true or false")
        for kind in _LIMITS:
            if kind in asked:
                self._buckets[kind] = _bucket(kind, asked[kind])
        self._refuses = asked.get("refuse", self._refuses)
        sizes = {
            kind: {"size": bucket.size, "per_second": bucket.per_second}
            for kind, bucket in self._buckets.items()
        }
        return {"refuse": self._refuses, **sizes}


def _bucket(kind: str, given: object) -> _Bucket:
    found = given if isinstance(given, dict) else {}
    size, per_second = found.get("size"), found.get("per_second")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise user_error(f"{kind}.size {size!r} is not a whole number from 1")
    if isinstance(per_second, bool) or not isinstance(per_second, int | float) or per_second <= 0:
        raise user_error(f"{kind}.per_second {per_second!r} is not a number above 0")
    return _Bucket(size, float(per_second))
