"""The runner's side of a strategy's life, by the code that a runner uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from redis import Redis
from sqlalchemy import select, update

from app.database import Database
from app.logs.stream import Channel
from app.models import Run, Runner, Strategy, StrategyEvent
from app.redis_client import connect
from tasks.claims import Claim, Claims, Verdict
from tasks.ending import Cause, Ending
from tasks.logs.bounds import Bounds
from tasks.logs.run_log import RunLog
from tasks.logs.shipper import LogShipper
from tasks.room import Room

LEASE_S = 15.0


def claims_of(
    database: Database,
    runner_id: str = "runner-1",
    *,
    lease_s: float = LEASE_S,
    runs_kept: int = 20,
    room: Room | None = None,
) -> Claims:
    """The claims of a runner with this id."""
    return Claims(database, runner_id, lease_s=lease_s, runs_kept=runs_kept, room=room)


def claimed(claims: Claims, strategy_id: str) -> Claim:
    """A claim that must succeed."""
    claim = claims.claim(strategy_id)
    assert claim is not None
    return claim


def ended(exit_code: int | None = 0, cause: Cause = Cause.PROGRAM, **more: Any) -> Ending:
    """An ending as a supervision reports it."""
    return Ending(cause, exit_code=exit_code, **more)


def run_once(claims: Claims, strategy_id: str, ending: Ending) -> tuple[Claim, Verdict]:
    """Claim a strategy and end its run."""
    claim = claimed(claims, strategy_id)
    return claim, claims.finish(claim, ending)


@dataclass(frozen=True)
class Rows:
    """A look at the database, and a hand in it, for tests."""

    database: Database

    def strategy(self, strategy_id: str) -> Strategy:
        with self.database.reading() as session:
            row = session.get(Strategy, strategy_id)
            assert row is not None, "the strategy has no row"
            return row

    def exists(self, strategy_id: str) -> bool:
        with self.database.reading() as session:
            return session.get(Strategy, strategy_id) is not None

    def change(self, strategy_id: str, **values: Any) -> None:
        """Set columns, whatever the state machine thinks of it."""
        with self.database.transaction() as session:
            session.execute(
                update(Strategy)
                .where(Strategy.strategy_id == strategy_id)
                .values(**values)
                .execution_options(synchronize_session=False)
            )

    def runs(self, strategy_id: str) -> list[Run]:
        """Oldest first."""
        with self.database.reading() as session:
            query = select(Run).where(Run.strategy_id == strategy_id).order_by(Run.epoch)
            return list(session.scalars(query))

    def events(self, strategy_id: str) -> list[tuple[str, str, str]]:
        """Event, status after it and actor's kind, oldest first."""
        with self.database.reading() as session:
            query = (
                select(StrategyEvent)
                .where(StrategyEvent.strategy_id == strategy_id)
                .order_by(StrategyEvent.event_id)
            )
            return [
                (event.event, event.to_status, event.actor.partition(":")[0])
                for event in session.scalars(query)
            ]

    def count(self, model: type) -> int:
        with self.database.reading() as session:
            return len(session.scalars(select(model)).all())

    def add_runner(self, runner_id: str = "runner-1", **values: Any) -> None:
        """A runner that has just signed in."""
        fields = {
            "host_key": "host-key",
            "host": "host",
            "name": "runner",
            "version": "1",
            "queues": ["default"],
            "max_strategies": 10,
            "started_at": self.now(),
            "last_heartbeat_at": self.now(),
        }
        with self.database.transaction() as session:
            session.add(Runner(runner_id=runner_id, **(fields | values)))

    def runner(self, runner_id: str) -> Runner | None:
        with self.database.reading() as session:
            return session.get(Runner, runner_id)

    def now(self) -> float:
        """The database's clock."""
        from app.database import database_now

        with self.database.reading() as session:
            return session.scalars(select(database_now())).one()


@contextmanager
def shipping(
    redis_url: str, *, max_lines: int = 100_000, max_bytes: int = 1 << 30
) -> Iterator[LogShipper]:
    """A shipper whose thread runs; what is left is shipped at the end."""
    redis = connect(redis_url)
    shipper = LogShipper(redis, Bounds(max_lines, max_bytes))
    shipper.start()
    with disconnecting(redis):
        try:
            yield shipper
        finally:
            shipper.close(2.0)


@contextmanager
def disconnecting(redis: Redis) -> Iterator[Redis]:
    """The client, whose connections are closed at the end."""
    with closing(redis):
        try:
            yield redis
        finally:
            redis.connection_pool.disconnect()


def write(run_log: RunLog, *lines: str) -> None:
    """Lines on stdout."""
    for line in lines:
        run_log.write(Channel.STDOUT, line)
