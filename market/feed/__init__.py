"""Books on their way through Redis: from the market process to every web process."""

from market.feed.publisher import BookPublisher
from market.feed.reader import MarketAwayError, MarketReader, View

__all__ = ["BookPublisher", "MarketAwayError", "MarketReader", "View"]
