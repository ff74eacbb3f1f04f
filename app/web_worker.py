"""gunicorn's worker as we need it: our envelope for what is no request, and a word to those who
stay connected for hours, when it ends.
"""

import json
import logging
import uuid
from typing import Any

import gevent  # type: ignore[import-untyped] # it ships no types
from gunicorn import util  # type: ignore[import-untyped] # gunicorn ships no types
from gunicorn.http import errors  # type: ignore[import-untyped]
from gunicorn.workers.ggevent import GeventWorker  # type: ignore[import-untyped]

from app.api.answer_headers import ON_EVERY_ANSWER

log = logging.getLogger(__name__)

_UNREADABLE: dict[type[Exception], tuple[int, str, str, str]] = {
    errors.LimitRequestLine: (
        *(414, "URI Too Long", "URI_TOO_LONG"),
        "the request line is too long; send less in the query",
    ),
    errors.LimitRequestHeaders: (
        *(431, "Request Header Fields Too Large", "HEADERS_TOO_LARGE"),
        "the headers are too many or too long",
    ),
    errors.ExpectationFailed: (
        *(417, "Expectation Failed", "EXPECTATION_FAILED"),
        "leave out the header Expect, or expect 100-continue",
    ),
    errors.UnsupportedTransferCoding: (
        *(501, "Not Implemented", "NOT_IMPLEMENTED"),
        "send the body as it is, or chunked",
    ),
}
_BROKEN = (400, "Bad Request", "BAD_REQUEST", "this is not an HTTP request that can be read")
_OURS = (
    *(500, "Internal Server Error", "INTERNAL_ERROR"),
    "something went wrong on our side; tell the operator the request id of this error",
)


# gunicorn looks once a second whether it should go, and only then stops accepting: who was told to
# connect again before that would come back to the same worker.
_STOPS_ACCEPTING_WITHIN_S = 1.2


class WebWorker(GeventWorker):  # type: ignore[misc] # gunicorn ships no types
    """A `worker_class`."""

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """Begin to end; who stays is asked to connect again, which is to our successor."""
        super().handle_exit(sig, frame)
        gevent.spawn(self._let_everybody_go)

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what the parser refused; the log has its kind and none of its words."""
        del req
        answer = _BROKEN if isinstance(exc, errors.ParseException) else _OURS
        if isinstance(exc, errors.InvalidResponseHeader | errors.InvalidResponseHeaderName):
            answer = _OURS
        answer = _UNREADABLE.get(type(exc), answer)
        request_id = str(uuid.uuid4())
        about = {
            "error": type(exc).__name__,
            "status": answer[0],
            "remote": addr[0] if addr else "",
            "request_id": request_id,
        }
        if answer is _OURS:
            bare = Exception(type(exc).__qualname__)
            log.error("request_broke", extra=about, exc_info=(Exception, bare, exc.__traceback__))
        else:
            log.warning("request_unreadable", extra=about)
        try:
            util.write_nonblock(client, _envelope(request_id, *answer))
        except OSError:
            log.debug("answer_not_sent")

    def _let_everybody_go(self) -> None:
        # Not above: what the master imports is there before gevent has its hands on it.
        from app.api.context import EXTENSION
        from app.parts import PARTS

        extensions = getattr(self.wsgi, "extensions", {})
        if EXTENSION in extensions:
            gevent.sleep(_STOPS_ACCEPTING_WITHIN_S)
            extensions[EXTENSION].feeds.let_go()
            for part in extensions[PARTS]:
                part.let_go(self.wsgi)


def _envelope(request_id: str, status: int, reason: str, code: str, message: str) -> bytes:
    error = {"code": code, "message": message, "request_id": request_id, "details": []}
    body = json.dumps({"error": error}).encode()
    headers = {
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "X-Request-Id": request_id,
        **ON_EVERY_ANSWER,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} {reason}\r\n{head}\r\n".encode() + body
