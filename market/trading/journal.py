"""What changed since somebody last asked: that is all that has to be kept and told."""

from dataclasses import dataclass, field

from market.engine import BookKey
from market.sources import Print
from market.sources.protocol import CROWD
from market.trading.records import Fill, GraphEntry, Placed


@dataclass(slots=True)
class Changes:
    """Everything that is not as it was; each thing once, as it is now."""

    graphs: dict[tuple[str, str], GraphEntry] = field(default_factory=dict)
    orders: dict[str, Placed] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    accounts: set[str] = field(default_factory=set)
    positions: set[tuple[str, BookKey]] = field(default_factory=set)
    # Trades that callers' orders made, for the tape; those of the crowd come from its source.
    prints: list[Print] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.graphs or self.orders or self.fills or self.accounts or self.positions)


class Journal:
    """Notes of changes, taken away as a whole."""

    def __init__(self) -> None:
        self.changes = Changes()

    def graph(self, entry: GraphEntry) -> None:
        """A graph moved on."""
        self.changes.graphs[entry.owner, entry.run.graph_id] = entry

    def order(self, placed: Placed) -> None:
        """An order came, traded, was amended or ended; its graph moved with it."""
        self.changes.orders[placed.order.order_id] = placed
        self.graph(placed.entry)

    def fill(self, fill: Fill) -> None:
        """A fill was booked."""
        self.changes.fills.append(fill)
        self.order(fill.placed)

    def account(self, owner: str) -> None:
        """Money came or went, or the kill switch was turned."""
        if owner != CROWD:
            self.changes.accounts.add(owner)

    def position(self, owner: str, key: BookKey) -> None:
        """An owner's position in one book changed, and the money with it."""
        if owner != CROWD:
            self.changes.positions.add((owner, key))
            self.changes.accounts.add(owner)

    def take(self) -> Changes:
        """The changes so far; from now on there are none."""
        taken, self.changes = self.changes, Changes()
        return taken
