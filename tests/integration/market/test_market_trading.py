"""Trading over HTTP: what strategies send and are answered; the market is its real loop."""

from __future__ import annotations

from typing import Any

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from support.api import Caller, Web, error
from support.market_thread import KALSHI as KALSHI_BOOK
from support.market_thread import KRAKEN, POLYMARKET
from support.waiting import wait_until

from market.calls import MarketCalls
from market.service.floor import Floor
from market.web.trading import Trading

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("trading_floor"),
]
KALSHI = KALSHI_BOOK.market


@pytest.fixture
def trader(web_process: Web) -> Caller:
    """A client's test key: everything is on paper."""
    return web_process.caller(is_sandbox=True)


def simple(**fields: Any) -> dict[str, Any]:
    return {"symbol": "BTC-USD", "side": "buy", "qty": 0.001, "venue": "kraken", **fields}


def node(name: str = "leg", price_1e9: int = 10_000_000, **more: Any) -> dict[str, Any]:
    return {
        "node_id": name,
        "instrument": {"symbol": KALSHI, "type": "prediction", "venue": "kalshi"},
        "side": "buy",
        "order_type": {"limit": {"price_1e9": price_1e9}},
        "quantity": {"fixed": {"qty_1e8": 100_000_000}},
        "execution": {},
        "activation": "root",
        **more,
    }


def place(caller: Caller, body: dict[str, Any] | None = None, **options: Any) -> str:
    answer = caller.post("/orders", json=body or simple(limit_price=1.0), **options)
    assert answer.status_code == 200, answer.text
    return str(answer.json["graph_id"])


def resting(caller: Caller) -> str:
    """The name of a new order that rests."""
    return f"graph:{place(caller)}:order:1"


def count(caller: Caller) -> int:
    return int(caller.get("/orders").json["total"])


def test_a_graph_rests_is_seen_and_is_cancelled(trader: Caller) -> None:
    nodes = [node(), node("hedge", activation="wait")]
    edges = [{"from_node": "leg", "to_node": "hedge", "trigger": "on_full_fill"}]
    answer = trader.post("/orders", json={"nodes": nodes, "edges": edges, "is_sandbox": False})
    graph_id = answer.json["graph_id"]
    counts = {"status": "active", "node_count": 2, "edge_count": 1}
    assert answer.json == {"graph_id": graph_id, **counts}
    status = trader.get(f"/execution_graphs/{graph_id}").json
    assert {key: status[key] for key in counts} == counts
    assert [(one["node_id"], one["state"]) for one in status["nodes"]] == [
        ("leg", "working"),
        ("hedge", "waiting"),
    ]
    cancelled = trader.call("DELETE", f"/execution_graphs/{graph_id}")
    assert cancelled.json == {"graph_id": graph_id, "status": "cancelled"}
    assert trader.get(f"/execution_graphs/{graph_id}").json["status"] == "cancelled"
    again = trader.call("DELETE", f"/execution_graphs/{graph_id}")
    assert (again.status_code, again.json["status"]) == (200, "cancelled")


def test_fills_are_there_before_the_status_says_so(trader: Caller) -> None:
    graph_id = place(trader, simple())
    fills = trader.get("/fills", query_string={"symbol": "BTC-USD"}).json["fills"]
    assert all(row["node_order_id"].startswith(f"graph:{graph_id}:") for row in fills)
    assert sum(row["qty_1e8"] for row in fills) == 100_000
    assert trader.get("/fills", query_string={"symbol": "ETH-USD"}).json["fills"] == []
    path = f"/execution_graphs/{graph_id}"
    assert trader.get(path).json["nodes"][0]["state"] == "filled"
    wait_until(lambda: trader.get(path).json["status"] == "completed", "the status follows")


def test_orders_are_listed_by_page_symbol_and_name(trader: Caller) -> None:
    names = [resting(trader) for _ in range(3)]
    place(trader, {"nodes": [node()], "edges": []})
    page = trader.get("/orders", query_string={"limit": 2, "symbol": "BTC-USD"}).json
    assert [row["node_order_id"] for row in page["orders"]] == names[:0:-1]
    assert (page["total"], page["limit"], page["offset"], page["has_more"]) == (3, 2, 0, True)
    page = trader.get("/orders", query_string={"limit": 2, "offset": 2, "symbol": "BTC-USD"}).json
    assert [row["node_order_id"] for row in page["orders"]] == names[:1]
    assert not page["has_more"]
    found = trader.get("/orders", query_string={"node_order_id": names[0]}).json["orders"]
    assert found == [trader.get(f"/orders/{names[0]}").json]
    assert trader.get("/orders", query_string={"node_order_id": "x"}).json["orders"] == []


def test_an_order_is_amended_and_cancelled_once(trader: Caller) -> None:
    name = resting(trader)
    change = {"new_qty_1e8": 50_000, "new_constraints": {"max_price_1e9": 2 * 10**9}}
    row = trader.call("PATCH", f"/orders/{name}", json=change).json
    assert (row["qty_1e8"], row["price_1e9"], row["status"]) == (50_000, 2 * 10**9, "open")
    assert trader.get(f"/orders/{name}").json == row
    for _ in range(2):
        assert trader.call("DELETE", f"/orders/{name}").json["status"] == "cancelled"
    late = trader.call("PATCH", f"/orders/{name}", json={"new_qty_1e8": 1})
    assert "cancelled" in error(late, 409, "CONFLICT")["message"]
    empty = trader.call("PATCH", f"/orders/{name}", json={})
    error(empty, 422, "VALIDATION_ERROR")


def test_what_the_clients_cancel_makes_of_an_order_name_is_explained(trader: Caller) -> None:
    found = error(trader.call("DELETE", "/execution_graphs/graph"), 404, "NOT_FOUND")
    assert "DELETE /v1/orders/{node_order_id}" in found["message"]


def test_live_and_test_keys_of_one_client_see_nothing_of_each_other(web_process: Web) -> None:
    live, test = web_process.caller(), web_process.caller(is_sandbox=True)
    name = f"graph:{place(live, simple(limit_price=1.0, is_sandbox=True))}:order:1"
    assert live.get(f"/orders/{name}").status_code == 200
    error(test.get(f"/orders/{name}"), 404, "NOT_FOUND")
    error(test.get("/orders/a%00b"), 404, "NOT_FOUND")
    error(test.get("/execution_graphs/a%00b"), 404, "NOT_FOUND")
    error(test.call("DELETE", "/orders/a%00b"), 404, "NOT_FOUND")
    error(test.call("DELETE", "/execution_graphs/a%00b"), 404, "NOT_FOUND")
    error(test.call("DELETE", f"/orders/{name}"), 404, "NOT_FOUND")
    assert count(test) == 0
    # Another key of the same client and mode is the same account.
    assert count(web_process.caller()) == 1


@pytest.mark.parametrize("is_sandbox", [False, None])
def test_a_live_order_is_refused_and_never_a_paper_fill(
    web_process: Web, is_sandbox: object
) -> None:
    live = web_process.caller()
    refused = error(
        live.post("/orders", json=simple(is_sandbox=is_sandbox)), 409, "VENUE_NOT_CONNECTED"
    )
    assert "kraken is not connected" in refused["message"]
    assert "sandbox=True" in refused["message"]
    key = {"api_key": "kraken-key-id-0001", "api_secret": "c2VjcmV0LW9mLWtyYWtlbg=="}
    assert live.call("PUT", "/credentials/kraken", json=key).status_code == 200
    error(live.post("/orders", json=simple(is_sandbox=is_sandbox)), 501, "NOT_IMPLEMENTED")
    assert count(live) == 0
    assert live.get("/fills").json["fills"] == []


@pytest.mark.parametrize("is_sandbox", ["true", 1])
def test_what_only_looks_like_true_is_no_paper_order(web_process: Web, is_sandbox: object) -> None:
    live = web_process.caller()
    error(live.post("/orders", json=simple(is_sandbox=is_sandbox)), 422, "VALIDATION_ERROR")
    assert count(live) == 0


def test_the_same_name_with_the_same_body_is_the_same_graph(trader: Caller) -> None:
    body = {"graph_id": "mine", "nodes": [node()], "edges": []}
    assert place(trader, body) == place(trader, body) == "mine"
    trader.call("DELETE", "/execution_graphs/mine")
    assert place(trader, body) == "mine"
    other = {**body, "nodes": [node(price_1e9=20_000_000)]}
    error(trader.post("/orders", json=other), 409, "CONFLICT")
    first = place(trader, headers={"Idempotency-Key": "k"})
    assert place(trader, headers={"Idempotency-Key": "k"}) == first
    changed = trader.post("/orders", json=simple(), headers={"Idempotency-Key": "k"})
    assert "Idempotency-Key" in error(changed, 422, "VALIDATION_ERROR")["message"]
    # Nobody lost an answer: equal bodies are orders of their own.
    assert place(trader) != place(trader)


def test_a_repetition_after_a_lost_answer_is_not_done_twice(
    web_process: Web, trader: Caller, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    trading = web_process.flask.extensions["market"].trading
    exchange = MarketCalls._exchange

    def deaf(calls: MarketCalls, call: str, text: str) -> None:
        assert exchange(calls, call, text) is not None

    with monkeypatch.context() as patch:
        patch.setattr(MarketCalls, "_exchange", deaf)
        lost = trader.post("/orders", json=simple(limit_price=1.0))
    assert "not done twice" in error(lost, 503, "MARKET_UNAVAILABLE")["message"]
    assert isinstance(trading, Trading)
    graph_id = place(trader)
    assert count(trader) == 1
    assert trader.get(f"/execution_graphs/{graph_id}").status_code == 200
    assert place(trader) != graph_id
    assert not redis.keys("market:unanswered:*")


def test_a_body_that_is_no_graph_is_refused_with_its_field(trader: Caller) -> None:
    refused = trader.post("/orders", json={"nodes": [node(side="up")], "edges": []})
    (detail,) = error(refused, 422, "VALIDATION_ERROR")["details"]
    assert detail["field"] == "nodes.0.side"
    unknown = simple(symbol="NOPE-USD")
    assert (
        "symbols" in error(trader.post("/orders", json=unknown), 422, "VALIDATION_ERROR")["message"]
    )


@pytest.mark.parametrize(
    "text",
    [
        '{"symbol": "BTC-USD", "side": "buy", "qty": 1, "note": "\\u0000"}',
        '{"symbol": "BTC-USD", "side": "buy", "qty": 1, "note": "\\ud800"}',
        '{"symbol": "BTC-USD", "side": "buy", "qty": 1, "note": NaN}',
        '{"symbol": "BTC-USD", "side": "buy", "qty": 1, "note": ' + "[" * 50 + "]" * 50 + "}",
    ],
)
def test_what_a_database_cannot_keep_does_not_reach_the_market(trader: Caller, text: str) -> None:
    sent = trader.post("/orders", data=text, content_type="application/json")
    error(sent, 400, "BAD_REQUEST")
    large = trader.post("/orders", json=simple(note="x" * 300_000))
    error(large, 413, "PAYLOAD_TOO_LARGE")
    place(trader)


def test_the_kill_switch_halts_and_resting_orders_stay(trader: Caller) -> None:
    name = resting(trader)
    graph_id = name.split(":")[1]
    assert trader.post("/kill_switch", json={"reason": "test"}).json["engaged"]
    assert trader.get(f"/orders/{name}").json["status"] == "open"
    assert trader.get(f"/execution_graphs/{graph_id}").json["status"] == "paused"
    error(trader.post("/orders", json=simple()), 409, "TRADING_HALTED")
    error(trader.post(f"/execution_graphs/{graph_id}/resume"), 409, "TRADING_HALTED")
    assert trader.get("/sandbox/settings").json["is_halted"]
    assert trader.post("/kill_switch/clear").json == {"engaged": False}
    resumed = trader.post(f"/execution_graphs/{graph_id}/resume")
    assert resumed.json["status"] == "active"
    assert trader.get(f"/execution_graphs/{graph_id}").json["status"] == "active"
    answer = trader.post("/venue_cancel_all/kraken")
    assert answer.json == {"venue": "kraken", "cancelled": 1}
    error(trader.post("/venue_cancel_all/nowhere"), 404, "NOT_FOUND")


def test_positions_balances_and_a_reset(trader: Caller) -> None:
    begun = trader.get("/positions/unified").json
    assert begun["totals"]["nav_usd_1e9"] == 100_000 * 10**9
    place(trader, simple())
    place(trader, {"nodes": [node(price_1e9=990_000_000)], "edges": []})
    rows = {row["kind"]: row for row in trader.get("/positions/unified").json["positions"]}
    assert (rows["crypto"]["symbol"], rows["crypto"]["qty_1e8"]) == ("BTC-USD", 100_000)
    assert (rows["event_contract"]["outcome"], rows["event_contract"]["venue"]) == ("yes", "kalshi")
    only = trader.get("/positions/unified", query_string={"kinds": "crypto,fiat"}).json
    assert [row["kind"] for row in only["positions"]] == ["fiat", "crypto"]
    assert [row["kind"] for row in trader.get("/positions").json] == ["crypto", "event_contract"]
    assert trader.get("/balances").json["balances"][1]["total_1e8"] == 100_000
    assert trader.get("/portfolio/summary").json["fees_usd_1e9"] > 0
    resting(trader)
    settings = trader.call("PUT", "/sandbox/settings", json={"start_cash_usd": 500})
    assert settings.json["start_cash_usd"] == 500
    assert trader.post("/sandbox/reset").json == {"cash_usd": 500, "cancelled": 1}
    after = trader.get("/positions/unified").json
    assert after["totals"]["nav_usd_1e9"] == 500 * 10**9
    assert [row["kind"] for row in after["positions"]] == ["fiat"]


def test_a_preview_is_what_the_order_then_costs(trader: Caller, trading_floor: Floor) -> None:
    told = trader.post("/orders/preview", json=simple(qty=0.5)).json
    ask = trading_floor.books[KRAKEN].best_prices_1e9()[1]
    assert ask is not None
    assert told["est_price"] >= ask / 1e9
    assert [one["venue"] for one in told["venues"]] == ["kraken"]
    assert count(trader) == 0
    before = trader.get("/balances").json["balances"][0]["total_1e8"]
    place(trader, simple(qty=0.5))
    paid = before - trader.get("/balances").json["balances"][0]["total_1e8"]
    assert abs(paid / 1e8 - told["est_total_usd"]) < 0.001


def test_a_market_that_has_not_resolved_pays_nothing(trader: Caller) -> None:
    answer = trader.post(f"/markets/{KALSHI}/redeem", query_string={"venue": "kalshi"})
    assert answer.json["mode"] == "noop"
    gone = trader.post("/markets/nope/redeem", query_string={"venue": "polymarket"})
    error(gone, 404, "NOT_FOUND")


def test_a_dollar_is_the_least_on_polymarket_and_below_the_bid_nothing_fills(
    trader: Caller, trading_floor: Floor
) -> None:
    key = POLYMARKET
    bid, ask = trading_floor.books[key].best_prices_1e9()
    assert bid is not None and ask is not None
    for price, qty, filled in ((ask + 10**6, 1.0, 0), (bid // 2, 50.0, 0), (ask + 10**6, 50.0, 50)):
        limit = price // 10**6 * 10**6 / 1e9
        body = {"symbol": key.market, "side": "buy", "qty": qty, "limit_price": limit}
        name = f"graph:{place(trader, body)}:order:1"
        row = trader.get(f"/orders/{name}").json
        assert row["filled_qty_1e8"] == filled * 10**8, row
        assert row["status"] == ("filled" if filled else "open")


def test_also_when_redis_was_away_a_repetition_is_not_done_twice(
    trader: Caller, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange = MarketCalls._exchange

    def cut(calls: MarketCalls, call: str, text: str) -> None:
        assert exchange(calls, call, text) is not None
        # The answer is lost with its connection, and for a moment Redis takes no writes.
        redis.config_set("maxmemory", 1)
        raise RedisConnectionError

    with monkeypatch.context() as patch:
        patch.setattr(MarketCalls, "_exchange", cut)
        lost = trader.post("/orders", json=simple(limit_price=1.0))
    redis.config_set("maxmemory", 0)
    error(lost, 503, "MARKET_UNAVAILABLE")
    place(trader)
    assert count(trader) == 1
    place(trader)
    assert count(trader) == 2
