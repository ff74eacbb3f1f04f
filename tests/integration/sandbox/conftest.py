"""A real host with a real API behind its relay."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

# `sealed` is shared with the hostile programs and lies beside them.
sys.path.insert(0, str(Path(__file__).parents[2] / "hostile"))

from network_fixtures import egress, egress_host, uplink, world  # noqa: F401 - fixtures
from sealed import Box

from sandbox import ApiRelay, Host, HostConfig

FIRST_UID = 300_000
SLOTS = 8


class _Echo(BaseHTTPRequestHandler):
    """Answers GET with the path, POST with the body."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(self.path.encode())

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet: the test's own assertions speak."""


@pytest.fixture(scope="session")
def api_port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def host_config(api_port: int) -> HostConfig:
    relay = ApiRelay("127.0.0.1", api_port, listen_ports=(8000, 443), names=("api.example.test",))
    return HostConfig(
        name=f"integration-{os.getpid()}",
        api=relay,
        slots=SLOTS,
        ready_slots=2,
        first_uid=FIRST_UID,
    )


@pytest.fixture(scope="session")
def host(host_config: HostConfig) -> Iterator[Host]:
    host = Host.open(host_config)
    yield host
    host.close()


@pytest.fixture
def box(host: Host) -> Iterator[Box]:
    box = Box(host)
    yield box
    box.close()
