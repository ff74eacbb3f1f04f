"""One order book: price first, then time; never crossed, nothing made and nothing lost."""

from market.engine.ladder import Ladder, Level
from market.engine.orders import (
    Order,
    Receipt,
    Rejection,
    SelfTrade,
    Side,
    Status,
    TimeInForce,
    Trade,
)
from market.engine.prevention import prevent
from market.engine.rules import VenueRules

_NEVER_REST = (TimeInForce.IOC, TimeInForce.FOK)


class OrderBook:
    """The book of one instrument on one venue; single-threaded, without a clock.

    A refused order is a value (`Receipt.rejection`), as is an unknown one (None).
    """

    def __init__(self, rules: VenueRules) -> None:
        self.rules = rules
        self.bids = Ladder(Side.BUY)
        self.asks = Ladder(Side.SELL)
        self.last_price_1e9: int | None = None
        self.version = 0
        self._live: dict[str, Order] = {}
        self._expiring: dict[str, Order] = {}

    def __len__(self) -> int:
        return len(self._live)

    def get(self, order_id: str) -> Order | None:
        """The live order of that id, dormant ones included."""
        return self._live.get(order_id)

    def best_prices_1e9(self) -> tuple[int | None, int | None]:
        """Best bid and best ask, None for an empty side."""
        bid, ask = self.bids.best(), self.asks.best()
        return (bid.price_1e9 if bid else None, ask.price_1e9 if ask else None)

    def submit(self, order: Order) -> Receipt:
        """Match an order and let the rest of it rest or expire.

        The book owns the order from here on. What the venue's rules refuse leaves no trace.
        """
        receipt = Receipt(order, None, [], [])
        refused = self.rules.refusal(order)
        if refused is None and order.order_id in self._live:
            refused = Rejection.DUPLICATE_ID
        if refused is None:
            refused = self._refused_by_book(order)
        if refused is not None:
            order.status = Status.REJECTED
            receipt.rejection = refused
            return receipt
        self._enter(order, receipt)
        return receipt

    def cancel(self, order_id: str) -> Order | None:
        """Take a live order off the book; None when there is none of that id."""
        order = self._live.get(order_id)
        if order is None:
            return None
        self._take_off(order)
        order.status = Status.CANCELLED
        return order

    def amend(
        self, order_id: str, price_1e9: int | None = None, qty_1e8: int | None = None
    ) -> Receipt | None:
        """Change a live order's limit or whole quantity; None when there is none of that id.

        Less at the same price keeps its place in the queue; anything else goes to the back and
        may trade at once. A refused change leaves the order as it was.
        """
        order = self._live.get(order_id)
        if order is None:
            return None
        price = _limit(order) if price_1e9 is None else price_1e9
        qty = order.qty_1e8 if qty_1e8 is None else qty_1e8
        refused = self._amendment_refusal(order, price, qty)
        if refused is not None:
            return Receipt(order, refused, [], [])
        receipt = Receipt(order, None, [], [])
        cut = order.qty_1e8 - qty
        if price == order.price_1e9 and cut >= 0 and self._stays_awake(order, price, qty):
            self._ladder(order.side).levels[price].qty_1e8 -= cut
            order.qty_1e8, order.open_1e8 = qty, order.open_1e8 - cut
            self.version += 1
            return receipt
        self._take_off(order)
        order.price_1e9, order.qty_1e8, order.open_1e8 = price, qty, order.open_1e8 - cut
        order.status = Status.OPEN
        self._enter(order, receipt)
        return receipt

    def expire(self, now_ns: int) -> list[Order]:
        """Take off what was good until now or before; returns those orders."""
        due = [order for order in self._expiring.values() if (order.expires_ns or 0) <= now_ns]
        for order in due:
            self._take_off(order)
            order.status = Status.EXPIRED
        return due

    def fillable_1e8(self, order: Order) -> int:
        """How much of an order would trade at once, at most its open quantity."""
        ladder = self._ladder(order.side.opposite)
        wanted, found = order.open_1e8, 0
        for level in ladder.walk():
            if not _reaches(order, level, ladder) or found >= wanted:
                break
            if order.self_trade is SelfTrade.ALLOW:
                found += level.qty_1e8
                continue
            for maker in level.orders.values():
                if maker.owner != order.owner:
                    found += maker.open_1e8
                elif order.self_trade is not SelfTrade.CANCEL_OLDEST:
                    return min(found, wanted)
        return min(found, wanted)

    def _enter(self, order: Order, receipt: Receipt) -> None:
        price = order.price_1e9
        if self.rules.min_notional_1e17 and self._is_passed_over(order):
            if order.tif in _NEVER_REST:
                order.status = Status.EXPIRED
            else:
                order.status = Status.DORMANT
                self._remember(order)
            return
        facing = self.asks if order.side is Side.BUY else self.bids
        if facing.keys and (price is None or facing.keys[-1] >= price * facing.sign):
            self._match(order, facing, receipt)
        if order.status is not Status.OPEN:
            return
        if not order.open_1e8:
            order.status = Status.FILLED
        elif price is None or order.tif in _NEVER_REST:
            order.status = Status.EXPIRED
        else:
            (self.bids if order.side is Side.BUY else self.asks).add(order, price)
            self._remember(order)
            self.version += 1

    def _match(self, taker: Order, facing: Ladder, receipt: Receipt) -> None:
        keys = facing.keys
        floor = keys[0] if taker.price_1e9 is None else taker.price_1e9 * facing.sign
        may_meet_itself = taker.self_trade is SelfTrade.ALLOW
        trades = receipt.trades
        self.version += 1
        while taker.open_1e8 and keys and keys[-1] >= floor:
            level = facing.levels[keys[-1] * facing.sign]
            maker = next(iter(level.orders.values()))
            if maker.owner == taker.owner and not may_meet_itself:
                prevent(taker, maker, level)
                if maker.status is Status.CANCELLED:
                    self._take_off(maker)
                    receipt.removed.append(maker)
                elif taker.self_trade is SelfTrade.DECREMENT:
                    receipt.cut.append(maker)
                if taker.status is Status.CANCELLED:
                    return
                continue
            qty_1e8 = min(maker.open_1e8, taker.open_1e8)
            trades.append(Trade(level.price_1e9, qty_1e8, maker, taker))
            taker.open_1e8 -= qty_1e8
            maker.open_1e8 -= qty_1e8
            level.qty_1e8 -= qty_1e8
            if not maker.open_1e8:
                self._take_off(maker)
                maker.status = Status.FILLED
        if trades:
            self.last_price_1e9 = trades[-1].price_1e9

    def _refused_by_book(self, order: Order) -> Rejection | None:
        if order.is_post_only and self._would_trade(order.side, order.price_1e9):
            return Rejection.WOULD_CROSS
        if order.tif is TimeInForce.FOK and self.fillable_1e8(order) < order.open_1e8:
            return Rejection.CANNOT_FILL
        return None

    def _amendment_refusal(self, order: Order, price_1e9: int, qty_1e8: int) -> Rejection | None:
        refused = self.rules.price_refusal(price_1e9) or self.rules.qty_refusal(qty_1e8)
        if refused is None and qty_1e8 <= order.filled_1e8:
            return Rejection.BELOW_FILLED
        if refused is None and order.is_post_only and self._would_trade(order.side, price_1e9):
            return Rejection.WOULD_CROSS
        return refused

    def _would_trade(self, side: Side, price_1e9: int | None) -> bool:
        facing = self._ladder(side.opposite)
        if not facing.keys:
            return False
        return price_1e9 is None or facing.keys[-1] >= price_1e9 * facing.sign

    def _is_passed_over(self, order: Order) -> bool:
        price = order.price_1e9
        if price is None:
            best = self._ladder(order.side.opposite).best()
            price = 0 if best is None else best.price_1e9
        return self.rules.is_too_small(order, price, order.qty_1e8)

    def _stays_awake(self, order: Order, price_1e9: int, qty_1e8: int) -> bool:
        is_too_small = self.rules.is_too_small(order, price_1e9, qty_1e8)
        return order.status is Status.OPEN and not is_too_small

    def _remember(self, order: Order) -> None:
        self._live[order.order_id] = order
        if order.tif is TimeInForce.GTD:
            self._expiring[order.order_id] = order

    def _take_off(self, order: Order) -> None:
        del self._live[order.order_id]
        if order.tif is TimeInForce.GTD:
            del self._expiring[order.order_id]
        if order.status is not Status.DORMANT:
            self._ladder(order.side).remove(order, _limit(order))
        self.version += 1

    def _ladder(self, side: Side) -> Ladder:
        return self.bids if side is Side.BUY else self.asks


def _limit(order: Order) -> int:
    """The limit of an order that rests, which has one."""
    if order.price_1e9 is None:
        raise AssertionError(f"market order {order.order_id} was on the book")
    return order.price_1e9


def _reaches(order: Order, level: Level, facing: Ladder) -> bool:
    price = order.price_1e9
    return price is None or level.price_1e9 * facing.sign >= price * facing.sign
