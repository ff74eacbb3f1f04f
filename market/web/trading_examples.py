"""Examples of the trading routes for the specification, by operation."""

from typing import Any

_TIME_NS = 1_777_414_125_000_000_000
_GRAPH = "graph_f50131c2a4b94f6c8d0e1f2a3b4c5d6e"
_NAME = f"graph:{_GRAPH}:leg:1"
_STATE = {"graph_id": _GRAPH, "status": "cancelled"}
_WHO: dict[str, Any] = {
    "node_order_id": _NAME,
    "graph_id": _GRAPH,
    "node_id": "leg",
    "symbol": "KXWORLDCUPWINNER1-SPAIN",
    "venue": "kalshi",
    "side": "buy",
}
_ORDER: dict[str, Any] = {
    **_WHO,
    "price_1e9": 180_000_000,
    "qty_1e8": 100_000_000,
    "filled_qty_1e8": 0,
    "tif": "gtc",
    "status": "open",
    "reason": None,
    "created_at_ns": _TIME_NS,
}
_FILL: dict[str, Any] = {
    **_WHO,
    "price_1e9": 180_000_000,
    "qty_1e8": 100_000_000,
    "fee_usd_1e9": 10_332_000,
    "liquidity": "taker",
    "ts_ns": _TIME_NS,
}
_ESTIMATE = {
    "est_price": 65000.5,
    "est_fill_qty": 0.001,
    "est_notional_usd": 65.0005,
    "est_fee_usd": 0.260002,
    "est_total_usd": 65.260502,
    "est_slippage_bps": 0.0,
    "taker_fee_bps": 40,
}
_POSITION: dict[str, Any] = {
    "kind": "event_contract",
    "symbol": "KXWORLDCUPWINNER1-SPAIN",
    "outcome": "yes",
    "venue": "kalshi",
    "qty_1e8": 100_000_000,
    "avg_price_1e9": 180_000_000,
    "mark_price_1e9": 185_000_000,
    "value_usd_1e9": 185_000_000,
    "unrealized_pnl_usd_1e9": 5_000_000,
    "lifecycle": "active",
}
_TOTALS = {
    "nav_usd_1e9": 99_999_994_668_000,
    "cash_usd_1e9": 99_999_809_668_000,
    "fees_usd_1e9": 10_332_000,
}
_SIMPLE = {"symbol": "BTC-USD", "side": "buy", "qty": 0.001, "order_type": "market"}

BODIES: dict[str, Any] = {
    "submit_graph": {
        "nodes": [
            {
                "node_id": "leg",
                "instrument": {
                    "symbol": "KXWORLDCUPWINNER1-SPAIN",
                    "type": "prediction",
                    "venue": "kalshi",
                },
                "side": "buy",
                "order_type": {"limit": {"price_1e9": 180_000_000}},
                "quantity": {"fixed": {"qty_1e8": 100_000_000}},
                "execution": {"urgency": "high"},
                "activation": "root",
            }
        ],
        "edges": [],
        "is_sandbox": True,
    },
    "preview_order": _SIMPLE,
    "amend_order": {"new_qty_1e8": 200_000_000, "new_constraints": {"max_price_1e9": 170_000_000}},
    "engage_kill_switch": {"reason": "the model is wrong"},
    "change_sandbox_settings": {"start_cash_usd": 25_000},
}
"""By operation."""

ANSWERS: dict[str, Any] = {
    "submit_graph": {"graph_id": _GRAPH, "status": "active", "node_count": 1, "edge_count": 0},
    "preview_order": {
        "symbol": "BTC-USD",
        "side": "buy",
        "qty": 0.001,
        **_ESTIMATE,
        "best_venue": "kraken",
        "venues": [{"venue": "kraken", **_ESTIMATE}],
    },
    "list_orders": {"orders": [_ORDER], "total": 1, "limit": 50, "offset": 0, "has_more": False},
    "get_order": _ORDER,
    "amend_order": _ORDER,
    "cancel_order": {**_ORDER, "status": "cancelled"},
    "list_fills": {"fills": [_FILL], "limit": 50, "offset": 0},
    "get_graph": {
        "graph_id": _GRAPH,
        "status": "active",
        "node_count": 1,
        "edge_count": 0,
        "nodes": [
            {
                "node_id": "leg",
                "state": "working",
                "qty_1e8": 100_000_000,
                "filled_qty_1e8": 0,
                "reason": None,
            }
        ],
    },
    "cancel_graph": _STATE,
    "resume_graph": {**_STATE, "status": "active"},
    "list_unified_positions": {
        "positions": [_POSITION],
        "totals": _TOTALS,
        "as_of_ns": _TIME_NS,
    },
    "list_positions": [_POSITION],
    "get_portfolio": _TOTALS,
    "list_balances": {
        "balances": [{"venue": None, "asset": "USD", "total_1e8": 9_999_980_966_800}]
    },
    "engage_kill_switch": {"engaged": True, "reason": "the model is wrong"},
    "clear_kill_switch": {"engaged": False},
    "cancel_venue": {"venue": "kalshi", "cancelled": 1},
    "redeem_market": {
        "mode": "noop",
        "venue": "kalshi",
        "slug": "KXWORLDCUPWINNER1-SPAIN",
        "condition_id": None,
        "token_ids": None,
        "note": "the market has not resolved; what you hold can be sold",
    },
    "reset_sandbox": {"cash_usd": 100_000, "cancelled": 2},
    "get_sandbox_settings": {"start_cash_usd": 100_000, "is_halted": False},
    "change_sandbox_settings": {"start_cash_usd": 25_000, "is_halted": False},
}
"""By operation: what a success answers."""
