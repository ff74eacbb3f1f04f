"""Bodies become graphs or messages, and a graph goes only where its edges lead."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.catalogue import simulated_catalogue
from market.engine import Side
from market.errors import GraphInvalidError
from market.symbols import Instrument, Kind
from market.trading import (
    Edge,
    Execution,
    GraphRun,
    GraphSpec,
    GraphStatus,
    Node,
    NodeState,
    Trigger,
    parse_graph,
)

LISTED = simulated_catalogue(7, 1_777_414_125)
MS = 1_000_000


def node(name: str, symbol: str = "BTC-USD", **changes: Any) -> dict[str, Any]:
    """A node as the published client sends it."""
    return {
        "node_id": name,
        "instrument": {"symbol": symbol, "type": "spot", "venue": None},
        "side": "buy",
        "order_type": {"limit": {"price_1e9": 100}},
        "quantity": {"fixed": {"qty_1e8": 100}},
        "execution": {},
        "activation": "root",
        **changes,
    }


def edge(source: str, target: str, trigger: str = "on_fill", **condition: Any) -> dict[str, Any]:
    return {"from_node": source, "to_node": target, "trigger": trigger, "condition": condition}


def test_the_simple_form_is_a_graph_of_one() -> None:
    spec = parse_graph(
        {"symbol": "BTC-USD", "side": "BUY", "qty": 0.0003, "limit_price": 2.09, "urgency": "high"},
        LISTED,
    )
    assert (spec.nodes[0].node_id, spec.nodes[0].qty_1e8) == ("order", 30_000)
    assert (spec.nodes[0].limit_1e9, spec.nodes[0].side) == (2_090_000_000, Side.BUY)


def test_a_prediction_market_is_known_by_its_symbol_whatever_the_type_says() -> None:
    ticker = LISTED.listings[0].slug
    body = {"nodes": [node("a", ticker, instrument={"symbol": ticker, "venue": "kalshi"})]}
    assert parse_graph(body, LISTED).nodes[0].instrument.kind is Kind.PREDICTION


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({}, "qty"),
        ({"nodes": []}, "nodes"),
        ({"nodes": {}}, "nodes"),
        ({"nodes": [node("a")] * 101}, "nodes"),
        ({"nodes": [node("a"), node("a")]}, "nodes.1.node_id"),
        ({"nodes": [node("a:b")]}, "nodes.0.node_id"),
        ({"nodes": [node("a", "NO-SUCH-THING!")]}, "nodes.0.instrument"),
        ({"nodes": [node("a", side="hold")]}, "nodes.0.side"),
        ({"nodes": [node("a", order_type="stop")]}, "nodes.0.order_type"),
        (
            {"nodes": [node("a", quantity={"fixed": {"qty_1e8": 0}})]},
            "nodes.0.quantity.fixed.qty_1e8",
        ),
        (
            {"nodes": [node("a", quantity={"fixed": {"qty_1e8": True}})]},
            "nodes.0.quantity.fixed.qty_1e8",
        ),
        ({"nodes": [node("a", execution={"tif": "never"})]}, "nodes.0.execution.tif"),
        ({"nodes": [node("a", execution={"policy": "twap"})]}, "nodes.0.execution.horizon_ms"),
        ({"nodes": [node("a", activation="wait")]}, "nodes.0.activation"),
        ({"nodes": [node("a")], "edges": [edge("a", "b")]}, "edges.0.to_node"),
        ({"nodes": [node("a")], "edges": [edge("a", "a")]}, "nodes.0.activation"),
        ({"nodes": [node("a")], "edges": [edge("a", "a", "on_whim")]}, "edges.0.trigger"),
        (
            {"nodes": [node("a")], "edges": [edge("a", "a", "on_timeout")]},
            "edges.0.condition.timeout_ms",
        ),
        (
            {"nodes": [node("a")], "edges": [edge("a", "a", "on_fill_ratio", fill_ratio_gte=1.5)]},
            "edges.0.condition.fill_ratio_gte",
        ),
        (
            {
                "nodes": [node("a", activation="wait"), node("b", activation="wait")],
                "edges": [edge("a", "b"), edge("b", "a")],
            },
            "edges",
        ),
        ({"graph_id": "a:b", "nodes": [node("a")]}, "graph_id"),
    ],
)
def test_a_bad_body_is_told_where(body: Any, field: str) -> None:
    with pytest.raises(GraphInvalidError) as caught:
        parse_graph(body, LISTED)
    assert caught.value.field == field


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(node("a"))), JSON)
def test_any_value_of_a_field_is_read_or_refused(field: str, value: Any) -> None:
    try:
        parse_graph({"nodes": [{**node("a"), field: value}]}, LISTED)
    except GraphInvalidError as error:
        assert error.field.startswith("nodes.0")


def run(*edges: Edge, names: str = "ab") -> GraphRun:
    """A graph of nodes of 100 each; what nothing leads to is a root."""
    targets = {one.to_node for one in edges}
    instrument = Instrument(Kind.SPOT, "BTC-USD")
    nodes = tuple(
        Node(name, "BTC-USD", instrument, Side.BUY, 100, None, Execution(), name not in targets)
        for name in names
    )
    return GraphRun("g", GraphSpec("g", nodes, edges, is_sandbox=True))


def lead(trigger: Trigger, ratio: float = 1.0, timeout_ms: int = 0) -> Edge:
    return Edge("e", "a", "b", trigger, ratio, timeout_ms)


def test_without_edges_all_nodes_start_at_once() -> None:
    graph = run(names="abc")
    assert graph.start(0) == ["a", "b", "c"]
    assert graph.status is GraphStatus.ACTIVE


def test_each_trigger_fires_at_its_event_and_once() -> None:
    graph = run(lead(Trigger.ON_ACCEPTED))
    assert graph.start(0) == ["a"]
    assert graph.accepted("a", 1) == ["b"]
    assert graph.accepted("a", 2) == []
    for trigger in (Trigger.ON_FILL, Trigger.ON_FIRST_FILL):
        graph = run(lead(trigger))
        graph.start(0)
        assert graph.accepted("a", 1) == []
        assert (graph.filled("a", 1, 1), graph.filled("a", 1, 2)) == (["b"], [])
    graph = run(lead(Trigger.ON_FULL_FILL))
    graph.start(0)
    assert (graph.filled("a", 99, 1), graph.filled("a", 1, 2)) == ([], ["b"])
    graph = run(lead(Trigger.ON_FILL_RATIO, ratio=0.5))
    graph.start(0)
    assert (graph.filled("a", 49, 1), graph.filled("a", 1, 2)) == ([], ["b"])


def test_a_time_out_fires_while_the_node_works() -> None:
    graph = run(lead(Trigger.ON_TIMEOUT, timeout_ms=5))
    graph.start(10)
    assert (graph.tick(10 + 5 * MS - 1), graph.tick(10 + 5 * MS)) == ([], ["b"])
    ended = run(lead(Trigger.ON_TIMEOUT, timeout_ms=5))
    ended.start(0)
    ended.filled("a", 100, 1)
    assert ended.tick(10 * MS) == []
    assert ended.nodes["b"].state is NodeState.SKIPPED
    assert ended.status is GraphStatus.COMPLETED


@pytest.mark.parametrize(
    ("state", "on_cancel", "on_done"),
    [
        (NodeState.CANCELLED, ["b"], ["b"]),
        (NodeState.EXPIRED, [], ["b"]),
        (NodeState.REJECTED, [], ["b"]),
    ],
)
def test_how_a_node_ends_decides_what_follows(
    state: NodeState, on_cancel: list[str], on_done: list[str]
) -> None:
    for trigger, expected in ((Trigger.ON_CANCEL, on_cancel), (Trigger.ON_DONE, on_done)):
        graph = run(lead(trigger))
        graph.start(0)
        assert graph.finished("a", state, 1) == expected
        assert graph.finished("a", state, 2) == []


def test_what_nothing_can_start_any_more_is_skipped_all_the_way() -> None:
    graph = run(lead(Trigger.ON_FILL), Edge("f", "b", "c", Trigger.ON_DONE), names="abc")
    graph.start(0)
    graph.finished("a", NodeState.REJECTED, 7, "no money")
    assert [one.state.value for one in graph.nodes.values()] == ["rejected", "skipped", "skipped"]
    assert (graph.status, graph.done_ns) == (GraphStatus.FAILED, 7)


def test_a_paused_graph_starts_nothing_until_it_is_resumed() -> None:
    graph = run(lead(Trigger.ON_FULL_FILL))
    graph.start(0)
    graph.pause()
    assert graph.filled("a", 100, 1) == []
    assert graph.status is GraphStatus.PAUSED
    assert graph.resume(2) == ["b"]
    assert graph.status is GraphStatus.ACTIVE


def test_a_cancelled_graph_is_over() -> None:
    graph = run(lead(Trigger.ON_CANCEL))
    graph.start(0)
    assert graph.cancel(3) == ["a"]
    assert (graph.status, graph.done_ns) == (GraphStatus.CANCELLED, 3)
    assert graph.tick(10**18) == []
    assert graph.cancel(4) == []


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abcd"),
        st.sampled_from(["accepted", "filled", "filled", "cancelled", "expired", "tick"]),
        st.integers(1, 100),
    ),
    max_size=25,
)
# Edges lead forwards alone, as the parser sees to.
EDGES = st.lists(
    st.tuples(st.sampled_from(["ab", "ac", "bc", "bd", "cd"]), st.sampled_from(list(Trigger))),
    max_size=5,
)


@settings(max_examples=80, deadline=None)
@given(EDGES, EVENTS)
def test_every_node_starts_at_most_once_and_every_graph_can_end(
    edges: list[tuple[str, Trigger]], events: list[tuple[str, str, int]]
) -> None:
    made = [Edge("e", way[0], way[1], trigger, 0.5, 10) for way, trigger in edges]
    graph = run(*made, names="abcd")
    started = graph.start(0)
    for at, (name, event, qty) in enumerate(events):
        if graph.nodes[name].state is not NodeState.WORKING:
            continue
        if event == "accepted":
            started += graph.accepted(name, at)
        elif event == "filled":
            left = 100 - graph.nodes[name].filled_1e8
            started += graph.filled(name, min(qty, left), at)
        elif event == "tick":
            started += graph.tick(at * 5 * MS)
        else:
            started += graph.finished(name, NodeState(event), at)
    for name in "abcd":
        if graph.nodes[name].state is NodeState.WORKING:
            started += graph.finished(name, NodeState.EXPIRED, 99)
    assert len(started) == len(set(started))
    assert all(one.state.is_final for one in graph.nodes.values())
    assert graph.done_ns is not None
