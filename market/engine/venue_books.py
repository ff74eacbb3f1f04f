"""All books by venue and market."""

from collections.abc import Iterator
from typing import NamedTuple

from market.engine.book import OrderBook
from market.engine.rules import rules_for


class BookKey(NamedTuple):
    """The name of a book: `market` is a pair, a Kalshi ticker or a Polymarket slug."""

    venue: str
    market: str


class VenueBooks:
    """The books that are open, each made with its venue's rules."""

    def __init__(self) -> None:
        self._books: dict[BookKey, OrderBook] = {}

    def __iter__(self) -> Iterator[BookKey]:
        return iter(self._books)

    def __contains__(self, key: BookKey) -> bool:
        return key in self._books

    def __getitem__(self, key: BookKey) -> OrderBook:
        return self._books[key]

    def open(self, key: BookKey) -> OrderBook:
        """The book of that name, made when it is new. Raises KeyError for an unknown venue."""
        if key not in self._books:
            self._books[key] = OrderBook(rules_for(*key))
        return self._books[key]
