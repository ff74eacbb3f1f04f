"""Real exchanges as a source: ccxt itself, against a server that answers as Kraken does."""

from __future__ import annotations

import importlib
import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.environments import settings
from support.waiting import wait_until

from app.settings import Role
from market.engine import BookKey, Order, Side, VenueBooks
from market.errors import SourceError
from market.service.sources import listed
from market.sources import ReplaySource, read_recording
from market.sources.exchanges import STALE_S, ExchangeFeed, ExchangeSource, snapshot_of
from market.sources.record import by_venue, record

KEY = BookKey("kraken", "BTC-USD")
ASSETS = {
    "XXBT": {"aclass": "currency", "altname": "XBT", "decimals": 10, "display_decimals": 5},
    "ZUSD": {"aclass": "currency", "altname": "USD", "decimals": 4, "display_decimals": 2},
}
PAIRS = {
    "XXBTZUSD": {
        "altname": "XBTUSD",
        "wsname": "XBT/USD",
        "aclass_base": "currency",
        "base": "XXBT",
        "aclass_quote": "currency",
        "quote": "ZUSD",
        "pair_decimals": 1,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "ordermin": "0.00005",
        "costmin": "0.5",
        "status": "online",
    }
}


class Kraken:
    """What the exchange answers; a test changes it."""

    def __init__(self) -> None:
        self.bids = [["64990.1", "0.5", 1], ["64980.0", "1.25", 1]]
        self.asks = [["65010.2", "0.25", 1]]
        self.failure: tuple[int, str] | None = None
        self.asked = 0

    def answer(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        if path.endswith("/Assets"):
            return 200, {"error": [], "result": ASSETS}
        if path.endswith("/AssetPairs"):
            return 200, {"error": [], "result": PAIRS}
        assert (path, query["pair"]) == ("/0/public/Depth", ["XXBTZUSD"])
        self.asked += 1
        if self.failure is not None:
            status, error = self.failure
            return status, {"error": [error]}
        return 200, {"error": [], "result": {"XXBTZUSD": {"bids": self.bids, "asks": self.asks}}}


@pytest.fixture
def kraken() -> Iterator[tuple[Kraken, str]]:
    exchange = Kraken()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            status, body = exchange.answer(parts.path, parse_qs(parts.query))
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield exchange, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def feed(kraken: tuple[Kraken, str]) -> Iterator[ExchangeFeed]:
    config = {"urls": {"api": {"public": kraken[1]}}, "rateLimit": 5}
    made = ExchangeFeed("kraken", ["BTC-USD"], config, first_pause_s=0.02)
    yield made
    made.stop()


class World:
    """A source and its books, advanced until something is so."""

    def __init__(self, feed: ExchangeFeed) -> None:
        self.books = VenueBooks()
        self.source = ExchangeSource([feed])
        self.prints: list[Any] = []

    def until(self, is_so: Callable[[], bool], now_ns: int = 0) -> None:
        def look() -> bool:
            self.prints += self.source.advance(self.books, now_ns or time.time_ns())
            return is_so()

        wait_until(look, "the books")

    def best(self) -> tuple[int | None, int | None]:
        return self.books.open(KEY).best_prices_1e9()


def test_the_exchanges_levels_are_ours_and_its_changes_too(
    kraken: tuple[Kraken, str], feed: ExchangeFeed
) -> None:
    world = World(feed)
    assert world.source.keys() == [KEY]
    world.until(lambda: world.best() == (64_990_100_000_000, 65_010_200_000_000))
    book = world.books[KEY]
    assert [(one.price_1e9, one.qty_1e8) for one in book.bids.walk()] == [
        (64_990_100_000_000, 50_000_000),
        (64_980_000_000_000, 125_000_000),
    ]
    mine = Order("mine", "ann", Side.BUY, 65_000 * 10**9, 10**7)
    book.submit(mine)
    kraken[0].asks = [["64999.9", "0.05", 2], ["65010.2", "0.25", 1]]
    world.until(lambda: mine.filled_1e8 == 5_000_000)
    assert [(one.key, one.trade.price_1e9) for one in world.prints] == [(KEY, 65_000 * 10**9)]


def test_an_outage_is_told_once_and_so_is_its_end(
    kraken: tuple[Kraken, str], feed: ExchangeFeed, caplog: pytest.LogCaptureFixture
) -> None:
    exchange, world = kraken[0], World(feed)
    caplog.set_level(logging.INFO, "market.sources.exchanges")

    def told(event: str) -> int:
        return sum(one.message == event for one in caplog.records)

    exchange.failure = (503, "EService:Unavailable")
    world.until(lambda: exchange.asked >= 2)
    assert told("exchange_away") == 1
    exchange.failure = None
    world.until(lambda: world.best()[0] is not None and told("exchange_back") == 1)
    exchange.failure = (200, "EAPI:Rate limit exceeded")
    world.until(lambda: told("exchange_limits_us") == 1)
    assert world.best()[0] is not None
    later_ns = time.time_ns() + int(STALE_S * 2e9)
    world.until(lambda: world.best() == (None, None), later_ns)
    assert told("exchange_stale") == 1


def test_a_recording_can_be_replayed(kraken: tuple[Kraken, str], feed: ExchangeFeed) -> None:
    assert kraken[0].asked == 0
    out = io.StringIO()
    assert record([feed], out, 1, time.monotonic() + 20) == 1
    source, books = ReplaySource(list(read_recording(out.getvalue().splitlines())), 1), VenueBooks()
    source.advance(books, 1)
    assert books[KEY].best_prices_1e9() == (64_990_100_000_000, 65_010_200_000_000)


def test_levels_come_onto_our_ticks_without_crossing() -> None:
    book = {
        "bids": [[0.549_98, 10.0], [0.549_91, 5.0], [0.5499, 1e-9]],
        "asks": [[0.549_99, 3.0], [0.550_01, 4.0, 17]],
    }
    found = snapshot_of(BookKey("kraken", "XRP-USD"), book, 1)
    assert found.bids == ((549_900_000, 1_500_000_000),)
    assert found.asks == ((550_000_000, 300_000_000), (550_100_000, 400_000_000))


def test_without_ccxt_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(SourceError) as caught:
        ExchangeFeed("kraken", ["BTC-USD"])
    assert "pip install --require-hashes -r requirements-ccxt.txt" in str(caught.value)


def test_books_are_named_by_exchange_and_pair() -> None:
    assert by_venue(["kraken:btc-usd", "kraken:ETH-USD", "coinbase:BTC-USD"]) == {
        "kraken": ["BTC-USD", "ETH-USD"],
        "coinbase": ["BTC-USD"],
    }
    for bad in ("BTC-USD", "mars:BTC-USD", "kalshi:KX-1", "kraken:"):
        with pytest.raises(SourceError, match="kraken:BTC-USD"):
            by_venue([bad])


def test_the_settings_choose_it() -> None:
    chosen = settings(Role.MARKET, MARKET_SOURCE="ccxt", MARKET_EXCHANGES="kraken:BTC-USD")
    found = listed(chosen, 1, 1)
    assert isinstance(found.source, ExchangeSource)
    assert list(found.catalogue.pairs) == found.source.keys() == [KEY]
    assert found.catalogue.listings == ()
