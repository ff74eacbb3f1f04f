"""Those who keep exchanges together: a bid above an ask elsewhere does not stay for long."""

from collections.abc import Sequence

from market.engine import BookKey, Order, SelfTrade, Side, TimeInForce, VenueBooks
from market.engine.ladder import Level
from market.sources.protocol import CROWD, Print


class Arbitrage:
    """Buys where a pair is cheaper and sells where it is dearer, as long as that pays.

    Without it the books of several exchanges would cross more often than not, and a quote of all of
    them would have no mid.
    """

    def __init__(self) -> None:
        self._count = 0

    def level(self, books: VenueBooks, keys: Sequence[BookKey], ts_ns: int) -> list[Print]:
        """Trade until no bid of these books meets an ask of another; the trades."""
        prints: list[Print] = []
        while True:
            bids = [(level, key) for key in keys if (level := books[key].bids.best()) is not None]
            asks = [(level, key) for key in keys if (level := books[key].asks.best()) is not None]
            if not bids or not asks:
                return prints
            bid, dearer = max(bids, key=_price)
            ask, cheaper = min(asks, key=_price)
            if bid.price_1e9 < ask.price_1e9:
                return prints
            qty = min(bid.qty_1e8, ask.qty_1e8)
            for key, side, price in (
                (cheaper, Side.BUY, ask.price_1e9),
                (dearer, Side.SELL, bid.price_1e9),
            ):
                receipt = books[key].submit(self._order(side, price, qty))
                prints += (Print(ts_ns, key, trade) for trade in receipt.trades)

    def _order(self, side: Side, price_1e9: int, qty_1e8: int) -> Order:
        self._count += 1
        name, tif = f"{CROWD}arbitrage{self._count}", TimeInForce.IOC
        return Order(name, CROWD, side, price_1e9, qty_1e8, tif, self_trade=SelfTrade.ALLOW)


def _price(found: tuple[Level, BookKey]) -> int:
    return found[0].price_1e9
