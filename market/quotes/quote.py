"""The quote of an instrument, and the frames of its price and its book on the stream."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from market.fixed_point import price_float, qty_float
from market.quotes.levels import MAX_DEPTH, BookImage, Level, Sides, book_levels, merged, shown
from market.symbols import Instrument

# The words of the published client for "from live books" and "from nothing".
FROM_BOOKS = "edge_nbbo"
FROM_NOTHING = "unavailable"
NS_PER_MS = 1_000_000


class VenueBook(NamedTuple):
    """One venue's book of an instrument, and when it last changed."""

    venue: str
    book: BookImage
    changed_ns: int


def quote(
    symbol: str, instrument: Instrument, books: Sequence[VenueBook], depth: int, now_ns: int
) -> dict[str, Any]:
    """`{symbol, nbbo, venues, book, source}`; an empty side is 0, as clients test for it.

    `symbol` is returned as the caller wrote it. Depth is held within 1..100.
    """
    depth = min(max(depth, 1), MAX_DEPTH)
    sides = [book_levels(one.book, depth, is_mirrored=instrument.is_mirrored) for one in books]
    whole = merged(sides, depth)
    venues = {
        one.venue: _venue(levels, now_ns - one.changed_ns)
        for one, levels in zip(books, sides, strict=True)
    }
    return {
        "symbol": symbol,
        "nbbo": nbbo(whole),
        "venues": venues,
        "book": {"bids": shown(whole[0]), "asks": shown(whole[1])},
        "source": FROM_BOOKS if books else FROM_NOTHING,
    }


def nbbo(sides: Sides) -> dict[str, float]:
    """`{bid, ask, mid, spread_bps}`: mid and spread are 0 unless there is a bid below an ask.

    Across venues a bid may be above an ask; a mid of such prices would be no price at all.
    """
    bid, ask = _best(sides[0])[0], _best(sides[1])[0]
    is_sound = 0 < bid < ask
    return {
        "bid": price_float(bid),
        "ask": price_float(ask),
        "mid": price_float(bid + ask) / 2 if is_sound else 0.0,
        "spread_bps": round(20_000 * (ask - bid) / (ask + bid), 4) if is_sound else 0.0,
    }


def price_frame(instrument: Instrument, books: Sequence[VenueBook], ts_ns: int) -> dict[str, Any]:
    """The data of `prices:{symbol}`: `{bid, ask, mid, bid_sz, ask_sz, ts_ns}`."""
    sides = _merged(instrument, books, depth=1)
    best = nbbo(sides)
    return {
        "bid": best["bid"],
        "ask": best["ask"],
        "mid": best["mid"],
        "bid_sz": qty_float(_best(sides[0])[1]),
        "ask_sz": qty_float(_best(sides[1])[1]),
        "ts_ns": ts_ns,
    }


def book_frame(instrument: Instrument, books: Sequence[VenueBook], ts_ns: int) -> dict[str, Any]:
    """The data of `book:{symbol}`: `{bids, asks, ts_ns}`, a whole snapshot of 100 levels."""
    bids, asks = _merged(instrument, books, depth=MAX_DEPTH)
    return {"bids": shown(bids), "asks": shown(asks), "ts_ns": ts_ns}


def _merged(instrument: Instrument, books: Sequence[VenueBook], depth: int) -> Sides:
    sides = (book_levels(one.book, depth, is_mirrored=instrument.is_mirrored) for one in books)
    return merged(sides, depth)


def _venue(sides: Sides, age_ns: int) -> dict[str, float]:
    (bid, bid_size), (ask, ask_size) = _best(sides[0]), _best(sides[1])
    return {
        "bid": price_float(bid),
        "ask": price_float(ask),
        "bid_size": qty_float(bid_size),
        "ask_size": qty_float(ask_size),
        "age_ms": max(age_ns, 0) // NS_PER_MS,
    }


def _best(levels: list[Level]) -> Level:
    return levels[0] if levels else (0, 0)
