"""The market process: one at a time, asked through Redis, and everything kept over its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import select
from support.market_process import MarketProcess, forget_lease
from support.waiting import wait_until

from app.database import Database
from market.calls import MarketUnavailableError
from market.store import reader
from market.store.models import MarketFence

New = Callable[..., MarketProcess]
ANN = "ann:test"


def order(qty: float = 0.001, price: float | None = 1.0, side: str = "buy") -> dict[str, Any]:
    """The simple form; half a world below the market unless another price is given."""
    body = {"symbol": "BTC-USD", "side": side, "qty": qty, "venue": "kraken"}
    return body if price is None else {**body, "limit_price": price}


def submit(market: MarketProcess, owner: str = ANN, name: str | None = None, **body: Any) -> Any:
    return market.calls.ask("submit", owner, {"body": order(**body), "may_repeat": True}, name)


def rows(url: str, owner: str = ANN) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    with closing(Database(url)) as database, database.reading() as session:
        found, _ = reader.orders(session, owner, None, 500, 0)
        return found, reader.fills(session, owner, None, 500, 0)


def test_without_a_market_the_answer_comes_at_once_and_says_what_to_start(
    new_market: New,
) -> None:
    with pytest.raises(MarketUnavailableError, match=r"python -m market\.service"):
        new_market().ok("settings")


def test_an_order_is_in_the_rows_when_it_is_answered(
    market_process: MarketProcess, sqlite_url: str
) -> None:
    answer = submit(market_process, price=None)["ok"]
    orders, fills = rows(sqlite_url)
    assert [row["status"] for row in orders] == ["filled"]
    assert {row["graph_id"] for row in fills} == {answer["graph_id"]}
    assert sum(row["qty_1e8"] for row in fills) == 100_000


def test_events_go_to_the_owner_alone_and_are_the_rows(
    market_process: MarketProcess, sqlite_url: str, redis: Redis
) -> None:
    with redis.pubsub(ignore_subscribe_messages=True) as events:
        events.subscribe(f"market:events:{ANN}")
        events.get_message(timeout=1.0)
        submit(market_process, owner="bob:test", price=None)
        submit(market_process, price=None)
        told: list[dict[str, Any]] = []

        def has_fill() -> bool:
            message = events.get_message(timeout=0.1)
            if message:
                told.append(json.loads(message["data"]))
            return any(one["channel"] == "fills" for one in told)

        wait_until(has_fill, "the fill is told")
    orders, fills = rows(sqlite_url)
    assert {"channel": "orders", "data": orders[0]} in told
    assert {"channel": "fills", "data": fills[-1]} in told
    assert all(one["data"] in orders + fills for one in told)


def test_the_second_waits_and_takes_over(new_market: New) -> None:
    first, second = new_market().start(), new_market().start(is_open=False)
    wait_until(lambda: second.said("market_waits"), "the second says that it waits")
    first.ok("settings", start_cash_usd=7)
    assert first.terminate() == 0
    assert first.said("market_closed")
    wait_until(lambda: second.said("market_open"), "the second takes over")
    assert second.ok("settings")["start_cash_usd"] == 7
    assert second.terminate() == 0


def test_one_that_waits_ends_when_it_is_told(new_market: New) -> None:
    new_market().start()
    second = new_market().start(is_open=False)
    wait_until(lambda: second.said("market_waits"), "the second says that it waits")
    assert second.terminate() == 0


def test_one_whose_place_was_taken_writes_nothing_and_ends(
    new_market: New, sqlite_url: str
) -> None:
    first = new_market().start()
    with closing(Database(sqlite_url)) as database, database.transaction() as session:
        fence = session.scalars(select(MarketFence)).one()
        fence.token += 1
    with pytest.raises(MarketUnavailableError):
        submit(first)
    assert first.wait() == 1
    assert first.said("market_taken_over")
    assert rows(sqlite_url) == ([], [])


def test_what_rests_comes_back_resting_after_a_kill(new_market: New, sqlite_url: str) -> None:
    first = new_market().start()
    submit(first, price=1.0)
    submit(first, price=None)
    first.ok("halt", "bob:test")
    before, fills = rows(sqlite_url)
    balances = first.ok("balances")
    first.kill()
    forget_lease(first.redis_url)
    second = new_market().start()
    assert second.ok("balances") == balances
    assert second.ok("settings", "bob:test")["is_halted"]
    assert rows(sqlite_url) == (before, fills)
    resting = next(row for row in before if row["status"] == "open")
    cancelled = second.ok("cancel_order", name=resting["node_order_id"])
    assert cancelled == {**resting, "status": "cancelled"}
    orders, _ = rows(sqlite_url)
    assert {row["status"] for row in orders} == {"cancelled", "filled"}


def test_a_named_submission_is_done_once_also_over_a_restart(
    new_market: New, sqlite_url: str
) -> None:
    first = new_market().start()
    answer = submit(first, name="key:1")
    assert submit(first, name="key:1") == answer
    assert submit(first, name="key:1", qty=0.002)["error"]["kind"] == "invalid"
    assert submit(first, owner="bob:test", name="key:1")["ok"] != answer["ok"]
    first.ok("cancel_graph", graph_id=answer["ok"]["graph_id"])
    assert submit(first, name="key:1") == answer
    first.kill()
    forget_lease(first.redis_url)
    assert submit(new_market().start(), name="key:1") == answer
    assert len(rows(sqlite_url)[0]) == 1


def test_a_real_service_upstream_needs_no_market(new_market: New) -> None:
    idle = new_market(SEQUENCE_UPSTREAM_URL="https://api.example.com").start(is_open=False)
    wait_until(lambda: idle.said("market_not_needed"), "it says that it is not needed")
    with pytest.raises(MarketUnavailableError):
        idle.ok("settings")
    assert idle.terminate() == 0


def test_a_source_that_cannot_be_had_is_told(new_market: New) -> None:
    market = new_market(MARKET_SOURCE="replay").start(is_open=False)
    assert market.wait() == 1
    assert "MARKET_REPLAY_FILE" in market.log_path.read_text()
