"""Entry point of the `market` process: `python -m market.service`.

One works at a time; more of them wait for their turn.
"""

import logging
import os
import signal
import sys
import threading
import time

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.database import Database
from app.observability import configure_logging
from app.redis_client import connect
from app.settings import Role, Settings, SettingsError, load
from market.calls.inbox import Inbox
from market.errors import SourceError
from market.feed import BookPublisher
from market.service.floor import build
from market.service.lease import Lease
from market.service.loop import LeaseLostError, Loop, Services
from market.service.operations import Clerk
from market.service.sources import NS_PER_S, listed
from market.store import loading
from market.store.writer import FencedError, Writer

log = logging.getLogger("market.service")

_LOOK_AGAIN_S = 0.5


def main() -> int:
    """Work until SIGTERM or SIGINT; 1 when it cannot go on and has to be started again."""
    ends = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ends.set())
    try:
        settings = load(Role.MARKET, os.environ)
        configure_logging(settings.log_level)
        if settings.sequence_upstream_url:
            log.info("market_not_needed", extra={"upstream": settings.sequence_upstream_url})
            ends.wait()
            return 0
        return _work(settings, ends)
    except (SettingsError, SourceError) as error:
        sys.stderr.write(f"{error}\n")
    except (LeaseLostError, FencedError) as error:
        log.error("market_taken_over", extra={"error": str(error)})
    except SQLAlchemyError as error:
        log.error("database_failed", extra={"error": str(error).splitlines()[0]})
    return 1


def _work(settings: Settings, ends: threading.Event) -> int:
    redis = connect(settings.redis_url)
    lease = Lease(redis)
    if not _wait_for(lease, ends):
        return 0
    database = Database(settings.database_url, pool_size=2)
    now_ns = time.time_ns()
    turnover = loading.take_over(database, now_ns // NS_PER_S)
    kept = loading.load(database)
    floor = build(
        listed(settings, now_ns, turnover.started_s), kept, settings.market_paper_cash_usd, now_ns
    )
    inbox = Inbox(redis)
    writer = Writer(database, turnover.token, turnover.next_seq)
    services = Services(redis, inbox, lease, writer, BookPublisher(redis))
    loop = Loop(floor, Clerk(floor, database), services)
    log.info("market_open", extra={"source": settings.market_source, "token": turnover.token})
    inbox.start()
    loop.run(ends.is_set)
    inbox.close()
    loop.turn(inbox.take(0.0, sys.maxsize))
    _release(lease)
    database.close()
    log.info("market_closed")
    return 0


def _wait_for(lease: Lease, ends: threading.Event) -> bool:
    """Whether the lease came before the end."""
    said = ""
    while not ends.is_set():
        try:
            if lease.take():
                return True
            state = "market_waits"
        except RedisError:
            state = "redis_away"
        if state != said:
            log.warning(state)
            said = state
        ends.wait(_LOOK_AGAIN_S)
    return False


def _release(lease: Lease) -> None:
    try:
        lease.release()
    except RedisError as error:
        log.warning("lease_not_released", extra={"error": type(error).__name__})


if __name__ == "__main__":
    sys.exit(main())
