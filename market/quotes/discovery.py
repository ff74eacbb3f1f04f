"""`GET /v1/markets`: which rows, in which order, page by page."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from market.catalogue import Catalogue, Listing
from market.engine import BookKey
from market.errors import MarketError, QueryInvalidError
from market.quotes.levels import EMPTY, BookImage
from market.quotes.rows import event_row, is_trading, market_row
from market.symbols import resolve
from market.symbols.models import POLYMARKET, PREDICTION_VENUES

MAX_LIMIT = 500
Row = dict[str, Any]
Books = Mapping[BookKey, BookImage]
# Largest or newest first, except for what ends first.
ORDERS: dict[str, Callable[[Row], Any]] = {
    "volume": lambda row: -row["volume_24h"],
    "volume_24h": lambda row: -row["volume_24h"],
    "volume_total": lambda row: -row["volume_total"],
    "liquidity": lambda row: -row["liquidity"],
    "competitive": lambda row: abs((row["best_yes_bid"] or 0) - 0.5),
    "end_date": lambda row: row["end_date"],
    "closed_time": lambda row: row["end_date"],
    "start_date": lambda row: [-ord(letter) for letter in row["start_date"]],
    "created": lambda row: [-ord(letter) for letter in row["start_date"]],
}


@dataclass(frozen=True, slots=True)
class MarketQuery:
    """The parameters of `/v1/markets`, with their defaults.

    `active` keeps what trades now, `closed` adds what is resolved; `slug` takes a slug, a ticker
    or an address, and like `clob_token_id` finds a market whether it trades or not.
    """

    venue: str = POLYMARKET
    q: str | None = None
    slug: str | None = None
    clob_token_id: str | None = None
    tag: str | None = None
    active: bool = True
    closed: bool = False
    limit: int = 20
    cursor: str | None = None
    order: str = ""
    expand: str | None = None


def markets_page(
    query: MarketQuery, catalogue: Catalogue, books: Books, now_s: int
) -> dict[str, Any]:
    """`{markets, count, venue, next_cursor, has_more}`.

    Raises QueryInvalidError for a parameter that cannot be answered. What is asked for by name
    and not listed is an empty page, as the client expects.
    """
    _check(query)
    offset = _offset(query.cursor)
    rows = _rows(query, catalogue, books, now_s)
    if query.order:
        rows.sort(key=ORDERS[query.order])
    elif _is_expanded(query):
        rows.sort(key=lambda row: row["is_placeholder_outcome"])
    end = offset + min(max(query.limit, 1), MAX_LIMIT)
    page, has_more = rows[offset:end], end < len(rows)
    return {
        "markets": page,
        "count": len(page),
        "venue": query.venue,
        "next_cursor": _cursor(end) if has_more else None,
        "has_more": has_more,
    }


def _rows(query: MarketQuery, catalogue: Catalogue, books: Books, now_s: int) -> list[Row]:
    named = query.clob_token_id or query.slug
    if named is not None:
        listings, is_whole_event = _named(named, query.venue, catalogue)
    else:
        listings = [one for one in catalogue.listings if _matches(one, query, now_s)]
        is_whole_event = query.venue == POLYMARKET
    if _is_expanded(query) or not is_whole_event:
        return [market_row(one, _book(one, books), now_s) for one in listings]
    events: dict[str, list[Listing]] = {}
    for one in listings:
        events.setdefault(one.event_slug, []).append(one)
    return [_event(group, books, now_s) for group in events.values()]


def _event(group: Sequence[Listing], books: Books, now_s: int) -> Row:
    if len(group) == 1:
        return market_row(group[0], _book(group[0], books), now_s)
    return event_row(group, [_book(one, books) for one in group], now_s)


def _named(name: str, venue: str, catalogue: Catalogue) -> tuple[list[Listing], bool]:
    """The listings of a name, and whether the name is that of a whole event."""
    of_event = catalogue.of_event(venue, name)
    if of_event:
        return [one for one in catalogue.listings if one.venue == venue and one.slug in of_event], (
            venue == POLYMARKET
        )
    try:
        found = resolve(name, catalogue, venue)
    except MarketError:
        return [], False
    return [
        one for one in catalogue.listings if (one.venue, one.slug) == (found.venue, found.market)
    ], False


def _matches(listing: Listing, query: MarketQuery, now_s: int) -> bool:
    if listing.venue != query.venue or (query.tag and listing.tag != query.tag):
        return False
    if query.active and not is_trading(listing, now_s):
        return query.closed and listing.resolved is not None
    if listing.resolved is not None and not query.closed:
        return False
    wanted = (query.q or "").lower()
    return wanted in listing.question.lower() or wanted in listing.slug.lower()


def _book(listing: Listing, books: Books) -> BookImage:
    return books.get(listing.key, EMPTY)


def _is_expanded(query: MarketQuery) -> bool:
    return query.expand is not None


def _check(query: MarketQuery) -> None:
    if query.venue not in PREDICTION_VENUES:
        raise QueryInvalidError("venue", f"take one of {', '.join(PREDICTION_VENUES)}")
    if query.order and query.order not in ORDERS:
        raise QueryInvalidError("order", f"take one of {', '.join(ORDERS)}, or leave it out")
    if query.expand not in (None, "outcomes"):
        raise QueryInvalidError("expand", "the one expansion is 'outcomes'")


def _cursor(offset: int) -> str:
    return base64.urlsafe_b64encode(f"at:{offset}".encode()).decode()


def _offset(cursor: str | None) -> int:
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor.encode()).decode()
    except (binascii.Error, ValueError):
        text = ""
    digits = text.removeprefix("at:")
    if not (text.startswith("at:") and digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise QueryInvalidError("cursor", "pass next_cursor of the page before, unchanged")
    return int(digits)
