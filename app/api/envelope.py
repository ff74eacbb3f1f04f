"""The one place where errors become HTTP: the contract's envelope, on every one of them."""

import logging
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, jsonify
from flask_smorest import Api
from redis.exceptions import RedisError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from app.api import body_limits, request_id
from app.api.context import services
from app.errors import (
    AppError,
    BadRequestError,
    Detail,
    InvalidParamsError,
    NotFoundError,
    UnavailableError,
    ValidationFailedError,
)

log = logging.getLogger(__name__)

_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    503: "SERVICE_UNAVAILABLE",
}
_RETRY_AFTER_S = 2
_DIGITS_REFUSED = "Exceeds the limit ("


class EnvelopeApi(Api):  # type: ignore[misc] # flask-smorest ships no types
    """flask-smorest's Api with our envelope in place of its own error bodies."""

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Answer an HTTP error that Flask, Werkzeug or flask-smorest raised."""
        response = answer(_from_http(error))
        if isinstance(error, MethodNotAllowed):
            response.allow.update(error.valid_methods or ())
        return response


def init_app(app: Flask) -> None:
    """Answer every other error as well."""
    app.register_error_handler(AppError, answer)
    for kind in (OperationalError, InterfaceError, PoolTimeoutError):
        app.register_error_handler(kind, _database_away)
    app.register_error_handler(DBAPIError, _by_connection)
    app.register_error_handler(RedisError, _redis_away)
    app.register_error_handler(RecursionError, _too_deep)
    app.register_error_handler(ValueError, _number_too_long)
    app.register_error_handler(Exception, _unexpected)


def answer(error: AppError) -> Response:
    """The error as a response."""
    body: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "request_id": request_id.current(),
        "details": [{"field": d.field, "message": d.message} for d in error.details],
    }
    response = jsonify({"error": body})
    response.status_code = error.status
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _from_http(error: HTTPException) -> AppError:
    status = error.code or 500
    messages = getattr(error, "data", {}).get("messages", {})
    if status == 422 and "query" in messages:
        details = list(_flatten(messages))
        return InvalidParamsError(f"{details[0].field}: {details[0].message}", details)
    if status == 422 and messages:
        return ValidationFailedError(list(_flatten(messages)))
    if status == 400 and messages:
        return BadRequestError("the body is not valid JSON; send one JSON object")
    if status == 413:
        return body_limits.too_large(services().settings.artifact_max_bytes)
    if status == 404:  # of a route; what is not there of ours is no HTTPException
        return NotFoundError("there is nothing at this path; /v1/docs shows what there is")
    described = AppError(error.description or error.name)
    described.status = status
    described.code = _CODES.get(status, error.name.upper().replace(" ", "_"))
    if status >= 500:
        described.code = _CODES.get(status, "INTERNAL_ERROR")
    return described


def _flatten(messages: Any, path: str = "") -> Iterator[Detail]:
    """marshmallow's nested messages as a flat list; `json.` in front of each path is left out."""
    if isinstance(messages, dict):
        for key, inner in messages.items():
            inner_path = str(key) if path in ("", "json", "query") else f"{path}.{key}"
            yield from _flatten(inner, inner_path)
    elif isinstance(messages, list):
        for inner in messages:
            yield from _flatten(inner, path)
    else:
        yield Detail(path.removesuffix("._schema"), str(messages))


def _database_away(error: Exception) -> Response:
    # The driver's own kind tells a deadlock from a server that is gone.
    kind = type(getattr(error, "orig", None) or error).__name__
    log.error("database_away", extra={"error": kind})
    return answer(
        UnavailableError("the database does not answer; try again", retry_after_s=_RETRY_AFTER_S)
    )


def _by_connection(error: DBAPIError) -> Response:
    """PostgreSQL ends a transaction that stood still for too long as an error of its own."""
    return _database_away(error) if error.connection_invalidated else _unexpected(error)


def _redis_away(error: Exception) -> Response:
    log.error("redis_away", extra={"error": type(error).__name__})
    return answer(
        UnavailableError("Redis does not answer; try again", retry_after_s=_RETRY_AFTER_S)
    )


def _too_deep(_error: Exception) -> Response:
    return answer(BadRequestError("the body is nested too deeply to be read"))


def _number_too_long(error: ValueError) -> Response:
    # Python's reader of JSON refuses it as anything that is no JSON, but by a kind of its own.
    if str(error).startswith(_DIGITS_REFUSED):
        return answer(
            BadRequestError("the body has a number of too many digits; send a shorter one")
        )
    return _unexpected(error)


def _unexpected(error: Exception) -> Response:
    # Only its type and place: a message may quote what a caller sent, secrets included.
    log.error("unexpected_error", exc_info=_without_message(error))
    return answer(
        AppError("something went wrong on our side; tell the operator the request id of this error")
    )


def _without_message(error: Exception) -> tuple[type[Exception], Exception, Any]:
    kind = type(error)
    bare = Exception(f"{kind.__module__}.{kind.__qualname__}")
    return Exception, bare, error.__traceback__
