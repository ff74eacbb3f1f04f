"""Rows of runners."""

from typing import Any

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base
from app.runners.capacity import Size


class Runner(Base):
    """One runner process; a restart makes a new row, `host_key` ties it to its predecessor.

    `cpu_millis` and `memory_mb` are what its strategies may be given in all; 0 is no limit.
    """

    __tablename__ = "runners"

    runner_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host_key: Mapped[str] = mapped_column(String(64), index=True)
    host: Mapped[str] = mapped_column(String(255))
    name: Mapped[str] = mapped_column(String(40))
    version: Mapped[str] = mapped_column(String(32))
    queues: Mapped[list[Any]]
    # Of the key pairs that it opens secrets with.
    key_ids: Mapped[list[Any]] = mapped_column(server_default="[]")
    max_strategies: Mapped[int]
    running: Mapped[int] = mapped_column(default=0)
    cpu_millis: Mapped[int] = mapped_column(server_default="0")
    memory_mb: Mapped[int] = mapped_column(server_default="0")
    used_cpu_millis: Mapped[int] = mapped_column(server_default="0")
    used_memory_mb: Mapped[int] = mapped_column(server_default="0")
    started_at: Mapped[float]
    last_heartbeat_at: Mapped[float]
    is_stopping: Mapped[bool] = mapped_column(default=False)

    @property
    def limit(self) -> Size:
        """How much it may hold in all."""
        return Size.limit(self.cpu_millis, self.memory_mb)

    @property
    def free(self) -> Size:
        """What it has left, as of its last heartbeat; nothing when it runs as many as it may."""
        if self.running >= self.max_strategies:
            return Size()
        return self.limit - Size(self.used_cpu_millis, self.used_memory_mb)
