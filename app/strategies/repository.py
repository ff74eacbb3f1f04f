"""Queries about strategies and their runs, as their owners see them."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, func, select, tuple_
from sqlalchemy.orm import Session, defer

from app.clients.service import Principal
from app.strategies.listing import Selection
from app.strategies.models import Run, Strategy, StrategyEvent

_NUL = "\0"  # PostgreSQL raises when it is asked for one
_SEALED = [
    defer(getattr(Strategy, f"{slot}_{part}"))
    for slot in ("secrets", "sequence_api_key")
    for part in ("ciphertext", "nonce", "wrapped_key")
] + [defer(Strategy.secrets_changes)]


def find(session: Session, owner: Principal, strategy_id: str) -> Strategy | None:
    """The owner's strategy with this id, or None; a deleted one is gone for its owner."""
    if _NUL in strategy_id:
        return None
    return session.scalar(
        select(Strategy)
        .options(*_SEALED)
        .where(
            Strategy.strategy_id == strategy_id,
            Strategy.client_id == owner.client_id,
            Strategy.is_sandbox == owner.is_sandbox,
            Strategy.deleted_at.is_(None),
        )
    )


def find_by_name(session: Session, client_id: str, is_sandbox: bool, name: str) -> Strategy | None:
    """The strategy of this name, locked for a change, or None."""
    return session.scalar(
        select(Strategy)
        .where(
            Strategy.client_id == client_id,
            Strategy.is_sandbox == is_sandbox,
            Strategy.name == name,
            Strategy.deleted_at.is_(None),
        )
        .with_for_update()
    )


def select_some(session: Session, owner: Principal, wanted: Selection) -> Sequence[Strategy]:
    """The strategies that this owner may see and asks for, newest first."""
    query = (
        select(Strategy)
        .options(*_SEALED)
        .where(
            Strategy.client_id == owner.client_id,
            Strategy.is_sandbox == owner.is_sandbox,
            Strategy.deleted_at.is_(None),
        )
        .order_by(Strategy.created_at.desc(), Strategy.strategy_id.desc())
        .limit(wanted.limit)
    )
    if wanted.statuses:
        query = query.where(Strategy.status.in_(wanted.statuses))
    if wanted.name_prefix:
        # Not LIKE: on SQLite it takes small letters for capital ones.
        begin = func.substr(Strategy.name, 1, len(wanted.name_prefix))
        query = query.where(begin == wanted.name_prefix)
    if wanted.latency_target is not None:
        query = query.where(Strategy.latency_target == wanted.latency_target)
    if wanted.after is not None:
        place = tuple_(Strategy.created_at, Strategy.strategy_id)
        query = query.where(place < (wanted.after.created_at, wanted.after.strategy_id))
    return session.scalars(query).all()


def find_run(session: Session, strategy_id: str, run_id: str) -> Run | None:
    """The run of this strategy with this id, or None."""
    if _NUL in run_id:
        return None
    return session.scalar(select(Run).where(Run.strategy_id == strategy_id, Run.run_id == run_id))


def run_of_epoch(session: Session, strategy_id: str, epoch: int) -> Run | None:
    """The run that the strategy's claim number `epoch` made, or None."""
    return session.scalar(select(Run).where(Run.strategy_id == strategy_id, Run.epoch == epoch))


def next_run(session: Session, strategy_id: str, epoch: int) -> Run | None:
    """The first run after claim number `epoch`, or None."""
    return session.scalar(
        select(Run)
        .where(Run.strategy_id == strategy_id, Run.epoch > epoch)
        .order_by(Run.epoch)
        .limit(1)
    )


def runs_between(session: Session, strategy_id: str, low: int, high: int | None) -> Sequence[Run]:
    """The runs from claim number `low` to `high`, or to the newest, oldest first."""
    query = select(Run).where(Run.strategy_id == strategy_id, Run.epoch >= low)
    if high is not None:
        query = query.where(Run.epoch <= high)
    return session.scalars(query.order_by(Run.epoch)).all()


def first_recent_epoch(
    session: Session, strategy_id: str, from_epoch: int, since: ColumnElement[float]
) -> int | None:
    """The first claim from number `from_epoch` on whose run began after `since`, or None."""
    return session.scalar(
        select(func.min(Run.epoch)).where(
            Run.strategy_id == strategy_id, Run.epoch >= from_epoch, Run.started_at > since
        )
    )


def run_ids(session: Session, strategy_id: str) -> list[str]:
    """Ids of all runs of a strategy, newest first."""
    return list(
        session.scalars(
            select(Run.run_id).where(Run.strategy_id == strategy_id).order_by(Run.epoch.desc())
        )
    )


def purge(session: Session, strategy_id: str) -> None:
    """Remove the row with its runs and events."""
    session.execute(delete(StrategyEvent).where(StrategyEvent.strategy_id == strategy_id))
    session.execute(delete(Run).where(Run.strategy_id == strategy_id))
    session.execute(delete(Strategy).where(Strategy.strategy_id == strategy_id))
