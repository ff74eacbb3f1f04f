"""Public order books of real exchanges, fetched by ccxt and shown in ours.

ccxt is an extra and is imported only here, when this source is chosen.
"""

import importlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from market.engine import BookKey, VenueBooks, VenueRules, rules_for
from market.errors import SourceError
from market.fixed_point import price_1e9, qty_1e8
from market.sources.mirror import BookMirror, Snapshot
from market.sources.protocol import Print

log = logging.getLogger(__name__)

DEPTH = 100
STALE_S = 30.0
MAX_PAUSE_S = 30.0
FIRST_PAUSE_S = 0.5
HTTP_TIMEOUT_MS = 10_000
INSTALL = "pip install --require-hashes -r requirements-ccxt.txt"
# What our names mean on an exchange that has no dollars.
_QUOTES = {"binance": {"USD": "USDT"}}


class ExchangeFeed:
    """One exchange's books, fetched in a thread of its own at the exchange's own rate limit.

    `config` is ccxt's own (urls, options). Outages are told once when they begin and once when
    they end; between tries the pause doubles.
    """

    def __init__(
        self,
        venue: str,
        markets: Sequence[str],
        config: Mapping[str, Any] | None = None,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.keys = [BookKey(venue, market) for market in markets]
        self._ccxt = _library()
        self._exchange = getattr(self._ccxt, venue)(
            {"enableRateLimit": True, "timeout": HTTP_TIMEOUT_MS, **(config or {})}
        )
        self._venue = venue
        self._first_pause_s = first_pause_s
        self._fresh: dict[BookKey, Snapshot] = {}
        self._lock = threading.Lock()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"ccxt-{venue}", daemon=True)

    def start(self) -> None:
        """Begin to fetch."""
        self._thread.start()

    def stop(self) -> None:
        """Fetch nothing more; what is under way is not waited for."""
        self._ends.set()

    def take(self) -> list[Snapshot]:
        """What came since the last look, at most one snapshot of each book."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        return list(fresh.values())

    def _run(self) -> None:
        pause_s = 0.0
        while not self._ends.wait(pause_s):
            try:
                for key in self.keys:
                    self._fetch(key)
            except Exception as error:
                if self._ends.is_set():
                    return
                pause_s = self._away(error, pause_s)
                continue
            if pause_s:
                log.info("exchange_back", extra={"venue": self._venue})
            pause_s = 0.0

    def _fetch(self, key: BookKey) -> None:
        if self._ends.is_set():
            return
        base, _, quote = key.market.partition("-")
        symbol = f"{base}/{_QUOTES.get(self._venue, {}).get(quote, quote)}"
        book = self._exchange.fetch_order_book(symbol, DEPTH)
        snapshot = snapshot_of(key, book, time.time_ns())
        with self._lock:
            self._fresh[key] = snapshot

    def _away(self, error: Exception, pause_s: float) -> float:
        """How long to wait before the next try; a limit and an outage are told apart."""
        if not pause_s:
            limits = (self._ccxt.RateLimitExceeded, self._ccxt.DDoSProtection)
            is_limit = isinstance(error, limits)
            log.warning(
                "exchange_limits_us" if is_limit else "exchange_away",
                extra={"venue": self._venue, "error": f"{type(error).__name__}: {error}"[:300]},
            )
        return min(max(pause_s * 2, self._first_pause_s), MAX_PAUSE_S)


class ExchangeSource:
    """Shows the newest snapshots of several feeds.

    A book of which nothing came for `STALE_S` is emptied: nobody is filled at dead prices. Until
    then its age (`age_ms` of quotes) says how old it is.
    """

    def __init__(self, feeds: Sequence[ExchangeFeed]) -> None:
        self._feeds = feeds
        self._mirror = BookMirror()
        self._seen_ns: dict[BookKey, int] = {}
        self._is_started = False

    def keys(self) -> Sequence[BookKey]:
        """The books that this source fills."""
        return [key for feed in self._feeds for key in feed.keys]

    def advance(self, books: VenueBooks, until_ns: int) -> list[Print]:
        """Show what came; a snapshot that our rules do not take is told and left out."""
        if not self._is_started:
            self._is_started = True
            for feed in self._feeds:
                feed.start()
        prints: list[Print] = []
        for snapshot in [one for feed in self._feeds for one in feed.take()]:
            if snapshot.key not in self._seen_ns:
                log.info("exchange_shown", extra={"book": str(snapshot.key)})
            self._seen_ns[snapshot.key] = until_ns
            prints += self._show(books, snapshot, until_ns)
        oldest_ns = until_ns - int(STALE_S * 1e9)
        for key in [key for key, seen_ns in self._seen_ns.items() if seen_ns < oldest_ns]:
            log.warning("exchange_stale", extra={"book": str(key)})
            del self._seen_ns[key]
            prints += self._show(books, Snapshot(until_ns, key, (), ()), until_ns)
        return prints

    def _show(self, books: VenueBooks, snapshot: Snapshot, now_ns: int) -> list[Print]:
        try:
            trades = self._mirror.show(books.open(snapshot.key), snapshot)
        except SourceError as error:
            log.error("exchange_snapshot_refused", extra={"error": str(error)})
            return []
        return [Print(now_ns, snapshot.key, trade) for trade in trades]


def exchange_source(markets: Mapping[str, Sequence[str]]) -> ExchangeSource:
    """A source for these pairs by exchange. Raises SourceError when ccxt is not installed."""
    return ExchangeSource([ExchangeFeed(venue, pairs) for venue, pairs in markets.items()])


def snapshot_of(key: BookKey, book: Mapping[str, Any], ts_ns: int) -> Snapshot:
    """ccxt's unified book on our ticks and lots: bids down, asks up, equal prices together."""
    rules = rules_for(*key)
    bids = _levels(book["bids"], rules, lambda price, tick: price // tick * tick)
    asks = _levels(book["asks"], rules, lambda price, tick: -(-price // tick) * tick)
    return Snapshot(ts_ns, key, bids, asks)


def _levels(
    rows: Sequence[Sequence[float]], rules: VenueRules, onto: Callable[[int, int], int]
) -> tuple[tuple[int, int], ...]:
    found: dict[int, int] = {}
    for price, size, *_ in rows:
        qty = qty_1e8(size) // rules.lot_1e8 * rules.lot_1e8
        at = onto(price_1e9(price), rules.tick_1e9)
        if qty > 0 and rules.price_refusal(at) is None:
            found[at] = found.get(at, 0) + qty
    return tuple(found.items())


def _library() -> Any:
    try:
        return importlib.import_module("ccxt")
    except ImportError:
        raise SourceError(
            f"prices of real exchanges need ccxt, which is not installed: {INSTALL}"
        ) from None
