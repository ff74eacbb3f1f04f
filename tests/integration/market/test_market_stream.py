"""The stream through a real gunicorn: handshake, subscriptions, frames, and every goodbye."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from sequence_markets import Sequence
from sqlalchemy import update
from support.environments import Keys
from support.market import StillMarket
from support.raw_websocket import HandshakeRefusedError, RawWebSocket
from support.redis_server import RedisServer
from support.waiting import wait_until
from support.web_server import WebServer

from app.clients.models import ApiKey
from app.clients.service import KeyHasher, KeyKind, create_key, ensure_client
from app.database import Database, database_now
from app.redis_client import connect
from market.engine import BookKey
from market.feed import names
from market.stream.connection import BACKLOG_MAX_BYTES
from market.stream.limit import CONNECTIONS_MAX
from market.trading.owners import owner_name

VENUES = ("binance", "coinbase", "kraken")


@dataclass
class Platform:
    """A web process, its Redis and its rows."""

    server: WebServer
    redis_server: RedisServer
    redis: Redis
    database: Database
    hasher: KeyHasher

    def key(self, code: str = "acme", *, is_sandbox: bool = False) -> tuple[str, ApiKey]:
        with self.database.transaction() as session:
            client = ensure_client(session, code)
            new = create_key(session, self.hasher, client.client_id, KeyKind(is_sandbox, "stream"))
            session.expunge_all()
        return new.raw, new.row

    def get(self, path: str, key: str) -> Any:
        request = urllib.request.Request(
            f"{self.server.url}{path}", headers={"Authorization": f"Bearer {key}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def platform(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("stream")
    shutil.copy(migrated_sqlite, folder / "sequence.db")
    url, keys = f"sqlite:///{folder}/sequence.db", Keys()
    with ExitStack() as stack:
        redis_server = RedisServer(folder / "redis").start()
        stack.callback(redis_server.kill)
        server = WebServer(
            folder, DATABASE_URL=url, REDIS_URL=redis_server.url, API_KEY_HASH_KEY=keys.hash_key
        )
        stack.callback(server.stop)
        server.start()
        redis = stack.enter_context(closing(connect(redis_server.url)))
        database = stack.enter_context(closing(Database(url)))
        yield Platform(server, redis_server, redis, database, KeyHasher(keys.hash_key))


@pytest.fixture
def market(platform: Platform) -> StillMarket:
    platform.redis.flushall()
    made = StillMarket(platform.redis)
    for venue in VENUES:
        made.replace(BookKey(venue, "BTC-USD"), [(100.0, 1)], [(101.0, 1)])
    made.publish()
    return made


def set_bid(market: StillMarket, bid: float, venue: str = "kraken") -> None:
    market.replace(BookKey(venue, "BTC-USD"), [(bid, 1)], [(101.0, 1)])
    market.publish()


@pytest.fixture
def stream(platform: Platform, market: StillMarket) -> Iterator[RawWebSocket]:
    assert market
    with RawWebSocket(platform.server.url, platform.key()[0]) as made:
        yield made


def test_the_documented_program_reads_prices(stream: RawWebSocket, market: StillMarket) -> None:
    kalshi = market.catalogue.listings[0].no_token_id
    poly = market.catalogue.listings[-1].yes_token_id
    channels = [f"prices:{kalshi}", f"prices:{poly}"]
    assert stream.subscribe(*channels) == {"subscribed": channels, "rejected": []}
    seen = {message["channel"]: message["data"] for message in (stream.message(), stream.message())}
    assert set(seen) == set(channels)
    for data in seen.values():
        assert set(data) == {"bid", "ask", "mid", "bid_sz", "ask_sz", "ts_ns"}


def test_each_change_is_one_frame(stream: RawWebSocket, market: StillMarket) -> None:
    stream.subscribe("prices:BTC-USD", "book:BTC-USD")
    first = {one["channel"]: one["data"] for one in (stream.message(), stream.message())}
    assert first["prices:BTC-USD"]["bid_sz"] == 3.0  # of all exchanges, from the first frame on
    assert first["book:BTC-USD"]["bids"] == [[100.0, 3.0]]
    for step in range(1, 30):
        set_bid(market, 100.0 + step / 100)
    bids = {"prices:BTC-USD": [], "book:BTC-USD": []}
    for _ in range(2 * 29):
        message = stream.message()
        data = message["data"]
        bids[message["channel"]].append(data.get("bid") or data["bids"][0][0])
    assert bids["prices:BTC-USD"] == bids["book:BTC-USD"] == [
        round(100.0 + step / 100, 2) for step in range(1, 30)
    ]  # fmt: skip


def test_acks_say_what_was_taken_and_why_not(stream: RawWebSocket) -> None:
    ack = stream.subscribe("prices:?", "fills", "tca", "prices:", "luck", "orders")
    assert ack["subscribed"] == ["fills", "orders"]
    assert ack["rejected"] == ["prices:?", "tca", "prices:", "luck"]
    assert set(ack["reasons"]) == set(ack["rejected"])
    assert "not served" in ack["reasons"]["tca"]
    stream.send({"unsubscribe": ["fills", "book:BTC-USD"]})
    assert stream.message() == {
        "unsubscribed": ["fills"], "subscribed": [], "rejected": ["book:BTC-USD"],
    }  # fmt: skip
    for nonsense in ("x", {"subscribe": "fills"}, {"subscribe": [1]}, {}, []):
        stream.send(nonsense)
        assert stream.message()["error"]["code"] == "BAD_REQUEST"
    letters = itertools.product("bB", "tT", "cC", "uU", "sS", "dD")
    names_ = ["".join((*one[:3], "-", *one[3:])) for one in letters]
    channels = [f"{kind}:{name}{' ' * n}" for kind in ("prices", "book") for name in names_
                for n in range(4)][:501]  # fmt: skip
    many = stream.subscribe(*channels)
    assert (len(many["subscribed"]), len(many["rejected"])) == (499, 2)


def test_nothing_comes_after_unsubscribing(stream: RawWebSocket, market: StillMarket) -> None:
    stream.subscribe("prices:BTC-USD")
    assert stream.message()["channel"] == "prices:BTC-USD"
    stream.send({"unsubscribe": ["prices:BTC-USD"]})
    assert stream.message()["unsubscribed"] == ["prices:BTC-USD"]
    set_bid(market, 100.5)
    # The first frame of a new subscription is the book as it is now, and so comes only once.
    stream.subscribe("prices:BTC-USD")
    assert stream.message()["data"]["bid"] == 100.5
    set_bid(market, 100.75)
    assert stream.message()["data"]["bid"] == 100.75


def test_an_owner_sees_orders_and_fills_of_its_own_environment_alone(
    platform: Platform, market: StillMarket
) -> None:
    assert market
    live, row = platform.key("acme")
    keys = {"live": live, "test": platform.key("acme", is_sandbox=True)[0],
            "rival": platform.key("rival")[0]}  # fmt: skip
    with ExitStack() as stack:
        streams = {
            name: stack.enter_context(RawWebSocket(platform.server.url, key))
            for name, key in keys.items()
        }
        for one in streams.values():
            one.subscribe("orders", "fills")
        owner = names.events_channel(owner_name(row.client_id, is_sandbox=False))
        wait_until(lambda: platform.redis.pubsub_numsub(owner)[0][1] == 1, "it is followed")
        fill = {"channel": "fills", "data": {"node_order_id": "graph:g:leg:1", "qty_1e8": 5}}
        platform.redis.publish(owner, json.dumps(fill))
        assert streams["live"].message() == fill
        for name in ("test", "rival"):
            # Had it been sent to them, it would stand before this answer.
            streams[name].send({"unsubscribe": ["fills"]})
            assert streams[name].message()["unsubscribed"] == ["fills"]


def test_a_ticket_opens_one_connection(platform: Platform, market: StillMarket) -> None:
    assert market
    key, row = platform.key()
    ticket = platform.get("/v1/ws/ticket", key)
    assert ticket["expires_in_s"] == 30
    path = f"/v1/stream?ticket={ticket['ticket']}"
    with RawWebSocket(platform.server.url, "", path) as opened:
        assert opened.subscribe("prices:BTC-USD")["subscribed"] == ["prices:BTC-USD"]
    with pytest.raises(HandshakeRefusedError) as again:
        RawWebSocket(platform.server.url, "", path)
    assert again.value.status == 401
    late = platform.get("/v1/ws/ticket", key)["ticket"]
    (name,) = platform.redis.keys("market:ticket:*")
    assert 0 < platform.redis.ttl(name) <= 30
    revoke(platform, row)
    with pytest.raises(HandshakeRefusedError) as revoked:
        RawWebSocket(platform.server.url, "", f"/v1/stream?ticket={late}")
    assert revoked.value.status == 401


def revoke(platform: Platform, row: ApiKey) -> None:
    with platform.database.transaction() as session:
        change = update(ApiKey).where(ApiKey.key_id == row.key_id)
        session.execute(change.values(revoked_at=database_now()))


def test_a_revoked_key_closes_its_streams(platform: Platform, market: StillMarket) -> None:
    assert market
    key, row = platform.key()
    with (
        RawWebSocket(platform.server.url, key) as gone,
        RawWebSocket(platform.server.url, platform.key()[0]) as other,
    ):
        gone.subscribe("fills")
        revoke(platform, row)
        code, reason = gone.until_closed()
        assert (code, "revoked" in reason) == (1008, True)
        assert other.subscribe("fills")["subscribed"] == ["fills"]


def test_who_does_not_read_is_let_go_with_a_reason(
    platform: Platform, market: StillMarket, stream: RawWebSocket
) -> None:
    stream.subscribe("prices:BTC-USD")
    assert stream.message()["data"]["bid"] == 100.0
    with RawWebSocket(platform.server.url, platform.key()[0]) as slow:
        slow.subscribe("fills")
        _, row = platform.key("acme")
        channel = names.events_channel(owner_name(row.client_id, is_sandbox=False))
        wait_until(lambda: platform.redis.pubsub_numsub(channel)[0][1] == 1, "it is followed")
        filler = json.dumps({"channel": "fills", "data": {"x": "y" * 100_000}})
        for _ in range(BACKLOG_MAX_BYTES * 12 // 100_000):
            platform.redis.publish(channel, filler)
        set_bid(market, 100.25)
        code, reason = slow.until_closed()
        assert (code, "too slow" in reason) == (1008, True)
        # Others are served all the while.
        assert stream.message()["data"]["bid"] == 100.25


@pytest.mark.parametrize(
    ("opcode", "data", "code"),
    [(2, b"\x00", 1003), (1, b"\xff", 1007), (1, b"x" * (65 << 10), 1009), (5, b"", 1002)],
    ids=["binary", "no UTF-8", "too long", "no such opcode"],
)
def test_what_no_client_may_send(stream: RawWebSocket, opcode: int, data: bytes, code: int) -> None:
    stream.send_frame(opcode, data)
    assert stream.until_closed()[0] == code


def test_a_client_that_floods_is_let_go(stream: RawWebSocket) -> None:
    for _ in range(300):
        stream.send_frame(9, b"")
    assert stream.until_closed() == (1008, "too many messages at once")


def test_messages_in_parts_and_pings(stream: RawWebSocket) -> None:
    text = json.dumps({"subscribe": ["fills"]}).encode()
    stream.send_frame(1, text[:7], is_last=False)
    stream.send_frame(9, b"still there?")
    stream.send_frame(0, text[7:])
    assert stream.frame() == (10, b"still there?")
    assert stream.message()["subscribed"] == ["fills"]
    stream.send_frame(8, b"\x03\xe8bye")
    assert stream.until_closed() == (1000, "bye")


def test_the_handshake_is_refused_in_our_envelope(platform: Platform, market: StillMarket) -> None:
    assert market
    for key, status in (("", 401), ("seq_live_" + "0" * 64, 401)):
        with pytest.raises(HandshakeRefusedError) as refused:
            RawWebSocket(platform.server.url, key)
        assert refused.value.status == status
        assert '"UNAUTHORIZED"' in refused.value.body
    with pytest.raises(urllib.error.HTTPError) as plain:
        platform.get("/v1/stream", platform.key()[0])
    with plain.value:
        assert plain.value.code == 426
        assert json.load(plain.value)["error"]["code"] == "UPGRADE_REQUIRED"


def test_a_client_has_so_many_connections(platform: Platform, market: StillMarket) -> None:
    assert market
    key, row = platform.key("crowd")
    name = f"market:streams:{row.client_id}"
    with RawWebSocket(platform.server.url, key) as first:
        first.subscribe("fills")
        ((_, now_s),) = platform.redis.zrange(name, 0, -1, withscores=True)
        others = {f"elsewhere-{n}": now_s + 600 for n in range(CONNECTIONS_MAX - 1)}
        platform.redis.zadd(name, others)
        with pytest.raises(HandshakeRefusedError) as refused:
            RawWebSocket(platform.server.url, key)
        assert refused.value.status == 429
        # Those of a process that died count for half a minute alone.
        platform.redis.zadd(name, dict.fromkeys(others, now_s - 31))
        RawWebSocket(platform.server.url, key).close()
    wait_until(lambda: platform.redis.zcard(name) == 0, "both places are given back")


def test_a_market_that_goes_is_told(platform: Platform, stream: RawWebSocket) -> None:
    stream.subscribe("prices:BTC-USD")
    stream.message()
    platform.redis.delete(names.HEARTBEAT)
    assert stream.message()["error"]["code"] == "MARKET_UNAVAILABLE"
    assert "subscribe again" in stream.subscribe("prices:ETH-USD")["reasons"]["prices:ETH-USD"]


def test_an_interrupted_feed_goes_on_and_says_what_may_be_missing(
    platform: Platform, stream: RawWebSocket, market: StillMarket
) -> None:
    stream.subscribe("prices:BTC-USD", "fills")
    assert stream.message()["data"]["bid"] == 100.0
    wait_until(lambda: platform.redis.pubsub_channels("market:events:*"), "fills are followed")
    with platform.redis_server.client() as admin:
        admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    set_bid(market, 100.5)
    messages = [stream.message(), stream.message()]
    assert sorted("error" in one for one in messages) == [False, True]
    for one in messages:
        if "error" in one:
            assert one["error"]["code"] == "EVENTS_MISSED"
        else:
            assert one["data"]["bid"] == 100.5
    set_bid(market, 100.75)
    assert stream.message()["data"]["bid"] == 100.75


def test_the_published_client_streams(platform: Platform, market: StillMarket) -> None:
    assert market

    async def first() -> Any:
        client = Sequence(platform.key()[0], platform.server.url)
        return await anext(client.stream(["prices:BTC-USD"]))

    channel, data = asyncio.run(first())
    assert (channel, data["bid"]) == ("prices:BTC-USD", 100.0)


def test_a_reload_says_goodbye_and_new_workers_serve(
    platform: Platform, stream: RawWebSocket
) -> None:
    """The last one: it replaces the worker of all the tests before."""
    stream.subscribe("prices:BTC-USD")
    stream.message()
    platform.server.signal(signal.SIGHUP)
    code, reason = stream.until_closed()
    assert (code, "connect again" in reason) == (1012, True)

    def opened() -> RawWebSocket | None:
        try:
            return RawWebSocket(platform.server.url, platform.key()[0])
        except (HandshakeRefusedError, OSError):
            return None  # the old worker, for a moment

    with wait_until(opened, "a new worker serves", deadline_s=60) as again:
        assert again.subscribe("prices:BTC-USD")["subscribed"] == ["prices:BTC-USD"]
        assert again.message()["data"]["bid"] == 100.0
