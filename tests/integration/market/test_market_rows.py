"""The rows of the market on both databases: a next process goes on where the last one stopped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from support.market_thread import KALSHI, POLYMARKET, market_thread

from app.database import Database
from market.calls import MarketCalls
from market.store import reader

ANN = "ann:test"


@pytest.fixture
def calls(redis_url: str) -> Iterator[MarketCalls]:
    made = MarketCalls(redis_url)
    yield made
    made.close()


def node(name: str, **more: Any) -> dict[str, Any]:
    return {
        "node_id": name,
        "instrument": {"symbol": KALSHI.market, "venue": "kalshi"},
        "side": "buy",
        "order_type": {"limit": {"price_1e9": 170_000_000}},
        "quantity": {"fixed": {"qty_1e8": 10 * 10**8}},
        "activation": "root",
        **more,
    }


def ask(calls: MarketCalls, operation: str, **arguments: Any) -> Any:
    answer = calls.ask(operation, ANN, arguments)
    assert "ok" in answer, answer
    return answer["ok"]


def test_a_graph_goes_on_in_the_next_process(
    database_url: str, redis_url: str, calls: MarketCalls
) -> None:
    later = node("later", activation="wait", side="sell", order_type="market")
    later["instrument"] = {"symbol": POLYMARKET.market, "venue": "polymarket"}
    paced = node("paced", execution={"policy": "twap", "horizon_ms": 3_600_000})
    edges = [{"from_node": "first", "to_node": "later", "trigger": "on_full_fill"}]
    body = {"graph_id": "g", "nodes": [node("first"), later, paced], "edges": edges}
    with market_thread(database_url, redis_url) as floor:
        ask(calls, "submit", body=body)
        ask(calls, "halt")
        entry = floor.desk.graph(ANN, "g")
        assert entry is not None
        before = (entry.run.state(), entry.waiting, entry.body, entry.digest)
        assert entry.waiting
    with market_thread(database_url, redis_url) as floor:
        assert ask(calls, "settings")["is_halted"]
        entry = floor.desk.graph(ANN, "g")
        assert entry is not None
        assert (entry.run.state(), entry.waiting, entry.body, entry.digest) == before
        assert [one.name for one in entry.sent] == ["graph:g:first:1", "graph:g:paced:2"]
        assert all(one.order.is_live for one in entry.sent)
        assert ask(calls, "submit", body=body)["graph_id"] == "g"
        ask(calls, "clear")
        assert ask(calls, "resume", graph_id="g")["status"] == "active"
        ask(calls, "cancel_order", name="graph:g:paced:2")
        assert [run.state.value for run in entry.run.nodes.values()] == [
            "working",
            "waiting",
            "cancelled",
        ]


def test_a_graph_that_goes_on_with_nothing_held_is_kept_so(
    database_url: str, redis_url: str, calls: MarketCalls
) -> None:
    later = node("later", activation="wait")
    edges = [{"from_node": "first", "to_node": "later", "trigger": "on_cancel"}]
    with market_thread(database_url, redis_url):
        ask(
            calls, "submit", body={"graph_id": "g", "nodes": [node("first"), later], "edges": edges}
        )
        ask(calls, "halt")
        ask(calls, "clear")
        assert ask(calls, "resume", graph_id="g")["status"] == "active"
        with closing(Database(database_url)) as database, database.reading() as session:
            kept = reader.graph(session, ANN, "g")
            assert kept is not None
            assert not kept.state["is_paused"]
    with market_thread(database_url, redis_url) as floor:
        entry = floor.desk.graph(ANN, "g")
        assert entry is not None
        assert entry.run.status == "active"
        ask(calls, "cancel_order", name="graph:g:first:1")
        assert [run.state.value for run in entry.run.nodes.values()] == ["cancelled", "working"]


def test_large_sums_and_a_partial_fill_come_back_exactly(
    database_url: str, redis_url: str, calls: MarketCalls
) -> None:
    with market_thread(database_url, redis_url) as floor:
        ask(calls, "settings", start_cash_usd=1_000_000_000)
        ask(calls, "reset")
        first = node("leg", order_type={"limit": {"price_1e9": 190_000_000}})
        first["quantity"] = {"fixed": {"qty_1e8": 700 * 10**8}}
        ask(calls, "submit", body={"graph_id": "g", "nodes": [first]})
        account = floor.ledger.account(ANN)
        assert account.cash_1e17 > 1 << 64
        assert account.qty_1e8[KALSHI] == 500 * 10**8
    with market_thread(database_url, redis_url) as floor:
        entry = floor.desk.graph(ANN, "g")
        assert entry is not None
        (placed,) = entry.sent
        # In the new books there were 500 more for sale, which it takes first.
        assert placed.order.filled_1e8 == 700 * 10**8
        assert floor.ledger.account(ANN).qty_1e8[KALSHI] == 700 * 10**8
        assert entry.run.status == "completed"
        assert ask(calls, "balances")["balances"][0]["total_1e8"] > 10**16
