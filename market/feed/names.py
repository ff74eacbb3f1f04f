"""Names of keys and channels in Redis, said in one place for both sides."""

from market.engine.venue_books import BookKey

HEARTBEAT = "market:heartbeat"
"""The session of the market process that lives; gone `HEARTBEAT_MS` after its last word."""

HEARTBEAT_MS = 5_000
CATALOGUE = "market:catalogue"
CATALOGUE_ID = "market:catalogue_id"
TRADES_KEPT = 5_000


def book_key(key: BookKey) -> str:
    """Where the latest image of a book is."""
    return f"market:book:{key.venue}:{key.market}"


def book_channel(key: BookKey) -> str:
    """Where each new image of a book is published."""
    return f"market:books:{key.venue}:{key.market}"


def tape_key(key: BookKey) -> str:
    """Where the latest trades of a book are, oldest first."""
    return f"market:tape:{key.venue}:{key.market}"


def events_channel(owner: str) -> str:
    """Where the market process tells an owner's orders and fills."""
    return f"market:events:{owner}"
