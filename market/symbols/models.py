"""The forms of a symbol, the identity of an instrument, and what resolving needs to know."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

KALSHI = "kalshi"
POLYMARKET = "polymarket"
EXCHANGES = ("binance", "coinbase", "kraken")
PREDICTION_VENUES = (KALSHI, POLYMARKET)
VENUES = (*EXCHANGES, *PREDICTION_VENUES)


class Kind(StrEnum):
    """What is traded; the words of `instrument.type` on the wire."""

    SPOT = "spot"
    PREDICTION = "prediction"


class Outcome(StrEnum):
    """The side of a binary market."""

    YES = "yes"
    NO = "no"


class Form(StrEnum):
    """How a symbol was written."""

    PAIR = "pair"
    TICKER = "ticker"
    SLUG = "slug"
    TOKEN = "token"  # noqa: S105 - an ERC-1155 token id, no secret
    EVENT = "event"


@dataclass(frozen=True, slots=True)
class Symbol:
    """What the text alone says.

    `name` is the pair (`BTC-USD`), ticker, slug, token id or the event's name; `venue` is None
    for a pair, which every exchange may trade; `outcome` is None for a pair and for a token id.
    """

    form: Form
    name: str
    venue: str | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing to trade, whatever it was called.

    `market` is the pair, the Kalshi ticker or the Polymarket slug: the name of the book. A
    prediction market has one book, in prices of YES; NO is its mirror image.
    """

    kind: Kind
    market: str
    venue: str | None = None
    outcome: Outcome | None = None

    @property
    def is_mirrored(self) -> bool:
        """Whether prices of this instrument are one dollar less those of the book."""
        return self.outcome is Outcome.NO


class Directory(Protocol):
    """What is listed, as far as resolving a symbol asks."""

    def is_listed(self, kind: Kind, market: str, venue: str | None) -> bool:
        """Whether a book of that name exists (on any exchange, for a venue of None)."""
        ...

    def of_token(self, token_id: str) -> tuple[str, Outcome] | None:
        """The slug and outcome of a Polymarket token id, or None."""
        ...

    def of_event(self, venue: str, event: str) -> Sequence[str]:
        """The markets of an event, empty when there is no such event."""
        ...
