"""Tickets: for programs that cannot send a header with their handshake, as browsers."""

import hashlib
import json
import secrets

from redis import Redis

from app.clients.service import Principal
from app.errors import UnauthorizedError

TICKET_S = 30


def issue(redis: Redis, principal: Principal) -> str:
    """A ticket that stands for this key, once, for the next 30 s."""
    ticket = secrets.token_urlsafe(32)
    held = {
        "client_id": principal.client_id,
        "client_code": principal.client_code,
        "key_id": principal.key_id,
        "is_sandbox": principal.is_sandbox,
        "scopes": sorted(principal.scopes),
    }
    redis.set(_name(ticket), json.dumps(held), ex=TICKET_S)
    return ticket


def redeem(redis: Redis, ticket: str) -> Principal:
    """Who the ticket stands for; it is used up. Raises UnauthorizedError."""
    held = redis.getdel(_name(ticket))
    if held is None:
        raise UnauthorizedError(
            f"this ticket was used, or is older than {TICKET_S} s; get a new one: GET /v1/ws/ticket"
        )
    found = json.loads(held)
    return Principal(**{**found, "scopes": frozenset(found["scopes"])})


def _name(ticket: str) -> str:
    """Redis holds a hash alone: who reads there cannot use it."""
    return f"market:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
