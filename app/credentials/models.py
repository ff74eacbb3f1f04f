"""Rows of venue keys."""

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class VenueCredential(Base):
    """The key of one client for one venue, in one mode; only what seals it is stored of it.

    Attributes:
        key_tail: the last four characters of the venue's key id, empty for a short one.
        fingerprint: 16 hexadecimal digits of a keyed hash of all of it: equal ones are equal.
    """

    __tablename__ = "venue_credentials"

    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"), primary_key=True)
    is_sandbox: Mapped[bool] = mapped_column(primary_key=True)
    venue: Mapped[str] = mapped_column(String(32), primary_key=True)
    credential_ciphertext: Mapped[bytes]
    credential_nonce: Mapped[bytes]
    credential_wrapped_key: Mapped[bytes]
    credential_key_id: Mapped[str] = mapped_column(String(16))
    key_tail: Mapped[str] = mapped_column(String(4))
    fingerprint: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[float]
    updated_at: Mapped[float]
