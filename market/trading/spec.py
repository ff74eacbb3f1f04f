"""What an execution graph says before it runs: nodes, edges, and their words."""

from dataclasses import dataclass
from enum import StrEnum

from market.engine import SelfTrade, Side, TimeInForce
from market.symbols import Instrument


class Trigger(StrEnum):
    """When an edge starts its target; the words of the wire."""

    ON_ACCEPTED = "on_accepted"
    ON_FIRST_FILL = "on_first_fill"
    ON_FILL = "on_fill"
    ON_FULL_FILL = "on_full_fill"
    ON_FILL_RATIO = "on_fill_ratio"
    ON_TIMEOUT = "on_timeout"
    ON_CANCEL = "on_cancel"
    ON_DONE = "on_done"


class Urgency(StrEnum):
    """How soon an order should match: a low one is paced over its horizon."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Execution:
    """How a node is carried out.

    `slices` above 1 spread the quantity evenly over `horizon_ms` (TWAP); `max_slippage_bps`
    bounds a market order by the best price when it is sent.
    """

    urgency: Urgency = Urgency.MEDIUM
    tif: TimeInForce | None = None
    max_slippage_bps: int | None = None
    horizon_ms: int = 0
    slices: int = 1
    self_trade: SelfTrade = SelfTrade.CANCEL_NEWEST


@dataclass(frozen=True, slots=True)
class Node:
    """One order of a graph, in the instrument's own prices; `limit_1e9` None is a market order."""

    node_id: str
    symbol: str
    instrument: Instrument
    side: Side
    qty_1e8: int
    limit_1e9: int | None
    execution: Execution
    is_root: bool


@dataclass(frozen=True, slots=True)
class Edge:
    """`to_node` starts when `from_node` meets the trigger; the first edge that does is enough."""

    edge_id: str
    from_node: str
    to_node: str
    trigger: Trigger
    fill_ratio: float = 1.0
    timeout_ms: int = 0


@dataclass(frozen=True, slots=True)
class GraphSpec:
    """A whole graph. `graph_id` is None when the caller left naming it to us."""

    graph_id: str | None
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    is_sandbox: bool
