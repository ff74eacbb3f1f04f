"""From a body of `POST /v1/orders`, simple or a graph, to a graph that can run."""

import re
from collections.abc import Iterable
from typing import Any

from market.engine import SelfTrade, Side, TimeInForce
from market.errors import GraphInvalidError, SymbolInvalidError
from market.fixed_point import PRICE_SCALE, QTY_SCALE
from market.symbols import Directory, resolve
from market.trading.fields import Body, integer, mapping, number, rows, text, word
from market.trading.spec import Edge, Execution, GraphSpec, Node, Trigger, Urgency

MAX_NODES = 100
MAX_EDGES = 400
MAX_SLICES = 100
MAX_SPAN_MS = 7 * 86_400_000
MAX_QTY_1E8 = 10**12 * QTY_SCALE
MAX_PRICE_1E9 = 10**9 * PRICE_SCALE
SLICE_MS = 1_000
SIMPLE_NODE = "order"
# Ids are parts of graph:{graph_id}:{node_id}:{seq}: no colon.
_ID = re.compile(r"[A-Za-z0-9_.-]{1,80}", re.ASCII)
_TIF_ALIASES = {"fak": "ioc", "good_til_cancelled": "gtc"}
_PACED = ("twap", "uniform")


def parse_graph(body: Any, directory: Directory) -> GraphSpec:
    """The graph of a body. Without `nodes` the body itself is the one order (`symbol, side, qty`).

    Raises GraphInvalidError with the path of the field and what to write there.
    """
    whole = mapping(body, "body")
    graph_id = whole.get("graph_id")
    found = rows(whole["nodes"], "nodes", MAX_NODES) if "nodes" in whole else [_simple(whole)]
    if not found:
        raise GraphInvalidError("nodes", "a graph has at least one node")
    nodes = tuple(_node(mapping(one, f"nodes.{at}"), at, directory) for at, one in enumerate(found))
    listed = rows(whole.get("edges") or [], "edges", MAX_EDGES)
    edges = tuple(_edge(mapping(one, f"edges.{at}"), at) for at, one in enumerate(listed))
    _check(nodes, edges)
    name = None if graph_id is None else _identifier(graph_id, "graph_id")
    return GraphSpec(name, nodes, edges, whole.get("is_sandbox") is True)


def _simple(body: Body) -> dict[str, Any]:
    """The node that the simple form means."""
    price = body.get("limit_price")
    order_type = body.get("order_type", "market")
    if price is not None:
        order_type = {"limit": {"price_1e9": round(number(price, "limit_price") * PRICE_SCALE)}}
    qty = body.get("qty_1e8")
    if qty is None:
        qty = round(number(body.get("qty"), "qty") * QTY_SCALE)
    keys = ("urgency", "policy", "max_slippage_bps", "horizon_ms", "tif")
    return {
        "node_id": SIMPLE_NODE,
        "instrument": {"symbol": body.get("symbol"), "venue": body.get("venue")},
        "side": body.get("side"),
        "order_type": order_type,
        "quantity": {"fixed": {"qty_1e8": qty}},
        "execution": {key: body[key] for key in keys if key in body},
        "activation": "root",
    }


def _node(body: Body, at: int, directory: Directory) -> Node:
    path = f"nodes.{at}"
    wanted = mapping(body.get("instrument"), f"{path}.instrument")
    symbol = text(wanted.get("symbol"), f"{path}.instrument.symbol").strip()
    try:
        instrument = resolve(symbol, directory, wanted.get("venue"))
    except SymbolInvalidError as error:
        raise GraphInvalidError(f"{path}.instrument", str(error)) from None
    quantity = mapping(body.get("quantity"), f"{path}.quantity")
    fixed = mapping(quantity.get("fixed"), f"{path}.quantity.fixed")
    return Node(
        node_id=_identifier(body.get("node_id"), f"{path}.node_id"),
        symbol=symbol,
        instrument=instrument,
        side=word(Side, body.get("side"), f"{path}.side"),
        qty_1e8=integer(fixed.get("qty_1e8"), f"{path}.quantity.fixed.qty_1e8", 1, MAX_QTY_1E8),
        limit_1e9=_limit(body.get("order_type", "market"), f"{path}.order_type"),
        execution=_execution(mapping(body.get("execution") or {}, f"{path}.execution"), path),
        is_root=body.get("activation", "root") == "root",
    )


def _limit(order_type: Any, path: str) -> int | None:
    if order_type == "market":
        return None
    if not isinstance(order_type, dict) or "limit" not in order_type:
        raise GraphInvalidError(path, 'take "market" or {"limit": {"price_1e9": ...}}')
    limit = mapping(order_type["limit"], f"{path}.limit")
    return integer(limit.get("price_1e9"), f"{path}.limit.price_1e9", 1, MAX_PRICE_1E9)


def _execution(body: Body, node_path: str) -> Execution:
    path = f"{node_path}.execution"
    horizon = integer(body.get("horizon_ms") or 0, f"{path}.horizon_ms", 0, MAX_SPAN_MS)
    slippage = body.get("max_slippage_bps")
    if slippage is not None:
        slippage = integer(slippage, f"{path}.max_slippage_bps", 0, 10_000)
    tif = body.get("tif")
    if tif is not None:
        tif = word(TimeInForce, _TIF_ALIASES.get(str(tif).lower(), tif), f"{path}.tif")
    if tif is TimeInForce.GTD:
        raise GraphInvalidError(f"{path}.tif", "give gtc, and an edge or a cancel to end it")
    # Sources of prices alone may trade with themselves: their orders stand for many people.
    wanted = body.get("self_trade") or SelfTrade.CANCEL_NEWEST
    self_trade = word(SelfTrade, wanted, f"{path}.self_trade", but=SelfTrade.ALLOW)
    slices = 1
    if str(body.get("policy") or "").lower() in _PACED:
        if not horizon:
            raise GraphInvalidError(f"{path}.horizon_ms", "pacing needs the time to spread over")
        slices = min(max(horizon // SLICE_MS, 2), MAX_SLICES)
    return Execution(
        urgency=word(Urgency, body.get("urgency") or Urgency.MEDIUM, f"{path}.urgency"),
        tif=tif,
        max_slippage_bps=slippage,
        horizon_ms=horizon,
        slices=slices,
        self_trade=self_trade,
    )


def _edge(body: Body, at: int) -> Edge:
    path = f"edges.{at}"
    condition = mapping(body.get("condition") or {}, f"{path}.condition")
    trigger = word(Trigger, body.get("trigger") or Trigger.ON_FILL, f"{path}.trigger")
    ratio, timeout_ms = 1.0, 0
    if trigger is Trigger.ON_FILL_RATIO:
        ratio = number(condition.get("fill_ratio_gte"), f"{path}.condition.fill_ratio_gte")
        if ratio > 1:
            raise GraphInvalidError(f"{path}.condition.fill_ratio_gte", "is a share, at most 1")
    if trigger is Trigger.ON_TIMEOUT:
        where = f"{path}.condition.timeout_ms"
        timeout_ms = integer(condition.get("timeout_ms"), where, 1, MAX_SPAN_MS)
    source = text(body.get("from_node"), f"{path}.from_node")
    target = text(body.get("to_node"), f"{path}.to_node")
    name = body.get("edge_id") or f"e_{source}_{target}"
    return Edge(text(name, f"{path}.edge_id"), source, target, trigger, ratio, timeout_ms)


def _check(nodes: tuple[Node, ...], edges: tuple[Edge, ...]) -> None:
    names = [node.node_id for node in nodes]
    for at, name in enumerate(names):
        if name in names[:at]:
            raise GraphInvalidError(f"nodes.{at}.node_id", f"{name!r} is taken; ids are unique")
    for at, edge in enumerate(edges):
        for field, name in (("from_node", edge.from_node), ("to_node", edge.to_node)):
            if name not in names:
                raise GraphInvalidError(f"edges.{at}.{field}", f"no node is called {name!r}")
    targets = {edge.to_node for edge in edges}
    for at, node in enumerate(nodes):
        if node.is_root == (node.node_id in targets):
            advice = "a node is 'root' without incoming edges and 'wait' with them"
            raise GraphInvalidError(f"nodes.{at}.activation", advice)
    _refuse_cycle(names, edges)


def _refuse_cycle(names: Iterable[str], edges: tuple[Edge, ...]) -> None:
    """Take away what nothing leads to, until nothing is left or all that is left is a circle."""
    left = set(names)
    while left:
        targets = {edge.to_node for edge in edges if edge.from_node in left}
        free = left - targets
        if not free:
            raise GraphInvalidError("edges", f"a circle through {', '.join(sorted(left))}")
        left -= free


def _identifier(value: Any, path: str) -> str:
    name = text(value, path)
    if not _ID.fullmatch(name):
        raise GraphInvalidError(path, "take up to 80 letters, digits, dots, dashes, underscores")
    return name
