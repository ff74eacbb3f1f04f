"""Rows of the archive: lines of a run that outlive Redis."""

from sqlalchemy import BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class LogChunk(Base):
    """Compressed lines `first_number` to `last_number` of one run, without a gap.

    A run's chunks form a chain: each begins where its predecessor ended, and the key says where
    that was. So two that archive the same lines at once cannot both succeed, and whoever crashed
    in between is simply repeated.

    Attributes:
        raw_bytes: what the lines took; 0 for the platform's word on an end that was lost.
        data: the lines; None when they are an object in the store that LOG_ARCHIVE_URL names.
    """

    __tablename__ = "log_chunks"
    __table_args__ = (Index("ix_log_chunks_strategy", "strategy_id", "created_at"),)

    run_id: Mapped[str] = mapped_column(
        ForeignKey("runs.run_id", ondelete="CASCADE"), primary_key=True
    )
    after_number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    strategy_id: Mapped[str] = mapped_column(String(36))
    first_number: Mapped[int] = mapped_column(BigInteger)
    last_number: Mapped[int] = mapped_column(BigInteger)
    last_ts_ms: Mapped[int] = mapped_column(BigInteger)
    is_end: Mapped[bool]
    raw_bytes: Mapped[int]
    stored_bytes: Mapped[int]
    created_at: Mapped[float]
    data: Mapped[bytes | None] = mapped_column(LargeBinary)
