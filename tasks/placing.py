"""What the sweep does about those that wait in vain: it moves them, or says what they wait for."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from app.database import Database, database_now
from app.runners import repository as runners
from app.strategies.models import Strategy
from app.strategies.placement import choose_queue
from app.strategies.states import Reason, Status

_EXPLAINED_AFTER_S = 2.0
"""Who waits for less has only just been announced, and says what made it wait."""


@dataclass(frozen=True)
class _Plan:
    """What is to be changed: the queue that it moves to by id, and ids by what they wait for."""

    moves: dict[str, str] = field(default_factory=dict)
    reasons: dict[Reason, list[str]] = field(default_factory=dict)


def place_anew(database: Database) -> list[tuple[str, str]]:
    """Move queued ones whose runners vanished to their next target that has some; id and queue.

    Of those that have to stay, the `status_reason` becomes `no_runner` or `no_capacity`.
    """
    with database.reading() as session:
        plan = _plan(session)
    if not plan.moves and not plan.reasons:
        return []
    with database.transaction() as session:
        for reason, ids in plan.reasons.items():
            _change(session, ids, status_reason=reason)
        return [
            (strategy_id, queue)
            for strategy_id, queue in plan.moves.items()
            if _change(session, [strategy_id], latency_target=queue, announced_at=database_now())
        ]


def _plan(session: Session) -> _Plan:
    live = runners.live(session)
    served = {queue for runner in live for queue in runner.queues}
    open_ = {
        queue
        for runner in live
        for queue in runner.queues
        if runner.running < runner.max_strategies
    }
    plan = _Plan()
    for row in session.execute(_waiting_elsewhere(open_)):
        queue = choose_queue(row.placement.get("latency_target", []), served)
        if row.latency_target not in served and queue in served:
            plan.moves[row.strategy_id] = queue
            continue
        is_served = row.latency_target in served
        reason = Reason.NO_CAPACITY if is_served else Reason.NO_RUNNER
        if row.is_late and row.status_reason != reason:
            plan.reasons.setdefault(reason, []).append(row.strategy_id)
    return plan


def _waiting_elsewhere(open_: Collection[str]) -> Select[Any]:
    """Those that wait in another queue than these."""
    return select(
        Strategy.strategy_id,
        Strategy.placement,
        Strategy.latency_target,
        Strategy.status_reason,
        (Strategy.queued_at < database_now() - _EXPLAINED_AFTER_S).label("is_late"),
    ).where(Strategy.status == Status.QUEUED, Strategy.latency_target.not_in(open_))


def _change(session: Session, ids: list[str], **values: object) -> bool:
    """Set columns of those that still wait; whether there was one."""
    changed = session.scalars(
        update(Strategy)
        .where(Strategy.strategy_id.in_(ids), Strategy.status == Status.QUEUED)
        .values(**values)
        .returning(Strategy.strategy_id)
        .execution_options(synchronize_session=False)
    ).all()
    return bool(changed)
