"""One side of a book: price levels, best last, each a queue in order of arrival."""

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Iterator

from market.engine.orders import Order, Side


class Level:
    """The orders of one price, oldest first, and their open quantity together."""

    __slots__ = ("orders", "price_1e9", "qty_1e8")

    def __init__(self, price_1e9: int) -> None:
        self.price_1e9 = price_1e9
        self.qty_1e8 = 0
        # Not a dict: taking the first of one that lost its front again and again is not O(1).
        self.orders: OrderedDict[str, Order] = OrderedDict()


class Ladder:
    """Bids or asks. `keys` are the prices, with the sign that puts the best one last."""

    __slots__ = ("keys", "levels", "sign")

    def __init__(self, side: Side) -> None:
        self.sign = 1 if side is Side.BUY else -1
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    def add(self, order: Order, price_1e9: int) -> None:
        """Queue an order behind those of its price."""
        level = self.levels.get(price_1e9)
        if level is None:
            level = self.levels[price_1e9] = Level(price_1e9)
            insort(self.keys, price_1e9 * self.sign)
        level.orders[order.order_id] = order
        level.qty_1e8 += order.open_1e8

    def remove(self, order: Order, price_1e9: int) -> None:
        """Take an order out, and its level with it when it was the last."""
        level = self.levels[price_1e9]
        del level.orders[order.order_id]
        level.qty_1e8 -= order.open_1e8
        if level.orders:
            return
        del self.levels[price_1e9]
        key = price_1e9 * self.sign
        if self.keys[-1] == key:
            self.keys.pop()
        else:
            del self.keys[bisect_left(self.keys, key)]

    def best(self) -> Level | None:
        """The level that trades first, or None when this side is empty."""
        return self.levels[self.keys[-1] * self.sign] if self.keys else None

    def walk(self) -> Iterator[Level]:
        """The levels, best first."""
        for key in reversed(self.keys):
            yield self.levels[key * self.sign]
