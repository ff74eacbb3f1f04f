"""Rows of clients and of their API keys."""

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Client(Base):
    """One tenant; `code` is what strategies see as SEQUENCE_CLIENT_ID.

    Attributes:
        log_kept_days, log_archive_max_bytes, log_runs_kept: in place of the settings of the same
            names; null is the platform's default.
    """

    __tablename__ = "clients"

    client_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    code: Mapped[str] = mapped_column(String(32), unique=True)
    created_at: Mapped[float]
    log_kept_days: Mapped[float | None]
    log_archive_max_bytes: Mapped[int | None] = mapped_column(BigInteger)
    log_runs_kept: Mapped[int | None]


class ApiKey(Base):
    """One API key, of which only a keyed hash is kept."""

    __tablename__ = "api_keys"

    key_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"), index=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    prefix: Mapped[str] = mapped_column(String(24))
    label: Mapped[str] = mapped_column(String(100))
    is_sandbox: Mapped[bool]
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]
