"""How large a body may be, before anything of it is read or parsed."""

from typing import Any

from flask import Flask, g, request
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped] # it ships no types

from app.errors import BadRequestError, TooLargeError

SMALL_BYTES = 1 << 20
"""For every body but those that bring an artifact."""

_BODY_SIGNS = {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}
_BEYOND_ARTIFACT_BYTES = 1 << 20


class CountedBody:
    """A chunked body, which has no length: refused once it is too long.

    Werkzeug's own limit cuts such a body off and parses what it has.
    """

    def __init__(self, body: Any, most_bytes: int, refusal: TooLargeError) -> None:
        self._body = body
        self._left_bytes = most_bytes
        self._refusal = refusal

    def read(self, size: int = -1) -> bytes:
        """Some of it, or the rest.

        Raises:
            TooLargeError: there is more than there may be.
            BadRequestError: gunicorn cannot read it.
        """
        wanted = self._left_bytes + 1 if size < 0 else min(size, self._left_bytes + 1)
        try:
            part: bytes = self._body.read(wanted)
        except (OSError, ParseException):
            raise BadRequestError(
                "the body is not chunked as HTTP has it, or was cut off; send it whole"
            ) from None
        self._left_bytes -= len(part)
        if self._left_bytes < 0:
            raise self._refusal
        return part


def init_app(app: Flask, artifact_max_bytes: int, large: frozenset[str]) -> None:
    """Refuse larger bodies; `large` are the endpoints that take artifacts of so many bytes."""
    artifact_bytes = artifact_max_bytes * 4 // 3 + _BEYOND_ARTIFACT_BYTES

    @app.before_request
    def _limit() -> None:
        if not (_BODY_SIGNS & request.environ.keys()):
            return
        most = g.most_body_bytes = artifact_bytes if request.endpoint in large else SMALL_BYTES
        length = request.content_length
        if length is not None and length > most:
            raise too_large(artifact_max_bytes)
        is_chunked = "chunked" in request.headers.get("Transfer-Encoding", "").lower()
        if is_chunked:
            body = request.environ["wsgi.input"]
            counted = CountedBody(body, most, too_large(artifact_max_bytes))
            request.environ["wsgi.input"] = counted
        if (length or is_chunked) and not request.is_json:
            raise BadRequestError("send the body as JSON, with `Content-Type: application/json`")


def too_large(artifact_max_bytes: int) -> TooLargeError:
    """What to tell whoever sent more."""
    return TooLargeError(
        f"the request has more than {g.most_body_bytes} bytes; "
        f"the limit of an artifact is {artifact_max_bytes} bytes"
    )
