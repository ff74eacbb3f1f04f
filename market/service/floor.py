"""Everything that the market process has in memory, put together from what was kept."""

import logging
import uuid
from dataclasses import dataclass, field

from market.catalogue import Catalogue
from market.engine import Ledger, VenueBooks
from market.errors import GraphInvalidError
from market.fixed_point import MONEY_SCALE
from market.service.sources import Listed
from market.sources import PriceSource, Print
from market.store.loading import Kept
from market.trading import Desk
from market.trading.kept import restored
from market.trading.records import GraphEntry

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Floor:
    """Books, accounts and orders. `start_cash_usd` is what a reset gives, by owner."""

    catalogue: Catalogue
    source: PriceSource
    books: VenueBooks
    ledger: Ledger
    desk: Desk
    paper_cash_usd: int
    start_cash_usd: dict[str, int] = field(default_factory=dict)

    def admit(self, owner: str) -> None:
        """Give an owner that is new the paper money to begin with."""
        if owner not in self.start_cash_usd:
            self.start_cash_usd[owner] = self.paper_cash_usd
            self.ledger.deposit(owner, self.paper_cash_usd * MONEY_SCALE)
            self.desk.journal.account(owner)

    def lapse(self, now_ns: int) -> list[Print]:
        """Play the crowd up to now, and book what it traded with callers' orders; its trades."""
        prints = self.source.advance(self.books, now_ns)
        self.desk.advance(prints, now_ns)
        return prints


def build(listed: Listed, kept: Kept, paper_cash_usd: int, now_ns: int) -> Floor:
    """Accounts as they were, books anew, and in them the orders that rested.

    A graph of something that is not listed stays in the rows as it is, until it is listed again.
    """
    books, ledger = VenueBooks(), Ledger()
    ledger.accounts.update(kept.accounts)
    desk = Desk(listed.catalogue, books, ledger, lambda: f"graph_{uuid.uuid4().hex}")
    floor = Floor(listed.catalogue, listed.source, books, ledger, desk, paper_cash_usd)
    floor.start_cash_usd.update(kept.start_cash_usd)
    # First the crowd: what rested meets the market as it is now, as its taker.
    floor.lapse(now_ns)
    entries: list[GraphEntry] = []
    for one in kept.graphs:
        try:
            entries.append(restored(one, listed.catalogue))
        except GraphInvalidError as error:
            log.warning(
                "graph_not_restored",
                extra={"owner": one.owner, "graph_id": one.graph_id, "error": str(error)},
            )
    desk.restore(entries, kept.halted, now_ns)
    return floor
