"""Bearer keys: who makes the call."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import g, request

from app.api.context import services
from app.clients.service import Principal, Scope, authenticate
from app.errors import ForbiddenError, UnauthorizedError

P = ParamSpec("P")
R = TypeVar("R")

REQUIRES_KEY = "requires_key"
"""Attribute of a view: the scope that it asks for."""


def requires(scope: Scope) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let the view run only for a caller whose key has this scope; `caller()` says who it is."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            g.principal = _authenticated()
            services().rate.take(g.principal.key_id)
            _hold_scope(g.principal, scope)
            return view(*args, **kwargs)

        marked: Any = wrapped
        setattr(marked, REQUIRES_KEY, scope)
        return wrapped

    return decorate


def requires_key(view: Callable[P, R]) -> Callable[P, R]:
    """Let the view run for every valid key: all of them may read."""
    return requires(Scope.READ)(view)


def caller() -> Principal:
    """Who makes the call that is being answered."""
    principal: Principal = g.principal
    return principal


def _hold_scope(principal: Principal, scope: Scope) -> None:
    if not principal.may(scope):
        has = ", ".join(sorted(principal.scopes)) or "none"
        raise ForbiddenError(
            f"this needs a key with the scope {scope}; the scopes of this one: {has}"
        )


def _authenticated() -> Principal:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise UnauthorizedError("send the API key as `Authorization: Bearer seq_live_...`")
    try:
        with services().database.reading() as session:
            principal = authenticate(session, services().hasher, key.strip())
    except UnauthorizedError:
        services().attempts.failed(request.remote_addr or "")
        raise
    services().key_uses.note(principal.key_id)
    return principal
