"""How many connections a client has open, in all web processes together."""

import time
from collections.abc import Iterable

from redis import Redis

from app.errors import RateLimitedError

CONNECTIONS_MAX = 250
_LEASE_S = 30.0
_RETRY_AFTER_S = 5


class ConnectionLimit:
    """Leases in Redis: those of a process that died run out by themselves."""

    def __init__(self, redis: Redis, most: int = CONNECTIONS_MAX) -> None:
        self._redis = redis
        self._most = most

    def take(self, client_id: str, connection_id: str) -> None:
        """One more connection. Raises RateLimitedError when there are too many."""
        name = _name(client_id)
        pipe = self._redis.pipeline(transaction=True)
        pipe.zremrangebyscore(name, 0, time.time() - _LEASE_S)
        pipe.zadd(name, {connection_id: time.time()})
        pipe.zcard(name)
        pipe.expire(name, int(_LEASE_S) * 2)
        if pipe.execute()[2] > self._most:
            self.release(client_id, connection_id)
            raise RateLimitedError(
                f"this client has {self._most} connections to the stream already; close one, or "
                "subscribe to more channels on each",
                retry_after_s=_RETRY_AFTER_S,
            )

    def release(self, client_id: str, connection_id: str) -> None:
        """One less."""
        self._redis.zrem(_name(client_id), connection_id)

    def renew(self, connections: Iterable[tuple[str, str]]) -> None:
        """These are still open: pairs of client and connection."""
        pipe = self._redis.pipeline(transaction=False)
        for client_id, connection_id in connections:
            # Never anew: it may have been given back since its name was taken down.
            pipe.zadd(_name(client_id), {connection_id: time.time()}, xx=True)
            pipe.expire(_name(client_id), int(_LEASE_S) * 2)
        pipe.execute()


def _name(client_id: str) -> str:
    return f"market:streams:{client_id}"
