"""What an order would cost, without sending it."""

from typing import Any

from market.catalogue import Catalogue
from market.engine import BookKey, OrderBook, Side, VenueBooks
from market.fixed_point import money_float, price_float, qty_float
from market.trading.parse import parse_graph
from market.trading.records import book_side, turned
from market.trading.routing import BPS, routes
from market.trading.spec import Node


def preview(body: Any, catalogue: Catalogue, books: VenueBooks) -> dict[str, Any]:
    """Estimated price, fee, slippage and cost of the simple form, with each venue's own.

    Slippage is against the best price, in bps. Raises GraphInvalidError as a submission does.
    """
    node = parse_graph(body, catalogue).nodes[0]
    keys = routes(node, catalogue, books)
    venues = [_at(node, key, books.open(key)) for key in keys]
    best = venues[0]
    return {
        "symbol": node.symbol,
        "side": node.side.value,
        "qty": qty_float(node.qty_1e8),
        **{name: best[name] for name in best if name != "venue"},
        "best_venue": best["venue"],
        "venues": venues,
    }


def _at(node: Node, key: BookKey, book: OrderBook) -> dict[str, Any]:
    """The estimate on one venue; with too little in the book, of what there is."""
    side = book_side(node.side, node.instrument)
    facing = book.asks if side is Side.BUY else book.bids
    left, notional, fee_1e17 = node.qty_1e8, 0, 0
    for level in facing.walk():
        if not left or not _is_within(node, level.price_1e9):
            break
        qty = min(left, level.qty_1e8)
        left -= qty
        notional += turned(level.price_1e9, node.instrument) * qty
        fee_1e17 += book.rules.fee_1e17(level.price_1e9, qty, is_taker=True)
    filled = node.qty_1e8 - left
    best = facing.best()
    average = notional // filled if filled else None
    touch = turned(best.price_1e9, node.instrument) if best else None
    sign = 1 if node.side is Side.BUY else -1
    total = notional + sign * fee_1e17
    return {
        "venue": key.venue,
        "est_price": None if average is None else price_float(average),
        "est_fill_qty": qty_float(filled),
        "est_notional_usd": money_float(notional),
        "est_fee_usd": money_float(fee_1e17),
        "est_total_usd": money_float(total),
        "est_slippage_bps": round(sign * (average - touch) * BPS / touch, 4)
        if average and touch
        else None,
        "taker_fee_bps": book.rules.shown_bps(is_taker=True),
    }


def _is_within(node: Node, book_price_1e9: int) -> bool:
    """Whether the node's limit reaches a level of the book."""
    if node.limit_1e9 is None:
        return True
    price = turned(book_price_1e9, node.instrument)
    return price <= node.limit_1e9 if node.side is Side.BUY else price >= node.limit_1e9
