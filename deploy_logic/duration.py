"""Lengths of time as people write them: `500ms`, `90s`, `10m`, `1h30m`, `2d`, or ISO 8601. Pure."""

import re
from datetime import timedelta

EXPECTED = "a length of time such as 500ms, 90s, 10m, 1h30m, 2d or PT10M"

_PLAIN = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", re.ASCII)
_ISO = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d{1,6})?)S)?)?", re.ASCII)
_LONGEST = timedelta(days=365)
_LONGEST_REST = 9  # digits of Retry-After; more are no time to wait


def parse_duration(text: str) -> timedelta:
    """Return the length of time, zero up to a year; ValueError says what would be right."""
    written = text.strip()
    found = _PLAIN.fullmatch(written) or _ISO.fullmatch(written.upper())
    if found is None or not any(found.groups()):
        raise ValueError(f"{text!r} is not {EXPECTED}")
    sizes = [float(part or 0) for part in found.groups()]
    days, hours, minutes, seconds, milliseconds = (*sizes, 0.0)[:5]
    seconds += milliseconds / 1000
    if days + hours / 24 + minutes / 1440 + seconds / 86400 > _LONGEST.days:
        raise ValueError(f"{text!r} is longer than a year ({EXPECTED})")
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def print_duration(length: timedelta) -> str:
    """Return the shortest form that parse_duration reads back; parts of 1ms in ISO 8601."""
    if length.microseconds % 1000:
        return f"PT{length.total_seconds():f}S"
    rest = int(length.total_seconds())
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m"), (1, "s")):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    if length.microseconds:
        parts.append(f"{length.microseconds // 1000}ms")
    return "".join(parts) or "0s"


def parse_retry_after(header: str | None) -> timedelta:
    """Return the seconds of a Retry-After header; its date form counts as not said."""
    text = header or ""
    is_number = text.isascii() and text.isdigit() and len(text) <= _LONGEST_REST
    return timedelta(seconds=int(text)) if is_number else timedelta(0)
