"""A token bucket for each key, in Redis, for all web processes together."""

import logging
import time
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, g
from redis import Redis
from redis.exceptions import RedisError

from app.clients.known_keys import GENERATION
from app.errors import RateLimitedError

log = logging.getLogger(__name__)

_PAUSE_S = 5.0
# By the clock of Redis, so that all web processes agree. Times go back to us as whole milliseconds:
# Redis cuts what a script returns down to integers.
_TAKE = """
local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(bucket[1]) or capacity
local passed = math.max(0, now - (tonumber(bucket[2]) or now))
tokens = math.min(capacity, tokens + passed * rate)
local taken = 0
if tokens >= 1 then
    taken = 1
    tokens = tokens - 1
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens),
    'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate * 1000) + 1000)
local wait = math.max(0, math.ceil((1 - tokens) / rate * 1000))
local full = math.ceil((capacity - tokens) / rate * 1000)
return {taken, math.floor(tokens), wait, full, redis.call('GET', KEYS[2]) or ''}
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


class RateLimiter:
    """Refill `qps`, capacity twice that; 0 is no limit. Without Redis all requests pass."""

    def __init__(self, redis: Redis, qps: float) -> None:
        self._take = redis.register_script(_TAKE)
        self._qps = qps
        self._capacity = max(1, round(2 * qps))
        self._paused_until = 0.0

    def take(self, key_id: str) -> Allowance | None:
        """Take one request out of the key's bucket; None when nobody counts.

        Raises:
            RateLimitedError: there is none left.
        """
        if not self._qps or time.monotonic() < self._paused_until:
            return None
        try:
            keys = [f"rate:{key_id}", GENERATION]
            found: Any = self._take(keys=keys, args=[self._qps, self._capacity])
        except RedisError as error:
            # Not every request is to wait for a Redis that does not answer.
            self._paused_until = time.monotonic() + _PAUSE_S
            log.warning("rate_not_limited", extra={"error": type(error).__name__})
            return None
        taken, remaining, wait_ms, full_ms = (int(value) for value in found[:4])
        g.allowance = Allowance(self._capacity, remaining, -(-full_ms // 1000), found[4])
        if not taken:
            raise RateLimitedError(
                f"more than {self._qps:g} requests a second came with this key; wait, and send "
                "fewer at once",
                retry_after_s=max(1, -(-wait_ms // 1000)),
            )
        return g.allowance  # type: ignore[no-any-return] # Flask's `g` has no types


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
