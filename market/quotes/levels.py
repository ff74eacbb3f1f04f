"""Levels of a book as an instrument sees them: NO is the mirror image of YES."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from market.engine import OrderBook
from market.engine.ladder import Ladder
from market.fixed_point import ONE_DOLLAR_1E9, money_float, price_float, qty_float

MAX_DEPTH = 100
# (price_1e9, qty_1e8)
Level = tuple[int, int]
Sides = tuple[list[Level], list[Level]]


@dataclass(frozen=True)
class BookImage:
    """A book at one moment: bids and asks, best first, at most 100 of each."""

    bids: list[Level]
    asks: list[Level]

    def best_prices_1e9(self) -> tuple[int | None, int | None]:
        """Best bid and best ask, None for an empty side."""
        return (self.bids[0][0] if self.bids else None, self.asks[0][0] if self.asks else None)

    @cached_property
    def liquidity_usd(self) -> float:
        """The dollars that rest: what bids pay for YES and what asks would pay for NO."""
        bids_1e17 = sum(price * qty for price, qty in self.bids)
        asks_1e17 = sum((ONE_DOLLAR_1E9 - price) * qty for price, qty in self.asks)
        return round(money_float(bids_1e17 + asks_1e17), 2)


EMPTY = BookImage([], [])


def image_of(book: OrderBook) -> BookImage:
    """What a book holds now."""
    return BookImage(_side(book.bids), _side(book.asks))


def book_levels(image: BookImage, depth: int, *, is_mirrored: bool) -> Sides:
    """Bids and asks, best first, at most `depth` of each.

    Who bids p for YES offers NO at one dollar less p, so the sides of NO are those of YES with
    their roles and prices turned round.
    """
    bids, asks = image.bids[:depth], image.asks[:depth]
    if not is_mirrored:
        return bids, asks
    return _mirrored(asks), _mirrored(bids)


def merged(all_sides: Iterable[Sides], depth: int) -> Sides:
    """The sides of several venues as one: sizes of one price added up."""
    every = list(all_sides)
    if len(every) == 1:
        return every[0][0][:depth], every[0][1][:depth]
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for venue_bids, venue_asks in every:
        for total, levels in ((bids, venue_bids), (asks, venue_asks)):
            for price, qty in levels:
                total[price] = total.get(price, 0) + qty
    best_bids = sorted(bids.items(), reverse=True)[:depth]
    return best_bids, sorted(asks.items())[:depth]


def shown(levels: Iterable[Level]) -> list[list[float]]:
    """`[[price, size], ...]` in plain floats."""
    return [[price_float(price), qty_float(qty)] for price, qty in levels]


def _side(ladder: Ladder) -> list[Level]:
    return [(level.price_1e9, level.qty_1e8) for level in islice(ladder.walk(), MAX_DEPTH)]


def _mirrored(levels: list[Level]) -> list[Level]:
    return [(ONE_DOLLAR_1E9 - price, qty) for price, qty in levels]
