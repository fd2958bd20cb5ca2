"""A small collector of OTLP over HTTP with protobuf: what was sent, as lists, as it comes in."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    """Everything that was sent, whoever sent it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: list[tuple[str, dict[str, Any]]] = []
        self._lines: list[tuple[str, dict[str, Any]]] = []
        self._figures: dict[tuple[str, tuple[tuple[str, Any], ...]], float] = {}
        self.services: set[str] = set()
        self.url = ""

    def spans(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the name and the attributes of every span."""
        with self._lock:
            return list(self._spans)

    def lines(self) -> list[tuple[str, dict[str, Any]]]:
        """Return the body and the attributes of every line."""
        with self._lock:
            return list(self._lines)

    def figures(self) -> dict[tuple[str, tuple[tuple[str, Any], ...]], float]:
        """Return the newest value of every figure (of a histogram: its count)."""
        with self._lock:
            return dict(self._figures)

    def take(self, path: str, body: bytes) -> int:
        """Read one request; return its status."""
        takes = {"/v1/traces": self._traces, "/v1/logs": self._logs, "/v1/metrics": self._metrics}
        if path not in takes:
            return 404
        with self._lock:
            takes[path](body)
        return 200

    def _traces(self, body: bytes) -> None:
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.services.add(str(_plain(sent.resource.attributes)["service.name"]))
            for scope in sent.scope_spans:
                self._spans += [(one.name, _plain(one.attributes)) for one in scope.spans]

    def _logs(self, body: bytes) -> None:
        for sent in ExportLogsServiceRequest.FromString(body).resource_logs:
            for scope in sent.scope_logs:
                found = scope.log_records
                self._lines += [(one.body.string_value, _plain(one.attributes)) for one in found]

    def _metrics(self, body: bytes) -> None:
        for sent in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for scope in sent.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    for point in getattr(metric, kind).data_points:
                        key = (metric.name, tuple(sorted(_plain(point.attributes).items())))
                        self._figures[key] = _value(point)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector on a free port of the loopback."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            self.send_response(collector.take(self.path, body))
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass  # a line per request would bury the test's own

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _plain(attributes: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value")), None) for one in attributes
    }


def _value(point: Any) -> float:
    if hasattr(point, "bucket_counts"):
        return float(point.count)
    return float(getattr(point, point.WhichOneof("value")))
