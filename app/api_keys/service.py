"""What clients may ask about their keys; each function owns its transaction.

A live key sees all keys of its client, a sandbox key those of the sandbox alone.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.api.context import Services
from app.clients.models import ApiKey
from app.clients.revocations import revoke_known
from app.clients.service import KeyKind, NewKey, Principal, create_key, is_valid
from app.database import database_now
from app.errors import ConflictError, ForbiddenError, NotFoundError


def create(services: Services, caller: Principal, body: dict[str, Any]) -> NewKey:
    """Make a key of the caller's client.

    Raises:
        ForbiddenError: a sandbox key asks for a live one.
    """
    is_sandbox = caller.is_sandbox if body["sandbox"] is None else body["sandbox"]
    if caller.is_sandbox and not is_sandbox:
        raise ForbiddenError("a sandbox key makes sandbox keys only; use a live key")
    with services.database.transaction() as session:
        kind = KeyKind(is_sandbox, body["label"], body["scopes"])
        return create_key(session, services.hasher, caller.client_id, kind)


def list_all(services: Services, caller: Principal) -> Sequence[ApiKey]:
    """The valid keys that the caller may see, newest first."""
    with services.database.reading() as session:
        newest = _visible(caller).order_by(ApiKey.created_at.desc(), ApiKey.key_id)
        return session.scalars(newest).all()


def rotate(services: Services, caller: Principal, key_id: str, grace_s: float | None) -> NewKey:
    """Make a key like this one, which stays valid for the grace and then ends.

    Raises:
        NotFoundError: the caller may see no such key.
        ConflictError: it was rotated already.
    """
    grace_s = services.settings.api_key_grace_s if grace_s is None else grace_s
    with services.database.transaction() as session:
        row = _locked(session, caller, key_id)
        if row.expires_at is not None:
            raise ConflictError("this key was rotated already; rotate the one that replaced it")
        row.expires_at = database_now() + grace_s
        kind = KeyKind(row.is_sandbox, row.label, row.scopes)
        new = create_key(session, services.hasher, row.client_id, kind)
    _turn(services)
    return new


def revoke(services: Services, caller: Principal, key_id: str) -> None:
    """End a key now; what its strategies hold of it ends with it.

    Raises:
        NotFoundError: the caller may see no such key.
    """
    with services.database.transaction() as session:
        _locked(session, caller, key_id).revoked_at = database_now()
    _turn(services)


def _turn(services: Services) -> None:
    """From now on nobody takes the key for what it was."""
    services.known_keys.forget()
    revoke_known(services.redis)


def _visible(caller: Principal) -> Select[ApiKey]:
    query = select(ApiKey).where(ApiKey.client_id == caller.client_id, is_valid())
    return query.where(ApiKey.is_sandbox.is_(True)) if caller.is_sandbox else query


def _locked(session: Session, caller: Principal, key_id: str) -> ApiKey:
    found = None
    if "\0" not in key_id:
        query = _visible(caller).where(ApiKey.key_id == key_id)
        found = session.scalar(query.with_for_update())
    if found is None:
        raise NotFoundError(f"there is no API key {key_id!r} that this key may see")
    return found
