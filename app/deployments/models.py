"""Rows of versions."""

from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base
from app.strategies.definition import Definition


class Origin(StrEnum):
    """How a version came to be."""

    CREATE = "create"  # uploaded, under a new name or an existing one
    UPDATE = "update"  # settings changed in place
    ROLLBACK = "rollback"  # its owner wanted an earlier one back
    AUTO_ROLLBACK = "auto_rollback"  # the one before it crash-looped soon after its first start


class StrategyVersion(Definition, Base):
    """Everything that defined a strategy from one deployment to the next; never changed.

    `source_version` is the one that a rollback brought back; `actor` as in events.
    """

    __tablename__ = "strategy_versions"

    strategy_id: Mapped[str] = mapped_column(
        ForeignKey("strategies.strategy_id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(primary_key=True)
    origin: Mapped[str] = mapped_column(String(16))
    source_version: Mapped[int | None]
    actor: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[float]
