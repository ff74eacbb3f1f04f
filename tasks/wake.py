"""Listens to the runner's wake-up channel, so that a stop does not wait for the next heartbeat."""

import logging
import threading
from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError

from app.runners.wake import channel

log = logging.getLogger(__name__)

_POLL_S = 1.0
_AWAY_PAUSE_S = 1.0


class WakeListener(threading.Thread):
    """Calls `on_wake` for every hint, and once after each time it (re)connected."""

    def __init__(self, redis: Redis, runner_id: str, on_wake: Callable[[], None]) -> None:
        super().__init__(name="wake", daemon=True)
        self._redis = redis
        self._channel = channel(runner_id)
        self._on_wake = on_wake
        self._closing = threading.Event()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self.join(timeout=2 * _POLL_S)

    def run(self) -> None:
        """Listen until closed; an absent Redis is waited for."""
        while not self._closing.is_set():
            try:
                self._listen()
            except (RedisError, OSError) as error:
                log.warning("wake_channel_lost", extra={"error": type(error).__name__})
                self._closing.wait(_AWAY_PAUSE_S)

    def _listen(self) -> None:
        with self._redis.pubsub() as subscription:  # type: ignore[no-untyped-call] # redis-py's
            subscription.subscribe(self._channel)
            while not self._closing.is_set():
                # The first message is the confirmation: hints before it are lost, so it is one.
                if subscription.get_message(timeout=_POLL_S) is not None:
                    self._on_wake()
