"""The traders of one simulated book: they arrive, take, cancel, and follow a fair price."""

from dataclasses import dataclass
from random import Random

from market.engine import BookKey, Order, OrderBook, SelfTrade, Side, TimeInForce, Trade
from market.fixed_point import MONEY_SCALE
from market.sources.protocol import CROWD

DEPTH_LEVELS = 14
CANCEL_SHARE = 0.42
TAKE_SHARE = 0.06
MEAN_DISTANCE_TICKS = 6.0
# What the crowd places is worth this much at least: well above a venue's least notional.
LEAST_NOTIONAL_1E17 = 40 * MONEY_SCALE


@dataclass(slots=True)
class Fair:
    """The price that a crowd believes in: a walk that is drawn back to where it began."""

    price_1e9: float
    anchor_1e9: float
    step_1e9: float
    rng: Random

    def move(self) -> float:
        """One step of the walk."""
        pull = (self.anchor_1e9 - self.price_1e9) * 0.002
        self.price_1e9 += pull + self.rng.gauss(0, self.step_1e9)
        # Never further than a fifth: an order at half the bid rests, whatever the seed.
        low, high = self.anchor_1e9 * 0.8, self.anchor_1e9 * 1.2
        self.price_1e9 = min(max(self.price_1e9, low), high)
        return self.price_1e9


@dataclass(frozen=True, slots=True)
class Habits:
    """How a crowd behaves: events per second, sides it quotes, typical size, spacing of levels."""

    events_per_s: float
    sides: tuple[Side, ...]
    size_1e8: int
    spacing_ticks: int


class Crowd:
    """Everyone who trades one simulated book."""

    def __init__(self, key: BookKey, fair: Fair, habits: Habits, rng: Random) -> None:
        self.key = key
        self.habits = habits
        self._fair = fair
        self._rng = rng
        self._mine: list[str] = []
        self._count = 0

    def wait_ns(self) -> int:
        """How long until the next event: arrivals are a Poisson process."""
        return int(self._rng.expovariate(self.habits.events_per_s) * 1e9) + 1

    def open(self, book: OrderBook) -> None:
        """Fill an empty book with its first orders."""
        for side in self.habits.sides:
            for distance in range(DEPTH_LEVELS):
                self._place(book, side, distance)

    def act(self, book: OrderBook) -> list[Trade]:
        """One event; the trades that it led to."""
        self._fair.move()
        side = self._rng.choice(self.habits.sides)
        full = 3 * DEPTH_LEVELS * len(self.habits.sides)
        what = self._rng.random()
        if len(self._mine) > full or (what < CANCEL_SHARE and len(self._mine) > full // 3):
            return self._cancel(book)
        if what > 1 - TAKE_SHARE:
            return self._take(book, side)
        return self._place(book, side, int(self._rng.expovariate(1 / MEAN_DISTANCE_TICKS)))

    def _place(self, book: OrderBook, side: Side, distance: int) -> list[Trade]:
        rules, away = book.rules, (distance + 1) * self.habits.spacing_ticks
        ticks = int(self._fair.price_1e9 // rules.tick_1e9)
        ticks += 1 - away if side is Side.BUY else away
        price = min(max(ticks * rules.tick_1e9, rules.min_price_1e9), rules.max_price_1e9)
        least = LEAST_NOTIONAL_1E17 // price
        wanted = max(int(self.habits.size_1e8 * self._rng.lognormvariate(0, 0.7)), least)
        qty = (wanted // rules.lot_1e8 + 1) * rules.lot_1e8
        order = self._order(side, price, qty, TimeInForce.GTC)
        trades = book.submit(order).trades
        if order.is_live:
            self._mine.append(order.order_id)
        return trades

    def _take(self, book: OrderBook, side: Side) -> list[Trade]:
        """Take a part of the best level of `side`, never the last levels of a book."""
        ladder = book.bids if side is Side.BUY else book.asks
        level = ladder.best()
        if level is None or len(ladder.keys) <= DEPTH_LEVELS // 2:
            return []
        lot = book.rules.lot_1e8
        qty = max(int(level.qty_1e8 * self._rng.uniform(0.05, 0.8)) // lot * lot, lot)
        order = self._order(side.opposite, level.price_1e9, qty, TimeInForce.IOC)
        return book.submit(order).trades

    def _cancel(self, book: OrderBook) -> list[Trade]:
        index = self._rng.randrange(len(self._mine))
        self._mine[index], self._mine[-1] = self._mine[-1], self._mine[index]
        book.cancel(self._mine.pop())
        return []

    def _order(self, side: Side, price_1e9: int, qty_1e8: int, tif: TimeInForce) -> Order:
        self._count += 1
        name = f"{CROWD}{self._count}"
        return Order(name, CROWD, side, price_1e9, qty_1e8, tif, self_trade=SelfTrade.ALLOW)
