"""What a market process begins with: what the last one committed."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.database import Database
from market.engine import Account, BookKey
from market.store.models import (
    MarketAccount,
    MarketFence,
    MarketGraph,
    MarketOrder,
    MarketPosition,
)
from market.store.writer import FENCE_ID
from market.trading.kept import KeptGraph


@dataclass(frozen=True, slots=True)
class Turnover:
    """What taking over gave: the number to write under, and when the very first market began."""

    token: int
    next_seq: int
    started_s: int


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that is not over; by owner where it is a mapping."""

    accounts: dict[str, Account]
    start_cash_usd: dict[str, int]
    halted: list[str]
    graphs: list[KeptGraph]


def take_over(database: Database, now_s: int) -> Turnover:
    """Fence off every earlier market process; from now on only this one writes."""
    with database.transaction() as session:
        row = session.get(MarketFence, FENCE_ID, with_for_update=True)
        if row is None:
            row = MarketFence(fence_id=FENCE_ID, token=0, next_seq=1, started_s=now_s)
            session.add(row)
            session.flush()
        session.execute(
            update(MarketFence)
            .where(MarketFence.fence_id == FENCE_ID)
            .values(token=MarketFence.token + 1)
        )
        session.refresh(row)
        return Turnover(row.token, row.next_seq, row.started_s)


def load(database: Database) -> Kept:
    """Accounts, kill switches, and the graphs that have not ended."""
    with database.reading() as session:
        rows = session.scalars(select(MarketAccount)).all()
        accounts = {row.owner: Account(int(row.cash_1e17), int(row.fees_1e17)) for row in rows}
        for place in session.scalars(select(MarketPosition)):
            key = BookKey(place.venue, place.market)
            accounts[place.owner].qty_1e8[key] = int(place.qty_1e8)
            accounts[place.owner].cost_1e17[key] = int(place.cost_1e17)
        return Kept(
            accounts=accounts,
            start_cash_usd={row.owner: row.start_cash_usd for row in rows},
            halted=[row.owner for row in rows if row.is_halted],
            graphs=list(_graphs(session)),
        )


def _graphs(session: Session) -> Iterable[KeptGraph]:
    going = select(MarketGraph).where(MarketGraph.is_done.is_(False))
    graphs = session.scalars(going.order_by(MarketGraph.created_ns)).all()
    orders: dict[tuple[str, str], list[MarketOrder]] = {}
    found = session.scalars(
        select(MarketOrder)
        .join(
            MarketGraph,
            (MarketGraph.owner == MarketOrder.owner)
            & (MarketGraph.graph_id == MarketOrder.graph_id),
        )
        .where(MarketGraph.is_done.is_(False))
        .order_by(MarketOrder.seq)
    )
    for row in found:
        orders.setdefault((row.owner, row.graph_id), []).append(row)
    for graph in graphs:
        mine = orders.get((graph.owner, graph.graph_id), [])
        yield KeptGraph(
            owner=graph.owner,
            graph_id=graph.graph_id,
            request=graph.request,
            digest=graph.digest,
            body=graph.body,
            state=graph.state,
            created_ns=graph.created_ns,
            orders=[(row.name, row.seq, row.book) for row in mine],
        )
