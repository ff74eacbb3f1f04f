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
    principal = _counted(key.strip())
    services().key_uses.note(principal.key_id)
    return principal


def _counted(key: str) -> Principal:
    """Whose key it is, once the request was taken out of its bucket: as it is known, or from the
    database."""
    known_keys, rate = services().known_keys, services().rate
    key_hash = services().hasher(key)
    known = known_keys.find(key_hash)
    is_counted = False
    if known is not None:
        is_counted, allowance = True, rate.take(known.principal.key_id)
        if allowance is not None:
            known_keys.saw(allowance.generation)
            if allowance.generation == known.generation:
                return known.principal
    # Seen before the look: what is revoked during it turns the generation after that.
    generation = known_keys.generation
    principal = _looked_up(key)
    if not is_counted and (allowance := rate.take(principal.key_id)) is not None:
        known_keys.saw(allowance.generation)
    known_keys.keep(key_hash, principal, generation)
    return principal


def _looked_up(key: str) -> Principal:
    try:
        with services().database.reading() as session:
            return authenticate(session, services().hasher, key)
    except UnauthorizedError:
        services().attempts.failed(request.remote_addr or "")
        raise
