"""The market's own loop in a thread: for tests of what asks it, not of how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from app.database import Database
from app.redis_client import connect
from app.settings import Role
from market.calls.inbox import Inbox
from market.feed import BookPublisher
from market.service.floor import Floor, build
from market.service.lease import Lease
from market.service.loop import Loop, Services
from market.service.operations import Clerk
from market.service.sources import listed
from market.sources import ReplaySource
from market.store import loading
from market.store.writer import Writer
from support.environments import settings

PAPER_CASH_USD = 100_000
STARTED_S = 1_777_414_125
SEED = 7


@contextmanager
def market_thread(database_url: str, redis_url: str) -> Iterator[Floor]:
    """A market that works on these services until the end of the block; nothing moves by itself."""
    ends = threading.Event()
    with closing(Database(database_url)) as database, closing(connect(redis_url)) as redis:
        now_ns = time.time_ns()
        turnover = loading.take_over(database, STARTED_S)
        found = listed(settings(Role.MARKET, MARKET_SEED=SEED), now_ns, STARTED_S)
        floor = build(found, loading.load(database), PAPER_CASH_USD, now_ns)
        # An empty recording: after what fills the books only callers trade.
        floor.source = ReplaySource([], now_ns)
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
