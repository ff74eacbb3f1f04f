"""Who of those that wait may enter a runner that is not unlimited, and who is called when."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from app.database import database_now
from app.runners.capacity import Size, Waiting, called
from app.strategies.models import Strategy
from app.strategies.states import Reason, Status
from tasks.room import Room

_LOOKED_AT = 50
"""How many of those that wait are looked at; the sweep calls the others when their turn comes."""


def enter(session: Session, room: Room, row: Strategy, run_id: str) -> bool:
    """Take room for a run of this queued row; if there is none, its `status_reason` says so."""
    size = Size.of(row.resources)
    if room.is_limited:
        is_older = Strategy.queued_at < row.queued_at
        elders = _line(session, room.queues, is_older)
        own = Waiting(row.strategy_id, size, 0.0)
        if row.strategy_id not in called([*elders, own], free=room.free, limit=room.limit):
            row.status_reason = Reason.NO_CAPACITY
            return False
    if not room.take(run_id, size):
        row.status_reason = Reason.NO_CAPACITY
        return False
    return True


def call(session: Session, room: Room) -> list[tuple[str, str]]:
    """Id and queue of those that found no room before and fit now; they count as announced."""
    ids = called(_line(session, room.queues), free=room.free, limit=room.limit)
    rows = session.execute(
        update(Strategy)
        .where(Strategy.strategy_id.in_(ids), Strategy.status == Status.QUEUED)
        .values(announced_at=database_now())
        .returning(Strategy.strategy_id, Strategy.latency_target)
        .execution_options(synchronize_session=False)
    ).all()
    queue_of = {row.strategy_id: row.latency_target for row in rows}
    return [(strategy_id, queue_of[strategy_id]) for strategy_id in ids if strategy_id in queue_of]


def _line(
    session: Session, queues: Sequence[str], *conditions: ColumnElement[bool]
) -> list[Waiting]:
    """Those that found no room, oldest first."""
    rows = session.execute(
        select(Strategy.strategy_id, Strategy.resources, database_now() - Strategy.queued_at)
        .where(
            Strategy.status == Status.QUEUED,
            Strategy.status_reason == Reason.NO_CAPACITY,
            Strategy.latency_target.in_(queues),
            *conditions,
        )
        .order_by(Strategy.queued_at)
        .limit(_LOOKED_AT)
    )
    return [Waiting(strategy_id, Size.of(resources), s) for strategy_id, resources, s in rows]
