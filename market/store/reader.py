"""What the web process reads of the rows: graphs, orders and fills of one owner."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from market.store.models import MarketFill, MarketGraph, MarketOrder


def graph(session: Session, owner: str, graph_id: str) -> MarketGraph | None:
    """A graph of an owner, or None."""
    return session.get(MarketGraph, (owner, graph_id)) if _may_be(graph_id) else None


def graph_of_request(session: Session, owner: str, request: str) -> MarketGraph | None:
    """The graph that a submission of this name made, or None."""
    return session.scalar(
        select(MarketGraph).where(MarketGraph.owner == owner, MarketGraph.request == request)
    )


def order(session: Session, owner: str, name: str) -> dict[str, Any] | None:
    """The row of one order, or None."""
    found = session.get(MarketOrder, (owner, name)) if _may_be(name) else None
    return None if found is None else found.row


def orders(
    session: Session, owner: str, symbol: str | None, limit: int, offset: int
) -> tuple[list[dict[str, Any]], int]:
    """Rows of orders, newest first, and how many there are in all."""
    mine = select(MarketOrder).where(MarketOrder.owner == owner)
    if symbol is not None:
        mine = mine.where(MarketOrder.symbol == symbol)
    total = session.scalar(select(func.count()).select_from(mine.subquery())) or 0
    page = mine.order_by(MarketOrder.seq.desc()).limit(limit).offset(offset)
    return [one.row for one in session.scalars(page)], total


def fills(
    session: Session, owner: str, symbol: str | None, limit: int, offset: int
) -> list[dict[str, Any]]:
    """Rows of fills, newest first."""
    mine = select(MarketFill.row).where(MarketFill.owner == owner)
    if symbol is not None:
        mine = mine.where(MarketFill.symbol == symbol)
    page = mine.order_by(MarketFill.seq.desc()).limit(limit).offset(offset)
    return list(session.scalars(page))


def _may_be(name: str) -> bool:
    """PostgreSQL refuses to look for a NUL character, which no name has."""
    return "\0" not in name
