"""An HTTPS server that answers what it was told, however odd: for answers no emulator gives."""

import http.server
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from local.azure_ml.certificates import server_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Canned:
    """One answer, byte for byte."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None  # said in the header, where it is not the body's


class Canner:
    """Answers each request with the next of its answers."""

    def __init__(self, certificates: Path) -> None:
        self.answers: list[Canned] = []
        self.asked: list[str] = []
        canner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def _serve(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                canner.asked.append(f"{self.command} {self.path}")
                answer = canner.answers.pop(0)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                length = len(answer.body) if answer.length is None else answer.length
                self.send_header("Content-Length", str(length))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(answer.body)

            do_GET = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815 - the names http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context, _ = server_context(certificates)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"https://localhost:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def canner(certificates: Path) -> Iterator[Canner]:
    """Serve until the block ends."""
    server = Canner(certificates)
    try:
        yield server
    finally:
        server.close()
