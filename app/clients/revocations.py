"""Word of revoked keys, sent by Redis: to know that there was none costs no round trip."""

import logging
import threading
import time
import uuid
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

GENERATION = "api-keys:generation"
"""Redis key of the present generation of API keys; absent until the first revocation."""

_CHANNEL = "api-keys:revoked"
_PAUSE_S = 5.0


def revoke_known(redis: Redis) -> bool:
    """Begin a new generation: keys were revoked, or rotated; False when Redis is away."""
    try:
        with redis.pipeline(transaction=True) as batch:
            batch.set(GENERATION, uuid.uuid4().hex)
            # Redis hands it to those who listen before it answers us.
            batch.publish(_CHANNEL, b"")
            batch.execute()
    except RedisError as error:
        log.warning("revocation_not_told", extra={"error": type(error).__name__})
        return False
    return True


class Revocations:
    """Listens on a connection of its own, and reads it only when it is asked.

    `redis` must not replace a broken connection by itself: what it missed nobody would know.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lock = threading.Lock()
        self._heard: Any = None  # a PubSub, whose connection has no type
        self._listens = False
        self._paused_until = 0.0

    def none_came(self) -> bool:
        """Whether no key was revoked since this was asked last; False also where none can tell."""
        with self._lock:
            try:
                return self._none_came()
            except RedisError as error:
                log.warning("revocations_not_heard", extra={"error": type(error).__name__})
                self._paused_until = time.monotonic() + _PAUSE_S
                self._stop()
                return False

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            self._stop()

    def _none_came(self) -> bool:
        if self._heard is None:
            if time.monotonic() >= self._paused_until:
                self._heard = self._redis.pubsub()  # type: ignore[no-untyped-call] # so it is
                self._heard.subscribe(_CHANNEL)
            return False
        if not self._heard.connection.can_read(timeout=0):
            # Until Redis has confirmed it, what was said before it is not heard.
            return self._listens
        self._listens |= self._heard.get_message(timeout=0) is not None
        return False

    def _stop(self) -> None:
        heard, self._heard, self._listens = self._heard, None, False
        if heard is not None:
            heard.close()
