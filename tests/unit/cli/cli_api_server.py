"""A small HTTP server on loopback that answers as a test has told it to."""

import json
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

STRATEGY_ID = "5dfbea6f-3698-4cf4-b493-3a48a69797d4"
RUN_ID = "0b0f4a0e-61a5-4d0c-8f39-6f5ddc4e2a11"


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """``body``: bytes as they are, anything else as JSON. ``drop``: hang up without a word."""

    body: object = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass(frozen=True)
class Stream:
    """An event stream that is cut off after its ``pieces``, without a proper end.

    ``hold``: keep the connection open instead, until the server is closed.
    """

    pieces: tuple[bytes, ...]
    chunked: bool = True
    hold: bool = False


Reply = Answer | Stream | Callable[[Received], Answer]


class LocalApi:
    """``answer`` queues replies for a route; the last one stays. ``received`` is the record."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.received: list[Received] = []
        self.closing = threading.Event()
        self.replies: dict[tuple[str, str], list[Reply]] = defaultdict(list)

    def answer(self, method: str, path: str, *replies: Reply) -> None:
        self.replies[(method, path)] = list(replies)

    def take(self, request: Received) -> Answer | Stream:
        self.received.append(request)
        replies = self.replies.get((request.method, request.path))
        if not replies:
            return error_answer(404, "NOT_FOUND", f"no route {request.method} {request.path}")
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return reply(request) if callable(reply) else reply

    def calls(self, method: str) -> list[Received]:
        return [request for request in self.received if request.method == method]


def error_answer(status: int, code: str, message: str, **extra: object) -> Answer:
    error = {"code": code, "message": message, "request_id": "req-77", "details": [], **extra}
    return Answer({"error": error}, status)


def strategy_row(**changes: object) -> dict:
    return {
        "strategy_id": STRATEGY_ID,
        "name": "heartbeat",
        "runtime": "python",
        "entrypoint": "main.py",
        "artifact_sha256": "8d4c06fd9322df3e280847c8a34dc884e31a6c900f86ec94189d7758bc8233fb",
        "size_bytes": 20334,
        "desired_state": "stopped",
        "status": "stopped",
        "is_sandbox": True,
        "created_at": 1777414125,
        "updated_at": 1777414125,
        "status_reason": None,
        "run_id": None,
        "restart_count": 0,
        "exit_code": None,
        "next_restart_at": None,
        "latency_target": "default",
        "env": {},
        "manifest": {},
        "placement": {},
        "resources": {},
        "risk": {},
        **changes,
    }


def one_strategy(**changes: object) -> Answer:
    return Answer({"strategy": strategy_row(**changes)})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: LocalApi

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(parts.query))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.api.take(Received(self.command, parts.path, query, headers, body))
        if isinstance(reply, Stream):
            self._stream(reply)
        elif reply.drop:
            self.close_connection = True
        else:
            self._answer(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - the base's names

    def _answer(self, reply: Answer) -> None:
        is_raw = isinstance(reply.body, bytes)
        content = reply.body if is_raw else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        if not is_raw:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, reply: Stream) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in reply.pieces:
            framed = b"%x\r\n%s\r\n" % (len(piece), piece) if reply.chunked else piece
            self.wfile.write(framed)
        self.wfile.flush()
        if reply.hold:
            self.api.closing.wait()

    def log_message(self, *_args: object) -> None:
        """The record is in ``LocalApi.received``."""


@contextmanager
def local_api() -> Iterator[LocalApi]:
    handler = type("Handler", (_Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    api = handler.api = LocalApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        api.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
