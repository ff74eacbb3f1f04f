"""All subscriptions of one web process: each frame is made and encoded once for everybody."""

import json
import logging
import threading
from collections.abc import Iterable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from market.catalogue import Catalogue
from market.engine import BookKey
from market.errors import MarketError
from market.feed import MarketReader
from market.feed.codec import Snapshot, decode_book
from market.feed.names import book_channel
from market.feed.reader import MarketAwayError
from market.feed.subscriber import Subscriber
from market.stream.channels import Topic, topic_of
from market.stream.connection import Connection, text_frame
from market.trading.owners import owner_name

log = logging.getLogger(__name__)

CHANNELS_MAX = 500
_MISSED = (
    "the connection to the platform's Redis was interrupted: orders and fills of the last moments "
    "may be missing here; read GET /v1/orders and GET /v1/fills"
)


class Hub:
    """Who follows what. Connections subscribe and leave; the subscriber's thread brings news.

    `saw_market` says whether a market process lived when one was last looked for.
    """

    def __init__(self, redis: Redis, reader: MarketReader) -> None:
        self.saw_market = True
        self._reader = reader
        self._subscriber = Subscriber(redis, self._on_message, self._on_subscribed)
        self._topics: dict[str, Topic] = {}
        self._by_source: dict[str, set[Topic]] = {}
        self._keys: dict[str, BookKey] = {}
        self._snapshots: dict[BookKey, Snapshot] = {}
        self._live: set[str] = set()
        self._lock = threading.RLock()

    def subscribe(self, connection: Connection, channels: Iterable[str]) -> None:
        """Follow channels: first comes the ack, then what is known of each.

        Raises redis.exceptions.RedisError.
        """
        catalogue = self._catalogue()
        accepted: list[Topic] = []
        refused: dict[str, str] = {}
        for channel in dict.fromkeys(channels):
            try:
                accepted.append(topic_of(channel, _owner(connection), catalogue))
            except MarketError as error:
                refused[channel] = str(error)
        with self._lock:
            room = CHANNELS_MAX - len(connection.channels)
            new = [one for one in accepted if one.channel not in connection.channels]
            for one in new[max(room, 0) :]:
                accepted.remove(one)
                refused[one.channel] = f"a connection follows at most {CHANNELS_MAX} channels"
            ack: dict[str, Any] = {"subscribed": [one.channel for one in accepted]}
            ack["rejected"] = list(refused)
            if refused:
                ack["reasons"] = refused
            connection.send(text_frame(json.dumps(ack)))
            sources = [source for one in accepted for source in self._join(connection, one)]
        if sources:
            self._subscriber.follow(sources)

    def unsubscribe(self, connection: Connection, channels: Iterable[str]) -> None:
        """Follow channels no longer."""
        wanted = dict.fromkeys(channels)
        with self._lock:
            known = [one for one in wanted if one in connection.channels]
            ack = {
                "unsubscribed": known,
                "subscribed": [],
                "rejected": [one for one in wanted if one not in connection.channels],
            }
            connection.send(text_frame(json.dumps(ack)))
        self._leave(connection, known)

    def leave(self, connection: Connection) -> None:
        """The connection is over."""
        self._leave(connection, list(connection.channels))

    def is_market_alive(self) -> bool:
        """Whether a market process lives. Raises redis.exceptions.RedisError."""
        return self._reader.is_alive()

    def _catalogue(self) -> Catalogue | None:
        try:
            catalogue = self._reader.look().catalogue
        except MarketAwayError:
            return None
        self.saw_market = True
        return catalogue

    def _join(self, connection: Connection, wanted: Topic) -> tuple[str, ...]:
        """Add a listener; the sources that are to be followed for it from now on."""
        topic = self._topics.setdefault(wanted.key, wanted)
        connection.channels.add(topic.channel)
        if connection in topic.listeners:
            return ()
        topic.listeners.add(connection)
        for source in topic.sources:
            self._by_source.setdefault(source, set()).add(topic)
        self._keys.update({book_channel(key): key for key in topic.books})
        if topic.latest is not None:
            connection.send(topic.latest)
        else:
            self._refresh(topic)
        return tuple(source for source in topic.sources if source not in self._live)

    def _leave(self, connection: Connection, channels: list[str]) -> None:
        unused: list[str] = []
        with self._lock:
            for channel in channels:
                connection.channels.discard(channel)
                topic = self._topics.get(channel) or self._topics[f"{_owner(connection)}/{channel}"]
                topic.listeners.discard(connection)
                if not topic.listeners:
                    unused += self._remove(topic)
        if unused:
            self._subscriber.leave(unused)

    def _remove(self, topic: Topic) -> list[str]:
        """Forget a topic; the sources that nobody follows any more."""
        del self._topics[topic.key]
        unused = []
        for source in topic.sources:
            others = self._by_source[source]
            others.discard(topic)
            if not others:
                unused.append(source)
                del self._by_source[source]
                self._live.discard(source)
                key = self._keys.pop(source, None)
                if key is not None:
                    self._snapshots.pop(key, None)
        return unused

    def _on_subscribed(self, source: str, after_gap: bool) -> None:
        """A source is followed from now on: what was before has to be read."""
        key = self._keys.get(source)
        if key is not None:
            try:
                found = self._reader.snapshots([key])
            except RedisError as error:
                log.warning("market_feed_not_read", extra={"error": type(error).__name__})
                found = {}
        with self._lock:
            if source not in self._by_source:
                return
            self._live.add(source)
            if key is None:
                if after_gap:
                    self._tell_missed(source)
                return
            if key in found:
                self._snapshots[key] = found[key]
            for topic in self._by_source[source]:
                self._refresh(topic)

    def _on_message(self, source: str, data: bytes) -> None:
        with self._lock:
            key = self._keys.get(source)
            if key is None:
                self._relay(source, data)
            else:
                self._show(source, key, decode_book(data))

    def _show(self, source: str, key: BookKey, snapshot: Snapshot) -> None:
        known = self._snapshots.get(key)
        if known and known.session == snapshot.session and known.version >= snapshot.version:
            return
        self._snapshots[key] = snapshot
        for topic in self._by_source.get(source, ()):
            self._refresh(topic)

    def _refresh(self, topic: Topic) -> None:
        if not self._live.issuperset(topic.sources):
            return  # prices of some venues alone would be no prices
        data = topic.news(self._snapshots)
        if data is not None:
            text = json.dumps({"channel": topic.channel, "data": data}, separators=(",", ":"))
            topic.latest = text_frame(text)
            self._send(topic, topic.latest)

    def _relay(self, source: str, data: bytes) -> None:
        """An owner's event, as the market process encoded it."""
        text = data.decode()
        channel = json.loads(text)["channel"]
        for topic in self._by_source.get(source, ()):
            if topic.channel == channel:
                self._send(topic, text_frame(text))

    def _tell_missed(self, source: str) -> None:
        error = {"error": {"code": "EVENTS_MISSED", "message": _MISSED}}
        for topic in self._by_source[source]:
            self._send(topic, text_frame(json.dumps(error)))

    def _send(self, topic: Topic, frame: bytes) -> None:
        for listener in topic.listeners:
            listener.send(frame)


def _owner(connection: Connection) -> str:
    principal = connection.principal
    return owner_name(principal.client_id, is_sandbox=principal.is_sandbox)
