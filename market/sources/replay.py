"""Recorded books, played back at the pace at which they were recorded."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from market.engine import BookKey, Order, OrderBook, SelfTrade, Side, Trade, VenueBooks
from market.errors import SourceError
from market.fixed_point import price_1e9, qty_1e8
from market.sources.protocol import CROWD, Print
from market.symbols.models import VENUES

LINE = '{"ts_ns": 1, "venue": "kraken", "market": "BTC-USD", "bids": [[px, sz]], "asks": []}'


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole book at one time: `(price_1e9, qty_1e8)` by level."""

    ts_ns: int
    key: BookKey
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


def read_recording(lines: Iterable[str]) -> Iterator[Snapshot]:
    """The snapshots of a file of JSON lines; prices and sizes as plain floats, as quotes have them.

    Raises SourceError with the number of the line that cannot be read.
    """
    before_ns = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            snapshot = _snapshot(json.loads(line))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise SourceError(f"line {number}: {error!r}; each line is {LINE}") from None
        if snapshot.ts_ns < before_ns:
            raise SourceError(f"line {number}: earlier than the line before; sort by ts_ns")
        before_ns = snapshot.ts_ns
        yield snapshot


class ReplaySource:
    """Shows recorded books; `start_ns` is when the first snapshot is due."""

    def __init__(self, snapshots: Sequence[Snapshot], start_ns: int) -> None:
        self._snapshots = snapshots
        self._next = 0
        self._shift_ns = start_ns - snapshots[0].ts_ns if snapshots else 0
        self._shown: dict[BookKey, dict[tuple[Side, int], Order]] = {}
        self._count = 0

    def keys(self) -> Sequence[BookKey]:
        """The books that this source fills."""
        return list(dict.fromkeys(snapshot.key for snapshot in self._snapshots))

    def advance(self, books: VenueBooks, until_ns: int) -> list[Print]:
        """Show every snapshot that is due; what trades with callers' orders is on the tape."""
        prints: list[Print] = []
        while self._next < len(self._snapshots):
            snapshot = self._snapshots[self._next]
            ts_ns = snapshot.ts_ns + self._shift_ns
            if ts_ns > until_ns:
                break
            self._next += 1
            trades = self._show(books.open(snapshot.key), snapshot)
            prints += (Print(ts_ns, snapshot.key, trade) for trade in trades)
        return prints

    def _show(self, book: OrderBook, snapshot: Snapshot) -> list[Trade]:
        """Cancel the levels that changed, then place what is new: never crossed with itself."""
        shown = self._shown.setdefault(snapshot.key, {})
        sides = ((Side.BUY, snapshot.bids), (Side.SELL, snapshot.asks))
        wanted = {(side, price): qty for side, levels in sides for price, qty in levels}
        for place, order in list(shown.items()):
            if not order.is_live or order.open_1e8 != wanted.get(place):
                book.cancel(order.order_id)
                del shown[place]
        trades: list[Trade] = []
        for (side, price), qty in wanted.items():
            if (side, price) in shown:
                continue
            self._count += 1
            order = Order(f"{CROWD}{self._count}", CROWD, side, price, qty)
            order.self_trade = SelfTrade.CANCEL_OLDEST
            receipt = book.submit(order)
            if receipt.rejection is not None:
                raise SourceError(f"{snapshot.key}, {price} x {qty}: {receipt.rejection}")
            trades += receipt.trades
            shown[side, price] = order
        return trades


def _snapshot(row: Any) -> Snapshot:
    if row["venue"] not in VENUES:
        raise ValueError(f"venue {row['venue']!r} is none of {', '.join(VENUES)}")
    key = BookKey(row["venue"], str(row["market"]))
    return Snapshot(int(row["ts_ns"]), key, _levels(row["bids"]), _levels(row["asks"]))


def _levels(rows: Any) -> tuple[tuple[int, int], ...]:
    return tuple((price_1e9(float(price)), qty_1e8(float(size))) for price, size in rows)
