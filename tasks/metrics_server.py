"""A runner's metrics over HTTP, on a port of their own that no strategy has a way to."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from app.metrics.access import holds

_PATIENCE_S = 10.0


class MetricsPortError(Exception):
    """The port cannot be had; the message says what to change."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A successor on the same port begins before its predecessor's connections are forgotten.
    allow_reuse_address = True
    registry: CollectorRegistry
    token: str


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE_S
    server: _Server

    def do_GET(self) -> None:
        """The metrics, or why not."""
        token = self.server.token
        if self.path.partition("?")[0] != "/metrics":
            self._answer(404, b"there is only /metrics here\n", "text/plain")
        elif token and not holds(self.headers.get("Authorization", ""), token):
            self._answer(401, b"send METRICS_TOKEN as a bearer token\n", "text/plain")
        else:
            self._answer(200, generate_latest(self.server.registry), CONTENT_TYPE_PLAIN_0_0_4)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no news."""

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class MetricsServer:
    """Answers until `close`, in threads of its own."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int, token: str) -> None:
        """Listen at once.

        Raises:
            MetricsPortError: the port is taken, or the address is not this host's.
        """
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise MetricsPortError(
                f"metrics cannot be shown on {host}:{port} ({error.strerror}): choose another "
                "RUNNER_METRICS_PORT or RUNNER_METRICS_HOST, or 0 for none"
            ) from None
        self._server.registry, self._server.token = registry, token
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
