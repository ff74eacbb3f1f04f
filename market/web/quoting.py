"""Quotes of symbols, from the books that Redis holds."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from market.catalogue import Catalogue
from market.engine import BookKey
from market.errors import MarketError, SymbolInvalidError
from market.feed import MarketReader, View
from market.quotes import VenueBook, quote
from market.symbols import Instrument, Kind, resolve

_WAIT_S = 2.0
_LOOK_EVERY_S = 0.05
# Between so many quotes of a batch others get a turn: a gevent worker has one thread for all.
_TURN = 25


def books_of(instrument: Instrument, catalogue: Catalogue) -> list[BookKey]:
    """The books that an instrument trades in: one for each exchange, or one."""
    if instrument.venue is not None:
        return [BookKey(instrument.venue, instrument.market)]
    venues = catalogue.exchanges_of(instrument.market)
    return [BookKey(venue, instrument.market) for venue in venues]


def one_quote(reader: MarketReader, symbol: str, depth: int, *, may_wait: bool) -> dict[str, Any]:
    """The quote of a symbol; waits up to 2 s for a book that is listed and not there yet.

    Raises SymbolInvalidError, MarketUnknownError and MarketAwayError.
    """
    ends_at = time.monotonic() + _WAIT_S
    while True:
        view = reader.look(lambda catalogue: books_of(resolve(symbol, catalogue), catalogue))
        if view.books or not may_wait or time.monotonic() > ends_at:
            return _quote(symbol, view, depth, None)
        time.sleep(_LOOK_EVERY_S)


def quote_rows(
    reader: MarketReader, symbols: Sequence[str], depth: int, kind: str | None = None
) -> Iterator[str]:
    """A quote for each symbol, or `{"symbol", "error"}`, as JSON.

    Raises MarketAwayError. Symbols of another `kind` than the one that is asked for are errors.
    """
    view = reader.look(lambda catalogue: set(_all_books(symbols, catalogue)))
    for number, symbol in enumerate(symbols, start=1):
        try:
            row = _quote(symbol, view, depth, kind)
        except MarketError as error:
            row = {"symbol": symbol, "error": str(error)}
        yield json.dumps(row, separators=(",", ":"))
        if number % _TURN == 0:
            time.sleep(0)


def _all_books(symbols: Iterable[str], catalogue: Catalogue) -> Iterator[BookKey]:
    for symbol in symbols:
        try:
            yield from books_of(resolve(symbol, catalogue), catalogue)
        except MarketError:
            continue


def _quote(symbol: str, view: View, depth: int, kind: str | None) -> dict[str, Any]:
    instrument = resolve(symbol, view.catalogue)
    if kind is not None and instrument.kind is not Kind(kind):
        raise SymbolInvalidError(symbol, f"is a {instrument.kind} instrument, not {kind}")
    found = [
        VenueBook(key.venue, view.books[key].image, view.books[key].changed_ns)
        for key in books_of(instrument, view.catalogue)
        if key in view.books
    ]
    return quote(symbol, instrument, found, depth, time.time_ns())
