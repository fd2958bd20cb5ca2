"""Step 4 of 5: what was measured and a threshold give a verdict with its figures. Pure.

A rate is judged by its Wilson interval, so that ten requests cannot prove what takes a thousand. No
data and too little data are inconclusive: never a pass, and never a fail.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from deploy_logic.gate.gate import Judgement, Verdict, chart
from deploy_logic.plan.step import MetricSource, Threshold, Watch

Z = 1.96  # of a normal distribution, 95 % lie within so many standard deviations
RATES = frozenset({"error_rate", "model_error_rate"})
_SHARES = RATES | {"cpu", "memory", "gpu"}
_UTILISATION = frozenset({"cpu", "memory", "gpu"})
_TOO_MANY_DIGITS = 4

type Side = Literal["candidate", "stable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One side's value in the window; without a value there was no data."""

    samples: int = 0  # that it rests on: requests; of utilisation, minutes
    value: float | None = None
    hits: int | None = None  # of a rate: how many of the samples count

    @property
    def is_there(self) -> bool:
        """Whether there was any data."""
        return self.value is not None and self.samples > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What was read of candidate and stable in one window."""

    candidate: Reading
    stable: Reading | None  # None: there is no stable
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """A value and the bounds within which the truth lies; both are the value unless a rate."""

    low: float
    value: float
    high: float


def bound_rate(hits: float, samples: float) -> tuple[float, float]:
    """Return the bounds of the Wilson score interval of a rate, from 0 to 1.

    E. B. Wilson, 1927: it holds for few samples and for rates near 0 and 1.
    """
    rate, spread = hits / samples, Z * Z / samples
    centre = (rate + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(rate * (1 - rate) / samples + spread / samples / 4)
    # Exactly 0 and 1 at the ends, where rounding would claim to know better.
    low = 0.0 if hits == 0 else max(0.0, centre - half)
    high = 1.0 if hits == samples else min(1.0, centre + half)
    return low, high


def judge_metric(watch: Watch, seen: Measured) -> Judgement:
    """Return the verdict on one measurement of a metric."""
    source = watch.source
    if not isinstance(source, MetricSource):
        raise TypeError(f"judging {watch.name!r}: it watches {source.kind}, not a metric")
    return _judge(watch, source.metric, source.threshold, seen)


def judge_logs(watch: Watch, seen: Measured) -> Judgement:
    """Return the verdict on the number that a query of the logs gave."""
    source = watch.source
    if source.kind != "logs":
        raise TypeError(f"judging {watch.name!r}: it watches {source.kind}, not logs")
    return _judge(watch, "logs", source.threshold, seen)


def _judge(watch: Watch, what: str, threshold: Threshold, seen: Measured) -> Judgement:
    figures = _figures(watch, what, threshold, seen)
    if threshold.kind == "worse_than_stable_by_at_most":
        verdict, said = _judge_relative(watch, what, threshold.value, seen)
    else:
        verdict, said = _judge_absolute(watch, what, threshold, seen.candidate)
    return Judgement(verdict=verdict, reason=f"{watch.name}: {said}", figures=figures)


def _judge_absolute(
    watch: Watch, what: str, threshold: Threshold, reading: Reading
) -> tuple[Verdict, str]:
    missing = _missing(watch, what, "candidate", reading)
    if missing:
        return Verdict.INCONCLUSIVE, missing
    span, bound = _span(what, reading), threshold.value
    said, limit = _words(what, "candidate", reading), _amount(what, bound)
    is_most = threshold.kind == "at_most"
    # No number of samples can prove a rate of exactly 0 or 1, so having seen no other is enough.
    is_proven = span.high <= bound if is_most else span.low >= bound
    if is_proven or span.value == bound == (0 if is_most else 1):
        return Verdict.PASS, f"{said} is at {'most' if is_most else 'least'} {limit}"
    if what == "requests" and not is_most:  # too little traffic is never a fail: more may come
        return Verdict.INCONCLUSIVE, f"{said} is not yet {limit}"
    if span.low > bound if is_most else span.high < bound:
        return Verdict.FAIL, f"{said} is {'above' if is_most else 'below'} {limit}"
    return Verdict.INCONCLUSIVE, f"{said} may be above or below {limit}"


def _judge_relative(watch: Watch, what: str, share: float, seen: Measured) -> tuple[Verdict, str]:
    if seen.stable is None:
        return Verdict.INCONCLUSIVE, f"{what}: there is no stable to compare with"
    missing = _missing(watch, what, "candidate", seen.candidate)
    missing = missing or _missing(watch, what, "stable", seen.stable)
    if missing:
        return Verdict.INCONCLUSIVE, missing
    candidate, stable = _span(what, seen.candidate), _span(what, seen.stable)
    bound = stable.value * (1 + share)
    said, against = _words(what, "candidate", seen.candidate), _words(what, "stable", seen.stable)
    # Whoever is not worse passes, however bad the stable is: it must not stand in its cure's way.
    if candidate.value <= stable.value:
        return Verdict.PASS, f"{said} is not worse than {against}"
    by = f"by more than {_percent(share)}"
    if candidate.high <= bound:
        return Verdict.PASS, f"{said} is not worse {by} than {against}"
    if candidate.low > stable.high * (1 + share):
        return Verdict.FAIL, f"{said} is worse {by} than {against}"
    return Verdict.INCONCLUSIVE, f"{said} may or may not be worse {by} than {against}"


def _missing(watch: Watch, what: str, side: Side, reading: Reading) -> str:
    """Return what the reading lacks to be judged, or nothing."""
    subject = _name(what, side)
    if not reading.is_there:
        return f"{subject}: no data in the window"
    if reading.samples < watch.min_samples:
        unit = "minutes" if what in _UTILISATION else "samples"
        return f"{subject}: {reading.samples} {unit} are below {watch.min_samples}"
    return ""


def _span(what: str, reading: Reading) -> _Span:
    value = 0.0 if reading.value is None else reading.value
    if what not in RATES:
        return _Span(low=value, value=value, high=value)
    hits = value * reading.samples if reading.hits is None else reading.hits
    low, high = bound_rate(hits, reading.samples)
    return _Span(low=low, value=value, high=high)


def _words(what: str, side: Side, reading: Reading) -> str:
    """Return whose value it is, the value, and what it rests on."""
    span, subject = _span(what, reading), _name(what, side)
    if what in RATES:
        within = f"{_percent(span.low)} to {_percent(span.high)}"
        counted = f"{reading.hits} of {reading.samples}, within {within}"
        return f"{subject} {_percent(span.value)} ({counted})"
    if what in _UTILISATION:
        return f"{subject} {_percent(span.value)} (over {reading.samples} minutes)"
    value = f"{subject} {_amount(what, span.value)}"
    return f"{value} ({reading.samples} requests)" if what.startswith("latency") else value


def _name(what: str, side: Side) -> str:
    return "the query's number" if what == "logs" else f"{what} of {side}"


def _amount(what: str, value: float) -> str:
    if what in _SHARES:
        return _percent(value)
    return f"{_plain(value)} ms" if what.startswith("latency") else _plain(value)


def _percent(share: float) -> str:
    return f"{_plain(share * 100)}%"


def _plain(value: float) -> str:
    """Return the number without an exponent, with four digits that count where it is no whole."""
    if value == int(value) or abs(value) >= 10**_TOO_MANY_DIGITS:
        return str(round(value))
    digits = max(0, _TOO_MANY_DIGITS - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _figures(watch: Watch, what: str, threshold: Threshold, seen: Measured) -> dict[str, object]:
    return {
        "metric": what,
        "threshold": {"kind": threshold.kind, "value": threshold.value},
        "min_samples": watch.min_samples,
        "since": _time(seen.since),
        "until": _time(seen.until),
        "candidate": _show(what, seen.candidate),
        "stable": None if seen.stable is None else _show(what, seen.stable),
        **chart(
            seen.candidate.value,
            unit=_unit(what),
            samples=seen.candidate.samples,
            stable_value=None if seen.stable is None else seen.stable.value,
            bound=_bound(threshold, seen),
        ),
    }


def _bound(threshold: Threshold, seen: Measured) -> float | None:
    """Return the number that the candidate's value is held against; of a share, the stable's."""
    if threshold.kind != "worse_than_stable_by_at_most":
        return threshold.value
    stable = None if seen.stable is None else seen.stable.value
    return None if stable is None else stable * (1 + threshold.value)


def _unit(what: str) -> str:
    if what in _SHARES:
        return "share"
    return "ms" if what.startswith("latency") else "count"


def _show(what: str, reading: Reading) -> dict[str, object]:
    shown: dict[str, object] = {"value": reading.value, "samples": reading.samples}
    if what in RATES and reading.is_there:
        span = _span(what, reading)
        shown |= {"hits": reading.hits, "low": span.low, "high": span.high}
    return shown


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
