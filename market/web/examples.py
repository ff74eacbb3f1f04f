"""Examples of the market's routes for the specification, by operation."""

from typing import Any

_TIME = 1777414125
_YES = "21742633143463906290569050155826241533067272736897614950488156847949938836455"
_NO = "48331043336612883890938759509493159234755048973500640148014422747788308965732"
_QUOTE: dict[str, Any] = {
    "symbol": "BTC-USD",
    "nbbo": {"bid": 64999.5, "ask": 65000.5, "mid": 65000.0, "spread_bps": 0.1538},
    "venues": {
        "kraken": {"bid": 64999.5, "ask": 65000.5, "bid_size": 0.4, "ask_size": 1.2, "age_ms": 12}
    },
    "book": {"bids": [[64999.5, 0.4]], "asks": [[65000.5, 1.2]]},
    "source": "edge_nbbo",
}
_ROW: dict[str, Any] = {
    "venue": "polymarket",
    "slug": "world-cup-winner-1-spain",
    "symbol": _YES,
    "question": "World Cup Winner 1: Spain?",
    "outcomes": ["Yes", "No"],
    "outcome_token_ids": [_YES, _NO],
    "yes_token_id": _YES,
    "no_token_id": _NO,
    "event_id": "0f6f9c1e2d3a4b5c6d7e8f9012345678",
    "parent_event_id": "0f6f9c1e2d3a4b5c6d7e8f9012345678",
    "parent_slug": "world-cup-winner-1",
    "tags": ["sports"],
    "neg_risk": True,
    "liquidity": 18250.75,
    "volume_24h": 4211.5,
    "volume_total": 61450.0,
    "best_yes_bid": 0.153,
    "best_yes_ask": 0.154,
    "best_no_bid": 0.846,
    "best_no_ask": 0.847,
    "spread_pct": 0.6515,
    "start_date": "2026-04-01T00:00:00Z",
    "end_date": "2026-07-19T00:00:00Z",
    "active": True,
    "closed": False,
    "url": "https://polymarket.com/event/world-cup-winner-1/world-cup-winner-1-spain",
    "outcome_name": "Spain",
    "raw_outcome_name": "Spain",
    "outcome_index": 0,
    "is_placeholder_outcome": False,
}
_SETTLEMENT: dict[str, Any] = {
    "slug": "world-cup-winner-1-spain",
    "question": "World Cup Winner 1: Spain?",
    "yes_token_id": _YES,
    "no_token_id": _NO,
    "condition_id": "0f6f9c1e2d3a4b5c6d7e8f9012345678",
    "neg_risk": True,
    "status": "open",
    "resolved_outcome": None,
    "outcome_source": "paper_market",
    "yes_price": 0.1535,
    "no_price": 0.8465,
    "event_start_s": _TIME,
    "event_end_s": _TIME + 86_400,
    "resolution_source": "paper_market",
    "underlying": None,
}

BODIES: dict[str, Any] = {
    "quotes_batch": {"symbols": ["BTC-USD", _YES], "depth": 20},
}
"""By operation."""

ANSWERS: dict[str, Any] = {
    "get_quote": _QUOTE,
    "get_quotes": {"quotes": [_QUOTE], "count": 1, "elapsed_ms": 1},
    "quotes_batch": {
        "quotes": [_QUOTE, {"symbol": "?", "error": "'?': no known form of symbol"}],
        "count": 2,
        "elapsed_ms": 1,
    },
    "get_price_history": {
        "symbol": "BTC-USD",
        "range": "1d",
        "fidelity_secs": 60,
        "count": 1,
        "points": [{"ts_ns": _TIME * 10**9, "price_1e9": 65_000_000_000_000}],
    },
    "list_markets": {
        "markets": [_ROW],
        "count": 1,
        "venue": "polymarket",
        "next_cursor": "YXQ6MjA=",
        "has_more": True,
    },
    "get_settlement": _SETTLEMENT,
    "list_symbols": [
        {
            "symbol": "BTC-USD",
            "type": "spot",
            "venues": ["binance", "coinbase", "kraken"],
            "tick": 0.01,
            "lot": 1e-8,
        }
    ],
    "get_fees": {
        "ticker": "BTC-USD",
        "fees": [{"venue": "kraken", "maker_bps": 25, "taker_bps": 40}],
    },
    "open_stream": {
        "channel": "prices:BTC-USD",
        "data": {
            "bid": 64999.5,
            "ask": 65000.5,
            "mid": 65000.0,
            "bid_sz": 0.4,
            "ask_sz": 1.2,
            "ts_ns": _TIME * 10**9,
        },
    },
    "get_ticket": {"ticket": "0Q9m3v1pXoV7h2yq6Z8w5t4r3e2w1q0a9s8d7f6g5h4", "expires_in_s": 30},
    "list_edges": {
        "edges": [{"venue": "kraken", "status": "connected", "type": "spot", "instruments": 6}]
    },
}
"""By operation: what a success answers."""
