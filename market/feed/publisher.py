"""The market process's side: what changed goes to Redis, each book not too often."""

import logging
import secrets
from collections.abc import Iterable

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError

from market.catalogue import Catalogue
from market.engine import BookKey, VenueBooks
from market.feed import names
from market.feed.codec import Snapshot, encode_book, encode_catalogue, encode_trade
from market.quotes import image_of
from market.sources import Print

log = logging.getLogger(__name__)

ROUND_INTERVAL_NS = 12_000_000
"""All that changed goes out at most this often: about 80 times a second. Some book changes in
nearly every turn, and a round trip for each would be most of what a market costs."""

_BEAT_INTERVAL_NS = 500_000_000
_AWAY_PAUSE_NS = 500_000_000
_PRINTS_HELD = 20_000


class BookPublisher:
    """Publishes books, trades and the catalogue; one for each market process, one thread.

    While Redis is away nothing is raised: the books go on, and all of it is published again when
    Redis is back. Trades beyond the last 20,000 of an outage are lost, with a line in the log.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._session = secrets.token_hex(8)
        self._catalogue: tuple[Catalogue, str, bytes] | None = None
        self._sent: dict[BookKey, int] = {}
        self._round_ns = 0
        self._prints: list[Print] = []
        self._beaten_ns = 0
        self._away_since_ns = 0

    def publish_catalogue(self, catalogue: Catalogue) -> None:
        """From the next `publish` on this is what is listed."""
        self._catalogue = (catalogue, *encode_catalogue(catalogue))
        self._sent.clear()

    def publish(
        self, books: VenueBooks, catalogue: Catalogue, now_ns: int, prints: Iterable[Print] = ()
    ) -> None:
        """Publish the books that changed, and the trades; called once a turn of the market.

        Within `ROUND_INTERVAL_NS` of the last round nothing goes out; what came waits for the next.
        `now_ns` is Unix time. Costs one round trip when there is something to say.
        """
        self._prints += prints
        if _is_within(now_ns, self._away_since_ns, _AWAY_PAUSE_NS):
            return
        if _is_within(now_ns, self._round_ns, ROUND_INTERVAL_NS):
            return
        self._round_ns = now_ns
        if self._catalogue is None or self._catalogue[0] is not catalogue:
            self.publish_catalogue(catalogue)
        is_whole = not self._sent
        is_beat = is_whole or not _is_within(now_ns, self._beaten_ns, _BEAT_INTERVAL_NS)
        pipe = self._redis.pipeline(transaction=False)
        due = self._due(books)
        self._add_books(pipe, books, due, now_ns)
        self._add_prints(pipe)
        if is_whole:
            self._add_catalogue(pipe)
        if is_beat:
            pipe.set(names.HEARTBEAT, self._session, px=names.HEARTBEAT_MS, get=True)
        if not len(pipe):
            return
        try:
            answers = pipe.execute()
        except RedisError as error:
            self._away(error, now_ns)
            return
        self._sent.update(due)
        self._prints.clear()
        if is_beat:
            self._beaten_ns = now_ns
            if not is_whole and answers[-1] != self._session.encode():
                # Redis lost what it held, or somebody else wrote there: all of it once more.
                self._sent.clear()

    def _due(self, books: VenueBooks) -> dict[BookKey, int]:
        versions = ((key, books[key].version) for key in books)
        return {key: version for key, version in versions if self._sent.get(key) != version}

    def _add_books(
        self, pipe: Pipeline, books: VenueBooks, due: dict[BookKey, int], now_ns: int
    ) -> None:
        for key, version in due.items():
            snapshot = Snapshot(self._session, version, now_ns, image_of(books[key]))
            data = encode_book(snapshot)
            pipe.set(names.book_key(key), data)
            pipe.publish(names.book_channel(key), data)

    def _add_catalogue(self, pipe: Pipeline) -> None:
        if self._catalogue is not None:
            pipe.set(names.CATALOGUE, self._catalogue[2])
            pipe.set(names.CATALOGUE_ID, self._catalogue[1])

    def _add_prints(self, pipe: Pipeline) -> None:
        rows: dict[BookKey, list[bytes]] = {}
        for one in self._prints:
            rows.setdefault(one.key, []).append(encode_trade(one))
        for key, encoded in rows.items():
            pipe.rpush(names.tape_key(key), *encoded)
            pipe.ltrim(names.tape_key(key), -names.TRADES_KEPT, -1)

    def _away(self, error: RedisError, now_ns: int) -> None:
        lost = len(self._prints) - _PRINTS_HELD
        if lost > 0:
            del self._prints[:lost]
        log.warning(
            "books_not_published", extra={"error": type(error).__name__, "lost": max(lost, 0)}
        )
        self._away_since_ns = now_ns
        self._sent.clear()


def _is_within(now_ns: int, since_ns: int, length_ns: int) -> bool:
    """Whether `now` is less than `length` after `since`; false after a clock was set back."""
    return since_ns <= now_ns < since_ns + length_ns
