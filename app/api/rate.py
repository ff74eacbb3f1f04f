"""A token bucket for each key, in Redis, for all web processes together.

Whoever asks often takes several requests out of it at once, and need not ask Redis again for each.
"""

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, Response, g
from redis import Redis
from redis.exceptions import RedisError

from app.clients.revocations import GENERATION, Revocations
from app.errors import RateLimitedError

log = logging.getLogger(__name__)

_PAUSE_S = 5.0
_LOT_S = 0.5
_RETURNED_WITHIN_S = 1.0
_MOST_OF_A_BUCKET = 0.25
_MOST_LOTS = 10_000
# By the clock of Redis, so that all web processes agree. Times go back to us as whole milliseconds:
# Redis cuts what a script returns down to integers.
_TAKE = """
local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local wanted, returned = tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1]) or capacity
local passed = math.max(0, now - (tonumber(bucket[2]) or now))
tokens = math.min(capacity, tokens + returned + passed * rate)
local taken = math.min(wanted, math.floor(tokens))
tokens = tokens - taken
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens),
    'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate * 1000) + 1000)
local wait = math.max(0, math.ceil((1 - tokens) / rate * 1000))
return {taken, math.floor(tokens), wait, redis.call('GET', KEYS[2]) or ''}
"""


@dataclass(frozen=True)
class Allowance:
    """What is left of a bucket: requests, and whole seconds until it is full again.

    `generation` is that of the API keys at the moment (app.clients.known_keys).
    """

    limit: int
    remaining: int
    reset_s: int
    generation: bytes


@dataclass
class _Lot:
    """Requests of one key that this process took out of its bucket.

    `news` says after how many interruptions of the silence about revocations it was asked for.
    """

    size: int = 0
    left: int = 0
    in_bucket: int = 0
    taken_at_s: float = 0.0
    news: int = 0
    generation: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)


class RateLimiter:
    """Refill `qps`, capacity twice that; 0 is no limit. Without Redis all requests pass.

    No process lets through what it did not take, so that the limit holds over all of them; at one
    moment they may use what they took within the last second. What a process does not need it
    gives back the next time.
    """

    def __init__(self, redis: Redis, revocations: Revocations, qps: float) -> None:
        self._take = redis.register_script(_TAKE)
        self._revocations = revocations
        self._qps = qps
        self._capacity = max(1, round(2 * qps))
        self._lots: dict[str, _Lot] = {}
        self._news = 0
        self._paused_until = 0.0

    def take(self, key_id: str) -> Allowance | None:
        """Take one request out of the key's bucket; None when nobody counts.

        Raises:
            RateLimitedError: there is none left.
        """
        if not self._qps:
            return None
        if len(self._lots) >= _MOST_LOTS:
            self._lots.clear()
        lot = self._lots.get(key_id) or self._lots.setdefault(key_id, _Lot())
        # Those who come while one fetches a lot share it.
        with lot.lock:
            now = time.monotonic()
            if now < self._paused_until:
                return None
            is_silent = self._revocations.none_came()
            self._news += not is_silent
            if not lot.left or now >= lot.taken_at_s + _LOT_S or lot.news != self._news:
                try:
                    # Where no revocation would be heard, each request asks for itself.
                    self._refill(lot, key_id, self._wanted(lot) if is_silent else 1)
                except RedisError as error:
                    # Not every request is to wait for a Redis that does not answer.
                    self._paused_until = time.monotonic() + _PAUSE_S
                    log.warning("rate_not_limited", extra={"error": type(error).__name__})
                    return None
            lot.left -= 1
            g.allowance = self._allowance(lot.in_bucket + lot.left, lot.generation)
        return g.allowance  # type: ignore[no-any-return] # Flask's `g` has no types

    def _wanted(self, lot: _Lot) -> int:
        """Twice as many as were needed of late."""
        most = max(1, int(self._capacity * _MOST_OF_A_BUCKET))
        return min(most, max(1, 2 * (lot.size - lot.left)))

    def _refill(self, lot: _Lot, key_id: str, wanted: int) -> None:
        news = self._news
        # A bucket that was full again meanwhile would hold more with what is older.
        is_recent = time.monotonic() < lot.taken_at_s + _RETURNED_WITHIN_S
        returned, lot.left = lot.left if is_recent else 0, 0
        found: Any = self._take(
            keys=[f"rate:{key_id}", GENERATION],
            args=[self._qps, self._capacity, wanted, returned],
        )
        lot.size = lot.left = int(found[0])
        lot.in_bucket = int(found[1])
        lot.generation = found[3]
        lot.news = news
        lot.taken_at_s = time.monotonic()
        if not lot.left:
            g.allowance = self._allowance(lot.in_bucket, lot.generation)
            raise RateLimitedError(
                f"more than {self._qps:g} requests a second came with this key; wait, and send "
                "fewer at once",
                retry_after_s=max(1, -(-int(found[2]) // 1000)),
            )

    def _allowance(self, remaining: int, generation: bytes) -> Allowance:
        reset_s = -int(-(self._capacity - remaining) // self._qps)
        return Allowance(self._capacity, remaining, reset_s, generation)


def init_app(app: Flask) -> None:
    """Tell every caller what is left of its bucket."""

    @app.after_request
    def _tell(response: Response) -> Response:
        allowance: Allowance | None = g.get("allowance")
        if allowance is not None:
            response.headers["RateLimit-Limit"] = str(allowance.limit)
            response.headers["RateLimit-Remaining"] = str(allowance.remaining)
            response.headers["RateLimit-Reset"] = str(allowance.reset_s)
        return response
