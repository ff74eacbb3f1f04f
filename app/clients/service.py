"""Who a key belongs to, and the making of clients and keys."""

import base64
import hashlib
import re
import secrets
import uuid
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.clients.models import ApiKey, Client
from app.database import database_now
from app.errors import UnauthorizedError

_KEY = re.compile(r"seq_(live|test)_[0-9a-f]{64}")
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_SHOWN = len("seq_live_") + 8


@dataclass(frozen=True)
class Principal:
    """Who makes a call: a client, by one of its keys, in live or in sandbox mode."""

    client_id: str
    client_code: str
    key_id: str
    is_sandbox: bool


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; `raw` is nowhere else and never again."""

    raw: str = field(repr=False)
    is_sandbox: bool


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
        UnauthorizedError: not the form of a key, unknown, or revoked.
    """
    if not _KEY.fullmatch(raw_key):
        raise UnauthorizedError(
            "the API key has not the form seq_live_... or seq_test_... with 64 hexadecimal digits"
        )
    found = session.execute(
        select(ApiKey, Client.code)
        .join(Client, Client.client_id == ApiKey.client_id)
        .where(ApiKey.key_hash == hasher(raw_key), ApiKey.revoked_at.is_(None))
    ).one_or_none()
    if found is None:
        raise UnauthorizedError("the API key is not known here, or it was revoked")
    key, code = found
    return Principal(key.client_id, code, key.key_id, key.is_sandbox)


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


def create_key(
    session: Session, hasher: KeyHasher, client: Client, *, is_sandbox: bool, label: str
) -> NewKey:
    """Make a key for a client and return it, for the only time."""
    mode = "test" if is_sandbox else "live"
    raw = f"seq_{mode}_{secrets.token_hex(32)}"
    session.add(
        ApiKey(
            key_id=str(uuid.uuid4()),
            client_id=client.client_id,
            key_hash=hasher(raw),
            prefix=raw[:_SHOWN],
            label=label,
            is_sandbox=is_sandbox,
            created_at=database_now(),
        )
    )
    return NewKey(raw, is_sandbox)
