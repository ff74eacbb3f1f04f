"""Which keys are in force: the database's check value for the keys of each process.

The first process ever puts its keys in force; from then on only `rotate-keys` does, whose operator
holds the private half. So a wrong key is found when a process starts, not when a strategy does.
"""

from collections.abc import Collection

from sqlalchemy import ColumnElement, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.database import database_now
from app.errors import UnavailableError
from app.secrets.models import CredentialKey


class CredentialKeyError(Exception):
    """A process has not the keys that the database asks for; the message has the remedy."""


class KeyNotInForceError(UnavailableError):
    """This web process may not seal with its key: to its caller, a part of the platform is away."""


def in_force(session: Session) -> set[str]:
    """The ids of the keys that values may be sealed for."""
    return set(session.scalars(select(CredentialKey.key_id).where(_is_in_force())))


def check_opening(session: Session, held: Collection[str]) -> None:
    """For a process that opens: it must hold every key in force.

    Raises:
        CredentialKeyError: it lacks one.
    """
    _begin(session, held)
    missing = in_force(session) - set(held)
    if missing:
        raise CredentialKeyError(
            f"CREDENTIAL_ENCRYPTION_KEY holds {_listed(held)}, and the database may hold secrets "
            f"sealed for {_listed(missing)}: add the private half (newest first, separated by "
            "commas); `sequence admin rotate-keys --retire` ends a key, and `--lost ID` one that "
            "nobody has"
        )


def check_sealing(session: Session, key_id: str) -> None:
    """For a process that seals: its key must be in force.

    Raises:
        CredentialKeyError: it is not.
    """
    _begin(session, [key_id])
    found = in_force(session)
    if key_id not in found:
        raise CredentialKeyError(
            f"CREDENTIAL_PUBLIC_KEY is the public half of {key_id}, and {_listed(found)} is in "
            "force: set that one, or put yours in force with `sequence admin rotate-keys`"
        )


def hold(session: Session, key_id: str) -> None:
    """Seal in this transaction with this key: it is in force until the transaction ends.

    Raises:
        KeyNotInForceError: it is not in force now.
    """
    _begin(session, [key_id])
    query = select(CredentialKey.key_id).where(CredentialKey.key_id == key_id, _is_in_force())
    if session.scalar(query.with_for_update(read=True)) is None:
        raise KeyNotInForceError(
            "the platform cannot seal secrets: this web process has an old key "
            f"({key_id}). Try again later; its operator has to give it the public half of one that "
            "is in force",
            retry_after_s=60,
        )


def put_in_force(session: Session, key_id: str) -> None:
    """Let values be sealed for this key, also when it was retired before."""
    _insert(session, key_id)
    row = update(CredentialKey).where(CredentialKey.key_id == key_id)
    session.execute(row.values(retired_at=None))


def retire_others(session: Session, key_id: str) -> list[str]:
    """Let values be sealed for this key alone: the ids of the others, whenever they were retired.

    Waits for whoever is just sealing with one of them.
    """
    others = CredentialKey.key_id != key_id
    session.execute(
        update(CredentialKey).where(others, _is_in_force()).values(retired_at=database_now())
    )
    return sorted(session.scalars(select(CredentialKey.key_id).where(others)))


def _is_in_force() -> ColumnElement[bool]:
    return CredentialKey.retired_at.is_(None)


def _begin(session: Session, key_ids: Collection[str]) -> None:
    """Put these keys in force if there was never any."""
    if session.scalar(select(CredentialKey.key_id).limit(1)) is not None:
        return
    if session.get_bind().dialect.name == "postgresql":
        # Two processes with different keys must not both be the first one.
        session.execute(text("LOCK TABLE credential_keys IN SHARE ROW EXCLUSIVE MODE"))
        if session.scalar(select(CredentialKey.key_id).limit(1)) is not None:
            return
    for key_id in key_ids:
        _insert(session, key_id)


def _insert(session: Session, key_id: str) -> None:
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    insert = dialect.insert(CredentialKey).values(key_id=key_id, created_at=database_now())
    session.execute(insert.on_conflict_do_nothing())


def _listed(key_ids: Collection[str]) -> str:
    return ", ".join(sorted(key_ids))
