"""No body of a caller brings the market down: it trades, or it is refused with its reason."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from market.catalogue import simulated_catalogue
from market.engine import Ledger, VenueBooks
from market.errors import MarketError
from market.fixed_point import MONEY_SCALE
from market.trading import Desk
from market.trading.preview import preview

LISTED = simulated_catalogue(7, 1_777_414_125)
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        "",
        "x",
        "buy",
        "market",
        "limit",
        "wait",
        "a:b",
        "é",
        "\ud800",
        " " * 500,
    ),
    *(-1, 0, 1, 2**63, 10**30, -(10**30), 0.5, 1e308, float("nan"), float("inf")),
    *([], [[]], {}, {"x": 1}, [None], ["a"], {"limit": None}, {"limit": {"price_1e9": {}}}),
]
GRAPH: dict[str, Any] = {
    "graph_id": "g",
    "is_sandbox": True,
    "nodes": [
        {
            "node_id": "a",
            "instrument": {"symbol": "BTC-USD", "type": "spot", "venue": "kraken"},
            "side": "buy",
            "order_type": {"limit": {"price_1e9": 10**9}},
            "quantity": {"fixed": {"qty_1e8": 10**8}},
            "execution": {
                "urgency": "high",
                "policy": "twap",
                "horizon_ms": 5_000,
                "tif": "gtc",
                "max_slippage_bps": 10,
                "self_trade": "decrement",
            },
            "activation": "root",
        },
        {
            "node_id": "b",
            "instrument": {"symbol": "ETH-USD"},
            "side": "sell",
            "quantity": {"fixed": {"qty_1e8": 10**8}},
            "activation": "wait",
        },
    ],
    "edges": [
        {
            "edge_id": "e",
            "from_node": "a",
            "to_node": "b",
            "trigger": "on_fill_ratio",
            "condition": {"fill_ratio_gte": 0.5, "timeout_ms": 10},
        }
    ],
}
SIMPLE: dict[str, Any] = {
    "symbol": "BTC-USD",
    "venue": "kraken",
    "side": "buy",
    "qty": 0.5,
    "qty_1e8": None,
    "limit_price": 1.0,
    "order_type": "market",
    "urgency": "low",
    "policy": "uniform",
    "horizon_ms": 2_000,
    "tif": "ioc",
    "max_slippage_bps": 5,
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of everything inside a body, and of the body itself."""
    yield path
    keys = (
        value.keys()
        if isinstance(value, dict)
        else range(len(value))
        if path and isinstance(value, list)
        else ()
    )
    for key in keys:
        yield from places(value[key], (*path, key))


def changed(body: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    made = copy.deepcopy(body)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = odd
    return made


@pytest.mark.parametrize("body", [GRAPH, SIMPLE], ids=["graph", "simple"])
def test_whatever_stands_in_a_field_is_taken_or_refused(body: dict[str, Any]) -> None:
    desk = Desk(LISTED, VenueBooks(), Ledger(), lambda: "new")
    desk.ledger.deposit("ann", 10**6 * MONEY_SCALE)
    taken = refused = 0
    for path in places(body):
        for odd in ODD:
            made = changed(body, path, odd)
            try:
                entry = desk.submit("ann", made, 1)
                desk.advance([], 10**13)
                desk.cancel_graph("ann", entry.run.graph_id, 2)
                taken += 1
            except MarketError as error:
                assert str(error)
                refused += 1
            desk.take_changes()
            try:
                preview(made, LISTED, desk.books)
            except MarketError:
                continue
    assert taken > 50
    assert refused > 200
