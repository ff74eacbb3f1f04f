"""Starting what its schedule says is due; any number of schedulers may do so at once."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.database import Database, database_now
from app.strategies import lifecycle
from app.strategies.lifecycle import FRESH_START, Change
from app.strategies.models import Strategy
from app.strategies.schedule import next_tick
from app.strategies.states import DesiredState, Event, Reason, Status

log = logging.getLogger(__name__)

_ACTOR = "schedule"
_BATCH = 500


@dataclass(frozen=True)
class Ticked:
    """What became of the ticks: started ones with their queues, and runners to be woken, for they
    have to end a run that is to be replaced."""

    started: tuple[tuple[str, str], ...]
    runner_ids: tuple[str, ...]


def run_due(database: Database) -> Ticked:
    """Act upon every tick that has come.

    However many ticks of a strategy were missed, it is one start: its next tick is the first one
    after now. The rows are locked, and those that another scheduler has locked are left to it.
    """
    with database.transaction() as session:
        now_s = session.scalars(select(database_now())).one()
        rows = _due(session, now_s)
        for row in rows:
            _tick(session, row, now_s)
        return Ticked(
            tuple((row.strategy_id, row.latency_target) for row in rows if _is_started(row)),
            tuple(str(row.runner_id) for row in rows if row.status_reason == Reason.REPLACED),
        )


def _due(session: Session, now_s: float) -> Sequence[Strategy]:
    return session.scalars(
        select(Strategy)
        .where(
            Strategy.next_run_at <= now_s,
            Strategy.desired_state == DesiredState.RUNNING,
            Strategy.deleted_at.is_(None),
        )
        .order_by(Strategy.next_run_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    ).all()


def _tick(session: Session, row: Strategy, now_s: float) -> None:
    row.next_run_at = next_tick(row.schedule, now_s)
    session.flush()
    if row.status in (Status.STOPPED, Status.FAILED):
        change = Change(Event.START, Reason.SCHEDULED, _ACTOR, FRESH_START)
    elif row.status == Status.QUEUED or row.stop_requested_at is not None:
        return  # it is about to start anyway
    elif row.schedule.get("overlap") == "replace":
        asked = {"stop_requested_at": database_now()}
        change = Change(Event.REPLACE, Reason.REPLACED, _ACTOR, asked)
    else:
        change = Change(Event.SKIP_TICK, Reason.TICK_SKIPPED, _ACTOR)
    lifecycle.apply(session, row, change)
    log.info("ticked", extra={"strategy_id": row.strategy_id, "event_name": change.event})


def _is_started(row: Strategy) -> bool:
    return row.status == Status.QUEUED and row.status_reason == Reason.SCHEDULED
