"""Lines of the log: one JSON object each, keys in order, none forged, nothing secret in it."""

import io
import json
import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy_logic.telemetry.line import KEYS, write_as_json

# As they are never to be seen again; each is planted with words around it.
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiIxMSJ9.c2lnbmF0dXJl"
TEAMS = "https://contoso.webhook.office.com/webhookb2/11111111-aaaa/IncomingWebhook/0123456789"
SECRETS = {
    "a bearer token": (f"Authorization: Bearer {JWT}", "eyJ"),
    "a token alone": (f"it said {JWT}.", "eyJ"),
    "an opaque bearer token": ("bearer abcdef0123456789", "abcdef0123456789"),
    "a basic header": ("Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    "a header in JSON": ('{"Authorization": "hush-hush"}', "hush-hush"),
    "a webhook of Teams": (f"calling {TEAMS}: 400", "webhookb2"),
    "a webhook of Slack": ("https://hooks.slack.com/services/T0/B0/XXXXYYYY", "XXXXYYYY"),
    "a signature": ("https://x.logic.azure.com/workflows/1?sp=run&sig=s3cr3t-s1g", "s3cr3t"),
    "a signature alone": ("sv=2024&sig=s3cr3t-s1g&se=9", "s3cr3t"),
    "a function key": ("GET /api/rollouts?code=f0nct10n-k3y==", "f0nct10n"),
    "a name and password": ("https://ann:pa55word@contoso.com/x", "pa55word"),
    "a storage key": (f"AccountKey={'A' * 86}==;EndpointSuffix=x", "AAAA"),
    "a storage key alone": ("b" * 86 + "==", "bbbb"),
    "a password": ("password: pa55word", "pa55word"),
    "an instrumentation key": ("InstrumentationKey=0000-1111;IngestionEndpoint=x", "0000-1111"),
    "an api key": ('"api_key": "k3y-k3y"', "k3y-k3y"),
    "a client secret": ("client_secret=s3cr3t", "s3cr3t"),
}


class Keeper(logging.Handler):
    """Keeps what it is given."""

    def __init__(self, records: list[logging.LogRecord]) -> None:
        super().__init__()
        self._records = records

    def emit(self, record: logging.LogRecord) -> None:
        self._records.append(record)


class Lines:
    """A logger as ours, and what a handler shows that knows the message alone."""

    def __init__(self) -> None:
        self.shown = io.StringIO()
        self.records: list[logging.LogRecord] = []
        self.logger = logging.Logger("rollout")  # noqa: LOG001 - of its own: filters stay
        write_as_json(self.logger)
        write_as_json(self.logger)  # harmless
        self.logger.addHandler(logging.StreamHandler(self.shown))
        self.logger.addHandler(Keeper(self.records))

    def one(self) -> dict[str, Any]:
        (text,) = self.shown.getvalue().splitlines()
        line: dict[str, Any] = json.loads(text)
        return line


@pytest.fixture
def lines() -> Lines:
    return Lines()


def test_the_event_comes_first_then_the_usual_keys_then_the_rest(lines: Lines) -> None:
    extra = {"seconds": 1.5, "reason": "r", "rollout_id": "x", "kind": "roll_out", "weight": 10}
    lines.logger.info("rolled back", extra=extra)
    assert list(lines.one()) == ["event", "rollout_id", "weight", "reason", "seconds", "kind"]
    assert lines.one() == {"event": "rolled back", **extra}
    assert (KEYS[0], KEYS[-1]) == ("rollout_id", "by")


def test_values_stay_on_the_record_for_whoever_takes_attributes(lines: Lines) -> None:
    lines.logger.info("said", extra={"rollout_id": "x", "reason": SECRETS["a password"][0]})
    (record,) = lines.records
    assert vars(record)["rollout_id"] == "x"
    assert vars(record)["reason"] == "password: ***"
    assert json.loads(record.getMessage())["event"] == "said"


@pytest.mark.parametrize(
    "value",
    ["a\nb", "a\r\n{}", "\x00\x1b[31m", "\u2028\u2029\x85", "\ud800", '", "event": "x'],
    ids=ascii,
)
def test_a_value_cannot_begin_a_line_or_end_the_object(lines: Lines, value: str) -> None:
    lines.logger.info("event refused", extra={"reason": value})
    shown = lines.shown.getvalue()
    assert shown.isascii()
    assert shown.removesuffix("\n").isprintable()
    assert lines.one() == {"event": "event refused", "reason": value}


@given(st.dictionaries(st.sampled_from(["reason", "by", "model"]), st.text()))
def test_every_text_makes_one_line_of_json(values: dict[str, str]) -> None:
    lines = Lines()
    lines.logger.info("said", extra=values)
    assert lines.one().keys() == {"event", *values}


@pytest.mark.parametrize(("planted", "secret"), SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("place", ["a value", "the text", "an exception", "an object"])
def test_a_secret_is_in_no_line(lines: Lines, planted: str, secret: str, place: str) -> None:
    text = f"before {planted} after"
    assert secret in text
    acts: dict[str, Callable[[], None]] = {
        "a value": lambda: lines.logger.info("said", extra={"reason": text}),
        "the text": lambda: lines.logger.info(text),
        "an object": lambda: lines.logger.info("said", extra={"reason": {"it": [text]}}),
        "an exception": lambda: _fail(lines, text),
    }
    acts[place]()
    (record,) = lines.records
    assert secret not in lines.shown.getvalue()
    assert secret not in repr({**vars(record), "msg": record.getMessage()})
    assert "before" in lines.shown.getvalue()


def _fail(lines: Lines, text: str) -> None:
    try:
        raise RuntimeError(text)  # noqa: TRY301 - there must be something to log
    except RuntimeError:
        lines.logger.exception("it broke")


@pytest.mark.parametrize(
    "key", ["token", "Authorization", "webhook_url", "client_secret", "apikey"]
)
def test_a_key_that_names_a_secret_hides_whatever_it_has(lines: Lines, key: str) -> None:
    lines.logger.info("said", extra={key: "anything"})
    assert lines.one()[key] == "***"


@pytest.mark.parametrize(
    "text",
    [
        "creating 'fraud-v2': BadArgument: [...]",
        "bad.yaml:3:5: gates[0].at_most: '2' (a share such as 1%)",
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w",
        "error_rate is 0.4 (at most 0.01): 12 of 30, between 0.25 and 0.57",
        "basic auth is not what this endpoint has",
    ],
)
def test_what_is_no_secret_stays_as_it_is(lines: Lines, text: str) -> None:
    lines.logger.info("said", extra={"reason": text})
    assert lines.one()["reason"] == text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, True), (7, 7), (0.5, 0.5), (None, None), (math.inf, "inf"), (("a", 1), "('a', 1)")],
)
def test_values_keep_their_kind_where_json_has_it(lines: Lines, value: Any, shown: Any) -> None:
    lines.logger.info("said", extra={"seconds": value})
    assert lines.one()["seconds"] == shown


def test_a_long_value_is_cut(lines: Lines) -> None:
    lines.logger.info("said", extra={"reason": "x" * 100_000})
    assert len(lines.shown.getvalue()) < 5_000
    assert lines.one()["reason"].endswith("x…")


def test_an_exception_is_told_in_the_line(lines: Lines) -> None:
    _fail(lines, "two\nlines")
    line = lines.one()
    assert (line["event"], line["exception"]) == ("it broke", "RuntimeError: two\nlines")
    assert "Traceback" in line["stack"]
