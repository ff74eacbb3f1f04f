"""Where an order goes and with which limit, tif and slices."""

from collections.abc import Sequence

from market.catalogue import Catalogue
from market.engine import BookKey, Order, OrderBook, Side, TimeInForce, VenueBooks, VenueRules
from market.fixed_point import snapped
from market.trading.graph import NS_PER_MS
from market.trading.records import book_side, turned
from market.trading.spec import Node

BPS = 10_000


def routes(node: Node, catalogue: Catalogue, books: VenueBooks) -> list[BookKey]:
    """The books that a node may go to, the best price to take first, equal ones by name."""
    instrument = node.instrument
    if instrument.venue is not None:
        return [BookKey(instrument.venue, instrument.market)]
    keys = [
        BookKey(venue, instrument.market) for venue in catalogue.exchanges_of(instrument.market)
    ]
    buys = book_side(node.side, instrument) is Side.BUY

    def rank(key: BookKey) -> tuple[bool, int]:
        bid, ask = books.open(key).best_prices_1e9()
        price = ask if buys else bid
        return price is None, (price or 0) * (1 if buys else -1)

    return sorted(keys, key=rank)


def child(node: Node, book: OrderBook, name: str, owner: str, qty_1e8: int) -> Order:
    """One order of a node for one book, in the book's prices."""
    side = book_side(node.side, node.instrument)
    price = None
    if node.limit_1e9 is not None:
        price = turned(snapped(node.limit_1e9, book.rules.tick_1e9), node.instrument)
    elif node.execution.max_slippage_bps is not None:
        bid, ask = book.best_prices_1e9()
        best = ask if side is Side.BUY else bid
        price = best and _bound(best, side, node.execution.max_slippage_bps, book.rules)
    is_market = node.limit_1e9 is None
    tif = node.execution.tif or (TimeInForce.IOC if is_market else TimeInForce.GTC)
    return Order(
        *(name, owner, side, price, qty_1e8, tif),
        self_trade=node.execution.self_trade,
        is_for_no=node.instrument.is_mirrored,
    )


def change(
    node: Node, rules: VenueRules, limit_1e9: int | None, qty_1e8: int | None
) -> tuple[int | None, int | None]:
    """An amendment in the book's prices, with the float noise of the wire forgiven."""
    price = None
    if limit_1e9 is not None:
        price = turned(snapped(limit_1e9, rules.tick_1e9), node.instrument)
    return price, None if qty_1e8 is None else snapped(qty_1e8, rules.lot_1e8)


def slices(qty_1e8: int, lot_1e8: int, count: int) -> Sequence[int]:
    """A quantity in `count` parts on the venue's lot, fewer when there are not enough lots.

    Parts differ by one lot at most, the larger ones first; the sum is the quantity.
    """
    lots, off_lot = divmod(qty_1e8, lot_1e8)
    count = max(min(count, lots), 1)
    each, larger = divmod(lots, count)
    parts = [(each + (at < larger)) * lot_1e8 for at in range(count)]
    parts[-1] += off_lot
    return parts


def due_ns(now_ns: int, horizon_ms: int, count: int, at: int) -> int:
    """When slice `at` of `count` is due: the first at once, the last one step before the end."""
    return now_ns + horizon_ms * NS_PER_MS * at // count


def _bound(best_1e9: int, side: Side, slippage_bps: int, rules: VenueRules) -> int:
    """The furthest price on the tick that the slippage allows."""
    distance = best_1e9 * slippage_bps // BPS // rules.tick_1e9 * rules.tick_1e9
    price = best_1e9 + distance if side is Side.BUY else best_1e9 - distance
    return min(max(price, rules.min_price_1e9), rules.max_price_1e9)
