"""Rows of runners."""

from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class Runner(Base):
    """One runner process; a restart makes a new row, `host_key` ties it to its predecessor."""

    __tablename__ = "runners"

    runner_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host_key: Mapped[str] = mapped_column(String(64), index=True)
    host: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(40))
    version: Mapped[str] = mapped_column(String(32))
    queues: Mapped[list[Any]]
    max_strategies: Mapped[int]
    running: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[float]
    last_heartbeat_at: Mapped[float]
    is_stopping: Mapped[bool] = mapped_column(default=False)
