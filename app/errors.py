"""The family of errors that an API call may end in; `app.api.envelope` maps them to HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Detail:
    """One problem with one field of a request, in words."""

    field: str
    message: str


class AppError(Exception):
    """Base of all: what the caller did, or what is missing, and what to do about it.

    Attributes:
        status: HTTP status of the answer.
        code: the contract's word for it.
        details: one entry for each field that is at fault.
        retry_after_s: whole seconds after which trying again makes sense, or None.
    """

    status = 500
    code = "INTERNAL_ERROR"

    def __init__(
        self, message: str, details: Sequence[Detail] = (), retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = tuple(details)
        self.retry_after_s = retry_after_s


class ValidationFailedError(AppError):
    """Fields of the request are wrong; the message repeats the first of them."""

    status = 422
    code = "VALIDATION_ERROR"

    def __init__(self, details: Sequence[Detail]) -> None:
        first = details[0]
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        named = first.field in ("", "_schema") or first.field in first.message
        prefix = "" if named else f"{first.field}: "
        super().__init__(f"{prefix}{first.message}{more}", details)


class BadRequestError(AppError):
    """The request cannot be read at all."""

    status = 400
    code = "BAD_REQUEST"


class InvalidParamsError(AppError):
    """A query parameter is wrong."""

    status = 400
    code = "INVALID_PARAMS"


class UnauthorizedError(AppError):
    """No key, or not one of ours."""

    status = 401
    code = "UNAUTHORIZED"


class ForbiddenError(AppError):
    """The key is valid, and this is not for it."""

    status = 403
    code = "FORBIDDEN"


class RateLimitedError(AppError):
    """Too many requests; it carries when to come again."""

    status = 429
    code = "RATE_LIMITED"


class NotFoundError(AppError):
    """Nothing there that this key may see."""

    status = 404
    code = "NOT_FOUND"


class ConflictError(AppError):
    """The present state does not allow it."""

    status = 409
    code = "CONFLICT"


class TooLargeError(AppError):
    """More bytes than the limit that the message names."""

    status = 413
    code = "PAYLOAD_TOO_LARGE"


class UnavailableError(AppError):
    """A part of the platform is away; trying again helps."""

    status = 503
    code = "SERVICE_UNAVAILABLE"
