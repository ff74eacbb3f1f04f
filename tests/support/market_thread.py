"""The market's own loop in a thread: for tests of what asks it, not of how it ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from app.database import Database
from app.redis_client import connect
from market.calls.inbox import Inbox
from market.catalogue import simulated_catalogue
from market.engine import BookKey
from market.feed import BookPublisher
from market.service.floor import Floor, build
from market.service.lease import Lease
from market.service.loop import Loop, Services
from market.service.operations import Clerk
from market.service.sources import Listed
from market.sources import ReplaySource, read_recording
from market.store import loading
from market.store.writer import Writer

Levels = list[list[float]]
PAPER_CASH_USD = 100_000
STARTED_S = 1_777_414_125
SEED = 7
KRAKEN = BookKey("kraken", "BTC-USD")
KALSHI = BookKey("kalshi", "KXWORLDCUPWINNER1-SPAIN")
POLYMARKET = BookKey("polymarket", "world-cup-winner-1-spain")
_FILLED: dict[BookKey, tuple[Levels, Levels]] = {
    KRAKEN: ([[64_999.0, 2.0]], [[65_001.0, 0.2], [65_002.0, 2.0]]),
    BookKey("coinbase", "BTC-USD"): ([[64_998.0, 2.0]], [[65_003.0, 2.0]]),
    KALSHI: ([[0.18, 500.0]], [[0.19, 500.0]]),
    POLYMARKET: ([[0.153, 500.0]], [[0.154, 500.0]]),
}
BOOKS = [
    {"ts_ns": 1, "venue": key.venue, "market": key.market, "bids": bids, "asks": asks}
    for key, (bids, asks) in _FILLED.items()
]


@contextmanager
def market_thread(database_url: str, redis_url: str) -> Iterator[Floor]:
    """A market that works on these services until the end of the block.

    Its books hold still: only callers trade.
    """
    ends = threading.Event()
    with closing(Database(database_url)) as database, closing(connect(redis_url)) as redis:
        now_ns = time.time_ns()
        turnover = loading.take_over(database, STARTED_S)
        catalogue = simulated_catalogue(SEED, STARTED_S)
        source = ReplaySource(list(read_recording(map(json.dumps, BOOKS))), now_ns)
        kept = loading.load(database)
        floor = build(Listed(catalogue, source), kept, PAPER_CASH_USD, now_ns)
        inbox, lease = Inbox(redis), Lease(redis)
        writer = Writer(database, turnover.token, turnover.next_seq)
        services = Services(redis, inbox, lease, writer, BookPublisher(redis))
        loop = Loop(floor, Clerk(floor, database), services)
        assert lease.take()
        inbox.start()
        thread = threading.Thread(target=loop.run, args=(ends.is_set,), daemon=True)
        thread.start()
        try:
            yield floor
        finally:
            ends.set()
            thread.join(10)
            inbox.close()
            lease.release()
            redis.connection_pool.disconnect()
