"""Killed at random under load: nothing acknowledged is lost, nothing is filled twice."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import select
from support.market_process import MarketProcess, forget_lease
from support.redis_server import RedisServer
from support.waiting import wait_until

from app.database import Database
from market.calls import MarketUnavailableError
from market.fixed_point import MONEY_SCALE, QTY_SCALE
from market.store.models import MarketAccount, MarketFill, MarketGraph, MarketOrder, MarketPosition

New = Callable[..., MarketProcess]
OWNERS = ("ann:test", "bob:test", "cat:live")
CASH_USD = 100_000
KILLS = 3


class Crowded:
    """Callers who send orders as fast as they are answered, and remember what they were told."""

    def __init__(self, market: MarketProcess) -> None:
        self._market = market
        self._ends = threading.Event()
        self.answered: list[tuple[str, str]] = []
        self.cancelled: list[tuple[str, str]] = []
        self._threads = [threading.Thread(target=self._trade, args=(one,)) for one in OWNERS]

    def start(self) -> None:
        for one in self._threads:
            one.start()

    def stop(self) -> None:
        self._ends.set()
        for one in self._threads:
            one.join()

    def _trade(self, owner: str) -> None:
        chance = random.Random(owner)
        number = 0
        while not self._ends.is_set():
            number += 1
            body = _order(chance)
            while not self._ends.is_set() and not self._sent(owner, f"key:{number}", body):
                # As the published client does: the same again until it is answered.
                self._ends.wait(0.02)

    def _sent(self, owner: str, name: str, body: dict[str, Any]) -> bool:
        try:
            sent = {"body": body, "may_repeat": True}
            graph_id = self._market.calls.ask("submit", owner, sent, name)["ok"]["graph_id"]
            self.answered.append((owner, graph_id))
            if name.endswith("7"):
                self._market.ok("cancel_graph", owner, graph_id=graph_id)
                self.cancelled.append((owner, graph_id))
        except MarketUnavailableError:
            return False
        return True


def _order(chance: random.Random) -> dict[str, Any]:
    side, crosses = chance.choice(("buy", "buy", "sell")), chance.random() < 0.6
    price = {("buy", True): 90_000.0, ("buy", False): 20_000.0}.get((side, crosses))
    price = price or (40_000.0 if crosses else 200_000.0)
    qty = chance.randrange(1, 50) / 10_000
    return {"symbol": "BTC-USD", "side": side, "qty": qty, "limit_price": price, "venue": "kraken"}


def check(url: str, crowded: Crowded) -> None:
    """What the rows say is what was answered, and every cent and coin is where the fills say."""
    with closing(Database(url)) as database, database.reading() as session:
        graphs = {(one.owner, one.graph_id): one for one in session.scalars(select(MarketGraph))}
        assert set(crowded.answered) <= set(graphs)
        names = [(one.owner, one.request) for one in graphs.values()]
        assert len(names) == len(set(names))
        # At most the last submission of each owner was not answered.
        assert len(graphs) - len(set(crowded.answered)) <= len(OWNERS)
        assert all(graphs[one].is_done for one in crowded.cancelled)
        orders = {(one.owner, one.name): one.row for one in session.scalars(select(MarketOrder))}
        cash = dict.fromkeys(OWNERS, CASH_USD * MONEY_SCALE)
        held, filled = dict.fromkeys(OWNERS, 0), dict.fromkeys(orders, 0)
        for fill in session.scalars(select(MarketFill)):
            row, sign = fill.row, 1 if fill.row["side"] == "buy" else -1
            filled[fill.owner, row["node_order_id"]] += row["qty_1e8"]
            held[fill.owner] += sign * row["qty_1e8"]
            cash[fill.owner] -= sign * row["price_1e9"] * row["qty_1e8"]
        assert filled == {name: row["filled_qty_1e8"] for name, row in orders.items()}
        for account in session.scalars(select(MarketAccount)):
            if account.owner in cash:
                fees = int(account.fees_1e17)
                assert int(account.cash_1e17) == cash[account.owner] - fees
        positions = {one.owner: int(one.qty_1e8) for one in session.scalars(select(MarketPosition))}
        assert positions == {owner: qty for owner, qty in held.items() if owner in positions}
        assert sum(held.values()) > -QTY_SCALE


@pytest.mark.parametrize("seed", [1])
def test_it_is_killed_at_random_under_load(new_market: New, sqlite_url: str, seed: int) -> None:
    chance = random.Random(seed)
    market = new_market().start()
    crowded = Crowded(market)
    crowded.start()
    try:
        for _ in range(KILLS):
            goal = len(crowded.answered) + chance.randrange(20, 120)
            wait_until(lambda goal=goal: len(crowded.answered) >= goal, "orders are answered")
            market.kill()
            forget_lease(market.redis_url)
            market.start()
        goal = len(crowded.answered) + 20
        wait_until(lambda: len(crowded.answered) >= goal, "orders are answered after the last kill")
    finally:
        crowded.stop()
    assert market.terminate() == 0
    check(sqlite_url, crowded)


def test_redis_forgets_everything_under_load(
    new_market: New, own_redis: Callable[..., RedisServer], sqlite_url: str
) -> None:
    redis = own_redis()
    market = new_market(REDIS_URL=redis.url).start()
    crowded = Crowded(market)
    crowded.start()
    try:
        for _ in range(2):
            goal = len(crowded.answered) + 40
            wait_until(lambda goal=goal: len(crowded.answered) >= goal, "orders are answered")
            redis.restart()
        goal = len(crowded.answered) + 20
        wait_until(lambda: len(crowded.answered) >= goal, "orders are answered after the restart")
    finally:
        crowded.stop()
    assert market.terminate() == 0
    check(sqlite_url, crowded)
