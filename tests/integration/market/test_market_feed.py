"""Books through Redis: what is published is read back, also after outages and restarts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from redis import Redis
from support.market import DOLLAR, ONE, StillMarket
from support.redis_server import RedisServer

from app.redis_client import connect
from market.catalogue import Catalogue
from market.engine import BookKey, Side
from market.errors import MarketUnknownError
from market.feed import MarketAwayError, MarketReader, names
from market.feed.codec import decode_book, decode_catalogue, encode_catalogue
from market.quotes import image_of

BTC = BookKey("kraken", "BTC-USD")
ETH = BookKey("kraken", "ETH-USD")
BOOKS = 18 + 2 * 34


@pytest.fixture
def market(redis: Redis) -> StillMarket:
    return StillMarket(redis)


@pytest.fixture
def reader(redis: Redis) -> MarketReader:
    return MarketReader(redis)


def published(redis: Redis) -> int:
    return int(redis.info("commandstats").get("cmdstat_publish", {"calls": 0})["calls"])


def test_every_book_is_read_as_it_was_published(market: StillMarket, reader: MarketReader) -> None:
    market.publish()
    view = reader.look(lambda _: list(market.books))
    assert len(view.books) == BOOKS
    for key, snapshot in view.books.items():
        assert snapshot.image == image_of(market.books[key])
        assert snapshot.changed_ns == market.now_ns
    assert view.catalogue.listings == market.catalogue.listings
    assert view.catalogue.pairs == market.catalogue.pairs


def test_only_what_changed_is_published(
    market: StillMarket, reader: MarketReader, redis: Redis
) -> None:
    market.publish()
    before, first_ns = published(redis), market.now_ns
    market.publish()
    assert published(redis) == before
    market.place(BTC, Side.BUY, 1.0, 1.0)
    market.publish()
    assert published(redis) == before + 1
    books = reader.look(lambda _: [BTC, ETH]).books
    assert (books[BTC].changed_ns, books[ETH].changed_ns) == (market.now_ns, first_ns)


def test_a_book_that_changes_all_the_time_is_conflated(market: StillMarket, redis: Redis) -> None:
    market.publish()
    before = published(redis)
    for turn in range(200):
        market.place(BTC, Side.BUY, 1.0 + turn, 1.0)
        market.now_ns += 5_000_000
        market.publisher.publish(market.books, market.catalogue, market.now_ns)
    assert 50 <= published(redis) - before <= 100


def test_after_a_restart_of_redis_everything_is_there_again(
    own_redis: Callable[..., RedisServer],
) -> None:
    server = own_redis()
    with closing(connect(server.url)) as redis:
        market, reader = StillMarket(redis), MarketReader(redis)
        market.publish()
        market.place(BTC, Side.BUY, 2.0, 1.0)
        server.kill()
        market.publish()  # raises nothing
        server.start()
        market.publish()
        assert len(reader.look(lambda _: list(market.books)).books) == BOOKS
        # Emptied behind its back, between two turns.
        server.flush()
        market.publish()
        market.publish()
        assert len(reader.look(lambda _: list(market.books)).books) == BOOKS


def test_without_a_market_process_there_are_no_prices(
    market: StillMarket, reader: MarketReader, redis: Redis
) -> None:
    with pytest.raises(MarketAwayError, match=r"market\.service"):
        reader.look()
    market.publisher.publish(market.books, market.catalogue, market.now_ns)
    assert reader.is_alive()
    assert 0 < redis.pttl(names.HEARTBEAT) <= names.HEARTBEAT_MS
    redis.delete(names.HEARTBEAT)  # as it goes by itself when nobody renews it
    assert not reader.is_alive()
    with pytest.raises(MarketAwayError):
        reader.look(lambda _: [BTC])


def test_a_new_catalogue_is_seen_at_once(market: StillMarket, reader: MarketReader) -> None:
    market.publish()
    pairs = [BookKey("kraken", "NEW-USD")]

    def of_new(catalogue: Catalogue) -> list[BookKey]:
        if not catalogue.exchanges_of("NEW-USD"):
            raise MarketUnknownError("NEW-USD", "is not traded")
        return pairs

    with pytest.raises(MarketUnknownError):
        reader.look(of_new)
    market.catalogue = Catalogue(pairs, market.catalogue.listings[:1])
    market.books.open(pairs[0])
    market.publish()
    view = reader.look(of_new)
    assert list(view.books) == pairs
    assert len(view.catalogue.listings) == 1


def test_the_tape_keeps_the_latest_trades(market: StillMarket, reader: MarketReader) -> None:
    market.replace(BTC, [(100.0, 6_000.0)], [])
    prints = [
        one for _ in range(names.TRADES_KEPT + 5) for one in market.place(BTC, Side.SELL, 99.0, 1)
    ]
    market.publish(prints)
    market.publish()
    ticks = reader.trades([BTC, ETH])
    assert len(ticks) == names.TRADES_KEPT
    assert (ticks[0].price_1e9, ticks[0].qty_1e8) == (100 * DOLLAR, ONE)
    assert (ticks[0].side, ticks[0].venue) == ("sell", "kraken")


def test_a_catalogue_survives_its_encoding(market: StillMarket) -> None:
    name, data = encode_catalogue(market.catalogue)
    again = decode_catalogue(data)
    assert encode_catalogue(again) == (name, data)
    assert again.listings == market.catalogue.listings


def test_what_is_published_is_what_subscribers_get(market: StillMarket, redis: Redis) -> None:
    with redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        pubsub.subscribe(names.book_channel(BTC))
        assert pubsub.get_message(timeout=5) is None  # the acknowledgement
        market.publish()
        message = pubsub.get_message(timeout=5)
    assert decode_book(message["data"]).image == image_of(market.books[BTC])
