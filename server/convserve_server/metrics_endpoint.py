"""A small HTTP server beside the gRPC one: /metrics for Prometheus, /healthz and /readyz for probes, a profile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from convserve_server.errors import InvalidSettings
from convserve_server.observe.profile_page import PATH, ProfilePage

_TEXT = "text/plain; charset=utf-8"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class MetricsEndpoint:
    """Listens on HOST:PORT as soon as it is made; answers from start() to stop().

    Raises InvalidSettings when the address cannot be bound.
    """

    def __init__(
        self,
        listen: str,
        metrics: Callable[[], bytes],
        ready: Callable[[], bool],
        profile: ProfilePage | None = None,
    ) -> None:
        host, separator, port = listen.rpartition(":")
        if not (separator and host and port.isdecimal() and int(port) < 65536):
            raise InvalidSettings(f"the address for metrics is '{listen}'; give HOST:PORT, such as 127.0.0.1:9090")
        try:
            self._server = _Server((host.strip("[]"), int(port)), _handler(metrics, ready, profile))
        except OSError as error:
            raise InvalidSettings(f"cannot serve metrics on {listen}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self.port: int = self._server.server_address[1]

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hangs up is no reason for a traceback."""


def _handler(
    metrics: Callable[[], bytes], ready: Callable[[], bool], profile: ProfilePage | None
) -> type[BaseHTTPRequestHandler]:
    pages = ["/metrics", "/healthz", "/readyz", *([] if profile is None else [PATH])]
    there_are = f"there are {', '.join(pages[:-1])} and {pages[-1]}\n".encode()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10  # seconds that a client may take to ask

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            if path == "/metrics":
                self._answer(200, metrics(), _METRICS)
            elif path == "/healthz":
                self._answer(200, b"live\n")
            elif path == "/readyz":
                self._answer(*((200, b"ready\n") if ready() else (503, b"not ready\n")))
            elif path == PATH and profile is not None:
                self._answer(*profile(query, self.headers.get("Authorization")))
            else:
                self._answer(404, there_are)

        def _answer(self, status: int, body: bytes, kind: str = _TEXT) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Quiet: it would be a line for every probe."""

    return Handler
