"""The desk's records as the documented JSON."""

from collections.abc import Iterable
from typing import Any

from market.engine import BookKey, Ledger, OrderBook, VenueBooks
from market.fixed_point import ONE_DOLLAR_1E9, QTY_SCALE
from market.symbols.models import PREDICTION_VENUES
from market.trading.admission import PREDICTIONS
from market.trading.graph import GraphStatus
from market.trading.records import Fill, GraphEntry, Placed, turned

# As documented: fills are there before the graph's status says so.
STATUS_LAG_NS = 2_000_000_000
MAX_ROWS = 500


def answer(entry: GraphEntry) -> dict[str, Any]:
    """What `POST /v1/orders` answers, the same each time the body comes again."""
    spec = entry.run.spec
    return {
        "graph_id": entry.run.graph_id,
        "status": GraphStatus.ACTIVE.value,
        "node_count": len(spec.nodes),
        "edge_count": len(spec.edges),
    }


def graph_status(entry: GraphEntry, now_ns: int) -> dict[str, Any]:
    """`GET /v1/execution_graphs/{id}`; a completed graph is active for two seconds more."""
    run = entry.run
    return status_row(run.graph_id, run.status, run.state(), len(run.spec.edges), now_ns)


def status_row(
    graph_id: str, status: str, state: dict[str, Any], edge_count: int, now_ns: int
) -> dict[str, Any]:
    """The same from what was kept of a graph."""
    done_ns = state["done_ns"]
    lags = done_ns is not None and now_ns < done_ns + STATUS_LAG_NS
    if status == GraphStatus.COMPLETED and lags:
        status = GraphStatus.ACTIVE
    shown = ("node_id", "state", "qty_1e8", "filled_qty_1e8", "reason")
    return {
        "graph_id": graph_id,
        "status": str(status),
        "node_count": len(state["nodes"]),
        "edge_count": edge_count,
        "nodes": [{key: node[key] for key in shown} for node in state["nodes"]],
    }


def order_rows(placed: Iterable[Placed]) -> list[dict[str, Any]]:
    """The rows of `GET /v1/orders`; a dormant order reads as open, as its venue has it."""
    return [_order(one) for one in placed]


def fill_rows(
    fills: list[Fill], owner: str, symbol: str | None = None, limit: int = 50, offset: int = 0
) -> list[dict[str, Any]]:
    """The rows of `GET /v1/fills`, newest first. `symbol` is as the order's owner wrote it."""
    mine = [
        one
        for one in reversed(fills)
        if one.placed.entry.owner == owner and symbol in (None, one.placed.node.symbol)
    ]
    start = max(offset, 0)
    return [_fill(one) for one in mine[start : start + min(max(limit, 1), MAX_ROWS)]]


def unified_positions(
    ledger: Ledger,
    books: VenueBooks,
    owner: str,
    as_of_ns: int,
    *,
    include_closed: bool = False,
) -> dict[str, Any]:
    """`{positions, totals, as_of_ns}`: cash, coins and event contracts, in dollars."""
    account = ledger.account(owner)
    rows = [
        _position(key, qty, account.cost_1e17[key], books.open(key))
        for key, qty in account.qty_1e8.items()
        if qty or include_closed
    ]
    cash = ledger.free_cash_1e17(owner, PREDICTIONS) // QTY_SCALE
    rows.insert(0, {"kind": "fiat", "symbol": "USD", "venue": None, "value_usd_1e9": cash})
    return {
        "positions": rows,
        "totals": {
            "nav_usd_1e9": sum(row["value_usd_1e9"] for row in rows),
            "cash_usd_1e9": cash,
            "fees_usd_1e9": account.fees_1e17 // QTY_SCALE,
        },
        "as_of_ns": as_of_ns,
    }


def balances(ledger: Ledger, owner: str) -> dict[str, Any]:
    """`{balances: [{venue, asset, total_1e8}]}`: dollars first, then coins by exchange."""
    account = ledger.account(owner)
    cash_1e8 = ledger.free_cash_1e17(owner, PREDICTIONS) // ONE_DOLLAR_1E9
    rows: list[dict[str, Any]] = [{"venue": None, "asset": "USD", "total_1e8": cash_1e8}]
    rows += (
        {"venue": key.venue, "asset": key.market.partition("-")[0], "total_1e8": qty}
        for key, qty in account.qty_1e8.items()
        if qty and key.venue not in PREDICTION_VENUES
    )
    return {"balances": rows}


def _position(key: BookKey, qty_1e8: int, cost_1e17: int, book: OrderBook) -> dict[str, Any]:
    """One position; fewer than none of a prediction market are that many NO."""
    is_no = qty_1e8 < 0 and key.venue in PREDICTION_VENUES
    mark, average = _mark(book), cost_1e17 // qty_1e8 if qty_1e8 else 0
    if is_no:
        mark, average = ONE_DOLLAR_1E9 - mark, ONE_DOLLAR_1E9 - average
    held = -qty_1e8 if is_no else qty_1e8
    return {
        "kind": "event_contract" if key.venue in PREDICTION_VENUES else "crypto",
        "symbol": key.market,
        "outcome": ("no" if is_no else "yes") if key.venue in PREDICTION_VENUES else None,
        "venue": key.venue,
        "qty_1e8": held,
        "avg_price_1e9": average,
        "mark_price_1e9": mark,
        "value_usd_1e9": held * mark // QTY_SCALE,
        "unrealized_pnl_usd_1e9": held * (mark - average) // QTY_SCALE,
        "lifecycle": "active" if qty_1e8 else "closed",
    }


def _mark(book: OrderBook) -> int:
    """The middle of the book, else its one side, else the last trade."""
    bid, ask = book.best_prices_1e9()
    if bid is not None and ask is not None:
        return (bid + ask) // 2
    return bid or ask or book.last_price_1e9 or 0


def _order(placed: Placed) -> dict[str, Any]:
    order, instrument = placed.order, placed.node.instrument
    limit = order.price_1e9
    return {
        "node_order_id": placed.name,
        "graph_id": placed.entry.run.graph_id,
        "node_id": placed.node.node_id,
        "symbol": placed.node.symbol,
        "venue": placed.key.venue,
        "side": placed.node.side.value,
        "price_1e9": None if limit is None else turned(limit, instrument),
        "qty_1e8": order.qty_1e8,
        "filled_qty_1e8": order.filled_1e8,
        "tif": order.tif.value,
        "status": "open" if order.is_live else order.status.value,
        "reason": placed.reason,
        "created_at_ns": placed.created_ns,
    }


def _fill(fill: Fill) -> dict[str, Any]:
    placed = fill.placed
    return {
        "node_order_id": placed.name,
        "graph_id": placed.entry.run.graph_id,
        "node_id": placed.node.node_id,
        "symbol": placed.node.symbol,
        "venue": placed.key.venue,
        "side": placed.node.side.value,
        "price_1e9": fill.price_1e9,
        "qty_1e8": fill.qty_1e8,
        "fee_usd_1e9": -(-fill.fee_1e17 // QTY_SCALE),
        "liquidity": "taker" if fill.is_taker else "maker",
        "ts_ns": fill.ts_ns,
    }
