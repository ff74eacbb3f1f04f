"""What every source of prices can do."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from market.engine import BookKey, Trade, VenueBooks

# Owner of every order that a source places; no caller can have this name.
CROWD = "~crowd"


class Print(NamedTuple):
    """A trade on the tape, at the time when the source made it happen."""

    ts_ns: int
    key: BookKey
    trade: Trade


class PriceSource(Protocol):
    """Plays other people's orders into the books."""

    def keys(self) -> Sequence[BookKey]:
        """The books that this source fills."""
        ...

    def advance(self, books: VenueBooks, until_ns: int) -> list[Print]:
        """Do everything that happens up to a time; the trades in their order.

        Orders of callers that rest in the books trade with the source's as with any other.
        """
        ...
