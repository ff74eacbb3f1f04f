"""Wrong keys, counted by the address that they come from."""

import logging

from redis import Redis
from redis.exceptions import RedisError

from app.errors import RateLimitedError

log = logging.getLogger(__name__)

_WINDOW_S = 60


class FailedAttempts:
    """Answers those who try too many.

    A valid key is never refused for what others of its address do: strategies of one runner share
    one, and so do the users of one office. Without Redis nobody is counted.
    """

    def __init__(self, redis: Redis, most_per_minute: int) -> None:
        self._redis = redis
        self._most = most_per_minute

    def failed(self, address: str) -> None:
        """Count one attempt that failed.

        Raises:
            RateLimitedError: it is one too many within a minute of the first.
        """
        name = f"auth-failures:{address}"
        try:
            with self._redis.pipeline() as pipe:
                pipe.set(name, 0, ex=_WINDOW_S, nx=True)
                pipe.incr(name)
                pipe.ttl(name)
                _, count, left_s = pipe.execute()
        except RedisError as error:
            log.warning("attempt_not_counted", extra={"error": type(error).__name__})
            return
        if count > self._most:
            raise RateLimitedError(
                f"more than {self._most} wrong API keys came from this address within a minute; "
                "check the key, and wait",
                retry_after_s=max(1, left_s),
            )
