"""A market for tests: books with chosen prices, published as the market process does."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterable

from redis import Redis
from redis.exceptions import RedisError

from market.catalogue import Catalogue, simulated_catalogue
from market.engine import BookKey, Order, OrderBook, Side, VenueBooks
from market.feed import BookPublisher, names
from market.sources import Print, SimulatedSource

DOLLAR = 10**9
ONE = 10**8
SEED = 7
Levels = Iterable[tuple[float, float]]


LISTINGS_PER_VENUE = 34  # two rounds of all events


def small_catalogue(now_s: int) -> Catalogue:
    """The pairs, and of the simulated listings the first of each venue."""
    whole = simulated_catalogue(SEED, now_s)
    listings = [
        one
        for venue in ("kalshi", "polymarket")
        for one in [row for row in whole.listings if row.venue == venue][:LISTINGS_PER_VENUE]
    ]
    return Catalogue(whole.pairs, listings)


class StillMarket:
    """The simulated catalogue and its books, in which nothing moves unless a test says so."""

    def __init__(self, redis: Redis) -> None:
        # Behind the clock, so that its turns never run ahead of those who look.
        self.now_ns = time.time_ns() - 60 * DOLLAR
        self.catalogue = small_catalogue(self.now_ns // DOLLAR)
        self.books = VenueBooks()
        SimulatedSource(self.catalogue, SEED, self.now_ns).advance(self.books, self.now_ns)
        self.publisher = BookPublisher(redis)
        self._redis = redis
        self._ids = itertools.count()

    def publish(self, prints: Iterable[Print] = ()) -> None:
        """One turn, a second after the one before: every change goes out."""
        self.now_ns += DOLLAR
        self.publisher.publish(self.books, self.catalogue, self.now_ns, prints)
        self.stay_alive()

    def stay_alive(self) -> None:
        """Nobody renews the heartbeat between two turns, which on a busy machine may be long."""
        with contextlib.suppress(RedisError):
            self._redis.persist(names.HEARTBEAT)

    def place(self, key: BookKey, side: Side, price: float, size: float) -> list[Print]:
        """An order of somebody; the trades that it led to."""
        name, size_1e8 = f"test-{next(self._ids)}", round(size * ONE)
        order = Order(name, f"test-{side}", side, round(price * DOLLAR), size_1e8)
        receipt = self.books[key].submit(order)
        assert receipt.rejection is None, receipt.rejection
        return [Print(self.now_ns, key, trade) for trade in receipt.trades]

    def replace(self, key: BookKey, bids: Levels, asks: Levels) -> None:
        """The book holds these levels and nothing else."""
        self.books._books[key] = book = OrderBook(self.books[key].rules)
        for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
            for price, size in levels:
                self.place(key, side, price, size)
        book.version += next(self._ids) + 1_000_000
