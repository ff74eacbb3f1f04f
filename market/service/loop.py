"""Turns of the market: prices, requests, one commit, and only then answers and events."""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from market.calls.inbox import Inbox, Request, put_answers
from market.feed import BookPublisher
from market.feed.names import events_channel
from market.service.floor import Floor
from market.service.lease import Lease
from market.service.operations import Clerk
from market.store.writer import Writer
from market.trading import fill_rows, order_rows
from market.trading.journal import Changes

log = logging.getLogger(__name__)

TURN_S = 0.005
_MOST_A_TURN = 200
_RENEW_S = 1.0
_COMMIT_PAUSE_S = 0.1
_COMMIT_WITHIN_S = 10.0


class LeaseLostError(Exception):
    """Another market process works; this one has to end."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the loop works with."""

    redis: Redis
    inbox: Inbox
    lease: Lease
    writer: Writer
    publisher: BookPublisher


class Loop:
    """The market's life, in one thread."""

    def __init__(self, floor: Floor, clerk: Clerk, services: Services) -> None:
        self._floor = floor
        self._clerk = clerk
        self._services = services
        self._now_ns = 0
        self._renew_at_s = 0.0

    def run(self, is_over: Callable[[], bool]) -> None:
        """Turn until `is_over`. Raises LeaseLostError, FencedError, or the database's error."""
        while not is_over():
            self._hold_lease()
            self.turn(self._services.inbox.take(TURN_S, _MOST_A_TURN))

    def turn(self, requests: list[Request]) -> None:
        """One turn with these requests."""
        # The wall clock may be set back; the market's time may not.
        self._now_ns = now_ns = max(time.time_ns(), self._now_ns + 1)
        prints = self._floor.lapse(now_ns)
        answers = [(one, self._clerk.answer(one, now_ns)) for one in requests]
        changes = self._floor.desk.take_changes()
        if changes:
            self._commit(changes)
        self._clerk.committed()
        self._tell(answers, changes)
        prints += changes.prints
        self._services.publisher.publish(self._floor.books, self._floor.catalogue, now_ns, prints)

    def _commit(self, changes: Changes) -> None:
        """Write until it is written: nothing is answered before."""
        until_s = time.monotonic() + _COMMIT_WITHIN_S
        while True:
            try:
                self._services.writer.write(self._floor.desk, changes, self._floor.start_cash_usd)
                return
            except SQLAlchemyError as error:
                log.error("commit_failed", extra={"error": type(error).__name__})
                if time.monotonic() > until_s:
                    raise
                time.sleep(_COMMIT_PAUSE_S)

    def _tell(self, answers: list[tuple[Request, Any]], changes: Changes) -> None:
        try:
            pipe = self._services.redis.pipeline(transaction=False)
            put_answers(pipe, answers)
            _put_events(pipe, changes)
            if pipe.command_stack:
                pipe.execute()
        except RedisError as error:
            # Callers hear from their own connection; what they asked for is done and kept.
            log.warning("telling_failed", extra={"error": type(error).__name__})

    def _hold_lease(self) -> None:
        if time.monotonic() < self._renew_at_s:
            return
        try:
            if not self._services.lease.take():
                raise LeaseLostError("another market process holds the lease")
        except RedisError as error:
            log.warning("lease_not_renewed", extra={"error": type(error).__name__})
        self._renew_at_s = time.monotonic() + _RENEW_S


def _put_events(pipe: Any, changes: Changes) -> None:
    for placed in changes.orders.values():
        event = {"channel": "orders", "data": order_rows([placed])[0]}
        pipe.publish(events_channel(placed.entry.owner), json.dumps(event))
    for fill in changes.fills:
        owner = fill.placed.entry.owner
        event = {"channel": "fills", "data": fill_rows([fill], owner)[0]}
        pipe.publish(events_channel(owner), json.dumps(event))
