"""The wake-up channel: a hint to a runner that one of its rows changed; the heartbeat is slower."""

import logging

from redis import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)


def channel(runner_id: str) -> str:
    """Name of the Redis channel that this runner listens to."""
    return f"runner:{runner_id}:wake"


class Waker:
    """Sends hints; a lost one costs at most a heartbeat."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def wake(self, runner_id: str | None) -> None:
        """Tell this runner to look at its rows now; never raises."""
        if runner_id is None:
            return
        try:
            self._redis.publish(channel(runner_id), b"")
        except RedisError as error:
            log.warning("wake_failed", extra={"runner_id": runner_id, "error": str(error)})
