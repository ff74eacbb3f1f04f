"""What was made with which `Idempotency-Key`: a create that comes again changes nothing."""

from dataclasses import dataclass

from sqlalchemy import ForeignKey, String, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.clients.service import Principal
from app.database import Base, database_now
from app.errors import Detail, ValidationFailedError

HEADER = "Idempotency-Key"
KEPT_S = 86_400.0
"""For this long a key stands for the request that it came with first."""

_MOST_CHARS = 255


class IdempotencyKey(Base):
    """One key of one client in one mode; `key_hash` and `fingerprint` are keyed hashes."""

    __tablename__ = "idempotency_keys"

    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"), primary_key=True)
    is_sandbox: Mapped[bool] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    strategy_id: Mapped[str | None] = mapped_column(String(36))  # which may be gone by now
    created_at: Mapped[float] = mapped_column(index=True)


@dataclass(frozen=True)
class Repeatable:
    """A request with a key: whose it is, and both as keyed hashes."""

    caller: Principal
    key_hash: str
    fingerprint: str


def check_key(key: str) -> None:
    """Raise ValidationFailedError for a key that is not 1 to 255 printable characters."""
    if len(key) > _MOST_CHARS or not (key.isascii() and key.isprintable()):
        message = f"{HEADER} is 1 to {_MOST_CHARS} printable ASCII characters"
        raise ValidationFailedError([Detail(HEADER, message)])


def enter(session: Session, request: Repeatable) -> str | None:
    """The strategy that this request made when it came before; None when it comes first.

    Two at once come one after the other: the second waits for the transaction of the first, and
    comes first itself if that fails.

    Raises:
        ValidationFailedError: the key came with another request before.
    """
    owner = request.caller
    mine = {
        "client_id": owner.client_id,
        "is_sandbox": owner.is_sandbox,
        "key_hash": request.key_hash,
    }
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    new = dialect.insert(IdempotencyKey).values(
        **mine, fingerprint=request.fingerprint, created_at=database_now()
    )
    entered = session.execute(
        new.on_conflict_do_nothing().returning(IdempotencyKey.key_hash)
    ).one_or_none()
    if entered is not None:
        return None
    known = session.scalars(select(IdempotencyKey).filter_by(**mine)).one()
    if known.fingerprint != request.fingerprint:
        message = f"this {HEADER} came with another request before; use a new one for each deploy"
        raise ValidationFailedError([Detail(HEADER, message)])
    return str(known.strategy_id)


def leave(session: Session, request: Repeatable, strategy_id: str) -> None:
    """The request that came first has made this strategy, or a version of it."""
    owner = request.caller
    row = session.get_one(IdempotencyKey, (owner.client_id, owner.is_sandbox, request.key_hash))
    row.strategy_id = strategy_id


def forget_old(session: Session) -> None:
    """Remove keys that nobody will repeat any more."""
    old = IdempotencyKey.created_at < database_now() - KEPT_S
    session.execute(delete(IdempotencyKey).where(old))
