"""A proxy in front of the API that loses the answer to the first create, as networks do."""

import enum
import http.client
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


class Cut(enum.Enum):
    """How the answer is lost."""

    BAD_GATEWAY = "another answer in its place"
    NO_ANSWER = "the connection ends"


class CutWire:
    """A context manager; `creates` counts the creates that reached the API."""

    def __init__(self, api_port: int, cut: Cut) -> None:
        self.creates = 0
        wire = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                connection = http.client.HTTPConnection("127.0.0.1", api_port, timeout=30)
                connection.request(self.command, self.path, body, dict(self.headers))
                response = connection.getresponse()
                content = response.read()
                connection.close()
                wire.creates += 1
                if wire.creates > 1:
                    self._answer(response.status, content)
                elif cut is Cut.BAD_GATEWAY:
                    self._answer(502, b"")

            def _answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Quiet: the test's own assertions speak."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "CutWire":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
