"""Who a key belongs to, and the making of clients and keys."""

import base64
import hashlib
import re
import secrets
import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from app.clients.models import ApiKey, Client
from app.database import database_now
from app.errors import UnauthorizedError

_KEY = re.compile(r"seq_(live|test)_[0-9a-f]{64}")
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SHOWN = len("seq_live_") + 8


class Scope(StrEnum):
    """What a key may do; each holds the ones before it."""

    READ = "read"  # look
    DEPLOY = "deploy"  # make, change, start, stop and delete strategies
    ADMIN = "admin"  # make, rotate and revoke keys, and store those of venues


EVERYTHING = tuple(Scope)


@dataclass(frozen=True)
class Principal:
    """Who makes a call: a client, by one of its keys, in live or in sandbox mode.

    `is_ending`: the key was rotated, and is in its grace.
    """

    client_id: str
    client_code: str
    key_id: str
    is_sandbox: bool
    scopes: frozenset[str]
    is_ending: bool = field(default=False, compare=False)

    def may(self, scope: Scope) -> bool:
        """Whether the key has this scope, or one that holds it."""
        return not self.scopes.isdisjoint(EVERYTHING[EVERYTHING.index(scope) :])


@dataclass(frozen=True)
class KeyKind:
    """What a new key is to be."""

    is_sandbox: bool
    label: str
    scopes: Sequence[str] = EVERYTHING


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; `raw` is nowhere else and never again."""

    raw: str = field(repr=False)
    row: ApiKey


class KeyHasher:
    """The keyed hash under which API keys are stored; the key is 32 bytes in base64."""

    def __init__(self, hash_key: str) -> None:
        self._key = base64.b64decode(hash_key)

    def __call__(self, text: str) -> str:
        """64 hexadecimal digits."""
        return hashlib.blake2b(text.encode(), key=self._key, digest_size=32).hexdigest()


def authenticate(session: Session, hasher: KeyHasher, raw_key: str) -> Principal:
    """The owner of an API key.

    The look-up is by keyed hash: its timing tells nothing about any stored key.

    Raises:
        UnauthorizedError: not the form of a key, unknown, expired, or revoked.
    """
    if not _KEY.fullmatch(raw_key):
        raise UnauthorizedError(
            "the API key has not the form seq_live_... or seq_test_... with 64 hexadecimal digits"
        )
    found = session.execute(
        select(ApiKey, Client.code)
        .join(Client, Client.client_id == ApiKey.client_id)
        .where(ApiKey.key_hash == hasher(raw_key), is_valid())
    ).one_or_none()
    if found is None:
        raise UnauthorizedError("the API key is not known here, or it was revoked")
    key, code = found
    is_ending = key.expires_at is not None
    scopes = frozenset(key.scopes)
    return Principal(key.client_id, code, key.key_id, key.is_sandbox, scopes, is_ending)


def is_valid() -> ColumnElement[bool]:
    """The condition that a key is neither revoked nor beyond its grace."""
    has_time = ApiKey.expires_at.is_(None) | (ApiKey.expires_at > database_now())
    return ApiKey.revoked_at.is_(None) & has_time


def valid_keys(session: Session, key_ids: Collection[str]) -> set[str]:
    """Those of the keys that were neither revoked nor ran out."""
    query = select(ApiKey.key_id).where(ApiKey.key_id.in_(key_ids), is_valid())
    return set(session.scalars(query))


def ensure_client(session: Session, code: str) -> Client:
    """The client with this code, made when there is none.

    Raises:
        ValueError: the code is not 1-32 of small letters, digits and `-`.
    """
    if not _CODE.fullmatch(code):
        raise ValueError("a client's code is 1-32 of small letters, digits and '-'")
    client = session.scalar(select(Client).where(Client.code == code))
    if client is None:
        client = Client(client_id=str(uuid.uuid4()), code=code, created_at=database_now())
        session.add(client)
        session.flush()
    return client


def lock_client(session: Session, client_id: str) -> None:
    """Let no other transaction in that locks the same client, until this one ends.

    To be taken before a strategy is locked: who waited for the two in another order might wait for
    ever.
    """
    row = select(Client.client_id).where(Client.client_id == client_id)
    # Not FOR UPDATE: every change of a strategy looks, for its foreign key, whether the client is
    # there, and would wait for us while we wait for its strategy.
    session.execute(row.with_for_update(key_share=True))


def create_key(session: Session, hasher: KeyHasher, client_id: str, kind: KeyKind) -> NewKey:
    """Make a key for a client and return it, for the only time."""
    mode = "test" if kind.is_sandbox else "live"
    raw = f"seq_{mode}_{secrets.token_hex(32)}"
    row = ApiKey(
        key_id=str(uuid.uuid4()),
        client_id=client_id,
        key_hash=hasher(raw),
        prefix=raw[:_SHOWN],
        label=kind.label,
        is_sandbox=kind.is_sandbox,
        scopes=[str(scope) for scope in Scope if scope in kind.scopes],
        created_at=database_now(),
    )
    session.add(row)
    session.flush()
    session.refresh(row)
    return NewKey(raw, row)
