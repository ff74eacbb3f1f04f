"""A prediction market's description, and the directory of everything that is listed."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from market.engine.venue_books import BookKey
from market.symbols.models import EXCHANGES, KALSHI, Kind, Outcome


@dataclass(frozen=True, slots=True)
class Listing:
    """One binary market, as its venue describes it; times in Unix seconds.

    `slug` is the Kalshi ticker or the Polymarket slug. Volumes are in dollars.
    """

    venue: str
    slug: str
    question: str
    event_id: str
    event_slug: str
    tag: str
    yes_token_id: str
    no_token_id: str
    start_s: int
    end_s: int
    volume_24h: float
    volume_total: float
    outcome_name: str | None = None
    outcome_index: int = 0
    is_placeholder: bool = False
    resolved: Outcome | None = None

    @property
    def key(self) -> BookKey:
        """The book that this market trades in."""
        return BookKey(self.venue, self.slug)

    @property
    def url(self) -> str:
        """The address on the venue's site; resolves to this market again."""
        if self.venue == KALSHI:
            series = self.event_slug.partition("-")[0].lower()
            return f"https://kalshi.com/markets/{series}/{self.tag}/{self.slug.lower()}"
        return f"https://polymarket.com/event/{self.event_slug}/{self.slug}"


class Catalogue:
    """All pairs and listings; a directory for resolving symbols."""

    def __init__(self, pairs: Iterable[BookKey], listings: Iterable[Listing]) -> None:
        self.pairs = tuple(pairs)
        self.listings = tuple(listings)
        self._by_key = {listing.key: listing for listing in self.listings}
        self._by_token: dict[str, tuple[str, Outcome]] = {}
        self._by_event: dict[tuple[str, str], list[str]] = {}
        for one in self.listings:
            if one.venue != KALSHI:
                self._by_token[one.yes_token_id] = (one.slug, Outcome.YES)
                self._by_token[one.no_token_id] = (one.slug, Outcome.NO)
            self._by_event.setdefault((one.venue, one.event_slug), []).append(one.slug)

    def is_listed(self, kind: Kind, market: str, venue: str | None) -> bool:
        """Whether a book of that name exists (on any exchange, for a venue of None)."""
        if kind is Kind.PREDICTION:
            return BookKey(str(venue), market) in self._by_key
        return any(pair.market == market and venue in (None, pair.venue) for pair in self.pairs)

    def of_token(self, token_id: str) -> tuple[str, Outcome] | None:
        """The slug and outcome of a Polymarket token id, or None."""
        return self._by_token.get(token_id)

    def of_event(self, venue: str, event: str) -> Sequence[str]:
        """The markets of an event, empty when there is no such event."""
        return self._by_event.get((venue, event), [])

    def listing(self, key: BookKey) -> Listing | None:
        """The description of a prediction market, or None."""
        return self._by_key.get(key)

    def exchanges_of(self, pair: str) -> list[str]:
        """The exchanges that trade a pair, in the order of their names."""
        return [venue for venue in EXCHANGES if BookKey(venue, pair) in self.pairs]
