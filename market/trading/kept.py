"""Graphs and orders as JSON, and back: what a later process needs to go on with them."""

from dataclasses import dataclass
from typing import Any

from market.catalogue import Catalogue
from market.engine import BookKey, Order, SelfTrade, Side, Status, TimeInForce
from market.trading.graph import GraphRun
from market.trading.parse import parse_graph
from market.trading.records import GraphEntry, Placed


@dataclass(frozen=True, slots=True)
class KeptGraph:
    """A graph as it was kept, with all its orders, the oldest first."""

    owner: str
    graph_id: str
    request: str | None
    digest: str
    body: Any
    state: dict[str, Any]
    created_ns: int
    orders: list[tuple[str, int, dict[str, Any]]]


def graph_state(entry: GraphEntry) -> dict[str, Any]:
    """Where a graph is."""
    return {**entry.run.state(), "waiting": [list(one) for one in entry.waiting]}


def order_state(placed: Placed) -> dict[str, Any]:
    """What the book of an order needs to have it again."""
    order = placed.order
    return {
        "node_id": placed.node.node_id,
        "venue": placed.key.venue,
        "market": placed.key.market,
        "side": order.side.value,
        "price_1e9": order.price_1e9,
        "qty_1e8": order.qty_1e8,
        "open_1e8": order.open_1e8,
        "tif": order.tif.value,
        "self_trade": order.self_trade.value,
        "is_for_no": order.is_for_no,
        "status": order.status.value,
        "created_ns": placed.created_ns,
        "reason": placed.reason,
    }


def restored(kept: KeptGraph, catalogue: Catalogue) -> GraphEntry:
    """The graph as it was. Raises GraphInvalidError when what it trades is not listed any more."""
    spec = parse_graph(kept.body, catalogue)
    run = GraphRun.restored(kept.graph_id, spec, kept.state)
    entry = GraphEntry(kept.owner, run, kept.digest, kept.body, kept.created_ns, kept.request)
    entry.waiting = [(due_ns, name, qty) for due_ns, name, qty in kept.state["waiting"]]
    entry.sent = [_placed(entry, *one) for one in kept.orders]
    return entry


def _placed(entry: GraphEntry, name: str, seq: int, kept: dict[str, Any]) -> Placed:
    order = Order(
        f"{entry.owner}/{name}",
        entry.owner,
        Side(kept["side"]),
        kept["price_1e9"],
        kept["qty_1e8"],
        TimeInForce(kept["tif"]),
        self_trade=SelfTrade(kept["self_trade"]),
        is_for_no=kept["is_for_no"],
    )
    order.open_1e8 = kept["open_1e8"]
    status = Status(kept["status"])
    # A book says itself which orders it passes over.
    order.status = Status.OPEN if status is Status.DORMANT else status
    node = entry.run.nodes[kept["node_id"]].node
    key = BookKey(kept["venue"], kept["market"])
    return Placed(entry, node, name, key, order, kept["created_ns"], kept["reason"], seq)
