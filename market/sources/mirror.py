"""Somebody else's book, shown in ours: whole snapshots, level by level."""

from dataclasses import dataclass

from market.engine import BookKey, Order, OrderBook, SelfTrade, Side, Trade
from market.errors import SourceError
from market.sources.protocol import CROWD


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole book at one time: `(price_1e9, qty_1e8)` by level."""

    ts_ns: int
    key: BookKey
    bids: tuple[tuple[int, int], ...]
    asks: tuple[tuple[int, int], ...]


class BookMirror:
    """Keeps our books at the last snapshot of each, callers' orders apart."""

    def __init__(self) -> None:
        self._shown: dict[BookKey, dict[tuple[Side, int], Order]] = {}
        self._count = 0

    def show(self, book: OrderBook, snapshot: Snapshot) -> list[Trade]:
        """Cancel the levels that changed, then place what is new: never crossed with itself.

        Raises SourceError for a level that the venue's rules do not know.
        """
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
