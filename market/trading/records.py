"""What the desk remembers of what it sent and what it traded."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from market.engine import BookKey, Order, Side
from market.fixed_point import ONE_DOLLAR_1E9
from market.symbols import Instrument
from market.trading.graph import GraphRun
from market.trading.spec import Node


def node_order_id(graph_id: str, node_id: str, number: int) -> str:
    """The name of one order of a node; callers find their fills by its beginning."""
    return f"graph:{graph_id}:{node_id}:{number}"


def digest_of(body: Any) -> str:
    """The same for two bodies that say the same."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def book_side(side: Side, instrument: Instrument) -> Side:
    """The side in the book: to buy NO is to sell YES."""
    return side.opposite if instrument.is_mirrored else side


def turned(price_1e9: int, instrument: Instrument) -> int:
    """A price of the instrument as one of its book, and back."""
    return ONE_DOLLAR_1E9 - price_1e9 if instrument.is_mirrored else price_1e9


@dataclass(slots=True, eq=False)
class GraphEntry:
    """A graph of one owner: `digest` is that of the body it came with.

    `request` is the name under which a repetition of its submission is known, or None.
    """

    owner: str
    run: GraphRun
    digest: str
    body: Any
    created_ns: int
    request: str | None = None
    sent: list["Placed"] = field(default_factory=list)
    # (due_ns, node_id, qty_1e8) of what pacing holds back.
    waiting: list[tuple[int, str, int]] = field(default_factory=list)

    def is_busy(self, node_id: str) -> bool:
        """Whether something of a node rests, or waits to be sent."""
        return any(one[1] == node_id for one in self.waiting) or any(
            one.order.is_live for one in self.sent if one.node.node_id == node_id
        )

    def drop_waiting(self, node_id: str) -> None:
        """Forget what pacing holds back of a node."""
        self.waiting = [one for one in self.waiting if one[1] != node_id]


@dataclass(slots=True, eq=False)
class Placed:
    """One order as its owner knows it, and the book that has it."""

    entry: GraphEntry
    node: Node
    name: str
    key: BookKey
    order: Order
    created_ns: int
    reason: str | None = None
    # Its place among all orders, given when it is first kept.
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Fill:
    """One trade from its owner's side, in prices of the instrument."""

    placed: Placed
    price_1e9: int
    qty_1e8: int
    fee_1e17: int
    is_taker: bool
    ts_ns: int
