"""Levels of a book as an instrument sees them: NO is the mirror image of YES."""

from collections.abc import Iterable
from itertools import islice

from market.engine import OrderBook
from market.engine.ladder import Ladder
from market.fixed_point import ONE_DOLLAR_1E9, price_float, qty_float

MAX_DEPTH = 100
# (price_1e9, qty_1e8)
Level = tuple[int, int]
Sides = tuple[list[Level], list[Level]]


def book_levels(book: OrderBook, depth: int, *, is_mirrored: bool) -> Sides:
    """Bids and asks, best first, at most `depth` of each.

    Who bids p for YES offers NO at one dollar less p, so the sides of NO are those of YES with
    their roles and prices turned round.
    """
    bids, asks = _side(book.bids, depth), _side(book.asks, depth)
    if not is_mirrored:
        return bids, asks
    return _mirrored(asks), _mirrored(bids)


def merged(all_sides: Iterable[Sides], depth: int) -> Sides:
    """The sides of several venues as one: sizes of one price added up."""
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for venue_bids, venue_asks in all_sides:
        for total, levels in ((bids, venue_bids), (asks, venue_asks)):
            for price, qty in levels:
                total[price] = total.get(price, 0) + qty
    best_bids = sorted(bids.items(), reverse=True)[:depth]
    return best_bids, sorted(asks.items())[:depth]


def shown(levels: Iterable[Level]) -> list[list[float]]:
    """`[[price, size], ...]` in plain floats."""
    return [[price_float(price), qty_float(qty)] for price, qty in levels]


def _side(ladder: Ladder, depth: int) -> list[Level]:
    return [(level.price_1e9, level.qty_1e8) for level in islice(ladder.walk(), depth)]


def _mirrored(levels: list[Level]) -> list[Level]:
    return [(ONE_DOLLAR_1E9 - price, qty) for price, qty in levels]
