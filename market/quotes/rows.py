"""The uniform row of a prediction market, of whichever venue, and its settlement."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from market.catalogue import Listing
from market.fixed_point import ONE_DOLLAR_1E9, price_float
from market.quotes.levels import BookImage
from market.symbols import Outcome


def market_row(listing: Listing, book: BookImage, now_s: int) -> dict[str, Any]:
    """One market as one row; an empty side of its book is null."""
    return {
        **_described(listing, now_s),
        **_priced(book),
        "slug": listing.slug,
        "symbol": listing.yes_token_id,
        "question": listing.question,
        "outcomes": ["Yes", "No"],
        "outcome_token_ids": [listing.yes_token_id, listing.no_token_id],
        "yes_token_id": listing.yes_token_id,
        "no_token_id": listing.no_token_id,
        "liquidity": book.liquidity_usd,
        "volume_24h": listing.volume_24h,
        "volume_total": listing.volume_total,
        "outcome_name": listing.outcome_name,
        "raw_outcome_name": listing.outcome_name,
        "outcome_index": listing.outcome_index,
        "is_placeholder_outcome": listing.is_placeholder,
        "parent_event_id": listing.event_id,
        "parent_slug": listing.event_slug,
    }


def event_row(
    listings: Sequence[Listing], books: Sequence[BookImage], now_s: int
) -> dict[str, Any]:
    """An event of several markets as one row: no YES or NO of its own, sums of its markets."""
    first = listings[0]
    return {
        **_described(first, now_s),
        "slug": first.event_slug,
        "symbol": None,
        "question": first.question.partition(":")[0],
        "outcomes": [one.outcome_name for one in listings],
        "outcome_token_ids": [one.yes_token_id for one in listings],
        "yes_token_id": None,
        "no_token_id": None,
        "best_yes_bid": None,
        "best_yes_ask": None,
        "best_no_bid": None,
        "best_no_ask": None,
        "spread_pct": None,
        "liquidity": round(sum(book.liquidity_usd for book in books), 2),
        "volume_24h": round(sum(one.volume_24h for one in listings), 2),
        "volume_total": round(sum(one.volume_total for one in listings), 2),
        "is_placeholder_outcome": False,
        "outcome_name": None,
    }


def settlement(listing: Listing, book: BookImage, now_s: int) -> dict[str, Any]:
    """What `/v1/settlement/{slug}` says; prices are of the book until there is an outcome."""
    yes, no = _settled_prices(listing, book)
    is_over = now_s >= listing.end_s
    status = "resolved" if listing.resolved else "resolving" if is_over else "open"
    return {
        "slug": listing.slug,
        "question": listing.question,
        "yes_token_id": listing.yes_token_id,
        "no_token_id": listing.no_token_id,
        "condition_id": listing.event_id,
        "neg_risk": listing.outcome_name is not None,
        "status": status,
        "resolved_outcome": listing.resolved.title() if listing.resolved else None,
        "outcome_source": "paper_market",
        "yes_price": yes,
        "no_price": no,
        "event_start_s": listing.start_s,
        "event_end_s": listing.end_s,
        "resolution_source": "paper_market",
        "underlying": None,
    }


def is_trading(listing: Listing, now_s: int) -> bool:
    """Whether orders make sense: it has not ended, and nothing is decided."""
    return listing.resolved is None and now_s < listing.end_s


def _described(listing: Listing, now_s: int) -> dict[str, Any]:
    return {
        "venue": listing.venue,
        "event_id": listing.event_id,
        "tags": [listing.tag],
        "neg_risk": listing.outcome_name is not None,
        "start_date": _date(listing.start_s),
        "end_date": _date(listing.end_s),
        "active": is_trading(listing, now_s),
        "closed": listing.resolved is not None,
        "url": listing.url,
    }


def _priced(book: BookImage) -> dict[str, float | None]:
    bid, ask = book.best_prices_1e9()
    spread = None if bid is None or ask is None else round(200 * (ask - bid) / (ask + bid), 4)
    return {
        "best_yes_bid": _shown(bid),
        "best_yes_ask": _shown(ask),
        "best_no_bid": _shown(None if ask is None else ONE_DOLLAR_1E9 - ask),
        "best_no_ask": _shown(None if bid is None else ONE_DOLLAR_1E9 - bid),
        "spread_pct": spread,
    }


def _settled_prices(listing: Listing, book: BookImage) -> tuple[float | None, float | None]:
    if listing.resolved is not None:
        is_yes = listing.resolved is Outcome.YES
        return float(is_yes), float(not is_yes)
    bid, ask = book.best_prices_1e9()
    if bid is None or ask is None:
        return None, None
    return price_float(bid + ask) / 2, price_float(2 * ONE_DOLLAR_1E9 - bid - ask) / 2


def _shown(price_1e9: int | None) -> float | None:
    return None if price_1e9 is None else price_float(price_1e9)


def _date(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
