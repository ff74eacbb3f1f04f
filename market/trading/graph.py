"""The state machine of an execution graph: events of its nodes in, nodes to start out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from market.trading.spec import Edge, GraphSpec, Node, Trigger

NS_PER_MS = 1_000_000


class NodeState(StrEnum):
    """Where a node is; only WAITING and WORKING are not final."""

    WAITING = "waiting"
    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    SKIPPED = "skipped"  # no edge can start it any more

    @property
    def is_final(self) -> bool:
        """Whether nothing more will happen to the node."""
        return self not in (NodeState.WAITING, NodeState.WORKING)


class GraphStatus(StrEnum):
    """The word that clients read."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(slots=True)
class NodeRun:
    """What has become of a node so far; `qty_1e8` follows amendments."""

    node: Node
    qty_1e8: int
    state: NodeState = NodeState.WAITING
    filled_1e8: int = 0
    started_ns: int = 0
    reason: str | None = None


class GraphRun:
    """One graph that runs; pure: whoever holds it places orders and tells what came of them.

    Every method returns the ids of nodes to start now, each of which is WORKING from then on. A
    node starts once, by the first of its edges that fires.
    """

    def __init__(self, graph_id: str, spec: GraphSpec) -> None:
        self.graph_id = graph_id
        self.spec = spec
        self.nodes = {node.node_id: NodeRun(node, node.qty_1e8) for node in spec.nodes}
        self.is_paused = False
        self.done_ns: int | None = None
        self._is_cancelled = False
        self._unfired = list(spec.edges)
        self._held: list[str] = []

    @property
    def is_timed(self) -> bool:
        """Whether the passing of time alone may lead to something."""
        return any(edge.trigger is Trigger.ON_TIMEOUT for edge in self.spec.edges) or any(
            node.execution.slices > 1 for node in self.spec.nodes
        )

    @property
    def status(self) -> GraphStatus:
        """The graph's state as a whole."""
        if self._is_cancelled:
            return GraphStatus.CANCELLED
        if self.done_ns is None:
            return GraphStatus.PAUSED if self.is_paused else GraphStatus.ACTIVE
        states = {run.state for run in self.nodes.values()}
        if NodeState.REJECTED in states:
            return GraphStatus.FAILED
        if states <= {NodeState.CANCELLED, NodeState.SKIPPED}:
            return GraphStatus.CANCELLED
        return GraphStatus.COMPLETED

    def state(self) -> dict[str, Any]:
        """All that changes, as JSON; `restored` makes the run of it again."""
        return {
            "is_paused": self.is_paused,
            "is_cancelled": self._is_cancelled,
            "done_ns": self.done_ns,
            "unfired": [at for at, one in enumerate(self.spec.edges) if one in self._unfired],
            "held": list(self._held),
            "nodes": [
                {
                    "node_id": name,
                    "state": run.state.value,
                    "qty_1e8": run.qty_1e8,
                    "filled_qty_1e8": run.filled_1e8,
                    "started_ns": run.started_ns,
                    "reason": run.reason,
                }
                for name, run in self.nodes.items()
            ],
        }

    @classmethod
    def restored(cls, graph_id: str, spec: GraphSpec, state: dict[str, Any]) -> "GraphRun":
        """A run as it was when `state` was taken of it."""
        run = cls(graph_id, spec)
        run.is_paused, run._is_cancelled = state["is_paused"], state["is_cancelled"]
        run.done_ns, run._held = state["done_ns"], list(state["held"])
        run._unfired = [spec.edges[at] for at in state["unfired"]]
        for kept in state["nodes"]:
            node = run.nodes[kept["node_id"]]
            node.state = NodeState(kept["state"])
            node.qty_1e8, node.filled_1e8 = kept["qty_1e8"], kept["filled_qty_1e8"]
            node.started_ns, node.reason = kept["started_ns"], kept["reason"]
        return run

    def start(self, now_ns: int) -> list[str]:
        """Start the roots, all at once."""
        return self._start([one.node_id for one in self.spec.nodes if one.is_root], now_ns)

    def accepted(self, node_id: str, now_ns: int) -> list[str]:
        """The node's first order was taken by its venue."""
        return self._fire(node_id, (Trigger.ON_ACCEPTED,), now_ns)

    def filled(self, node_id: str, qty_1e8: int, now_ns: int) -> list[str]:
        """Some of the node traded; ends it when that was the last of it."""
        run = self.nodes[node_id]
        run.filled_1e8 += qty_1e8
        started = self._fire(node_id, (Trigger.ON_FILL, Trigger.ON_FIRST_FILL), now_ns)
        reached = [
            edge
            for edge in self._from(node_id, (Trigger.ON_FILL_RATIO,))
            if run.filled_1e8 >= edge.fill_ratio * run.qty_1e8
        ]
        started += self._fire_edges(reached, now_ns)
        if run.filled_1e8 >= run.qty_1e8 and not run.state.is_final:
            started += self._fire(node_id, (Trigger.ON_FULL_FILL,), now_ns)
            started += self.finished(node_id, NodeState.FILLED, now_ns)
        return started

    def finished(
        self, node_id: str, state: NodeState, now_ns: int, reason: str | None = None
    ) -> list[str]:
        """The node came to a final state; what cannot start any more is skipped."""
        run = self.nodes[node_id]
        if run.state.is_final:
            return []
        run.state, run.reason = state, reason
        triggers = [Trigger.ON_DONE]
        if state is NodeState.CANCELLED:
            triggers.append(Trigger.ON_CANCEL)
        started = self._fire(node_id, tuple(triggers), now_ns)
        self._settle(now_ns)
        return started

    def tick(self, now_ns: int) -> list[str]:
        """Fire the time-outs that are due; a node that has ended does not time out."""
        due = [
            edge
            for edge in self._unfired
            if edge.trigger is Trigger.ON_TIMEOUT
            and self.nodes[edge.from_node].state is NodeState.WORKING
            and now_ns >= self.nodes[edge.from_node].started_ns + edge.timeout_ms * NS_PER_MS
        ]
        return self._fire_edges(due, now_ns)

    def cancel(self, now_ns: int) -> list[str]:
        """End the graph; returns the nodes whose orders have to be cancelled, none to start."""
        working = [name for name, run in self.nodes.items() if run.state is NodeState.WORKING]
        if self.done_ns is not None:
            return []
        self._is_cancelled = True
        self._unfired.clear()
        self._held.clear()
        for run in self.nodes.values():
            if not run.state.is_final:
                run.state = NodeState.CANCELLED
        self.done_ns = now_ns
        return working

    def pause(self) -> None:
        """Start nothing more; what works already goes on."""
        self.is_paused = self.done_ns is None

    def resume(self, now_ns: int) -> list[str]:
        """Start what was held back."""
        self.is_paused = False
        held, self._held = self._held, []
        return self._start(held, now_ns)

    def _fire(self, node_id: str, triggers: tuple[Trigger, ...], now_ns: int) -> list[str]:
        return self._fire_edges(self._from(node_id, triggers), now_ns)

    def _from(self, node_id: str, triggers: tuple[Trigger, ...]) -> list[Edge]:
        return [
            one for one in self._unfired if one.from_node == node_id and one.trigger in triggers
        ]

    def _fire_edges(self, edges: list[Edge], now_ns: int) -> list[str]:
        for edge in edges:
            self._unfired.remove(edge)
        return self._start([edge.to_node for edge in edges], now_ns)

    def _start(self, names: list[str], now_ns: int) -> list[str]:
        started = []
        for name in names:
            run = self.nodes[name]
            if run.state is not NodeState.WAITING or name in self._held:
                continue
            if self.is_paused:
                self._held.append(name)
                continue
            run.state, run.started_ns = NodeState.WORKING, now_ns
            started.append(name)
        return started

    def _settle(self, now_ns: int) -> None:
        """Drop the edges of ended nodes, skip what none can start, and see whether all is done."""
        while True:
            self._unfired = [
                edge for edge in self._unfired if not self.nodes[edge.from_node].state.is_final
            ]
            reachable = {edge.to_node for edge in self._unfired} | set(self._held)
            lost = [
                run
                for name, run in self.nodes.items()
                if run.state is NodeState.WAITING and name not in reachable
            ]
            if not lost:
                break
            for run in lost:
                run.state = NodeState.SKIPPED
        if self.done_ns is None and all(run.state.is_final for run in self.nodes.values()):
            self.done_ns = now_ns
