"""Queries about the past of a strategy."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.strategies.models import Run, StrategyEvent


def runs(session: Session, strategy_id: str, *, before: int | None, limit: int) -> Sequence[Run]:
    """The newest runs of a smaller epoch than `before`."""
    query = select(Run).where(Run.strategy_id == strategy_id)
    if before is not None:
        query = query.where(Run.epoch < before)
    return session.scalars(query.order_by(Run.epoch.desc()).limit(limit)).all()


def events(
    session: Session, strategy_id: str, *, before: int | None, limit: int
) -> Sequence[StrategyEvent]:
    """The newest events of a smaller id than `before`."""
    query = select(StrategyEvent).where(StrategyEvent.strategy_id == strategy_id)
    if before is not None:
        query = query.where(StrategyEvent.event_id < before)
    return session.scalars(query.order_by(StrategyEvent.event_id.desc()).limit(limit)).all()
