"""Sends lines, spans and figures to Application Insights, and to whatever speaks OTLP.

Imported only where the settings name one of them. What is heavy is imported by the threads that
send, so that the first event does not wait for it.
"""

import functools
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, assert_never

from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.metrics import Meter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    MetricExporter,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, StatusCode, get_current_span

from deploy_logic.telemetry.line import LOGGER, hide
from deploy_logic.telemetry.recorder import INSTRUMENTS, Figure, Given, Instrument

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

NAME = "azure-ml-rollouts"
# Of whoever sends: their lines, sent in turn, would be endless.
_SENDERS = ("opentelemetry", "azure.monitor", "azure.core", "azure.identity", "urllib3", "msal")
_DELTA = {Counter: AggregationTemporality.DELTA, Histogram: AggregationTemporality.DELTA}


class _SpanSink(SpanExporter):
    """An exporter that is made when there is something to send."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = functools.cache(make)

    def export(self, spans: Any) -> Any:  # noqa: ANN401 - the SDK's own types
        return self._make().export(spans)

    def shutdown(self) -> None:
        self._make().shutdown()


class _LineSink(LogRecordExporter):
    """The same for lines."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = functools.cache(make)

    def export(self, batch: Any) -> Any:  # noqa: ANN401 - as above
        return self._make().export(batch)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return bool(self._make().force_flush(timeout_millis))

    def shutdown(self) -> None:
        self._make().shutdown()


class _FigureSink(MetricExporter):
    """The same for figures; whether they are sums or differences must be known before."""

    def __init__(self, make: Callable[[], Any], temporality: Any = None) -> None:  # noqa: ANN401
        super().__init__(preferred_temporality=temporality)
        self._make = functools.cache(make)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> Any:  # noqa: ANN401
        return self._make().export(metrics_data, timeout_millis)

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return bool(self._make().force_flush(timeout_millis))

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # noqa: ANN401
        self._make().shutdown(timeout_millis)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where everything goes; what is sent together waits together."""

    spans: SpanExporter
    lines: LogRecordExporter
    figures: MetricReader


class OpenTelemetry:
    """The Recorder on OpenTelemetry's SDK, with providers of its own: nothing else is recorded."""

    def __init__(self, destinations: Iterable[Destination]) -> None:
        """Prepare to send to each of them."""
        resource = _describe()
        destinations = tuple(destinations)
        self._spans = TracerProvider(resource=resource)
        self._lines = LoggerProvider(resource=resource)
        for one in destinations:
            self._spans.add_span_processor(BatchSpanProcessor(one.spans))
            self._lines.add_log_record_processor(BatchLogRecordProcessor(one.lines))
        self._figures = MeterProvider(
            metric_readers=[one.figures for one in destinations], resource=resource
        )
        self._tracer = self._spans.get_tracer(NAME)
        meter = self._figures.get_meter(NAME)
        self._instruments = {key: _make(meter, key, one) for key, one in INSTRUMENTS.items()}
        self._handler = LoggingHandler(level=logging.INFO, logger_provider=self._lines)
        self._handler.addFilter(_choose)

    def listen(self) -> None:
        """Send what is logged from now on."""
        logging.getLogger().addHandler(self._handler)

    def close(self) -> None:
        """Send what is left, and hear no more."""
        logging.getLogger().removeHandler(self._handler)
        for provider in (self._spans, self._lines, self._figures):
            provider.shutdown()

    def flush(self) -> None:
        """Send what is there by now."""
        for provider in (self._spans, self._lines, self._figures):
            provider.force_flush()

    @contextmanager
    def span(self, name: str, given: Given) -> Iterator["_Span"]:
        """Begin a span; an exception is recorded on it without its secrets, and goes on."""
        with self._tracer.start_as_current_span(
            name, attributes=_plain(given), record_exception=False, set_status_on_exception=False
        ) as current:
            try:
                yield _Span(current)
            except Exception as error:
                stack = "".join(traceback.format_exception(error))
                told = {
                    "exception.type": type(error).__name__,
                    "exception.message": hide(str(error)),
                    "exception.stacktrace": hide(stack),
                }
                current.add_event("exception", told)
                current.set_status(StatusCode.ERROR, hide(f"{type(error).__name__}: {error}"))
                raise

    def record(self, figure: Figure, value: float, given: Given) -> None:
        """Count or measure."""
        self._instruments[figure](value, _plain(given))

    def annotate(self, given: Given) -> None:
        """Say this of the span that is under way in this thread, if one is."""
        get_current_span().set_attributes(_plain(given))


class _Span:
    def __init__(self, span: Span) -> None:
        self._span = span

    def say(self, given: Given) -> None:
        self._span.set_attributes(_plain(given))


def open_destinations(
    *, insights: str, otlp: str, credential: Callable[[], "TokenCredential"]
) -> Iterator[Destination]:
    """Give what the settings name; an OTLP exporter reads the rest of OTEL_* itself."""
    if insights:

        def make(what: str, **given: object) -> Any:  # noqa: ANN401 - the SDK's own types
            from azure.monitor.opentelemetry import exporter  # noqa: PLC0415 - a third of a second

            kind = getattr(exporter, f"AzureMonitor{what}Exporter")
            return kind(connection_string=insights, credential=credential(), **given)

        ours = SimpleNamespace(resource=_describe())
        figures = _FigureSink(lambda: make("Metric"), _DELTA)
        yield Destination(
            # it would look for the resource at the provider of the process, and we set none
            spans=_SpanSink(lambda: make("Trace", tracer_provider=ours)),
            lines=_LineSink(lambda: make("Log")),
            figures=PeriodicExportingMetricReader(figures),
        )
    if otlp:
        yield Destination(
            spans=_SpanSink(_make_otlp_spans),
            lines=_LineSink(_make_otlp_lines),
            figures=PeriodicExportingMetricReader(_FigureSink(_make_otlp_figures)),
        )


def _make_otlp_spans() -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http import trace_exporter  # noqa: PLC0415 - as above

    return trace_exporter.OTLPSpanExporter()


def _make_otlp_lines() -> LogRecordExporter:
    from opentelemetry.exporter.otlp.proto.http import _log_exporter  # noqa: PLC0415 - as above

    return _log_exporter.OTLPLogExporter()


def _make_otlp_figures() -> MetricExporter:
    from opentelemetry.exporter.otlp.proto.http import metric_exporter  # noqa: PLC0415 - as above

    return metric_exporter.OTLPMetricExporter()


def _make(meter: Meter, name: str, one: Instrument) -> Callable[[float, Given], None]:
    match one.kind:
        case "counter":
            return meter.create_counter(name, unit=one.unit, description=one.text).add
        case "gauge":
            return meter.create_gauge(name, unit=one.unit, description=one.text).set
        case "histogram":
            return meter.create_histogram(
                name,
                unit=one.unit,
                description=one.text,
                explicit_bucket_boundaries_advisory=one.borders,
            ).record
        case _:
            assert_never(one.kind)


def _describe() -> Resource:
    """Return what the environment says of us (OTEL_SERVICE_NAME), or our own name."""
    found = Resource.create()
    if str(found.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        return found.merge(Resource({SERVICE_NAME: NAME}))
    return found


def _choose(record: logging.LogRecord) -> logging.LogRecord | bool:
    """Take every line of ours as it is, and of others what is wrong, without its secrets."""
    if record.name == LOGGER:
        return True
    if record.levelno < logging.WARNING or record.name.startswith(_SENDERS):
        return False
    clean = logging.makeLogRecord({**vars(record), "exc_info": None, "exc_text": None, "args": ()})
    raised = record.exc_info[1] if record.exc_info else None
    why = f": {type(raised).__name__}: {raised}" if raised is not None else ""
    clean.msg = hide(record.getMessage() + why)
    return clean


def _plain(given: Given) -> Given:
    return {key: hide(one) if isinstance(one, str) else one for key, one in given.items()}
