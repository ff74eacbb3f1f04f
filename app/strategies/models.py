"""Rows of strategies, of their runs, and of everything that ever happened to them."""

from typing import Any, cast

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.database import Base
from app.secrets.envelope import Sealed
from app.strategies.states import DesiredState, Reason, Status

_STATUSES = ", ".join(f"'{status}'" for status in Status)


class Strategy(Base):
    """One strategy of one client; `epoch` counts its claims and never goes back."""

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
        Index("ix_strategies_sweep", "status", "next_restart_at", "lease_expires_at"),
        Index("ix_strategies_runner", "runner_id", "status"),
    )

    strategy_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    client_id: Mapped[str] = mapped_column(ForeignKey("clients.client_id"))
    is_sandbox: Mapped[bool]
    name: Mapped[str] = mapped_column(String(100))
    runtime: Mapped[str] = mapped_column(String(16))
    entrypoint: Mapped[str] = mapped_column(String(255))
    artifact_sha256: Mapped[str] = mapped_column(ForeignKey("artifacts.sha256"), index=True)
    size_bytes: Mapped[int]
    env: Mapped[dict[str, Any]]
    manifest: Mapped[dict[str, Any]]
    placement: Mapped[dict[str, Any]]
    resources: Mapped[dict[str, Any]]
    risk: Mapped[dict[str, Any]]
    network: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    restart: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    stop: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    hooks: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    watchdog: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    schedule: Mapped[dict[str, Any]] = mapped_column(server_default="{}")

    secrets_ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)
    secrets_nonce: Mapped[bytes | None] = mapped_column(LargeBinary)
    secrets_wrapped_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    secrets_key_id: Mapped[str | None] = mapped_column(String(16))
    sequence_api_key_ciphertext: Mapped[bytes | None] = mapped_column(LargeBinary)
    sequence_api_key_nonce: Mapped[bytes | None] = mapped_column(LargeBinary)
    sequence_api_key_wrapped_key: Mapped[bytes | None] = mapped_column(LargeBinary)
    sequence_api_key_key_id: Mapped[str | None] = mapped_column(String(16))

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

    def seal(self, slot: str, sealed: Sealed | None) -> None:
        """Put a sealed value, or nothing, into the four columns of `slot`."""
        for part in ("ciphertext", "nonce", "wrapped_key", "key_id"):
            setattr(self, f"{slot}_{part}", getattr(sealed, part) if sealed else None)

    def sealed(self, slot: str) -> Sealed | None:
        """What the four columns of `slot` hold; None when they are empty."""
        if getattr(self, f"{slot}_ciphertext") is None:
            return None
        parts = ("ciphertext", "nonce", "wrapped_key", "key_id")
        return Sealed(**{part: getattr(self, f"{slot}_{part}") for part in parts})


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
