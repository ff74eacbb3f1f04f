"""Rows of strategies, of their runs, and of everything that ever happened to them."""

from typing import Any, cast

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.database import Base
from app.strategies.definition import Definition
from app.strategies.states import DesiredState, Reason, Status

_STATUSES = ", ".join(f"'{status}'" for status in Status)


class Strategy(Definition, Base):
    """One strategy of one client; `epoch` counts its claims and never goes back.

    What defines it is the content of its newest version, number `version`, copied.
    """

    __tablename__ = "strategies"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="status_known"),
        # A deleted one that still has to end does not keep its name.
        Index(
            "uq_strategies_live_name",
            "client_id",
            "is_sandbox",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        # A page of a list is read from it in order, however many strategies there are.
        Index(
            "ix_strategies_listed",
            "client_id",
            "is_sandbox",
            "created_at",
            "strategy_id",
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_strategies_sweep", "status", "next_restart_at", "lease_expires_at"),
        Index("ix_strategies_runner", "runner_id", "status"),
    )

    strategy_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    is_sandbox: Mapped[bool]
    name: Mapped[str] = mapped_column(String(100))
    version: Mapped[int] = mapped_column(server_default="1")
    version_started_at: Mapped[float | None]  # of its first run
    env_bytes: Mapped[int] = mapped_column(server_default="0")
    secret_bytes: Mapped[int] = mapped_column(server_default="0")
    desired_state: Mapped[str] = mapped_column(String(16), default=DesiredState.STOPPED)
    status: Mapped[str] = mapped_column(String(16), default=Status.STOPPED)
    status_reason: Mapped[str] = mapped_column(String(32), default=Reason.CREATED)
    latency_target: Mapped[str] = mapped_column(String(40))
    epoch: Mapped[int] = mapped_column(default=0)
    run_id: Mapped[str | None] = mapped_column(String(36))
    runner_id: Mapped[str | None] = mapped_column(String(64))
    lease_expires_at: Mapped[float | None]
    queued_at: Mapped[float | None]
    announced_at: Mapped[float | None]
    start_request_id: Mapped[str | None] = mapped_column(String(128))
    stop_requested_at: Mapped[float | None]
    hook_due: Mapped[str | None] = mapped_column(String(32))
    next_restart_at: Mapped[float | None]
    next_run_at: Mapped[float | None] = mapped_column(index=True)
    restart_count: Mapped[int] = mapped_column(default=0)
    failure_streak: Mapped[int] = mapped_column(default=0)
    crash_signature: Mapped[str | None] = mapped_column(String(64))
    crash_count: Mapped[int] = mapped_column(default=0)
    exit_code: Mapped[int | None]
    create_fingerprint: Mapped[str | None] = mapped_column(String(64))
    create_fingerprint_at: Mapped[float | None]
    created_at: Mapped[float]
    updated_at: Mapped[float]
    deleted_at: Mapped[float | None]

    run: Mapped["Run | None"] = relationship(
        primaryjoin="foreign(Strategy.run_id) == Run.run_id", viewonly=True, lazy="raise"
    )

    # Not a column: `inspect` looks at the runners and says what a queued one waits for.
    waiting = cast(dict[str, Any] | None, None)


class Run(Base):
    """One attempt at running a strategy: what it was given, what came of it."""

    __tablename__ = "runs"
    __table_args__ = (
        Index("ix_runs_strategy_epoch", "strategy_id", "epoch", unique=True),
        Index("ix_runs_unarchived", "logs_archived_at", "ended_at"),
    )

    run_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    strategy_id: Mapped[str] = mapped_column(
        ForeignKey("strategies.strategy_id", ondelete="CASCADE")
    )
    epoch: Mapped[int]
    runner_id: Mapped[str] = mapped_column(String(64))
    artifact_sha256: Mapped[str] = mapped_column(String(64))
    version: Mapped[int | None]
    started_at: Mapped[float]
    ended_at: Mapped[float | None]
    reason: Mapped[str | None] = mapped_column(String(32))
    exit_code: Mapped[int | None]
    isolation: Mapped[dict[str, Any] | None]
    usage: Mapped[dict[str, Any] | None]
    evidence: Mapped[dict[str, Any] | None]
    logs_archived_at: Mapped[float | None]
    # How many lines its runner numbered; null while it runs, and when its runner was lost.
    log_lines: Mapped[int | None] = mapped_column(BigInteger)


class StrategyEvent(Base):
    """One transition, or request, in the life of a strategy; only ever added."""

    __tablename__ = "strategy_events"
    __table_args__ = (Index("ix_strategy_events_strategy", "strategy_id", "event_id"),)

    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    strategy_id: Mapped[str] = mapped_column(
        ForeignKey("strategies.strategy_id", ondelete="CASCADE")
    )
    at: Mapped[float]
    event: Mapped[str] = mapped_column(String(32))
    from_status: Mapped[str] = mapped_column(String(16))
    to_status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(80))
    run_id: Mapped[str | None] = mapped_column(String(36))
    epoch: Mapped[int]
