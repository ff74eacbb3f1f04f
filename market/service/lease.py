"""Exactly one market process at a time: a key in Redis that has to be renewed.

It decides who works; that nobody else writes is for the fence in the database.
"""

import uuid
from typing import Any

from redis import Redis

from market.calls.names import LEASE

LEASE_MS = 5_000
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"


class Lease:
    """The right to be the market process. Errors of Redis pass through."""

    def __init__(self, redis: Redis) -> None:
        self._me = uuid.uuid4().hex
        self._renew: Any = redis.register_script(_RENEW)
        self._release: Any = redis.register_script(_RELEASE)

    def take(self) -> bool:
        """Take or renew it; False when another process holds it.

        A Redis that forgot everything gives it to whoever asks first.
        """
        return bool(self._renew(keys=[LEASE], args=[self._me, LEASE_MS]))

    def release(self) -> None:
        """Let the next one begin."""
        self._release(keys=[LEASE], args=[self._me])
