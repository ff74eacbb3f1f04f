"""Every request has an id: the caller's own when it is usable, else a new one."""

import uuid

from flask import Flask, Response, g, request

_MAX_CHARS = 128


def init_app(app: Flask) -> None:
    """Give each request an id and echo it on each response."""

    @app.before_request
    def _assign() -> None:
        g.request_id = _usable(request.headers.get("X-Request-Id", "")) or str(uuid.uuid4())

    @app.after_request
    def _echo(response: Response) -> Response:
        response.headers["X-Request-Id"] = current()
        return response


def current() -> str:
    """The id of the request that is being answered."""
    return str(g.get("request_id") or uuid.uuid4())


def _usable(value: str) -> str:
    fits = 0 < len(value) <= _MAX_CHARS and value.isascii() and value.isprintable()
    return value if fits else ""
