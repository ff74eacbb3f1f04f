"""A view's share in the bound on large bodies."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import request

from app.api.auth import caller
from app.api.context import services

P = ParamSpec("P")
R = TypeVar("R")

LARGE_BYTES = 1 << 20


def bounds_uploads(view: Callable[P, R]) -> Callable[P, R]:
    """For a view that reads a body, below `requires_key`: count it if it is, or may be, large."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        size_bytes = request.content_length
        if size_bytes is not None and size_bytes < LARGE_BYTES:
            return view(*args, **kwargs)
        with services().uploads.one(caller().client_id):
            return view(*args, **kwargs)

    return wrapped
