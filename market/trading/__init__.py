"""Orders and execution graphs on top of the books, as pure state machines: no clock, no I/O."""

from market.trading.desk import Desk
from market.trading.graph import GraphRun, GraphStatus, NodeState
from market.trading.parse import parse_graph
from market.trading.shapes import (
    answer,
    balances,
    fill_rows,
    graph_status,
    order_rows,
    unified_positions,
)
from market.trading.spec import Edge, Execution, GraphSpec, Node, Trigger, Urgency

__all__ = [
    "Desk",
    "Edge",
    "Execution",
    "GraphRun",
    "GraphSpec",
    "GraphStatus",
    "Node",
    "NodeState",
    "Trigger",
    "Urgency",
    "answer",
    "balances",
    "fill_rows",
    "graph_status",
    "order_rows",
    "parse_graph",
    "unified_positions",
]
