"""Who of those that wait may enter a runner that is not unlimited, and who is called when."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from app.database import Database, database_now
from app.runners import repository as runners
from app.runners.capacity import Size, Waiting, called
from app.strategies.models import Strategy
from app.strategies.states import Reason, Status
from tasks.room import Room

_LOOKED_AT = 50
"""How many of those that wait are looked at: more than that never fit at once."""

_CALLED_AGAIN_AFTER_S = 1.0


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
    return _announced(session, ids, after_s=0.0)


def call_for_all(database: Database) -> list[tuple[str, str]]:
    """The same for every live runner, by the room that its last heartbeat told.

    A message may be taken by a runner that has no room, or one that was announced may be taken by
    another meanwhile: so each is called again, but not at once.
    """
    ids: list[str] = []
    with database.reading() as session:
        live = runners.live(session)
        if not _line(session, sorted({queue for runner in live for queue in runner.queues})):
            return []
        for runner in live:
            fit = called(_line(session, runner.queues), free=runner.free, limit=runner.limit)
            ids += fit[: max(0, runner.max_strategies - runner.running)]
    if not ids:
        return []
    with database.transaction() as session:
        return _announced(session, list(dict.fromkeys(ids)), after_s=_CALLED_AGAIN_AFTER_S)


def _announced(session: Session, ids: list[str], *, after_s: float) -> list[tuple[str, str]]:
    rows = session.execute(
        update(Strategy)
        .where(
            Strategy.strategy_id.in_(ids),
            Strategy.status == Status.QUEUED,
            Strategy.announced_at <= database_now() - after_s,
        )
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
