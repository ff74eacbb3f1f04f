"""Rows of key pairs: which ones what is stored may be sealed for."""

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class CredentialKey(Base):
    """One key pair, by the id that either half of it yields; neither half is stored.

    It is in force until it is retired: web processes may seal for it, and every runner has to hold
    its private half.
    """

    __tablename__ = "credential_keys"

    key_id: Mapped[str] = mapped_column(String(16), primary_key=True)
    created_at: Mapped[float]
    retired_at: Mapped[float | None]
