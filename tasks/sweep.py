"""The sweep: finds in the rows what is due or lost. Idempotent; any number may run at once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from kombu.exceptions import OperationalError as BrokerError
from redis import Redis
from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.orm import Session

from app import log_context
from app.broker import Announcer
from app.database import Database, database_now
from app.logs import stream
from app.runners import repository as runners
from app.runners.wake import Waker
from app.strategies import idempotency
from app.strategies.models import Strategy
from app.strategies.service import REPEAT_WINDOW_S
from app.strategies.states import DesiredState, Reason, Status
from app.strategies.termination import bury
from tasks.claims import lose_runner, restart_due
from tasks.leases import LeaseWatch, Renewal
from tasks.placing import place_anew
from tasks.schedules import run_due
from tasks.waiting_room import call_for_all

log = logging.getLogger(__name__)

_ACTOR = "scheduler"
_BATCH = 500


@dataclass(frozen=True)
class Sweep:
    """One scheduler's means; `run_once()` looks at everything once."""

    database: Database
    announcer: Announcer
    redis: Redis
    requeue_after_s: float
    leases: LeaseWatch

    def run_once(self) -> int:
        """Put right what is due or lost; the number of strategies that were touched.

        Raises:
            sqlalchemy.exc.SQLAlchemyError: the database is away; the next sweep does it all.
        """
        waiting = self._restarts() + self._lost() + self._scheduled()
        waiting += place_anew(self.database) + call_for_all(self.database)
        for strategy_id, queue in waiting:
            self.announcer.announce(strategy_id, queue)
        return len(waiting) + self._announce_again() + self._purge() + self._tidy()

    def _restarts(self) -> list[tuple[str, str]]:
        """Queue those that are to come back and whose delay is over; id and queue of each."""
        is_over = Strategy.status.in_((Status.FAILED, Status.STOPPED))
        due = is_over & (Strategy.next_restart_at <= database_now())
        with self.database.transaction() as session:
            rows = _locked(session, due & (Strategy.desired_state == DesiredState.RUNNING))
            for row in rows:
                restart_due(session, row, _ACTOR)
                log.info("restart_due", extra=_names(row))
            return [(row.strategy_id, row.latency_target) for row in rows]

    def _scheduled(self) -> list[tuple[str, str]]:
        """Start those whose schedule says so; id and queue of each."""
        ticked = run_due(self.database)
        for runner_id in ticked.runner_ids:
            Waker(self.redis).wake(runner_id)
        return list(ticked.started)

    def _lost(self) -> list[tuple[str, str]]:
        """Queue running ones whose lease ran out; id and queue of each."""
        with self.database.reading() as session:
            expired = {renewal.strategy_id: renewal for renewal in self.leases.expired(session)}
        if not expired:
            return []
        lost = (Strategy.status == Status.RUNNING) & Strategy.strategy_id.in_(expired)
        with self.database.transaction() as session:
            rows = [row for row in _locked(session, lost) if _is_still(expired, row)]
            found = [row for row in rows if lose_runner(session, row, _ACTOR)]
        for row in rows:
            log.warning("lease_expired", extra=_names(row))
            stream.notify(self.redis, row.strategy_id)
        return [(row.strategy_id, row.latency_target) for row in found]

    def _announce_again(self) -> int:
        """Announce queued ones that nobody claimed: as many as messages are missing.

        A message is lost with a runner that died, or stands still, with it in its hands. Which one
        it was is unknown, but messages are taken in their order: those announced longest ago.
        """
        announced = 0
        for queue, count in self._forgotten().items():
            try:
                missing = count - self.announcer.backlog(queue)
            except (BrokerError, OSError):
                return announced
            if missing > 0:
                for strategy_id, request_id in self._mark_announced(queue, missing):
                    with log_context.bound(strategy_id=strategy_id, request_id=request_id):
                        log.info("announced_again", extra={"queue": queue})
                        announced += self.announcer.announce(strategy_id, queue)
        return announced

    def _forgotten(self) -> dict[str, int]:
        """Queues with strategies that nobody claimed in time, and how many wait there in all."""
        overdue = self._overdue()
        with self.database.reading() as session:
            rows = session.execute(
                select(Strategy.latency_target, func.count(), func.max(case((overdue, 1), else_=0)))
                .where(Strategy.status == Status.QUEUED)
                .group_by(Strategy.latency_target)
            ).all()
        return {queue: count for queue, count, is_overdue in rows if is_overdue}

    def _overdue(self) -> ColumnElement[bool]:
        """Announced too long ago, or in a future that a clock stepped back has left behind."""
        age_s = database_now() - Strategy.announced_at
        return (age_s > self.requeue_after_s) | (age_s < -self.requeue_after_s)

    def _mark_announced(self, queue: str, most: int) -> list[tuple[str, str | None]]:
        longest_ago = (
            select(Strategy.strategy_id)
            .where(
                Strategy.status == Status.QUEUED,
                Strategy.latency_target == queue,
                self._overdue(),
                # Those are called when somebody has room for them.
                Strategy.status_reason != Reason.NO_CAPACITY,
            )
            .order_by(func.abs(database_now() - Strategy.announced_at).desc())
            .limit(most)
        )
        with self.database.transaction() as session:
            return [
                (row[0], row[1])
                for row in session.execute(
                    update(Strategy)
                    .where(Strategy.strategy_id.in_(longest_ago), Strategy.status == Status.QUEUED)
                    .values(announced_at=database_now())
                    .returning(Strategy.strategy_id, Strategy.start_request_id)
                    .execution_options(synchronize_session=False)
                )
            ]

    def _purge(self) -> int:
        """Remove deleted ones that do not run any more."""
        with self.database.reading() as session:
            deleted = session.scalars(
                select(Strategy.strategy_id)
                .where(Strategy.deleted_at.is_not(None), Strategy.status != Status.RUNNING)
                .where((Strategy.status != Status.QUEUED) | Strategy.hook_due.is_(None))
                .limit(_BATCH)
            ).all()
        for done, strategy_id in enumerate(deleted):
            if not bury(self.database, self.redis, strategy_id):
                return done  # Redis is away: for the others it is as well
        return len(deleted)

    def _tidy(self) -> int:
        """Forget dead runners, and fingerprints of creates that no retry will repeat any more."""
        past = Strategy.create_fingerprint_at < database_now() - REPEAT_WINDOW_S
        with self.database.transaction() as session:
            runners.forget_dead(session)
            idempotency.forget_old(session)
            session.execute(
                update(Strategy)
                .where(past)
                .values(create_fingerprint=None, create_fingerprint_at=None)
                .execution_options(synchronize_session=False)
            )
        return 0


def _names(row: Strategy) -> dict[str, object]:
    request = {"request_id": row.start_request_id} if row.start_request_id else {}
    return {"strategy_id": row.strategy_id, "run_id": row.run_id, "epoch": row.epoch, **request}


def _is_still(expired: dict[str, Renewal], row: Strategy) -> bool:
    """Whether nobody renewed the lease between the look and the lock."""
    seen = expired[row.strategy_id]
    return (row.epoch, row.lease_expires_at) == (seen.epoch, seen.expires_at)


def _locked(session: Session, condition: ColumnElement[bool]) -> Sequence[Strategy]:
    """Rows that meet a condition, locked; those that another sweep has locked are left to it."""
    return session.scalars(
        select(Strategy).where(condition).limit(_BATCH).with_for_update(skip_locked=True)
    ).all()
