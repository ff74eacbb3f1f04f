"""The names of channels, and what each one follows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from market.catalogue import Catalogue
from market.engine import BookKey
from market.errors import MarketError
from market.feed import names
from market.feed.codec import Snapshot
from market.quotes import VenueBook, book_frame, price_frame
from market.symbols import Instrument, resolve

OF_BOOKS = ("prices", "book")
OF_OWNER = ("orders", "fills")
NOT_SERVED = ("routing", "tca", "traces", "deployment", "fair_price", "funding")


class ChannelRefusedError(MarketError):
    """A channel that cannot be subscribed to, and what to subscribe to instead."""


class Listener(Protocol):
    """Who gets frames."""

    def send(self, frame: bytes) -> None:
        """Take a frame without waiting."""
        ...


@dataclass(eq=False)
class Topic:
    """What some connections follow together: a channel's name, and where its news come from.

    `key` tells topics apart: the channels of an owner have the same name for everybody.
    """

    key: str
    channel: str
    sources: tuple[str, ...]
    instrument: Instrument | None = None
    books: tuple[BookKey, ...] = ()
    listeners: set[Listener] = field(default_factory=set)
    latest: bytes | None = None
    _shown: Any = None

    def news(self, snapshots: Mapping[BookKey, Snapshot]) -> dict[str, Any] | None:
        """The data of a frame when prices or sizes are others than before, else None."""
        if self.instrument is None:
            return None
        found = [(key.venue, snapshots[key]) for key in self.books if key in snapshots]
        if not found:
            return None
        views = [VenueBook(venue, one.image, one.changed_ns) for venue, one in found]
        frame = price_frame if self.channel.startswith("prices:") else book_frame
        data = frame(self.instrument, views, max(one.changed_ns for one in views))
        shown = {**data, "ts_ns": 0}
        if shown == self._shown:
            return None
        self._shown = shown
        return data


def topic_of(channel: str, owner: str, catalogue: Catalogue | None) -> Topic:
    """The topic of a channel for the client that subscribes to it.

    Raises ChannelRefusedError for a channel that is not served, and MarketError for a symbol that
    names nothing. `catalogue` is None while no market process lives.
    """
    kind, colon, symbol = channel.partition(":")
    if kind in OF_OWNER and not colon:
        return Topic(f"{owner}/{kind}", channel, (names.events_channel(owner),))
    if kind not in OF_BOOKS or not symbol:
        reason = "is not served by this market" if kind in NOT_SERVED else "is no channel"
        raise ChannelRefusedError(
            f"{channel[:120]!r} {reason}; take prices:SYMBOL, book:SYMBOL, orders or fills"
        )
    if catalogue is None:
        raise ChannelRefusedError("no market process answers; subscribe again in a moment")
    instrument = resolve(symbol, catalogue)
    venues = [instrument.venue] if instrument.venue else catalogue.exchanges_of(instrument.market)
    books = tuple(BookKey(venue, instrument.market) for venue in venues)
    sources = tuple(names.book_channel(key) for key in books)
    return Topic(channel, channel, sources, instrument, books)
