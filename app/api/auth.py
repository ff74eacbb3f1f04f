"""Bearer keys: who makes the call."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import g, request

from app.api.context import services
from app.clients.service import Principal, authenticate
from app.errors import UnauthorizedError

P = ParamSpec("P")
R = TypeVar("R")

REQUIRES_KEY = "requires_key"


def requires_key(view: Callable[P, R]) -> Callable[P, R]:
    """Let the view run only for a caller with a valid key; `caller()` then says who it is."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        g.principal = _authenticated()
        return view(*args, **kwargs)

    marked: Any = wrapped
    setattr(marked, REQUIRES_KEY, True)
    return wrapped


def caller() -> Principal:
    """Who makes the call that is being answered."""
    principal: Principal = g.principal
    return principal


def _authenticated() -> Principal:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise UnauthorizedError("send the API key as `Authorization: Bearer seq_live_...`")
    with services().database.reading() as session:
        return authenticate(session, services().hasher, key.strip())
