"""One subscription to Redis for all who follow anything in this process."""

import logging
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from redis import Redis
from redis.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

_AWAY_PAUSE_S = 0.5
_PING_EVERY_S = 5.0
_SILENCE_MAX_S = 12.0


class Subscriber(threading.Thread):
    """Follows channels that come and go; reconnects by itself. Started by the first `follow`.

    Only its own thread touches the connection: who wants a channel says so and wakes it.
    `on_message(channel, data)` has each message. `on_subscribed(channel, after_gap)` is called when
    a channel is followed from now on; with a gap when messages before that may be missing.
    """

    def __init__(
        self,
        redis: Redis,
        on_message: Callable[[str, bytes], None],
        on_subscribed: Callable[[str, bool], None],
    ) -> None:
        super().__init__(name="market-subscriber", daemon=True)
        self._redis = redis
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._wake_channel = f"market:wake:{secrets.token_hex(8)}"
        self._wanted: set[str] = set()
        self._asked: set[str] = set()
        self._confirmed: set[str] = set()
        self._lock = threading.Lock()
        self._is_started = False

    def follow(self, channels: Iterable[str]) -> None:
        """Follow these as well."""
        with self._lock:
            channels = set(channels)
            self._wanted |= channels
            self._asked |= channels
            is_first, self._is_started = not self._is_started, True
        if is_first:
            self.start()
        self._wake()

    def leave(self, channels: Iterable[str]) -> None:
        """Follow these no longer."""
        with self._lock:
            self._wanted.difference_update(channels)
        self._wake()

    def run(self) -> None:
        """Read until the process ends."""
        while True:
            try:
                with self._redis.pubsub() as pubsub:  # type: ignore[no-untyped-call] # so is this
                    self._read(pubsub)
            except RedisError as error:
                log.warning("market_feed_interrupted", extra={"error": type(error).__name__})
                time.sleep(_AWAY_PAUSE_S)
            except Exception:
                log.exception("market_feed_broken")
                time.sleep(_AWAY_PAUSE_S)

    def _read(self, pubsub: PubSub) -> None:
        pubsub.subscribe(self._wake_channel)
        followed: set[str] = set()
        pinged_s = heard_s = time.monotonic()
        while True:
            self._follow_wanted(pubsub, followed)
            message: Any = pubsub.get_message(timeout=1.0)
            now_s = time.monotonic()
            if message is not None:
                heard_s = now_s
                self._take(message)
            elif now_s - heard_s > _SILENCE_MAX_S:
                raise RedisConnectionError("Redis says nothing any more")
            if now_s - pinged_s > _PING_EVERY_S:
                pinged_s = now_s
                pubsub.ping()

    def _follow_wanted(self, pubsub: PubSub, followed: set[str]) -> None:
        with self._lock:
            new, old = self._wanted - followed, followed - self._wanted
            asked, self._asked = self._asked & self._confirmed - old, set()
        if new:
            pubsub.subscribe(*new)
            followed |= new
        if old:
            pubsub.unsubscribe(*old)  # type: ignore[no-untyped-call] # redis-py's is untyped
            followed -= old
            self._confirmed -= old
        for channel in asked:
            self._on_subscribed(channel, False)

    def _take(self, message: dict[str, Any]) -> None:
        channel = (message["channel"] or b"").decode()
        if channel == self._wake_channel:
            return
        if message["type"] == "message":
            self._on_message(channel, message["data"])
        elif message["type"] == "subscribe":
            after_gap = channel in self._confirmed
            self._confirmed.add(channel)
            self._on_subscribed(channel, after_gap)

    def _wake(self) -> None:
        try:
            self._redis.publish(self._wake_channel, b"")
        except RedisError:
            # It looks by itself once a second.
            return
