"""Nobody has less than nothing, and what was cut stays cut, also in the next process."""

from typing import Any

from test_market_desk import CENT, KALSHI, LISTED, ONE, Scene, node

from market.engine import Side, VenueBooks
from market.fixed_point import MONEY_SCALE
from market.trading import Desk
from market.trading.kept import KeptGraph, graph_state, order_state, restored


class Kept:
    """What a process would have written, and the next process that reads it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.graphs: dict[str, Any] = {}
        self.orders: dict[str, dict[str, Any]] = {}

    def write(self) -> None:
        """Keep what the desk says has changed, and nothing else."""
        changes = self.scene.desk.take_changes()
        for (_, graph_id), entry in changes.graphs.items():
            self.graphs[graph_id] = (entry, graph_state(entry))
        for placed in changes.orders.values():
            self.orders[placed.name] = order_state(placed)

    def crash(self) -> None:
        """New books and a new desk; the accounts are as they were."""
        self.write()
        scene = self.scene
        scene.books = VenueBooks()
        scene.desk = Desk(LISTED, scene.books, scene.ledger, scene.new_id)

    def restore(self) -> None:
        self.scene.desk.restore([self._read(one) for one in self.graphs], [], 0)

    def _read(self, graph_id: str) -> Any:
        entry, state = self.graphs[graph_id]
        prefix = f"graph:{graph_id}:"
        rows = [(name, 1, row) for name, row in self.orders.items() if name.startswith(prefix)]
        kept = KeptGraph("ann", graph_id, None, entry.digest, entry.body, state, 0, rows)
        return restored(kept, LISTED)


def with_cash(cash_1e17: int) -> Scene:
    """A scene with empty books in which `ann` has that much."""
    made = Scene()
    made.ledger.account("ann").cash_1e17 = cash_1e17
    return made


def test_an_order_that_self_trade_prevention_cut_is_told() -> None:
    scene = with_cash(1_000 * MONEY_SCALE)
    scene.send(node("mine", KALSHI.slug, "buy", 10, 0.50))
    scene.desk.take_changes()
    scene.send(node("own", KALSHI.slug, "sell", 4, 0.50, self_trade="decrement"))
    told = scene.desk.take_changes().orders
    assert {one.node.node_id: one.order.open_1e8 for one in told.values()} == {
        "mine": 6 * ONE, "own": 0,
    }  # fmt: skip


def test_a_cut_that_an_amendment_made_is_kept_as_well() -> None:
    scene = with_cash(1_000 * MONEY_SCALE)
    kept = Kept(scene)
    scene.send(node("mine", KALSHI.slug, "buy", 10, 0.50))
    other = scene.send(node("own", KALSHI.slug, "sell", 4, 0.60, self_trade="decrement"))
    kept.write()
    assert scene.desk.amend("ann", f"graph:{other}:own:1", 50 * CENT, None, 1) is not None
    kept.crash()
    kept.restore()
    scene.crowd(KALSHI.key, Side.SELL, 50 * CENT, 20 * ONE)
    assert sum(row["qty_1e8"] for row in scene.fills()) == 6 * ONE
