"""What every log line of one request, or of one run, has in common."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

Fields = Mapping[str, Any]

REQUEST_ID_HEADER = "request_id"
"""Under this name a message to a runner carries the id of the request that it is about."""

_MAX_CHARS = 128
_fields: ContextVar[Fields] = ContextVar("log_fields", default=MappingProxyType({}))


def present() -> Fields:
    """The fields that hold for this thread or greenlet now."""
    return _fields.get()


def begin(**fields: Any) -> None:
    """These fields alone hold from here on, in this thread or greenlet; none ends them."""
    _fields.set(fields)


@contextmanager
def bound(**fields: Any) -> Iterator[None]:
    """Add fields for the time of a `with`, those that are None or empty aside."""
    token = _fields.set({**_fields.get(), **{k: v for k, v in fields.items() if v}})
    try:
        yield
    finally:
        _fields.reset(token)


def request_id() -> str | None:
    """The id of the request that is being answered, or that led to this run."""
    found: str | None = present().get("request_id")
    return found


def usable_id(value: object) -> str:
    """The id, if it is one that may stand in headers and logs; else empty."""
    if not isinstance(value, str):
        return ""
    fits = 0 < len(value) <= _MAX_CHARS and value.isascii() and value.isprintable()
    return value if fits else ""
