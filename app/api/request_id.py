"""Every request has an id: the caller's own when it is usable, else a new one.

It stands in the answer and in every log line of the request, and goes with the start of a strategy.
"""

import uuid

from flask import Flask, Response, g, request

from app import log_context


def init_app(app: Flask) -> None:
    """Give each request an id and echo it on each response."""

    @app.before_request
    def _assign() -> None:
        given = log_context.usable_id(request.environ.get("HTTP_X_REQUEST_ID", ""))
        g.request_id = given or str(uuid.uuid4())
        log_context.begin(request_id=g.request_id)

    @app.after_request
    def _echo(response: Response) -> Response:
        response.headers["X-Request-Id"] = current()
        return response

    @app.teardown_request
    def _forget(_error: BaseException | None) -> None:
        log_context.begin()


def current() -> str:
    """The id of the request that is being answered."""
    return str(g.get("request_id") or uuid.uuid4())
