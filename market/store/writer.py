"""One transaction a turn: everything that changed in it, or none of it."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from app.database import Base, Database
from market.engine import BookKey, Ledger
from market.store.models import (
    MarketAccount,
    MarketFence,
    MarketFill,
    MarketGraph,
    MarketOrder,
    MarketPosition,
)
from market.trading import Desk, GraphStatus, fill_rows, order_rows
from market.trading.journal import Changes
from market.trading.kept import graph_state, order_state
from market.trading.records import Fill, GraphEntry, Placed

FENCE_ID = 1
_ENDED = (GraphStatus.COMPLETED, GraphStatus.CANCELLED, GraphStatus.FAILED)


class FencedError(Exception):
    """Another market process has taken over: this one must not write any more."""


class Writer:
    """Writes what a desk changed, as long as nobody has taken over since `token` was given."""

    def __init__(self, database: Database, token: int, next_seq: int) -> None:
        self._database = database
        self._token = token
        self._next_seq = next_seq

    def write(self, desk: Desk, changes: Changes, start_cash_usd: dict[str, int]) -> None:
        """Commit. `start_cash_usd` is what a reset gives, by owner.

        Raises FencedError, and errors of the database as they are; what they left unwritten may
        be written again.
        """
        next_seq = self._next_seq
        orders, next_seq = _numbered(changes.orders.values(), next_seq)
        fills = [_fill(one, next_seq + at) for at, one in enumerate(changes.fills)]
        # Numbers of a commit that fails are not used again: its orders have theirs already.
        next_seq = self._next_seq = next_seq + len(fills)
        with self._database.transaction() as session:
            held = session.execute(
                update(MarketFence)
                .where(MarketFence.fence_id == FENCE_ID, MarketFence.token == self._token)
                .values(next_seq=next_seq)
            )
            if not held.rowcount:  # type: ignore[attr-defined] # of an update there is one
                raise FencedError("another market process has taken over")
            _upsert(session, MarketGraph, [_graph(one) for one in changes.graphs.values()])
            _upsert(session, MarketOrder, orders)
            accounts = [_account(desk, one, start_cash_usd[one]) for one in changes.accounts]
            _upsert(session, MarketAccount, accounts)
            places = [_position(desk.ledger, owner, key) for owner, key in changes.positions]
            _upsert(session, MarketPosition, places)
            if fills:
                session.connection().execute(insert(MarketFill), fills)


def _numbered(orders: Iterable[Placed], seq: int) -> tuple[list[dict[str, Any]], int]:
    rows = []
    for one in orders:
        # Its place in the list of orders is that of its first write.
        if one.seq is None:
            one.seq, seq = seq, seq + 1
        rows.append(_order(one))
    return rows, seq


def _graph(entry: GraphEntry) -> dict[str, Any]:
    status = entry.run.status
    return {
        "owner": entry.owner,
        "graph_id": entry.run.graph_id,
        "request": entry.request,
        "digest": entry.digest,
        "body": entry.body,
        "state": graph_state(entry),
        "status": status.value,
        "is_done": status in _ENDED,
        "created_ns": entry.created_ns,
    }


def _order(placed: Placed) -> dict[str, Any]:
    return {
        "owner": placed.entry.owner,
        "name": placed.name,
        "graph_id": placed.entry.run.graph_id,
        "symbol": placed.node.symbol,
        "seq": placed.seq,
        "row": order_rows([placed])[0],
        "book": order_state(placed),
    }


def _fill(fill: Fill, seq: int) -> dict[str, Any]:
    owner, symbol = fill.placed.entry.owner, fill.placed.node.symbol
    return {"seq": seq, "owner": owner, "symbol": symbol, "row": fill_rows([fill], owner)[0]}


def _account(desk: Desk, owner: str, start_cash_usd: int) -> dict[str, Any]:
    account = desk.ledger.account(owner)
    return {
        "owner": owner,
        "cash_1e17": str(account.cash_1e17),
        "fees_1e17": str(account.fees_1e17),
        "start_cash_usd": start_cash_usd,
        "is_halted": desk.is_halted(owner),
    }


def _position(ledger: Ledger, owner: str, key: BookKey) -> dict[str, Any]:
    account = ledger.account(owner)
    return {
        "owner": owner,
        "venue": key.venue,
        "market": key.market,
        "qty_1e8": str(account.qty_1e8.get(key, 0)),
        "cost_1e17": str(account.cost_1e17.get(key, 0)),
    }


def _upsert(session: Session, model: type[Base], rows: Sequence[dict[str, Any]]) -> None:
    """Insert, and where the primary key is there, replace."""
    if rows:
        dialect = session.get_bind().dialect.name
        session.connection().execute(_upserting(dialect, model.__table__), rows)


@cache
def _upserting(dialect: str, table: Any) -> Any:
    """One statement for any number of rows: to compile it costs more than to execute it."""
    statement = (postgresql_insert if dialect == "postgresql" else sqlite_insert)(table)
    keys = [column.name for column in table.primary_key]
    changed = {one.name: statement.excluded[one.name] for one in table.c if one.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)
