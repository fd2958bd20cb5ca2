"""Step 5 of 5: the activity that measures a candidate in its bake, by metrics or by the logs."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from deploy_logic.activities.activity import tell_all
from deploy_logic.activities.call import ask_watch
from deploy_logic.codec import Json, decode, encode
from deploy_logic.errors import WorkspaceError
from deploy_logic.gate.metric import Measured, Reading, judge_logs, judge_metric
from deploy_logic.plan.step import LogsSource, MetricSource, Watch
from deploy_logic.ports import Outside

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_]*)\s*\}\}")
# What may enter a query: it can neither end a text in quotes nor begin another statement.
_HARMLESS = re.compile(r"[A-Za-z0-9_.:+-]*")


def measure_metric(outside: Outside, payload: Json) -> Json:
    """Judge what Azure Monitor measured since the bake began, without its newest minutes."""
    watch = decode(Watch, payload["watch"])
    source = decode(MetricSource, payload["watch"]["source"])
    since, until = _window(outside, payload, lag=timedelta(seconds=payload["lag"]))
    seen = outside.open_monitor(payload["workspace"]).read(
        source.metric,
        endpoint=payload["endpoint"],
        candidate=payload["candidate"],
        stable=payload["stable"] or None,
        since=since,
        until=until,
    )
    return {"state": "done", "judgement": encode(judge_metric(watch, seen))}


def measure_logs(outside: Outside, payload: Json) -> Json:
    """Judge the number that the query gives of the time since the bake began."""
    watch = decode(Watch, payload["watch"])
    source = decode(LogsSource, payload["watch"]["source"])
    # The logs have a lag of their own; the gate's initial_delay is there for that.
    since, until = _window(outside, payload, lag=timedelta(0))
    query = fill_query(
        source.query,
        {
            "ENDPOINT_NAME": payload["endpoint"],
            "DEPLOYMENT_NAME": payload["candidate"],
            "STABLE_NAME": payload["stable"],
            "MODEL_NAME": payload["model"],
            "MODEL_VERSION": payload["version"],
            "SINCE": since.isoformat(),
            "UNTIL": until.isoformat(),
        },
    )
    value = outside.open_logs().count(query, since=since, until=until)
    reading = Reading() if value is None else Reading(samples=1, value=value)
    seen = Measured(candidate=reading, stable=None, since=since, until=until)
    return {"state": "done", "judgement": encode(judge_logs(watch, seen))}


# By the kind of the watch's source.
MEASURES: Mapping[str, Callable[[Outside, Json], Json]] = {
    "metric": measure_metric,
    "logs": measure_logs,
    "http": ask_watch,
}


@tell_all
def measure(outside: Outside, payload: Json) -> Json:
    """Measure once what a gate watches, and judge it."""
    return MEASURES[payload["watch"]["source"]["kind"]](outside, payload)


def fill_query(query: str, values: Mapping[str, str]) -> str:
    """Return the query with its placeholders filled; WorkspaceError for what cannot be."""

    def fill(found: re.Match[str]) -> str:
        name = found[1].upper()
        if name not in values:
            known = ", ".join(values)
            raise WorkspaceError(f"filling in the query: {found[0]!r} stands for nothing ({known})")
        value = values[name]
        if _HARMLESS.fullmatch(value) is None:
            raise WorkspaceError(
                f"filling in the query: {name} is {value!r} (letters, digits, dots, dashes and "
                "underscores: anything else could change what is asked)"
            )
        return value

    return _PLACEHOLDER.sub(fill, query)


def _window(outside: Outside, payload: Json, *, lag: timedelta) -> tuple[datetime, datetime]:
    since = datetime.fromisoformat(payload["since"])
    return since, max(since, outside.now() - lag)
