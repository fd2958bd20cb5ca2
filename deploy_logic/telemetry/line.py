"""What a line of our log looks like: one JSON object, its text first, and nothing secret in it.

Whoever shows the message alone, as the Functions host does, shows all of it.
"""

import functools
import json
import logging
import re
import traceback
from collections.abc import Mapping

from deploy_logic.telemetry.recorder import annotate, is_on

LOGGER = "rollout"
# Always in this order, where a line has them; whatever else it has follows.
KEYS = (
    "rollout_id",
    "event_id",
    "endpoint",
    "model",
    "version",
    "phase",
    "weight",
    "policy",
    "reason",
    "by",
)
_ABOUT = ("rollout_id", "event_id", "endpoint", "model", "version", "policy")
HIDDEN = "***"
_LONGEST = 4_000  # characters of one value; a line of 32,768 is cut by Application Insights
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_KEY = re.compile(r"authorization|token|secret|password|webhook|connection_string|api_?key")
# Credentials as they are written in headers, addresses, connection strings and JSON. Of an address
# only its host stays: the path of a webhook is its secret.
_SECRETS = (
    (
        re.compile(r"(?i)\b((?:https?|wss?)://)(?:[^\s/@\"'<>]*@)?([^\s/?#\"'<>]+)[^\s\"'<>]*"),
        r"\1\2/…",
    ),
    (
        re.compile(
            r"\b((?i:bearer|basic|sharedaccesssignature|sharedkey))\s+(?=[a-z]*[A-Z0-9=])[^\s\"',;]+"
        ),
        rf"\1 {HIDDEN}",
    ),
    (
        re.compile(
            r"(?i)((?:authorization|password|passwd|pwd|secret|token|api[-_]?key|accountkey"
            r"|instrumentationkey|sharedaccesskey|x-functions-key)[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)\b((?:sig|code|key)=)[^\s\"',;&]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?"), HIDDEN),
    (re.compile(r"(?<![\w+/])[\w+/]{86}=="), HIDDEN),  # a storage key
)
# None of the above is without one of these, and most values have none: every event writes a line.
_SUSPECT = ("=", ":", "eyj", "bearer", "basic", "shared")
_quote = json.encoder.encode_basestring_ascii  # in C, and a third of json.dumps


class JsonLines(logging.Filter):
    """Makes the message of every record the whole line; its values stay on the record too.

    A filter and not a formatter, because the handler is the platform's. The values left on the
    record are those of the line: what exports them as attributes exports no secret either.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record; every one passes."""
        given = {key: value for key, value in vars(record).items() if key not in _OWN}
        said = {key: _tell(key, value) for key, value in given.items()}
        if record.exc_info:
            said |= _tell_exception(record.exc_info[1])
        vars(record).update(said)
        # a span within which a line is written is about the same
        if is_on():
            annotate({key: str(said[key]) for key in _ABOUT if said.get(key) not in {None, ""}})
        record.msg, record.args = write(record.getMessage(), said), ()
        record.exc_info = record.exc_text = None
        return True


def write(event: str, values: Mapping[str, object]) -> str:
    """Return the line; in ASCII, so that no control character of a value can begin another."""
    first = {key: values[key] for key in KEYS if key in values}
    pairs = {"event": hide(event), **first, **values}.items()
    return f"{{{', '.join([f'{_quote(key)}: {_dump(value)}' for key, value in pairs])}}}"


def hide(text: str) -> str:
    """Return the text without what looks like a secret, and of a bounded length."""
    low = text.lower()
    if any([sign in low for sign in _SUSPECT]):  # noqa: C419 - a generator takes as long as all of them
        for pattern, instead in _SECRETS:
            text = pattern.sub(instead, text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def write_as_json(logger: logging.Logger | None = None) -> None:
    """Make every line of the logger JSON; to ask twice is harmless."""
    logger = logger or logging.getLogger(LOGGER)
    if not any(isinstance(one, JsonLines) for one in logger.filters):
        logger.addFilter(JsonLines())


def _tell(key: str, value: object) -> object:
    if _is_secret(key):
        return HIDDEN
    if isinstance(value, str):
        return hide(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)  # JSON has neither NaN nor infinity
    return hide(str(value))


def _dump(value: object) -> str:
    return _quote(value) if isinstance(value, str) else json.dumps(value)


@functools.lru_cache(maxsize=256)
def _is_secret(key: str) -> bool:
    return _SECRET_KEY.search(key.lower()) is not None


def _tell_exception(raised: BaseException | None) -> dict[str, object]:
    if raised is None:
        return {}
    stack = "".join(traceback.format_exception(raised))
    return {
        "exception": hide(f"{type(raised).__name__}: {raised}"),
        "stack": hide(stack[-_LONGEST:]),
    }
