"""The desk: what strategies of the documentation do, from the body to positions and cash."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market.catalogue import Catalogue, simulated_catalogue
from market.engine import BookKey, Ledger, Order, Rejection, Side, Status, VenueBooks
from market.errors import GraphConflictError, TradingHaltedError
from market.fixed_point import MONEY_SCALE
from market.sources import Print, SimulatedSource
from market.sources.protocol import CROWD
from market.trading import (
    Desk,
    answer,
    balances,
    fill_rows,
    graph_status,
    order_rows,
    unified_positions,
)
from market.trading.records import Fill
from market.trading.routing import slices

NOW_S = 1_777_414_125
CENT = 10_000_000
DOLLAR = 1_000_000_000
ONE = 100_000_000
SECOND_NS = 1_000_000_000
LISTED = simulated_catalogue(7, NOW_S)
KALSHI = next(one for one in LISTED.listings if one.venue == "kalshi")
POLY = next(one for one in LISTED.listings if one.venue == "polymarket")
COINBASE, KRAKEN = BookKey("coinbase", "BTC-USD"), BookKey("kraken", "BTC-USD")


class Scene:
    """A desk with an owner, `ann`, who has a thousand dollars, and books filled by hand."""

    def __init__(self) -> None:
        self.books, self.ledger = VenueBooks(), Ledger()
        self.ids = 0
        self.desk = Desk(LISTED, self.books, self.ledger, self.new_id)
        self.ledger.deposit("ann", 1_000 * MONEY_SCALE)
        self.count = 0

    def new_id(self) -> str:
        self.ids += 1
        return f"graph_{self.ids}"

    def crowd(
        self, key: BookKey, side: Side, price_1e9: int, qty_1e8: int, now_ns: int = 0
    ) -> None:
        """An order of the crowd, as a source would place it and report its trades."""
        self.count += 1
        book = self.books.open(key)
        receipt = book.submit(Order(f"{CROWD}{self.count}", CROWD, side, price_1e9, qty_1e8))
        assert receipt.rejection is None
        self.desk.advance([Print(now_ns, key, trade) for trade in receipt.trades], now_ns)

    def send(self, *nodes: dict[str, Any], now_ns: int = 0, **more: Any) -> str:
        body = {"nodes": list(nodes), "edges": [], **more}
        return self.desk.submit("ann", body, now_ns).run.graph_id

    def status(self, graph_id: str, now_ns: int = 10**18) -> str:
        entry = self.desk.graph("ann", graph_id)
        assert entry is not None
        return str(graph_status(entry, now_ns)["status"])

    def reasons(self, graph_id: str) -> list[str]:
        entry = self.desk.graph("ann", graph_id)
        assert entry is not None
        return [str(run.reason) for run in entry.run.nodes.values() if run.reason]

    def orders(self) -> list[dict[str, Any]]:
        return order_rows(self.desk.orders("ann"))

    def fills_told(self) -> list[Fill]:
        return self.desk.take_changes().fills

    def fills(self, **query: Any) -> list[dict[str, Any]]:
        return fill_rows(self.desk.fills, "ann", **query)


def node(
    name: str, symbol: str, side: str, qty: float, price: float | None = None, **execution: Any
) -> dict[str, Any]:
    limit = None if price is None else {"limit": {"price_1e9": int(price * 1e9)}}
    return {
        "node_id": name,
        "instrument": {"symbol": symbol, "type": "spot", "venue": execution.pop("venue", None)},
        "side": side,
        "order_type": limit or "market",
        "quantity": {"fixed": {"qty_1e8": int(qty * 1e8)}},
        "execution": execution,
        "activation": execution.pop("activation", "root"),
    }


@pytest.fixture
def scene() -> Scene:
    made = Scene()
    for key, cents in ((KALSHI.key, 50), (POLY.key, 40)):
        made.crowd(key, Side.BUY, cents * CENT, 100 * ONE)
        made.crowd(key, Side.SELL, (cents + 2) * CENT, 100 * ONE)
    made.crowd(COINBASE, Side.SELL, 102 * DOLLAR, 2 * ONE)
    made.crowd(KRAKEN, Side.SELL, 101 * DOLLAR, ONE)
    made.crowd(KRAKEN, Side.BUY, 99 * DOLLAR, 5 * ONE)
    return made


def test_half_the_bid_rests_on_both_venues_and_cancels(scene: Scene) -> None:
    free = balances(scene.ledger, "ann")
    graphs = [
        scene.send(node("leg", KALSHI.yes_token_id, "buy", 1, 0.25, venue="kalshi")),
        scene.send(node("leg", POLY.yes_token_id, "buy", 5, 0.20, venue="polymarket")),
    ]
    assert [scene.status(one) for one in graphs] == ["active", "active"]
    for one in graphs:
        scene.desk.cancel_graph("ann", one, 5)
    assert [scene.status(one) for one in graphs] == ["cancelled", "cancelled"]
    assert [row["status"] for row in scene.orders()] == ["cancelled", "cancelled"]
    assert balances(scene.ledger, "ann") == free
    assert len(scene.books[KALSHI.key]) == 2


def test_the_answer_has_its_documented_fields(scene: Scene) -> None:
    body = {"nodes": [node("leg", KALSHI.slug, "buy", 1, 0.25)], "edges": []}
    entry = scene.desk.submit("ann", body, 0)
    assert answer(entry) == {
        "graph_id": "graph_1",
        "status": "active",
        "node_count": 1,
        "edge_count": 0,
    }


def test_a_quantity_that_misses_its_lot_by_float_noise_is_the_one_that_was_meant(
    scene: Scene,
) -> None:
    # int(0.29 * 1e8) is 28999999, and int(1.16 * 1e8) is 115999999.
    for qty in (0.29, 1.16):
        assert int(qty * 1e8) % 1_000_000
        scene.send(node("leg", POLY.yes_token_id, "buy", qty, 0.2))
    assert [row["qty_1e8"] for row in scene.orders()] == [29_000_000, 116_000_000]
    assert [row["status"] for row in scene.orders()] == ["open", "open"]
    graph_id = scene.send(node("leg", POLY.yes_token_id, "buy", 4.35, 0.43))
    assert scene.status(graph_id) == "completed"


def test_what_has_ended_is_told_once_and_forgotten(scene: Scene) -> None:
    done = scene.send(node("leg", POLY.yes_token_id, "buy", 5, 0.43))
    open_one = scene.send(node("leg", POLY.yes_token_id, "buy", 5, 0.41))
    changes = scene.desk.take_changes()
    assert [graph_id for _, graph_id in changes.graphs] == [done, open_one]
    assert [fill.placed.entry.run.graph_id for fill in changes.fills] == [done]
    assert changes.accounts == {"ann"}
    assert changes.positions == {("ann", POLY.key)}
    assert scene.desk.graph("ann", done) is None
    assert [row["graph_id"] for row in scene.orders()] == [open_one]
    assert not scene.desk.take_changes()
    scene.crowd(POLY.key, Side.SELL, 41 * CENT, 10 * ONE)
    assert [fill.placed.entry.run.graph_id for fill in scene.fills_told()] == [open_one]
    assert scene.desk.graph("ann", open_one) is None
    assert scene.orders() == []


def test_two_legs_cross_by_a_tick_and_fills_name_their_graph(scene: Scene) -> None:
    graph_id = scene.send(
        node("kalshi-leg", KALSHI.slug, "buy", 1, 0.53, urgency="high"),
        node("polymarket-leg", POLY.yes_token_id, "sell", 8, 0.399, urgency="high"),
        now_ns=7,
    )
    rows = scene.fills()
    assert [(row["node_order_id"], row["price_1e9"], row["qty_1e8"]) for row in rows] == [
        (f"graph:{graph_id}:polymarket-leg:2", 40 * CENT, 8 * ONE),
        (f"graph:{graph_id}:kalshi-leg:1", 52 * CENT, ONE),
    ]
    assert scene.fills(symbol=KALSHI.slug) == rows[1:]
    assert scene.fills(limit=1) == rows[:1]
    assert fill_rows(scene.desk.fills, "bob") == []


def test_the_status_lags_the_fills(scene: Scene) -> None:
    graph_id = scene.send(node("leg", KALSHI.slug, "buy", 1, 0.53), now_ns=SECOND_NS)
    assert len(scene.fills()) == 1
    assert scene.status(graph_id, 2 * SECOND_NS) == "active"
    assert scene.status(graph_id, 3 * SECOND_NS) == "completed"


def test_under_a_dollar_on_polymarket_is_active_for_ever(scene: Scene) -> None:
    graph_id = scene.send(node("leg", POLY.slug, "buy", 2, 0.43))
    scene.crowd(POLY.key, Side.SELL, 39 * CENT, 500 * ONE)
    assert (scene.status(graph_id), scene.fills()) == ("active", [])
    assert scene.orders()[0]["status"] == "open"


@pytest.mark.parametrize(
    ("price", "qty", "status"),
    [(0.90, 2, "completed"), (0.90, 1, "active"), (0.91, 1.1, "completed")],
)
def test_the_dollar_of_a_no_order_counts_in_prices_of_no(
    scene: Scene, price: float, qty: float, status: str
) -> None:
    far = next(one for one in LISTED.listings if one.venue == "polymarket" and one != POLY)
    scene.crowd(far.key, Side.BUY, 10 * CENT, 100 * ONE)
    assert scene.status(scene.send(node("leg", far.no_token_id, "buy", qty, price))) == status


def test_the_same_graph_id_is_one_graph(scene: Scene) -> None:
    first = scene.send(node("leg", KALSHI.slug, "buy", 1, 0.53), graph_id="mine")
    assert scene.send(node("leg", KALSHI.slug, "buy", 1, 0.53), graph_id="mine") == first
    assert len(scene.fills()) == 1
    with pytest.raises(GraphConflictError):
        scene.send(node("leg", KALSHI.slug, "buy", 2, 0.53), graph_id="mine")
    scene.ledger.deposit("bob", MONEY_SCALE)
    other = {"graph_id": "mine", "nodes": [node("leg", KALSHI.slug, "buy", 1, 0.3)]}
    assert scene.desk.submit("bob", other, 0).owner == "bob"


def test_a_market_order_takes_the_best_venue_first_and_goes_on(scene: Scene) -> None:
    graph_id = scene.send(node("order", "BTC-USD", "buy", 2.5))
    rows = [(row["venue"], row["price_1e9"], row["qty_1e8"]) for row in scene.fills()]
    assert rows == [("coinbase", 102 * DOLLAR, 3 * ONE // 2), ("kraken", 101 * DOLLAR, ONE)]
    assert scene.status(graph_id) == "completed"


def test_slippage_bounds_a_market_order(scene: Scene) -> None:
    scene.crowd(KRAKEN, Side.SELL, 150 * DOLLAR, 5 * ONE)
    scene.send(node("order", "BTC-USD", "buy", 2, venue="kraken", max_slippage_bps=100))
    assert sum(row["qty_1e8"] for row in scene.fills()) == ONE


def test_a_market_order_without_a_market_expires(scene: Scene) -> None:
    graph_id = scene.send(node("order", "ETH-USD", "buy", 1))
    assert (scene.status(graph_id), scene.orders()[-1]["status"]) == ("completed", "expired")


def test_nobody_spends_or_sells_what_they_do_not_have(scene: Scene) -> None:
    for one in (
        node("order", "BTC-USD", "buy", 20, 99, venue="kraken"),
        node("order", "BTC-USD", "sell", 1, 99, venue="kraken"),
        node("order", f"{KALSHI.slug}:NO", "buy", 3_000, 0.5),
    ):
        graph_id = scene.send(one)
        assert scene.status(graph_id) == "failed"
        assert scene.reasons(graph_id)
    assert scene.fills() == []


def test_what_rests_to_close_a_position_closes_it_once(scene: Scene) -> None:
    scene.send(node("leg", KALSHI.slug, "buy", 10, 0.52))
    closing = node("leg", KALSHI.slug, "sell", 10, 0.60)
    assert scene.status(scene.send(closing)) == "active"
    spent = node("order", "BTC-USD", "buy", 9.99, 99, venue="kraken")
    assert scene.status(scene.send(spent)) == "active"
    assert scene.status(scene.send(closing)) == "failed"


def test_a_coin_is_sold_once(scene: Scene) -> None:
    scene.send(node("order", "BTC-USD", "buy", 1, venue="kraken"))
    selling = node("order", "BTC-USD", "sell", 1, 500, venue="kraken")
    assert [scene.status(scene.send(selling)) for _ in range(2)] == ["active", "failed"]


def test_what_rests_is_bound(scene: Scene) -> None:
    first = scene.send(node("order", "BTC-USD", "buy", 9, 90, venue="kraken"))
    again = node("order", "BTC-USD", "buy", 9, 90, venue="kraken")
    assert scene.status(scene.send(again)) == "failed"
    scene.desk.cancel_graph("ann", first, 1)
    assert scene.status(scene.send(again)) == "active"


def test_a_venues_refusal_is_a_reason(scene: Scene) -> None:
    graph_id = scene.send(node("leg", KALSHI.slug, "buy", 1, 0.255))
    assert scene.status(graph_id) == "failed"
    assert "tick" in scene.reasons(graph_id)[0]


def test_no_is_bought_and_sold_in_its_own_prices(scene: Scene) -> None:
    no = f"{KALSHI.slug}:NO"
    scene.send(node("leg", no, "buy", 10, 0.50))
    assert scene.fills()[0]["price_1e9"] == 50 * CENT
    shown = unified_positions(scene.ledger, scene.books, "ann", 3)
    (cash, contract) = shown["positions"]
    assert (contract["outcome"], contract["qty_1e8"]) == ("no", 10 * ONE)
    assert (contract["avg_price_1e9"], contract["mark_price_1e9"]) == (50 * CENT, 49 * CENT)
    fees = shown["totals"]["fees_usd_1e9"]
    assert cash["value_usd_1e9"] == 995 * DOLLAR - fees
    assert shown["totals"]["nav_usd_1e9"] == 995 * DOLLAR - fees + 4_900_000_000
    scene.send(node("leg", no, "sell", 10, 0.48))
    assert scene.fills()[0]["price_1e9"] == 48 * CENT
    after = unified_positions(scene.ledger, scene.books, "ann", 3)
    assert len(after["positions"]) == 1


def test_coins_are_balances(scene: Scene) -> None:
    scene.send(node("order", "BTC-USD", "buy", 1, venue="kraken"))
    assert balances(scene.ledger, "ann")["balances"][1] == {
        "venue": "kraken", "asset": "BTC", "total_1e8": ONE,
    }  # fmt: skip
    graph_id = scene.send(node("order", "BTC-USD", "sell", 1, venue="kraken"))
    assert scene.status(graph_id) == "completed"


def test_a_hedge_waits_for_its_leg(scene: Scene) -> None:
    graph_id = scene.send(
        node("spot", KALSHI.slug, "buy", 10, 0.51),
        node("hedge", POLY.slug, "sell", 10, 0.40, activation="wait"),
        edges=[{"from_node": "spot", "to_node": "hedge", "trigger": "on_fill_ratio",
                "condition": {"fill_ratio_gte": 0.5}}],
    )  # fmt: skip
    scene.crowd(KALSHI.key, Side.SELL, 51 * CENT, 4 * ONE)
    assert [row["node_id"] for row in scene.fills()] == ["spot"]
    scene.crowd(KALSHI.key, Side.SELL, 51 * CENT, 1 * ONE)
    assert [row["node_id"] for row in scene.fills()] == ["hedge", "spot", "spot"]
    assert scene.status(graph_id) == "active"
    scene.crowd(KALSHI.key, Side.SELL, 51 * CENT, 5 * ONE)
    assert scene.status(graph_id) == "completed"


def states(scene: Scene, graph_id: str) -> dict[str, str]:
    """The state of every node of a graph of ann."""
    entry = scene.desk.graph("ann", graph_id)
    assert entry is not None
    return {name: run.state.value for name, run in entry.run.nodes.items()}


def edge(trigger: str, **condition: Any) -> dict[str, Any]:
    found = {"from_node": "leg", "to_node": "next", "trigger": trigger}
    return {**found, "condition": condition} if condition else found


@pytest.mark.parametrize(
    "fired", [edge("on_full_fill"), edge("on_fill_ratio", fill_ratio_gte=0.75), edge("on_done")]
)
@pytest.mark.parametrize("is_amended", [False, True])
def test_an_order_that_fills_in_several_trades_of_one_match_is_filled(
    scene: Scene, fired: dict[str, Any], is_amended: bool
) -> None:
    scene.crowd(KALSHI.key, Side.SELL, 51 * CENT, 4 * ONE)
    graph_id = scene.send(
        node("leg", KALSHI.slug, "buy", 8, 0.45 if is_amended else 0.53),
        node("next", POLY.slug, "buy", 8, 0.30, activation="wait"),
        edges=[fired],
    )
    if is_amended:
        scene.desk.amend("ann", f"graph:{graph_id}:leg:1", 53 * CENT, None, 1)
    assert [row["qty_1e8"] for row in scene.fills()] == [4 * ONE, 4 * ONE]
    assert states(scene, graph_id) == {"leg": "filled", "next": "working"}


def test_a_resting_order_that_fills_in_several_prints_of_one_turn_is_filled(scene: Scene) -> None:
    graph_id = scene.send(
        node("leg", KALSHI.slug, "buy", 8, 0.51),
        node("next", POLY.slug, "buy", 8, 0.30, activation="wait"),
        edges=[edge("on_full_fill")],
    )
    book, prints = scene.books[KALSHI.key], []
    for at in range(2):
        taker = Order(f"{CROWD}taker{at}", CROWD, Side.SELL, 51 * CENT, 4 * ONE)
        prints += [Print(at, KALSHI.key, trade) for trade in book.submit(taker).trades]
    scene.desk.advance(prints, 2)
    assert len(scene.fills()) == 2
    assert states(scene, graph_id) == {"leg": "filled", "next": "working"}


def test_an_order_that_trades_and_then_meets_its_owner_is_cancelled_after_its_last_trade(
    scene: Scene,
) -> None:
    for _ in range(2):
        scene.crowd(KALSHI.key, Side.SELL, 51 * CENT, 3 * ONE)
    scene.send(node("own", KALSHI.slug, "sell", 1, 0.51))
    graph_id = scene.send(
        node("leg", KALSHI.slug, "buy", 9, 0.51),
        node("next", POLY.slug, "buy", 8, 0.30, activation="wait"),
        edges=[edge("on_fill_ratio", fill_ratio_gte=0.5)],
    )
    assert len(scene.fills()) == 2
    assert states(scene, graph_id) == {"leg": "cancelled", "next": "working"}


def test_a_time_out_sends_the_fall_back(scene: Scene) -> None:
    scene.send(
        node("patient", KALSHI.slug, "buy", 1, 0.40),
        node("eager", KALSHI.slug, "buy", 1, 0.53, activation="wait"),
        edges=[{"from_node": "patient", "to_node": "eager", "trigger": "on_timeout",
                "condition": {"timeout_ms": 1_000}}],
    )  # fmt: skip
    scene.desk.advance([], SECOND_NS - 1)
    assert scene.fills() == []
    scene.desk.advance([], SECOND_NS)
    assert [row["node_id"] for row in scene.fills()] == ["eager"]


def test_twap_is_spread_evenly(scene: Scene) -> None:
    graph_id = scene.send(
        node("slow", KALSHI.slug, "buy", 10, 0.53, policy="twap", horizon_ms=4_000)
    )
    seen = []
    for second in range(5):
        scene.desk.advance([], second * SECOND_NS)
        seen.append(sum(row["qty_1e8"] for row in scene.fills()) // ONE)
    assert seen == [3, 6, 8, 10, 10]
    assert scene.status(graph_id) == "completed"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 10**12), st.sampled_from([1, ONE // 100, ONE]), st.integers(1, 100))
def test_slices_are_the_quantity(lots: int, lot: int, count: int) -> None:
    parts = slices(lots * lot, lot, count)
    assert sum(parts) == lots * lot
    assert len(parts) <= count
    assert all(part > 0 and part % lot == 0 for part in parts)
    assert max(parts) - min(parts) <= lot


def test_an_amended_order_fills_at_its_new_size(scene: Scene) -> None:
    graph_id = scene.send(node("leg", KALSHI.slug, "buy", 5, 0.40))
    name = f"graph:{graph_id}:leg:1"
    receipt = scene.desk.amend("ann", name, 53 * CENT, 3 * ONE, 1)
    assert receipt is not None
    assert receipt.order.status is Status.FILLED
    assert scene.status(graph_id) == "completed"
    assert scene.desk.amend("ann", name, None, ONE, 2) is None
    assert scene.desk.amend("bob", name, None, ONE, 2) is None


@pytest.mark.parametrize("fired", [edge("on_cancel"), edge("on_done")])
@pytest.mark.parametrize("policy", ["cancel_newest", "cancel_both", "decrement"])
def test_an_amendment_into_an_own_order_ends_the_node_as_a_cancel_does(
    scene: Scene, fired: dict[str, Any], policy: str
) -> None:
    scene.send(node("own", KALSHI.slug, "sell", 5, 0.51))
    graph_id = scene.send(
        node("leg", KALSHI.slug, "buy", 5, 0.40, self_trade=policy),
        node("next", POLY.slug, "buy", 8, 0.30, activation="wait"),
        edges=[fired],
    )
    receipt = scene.desk.amend("ann", f"graph:{graph_id}:leg:1", 51 * CENT, None, 1)
    assert receipt is not None
    assert receipt.order.status is Status.CANCELLED
    assert states(scene, graph_id) == {"leg": "cancelled", "next": "working"}
    scene.desk.cancel_order("ann", f"graph:{graph_id}:next:2", 2)
    assert scene.status(graph_id) == "cancelled"
    assert graph_id not in scene.desk.active_graphs("ann")


def test_of_a_slice_that_an_amendment_cancels_no_other_slice_follows(scene: Scene) -> None:
    scene.send(node("own", KALSHI.slug, "sell", 5, 0.51))
    graph_id = scene.send(
        node("slow", KALSHI.slug, "buy", 4, 0.40, policy="twap", horizon_ms=4_000)
    )
    scene.desk.amend("ann", f"graph:{graph_id}:slow:1", 51 * CENT, None, 1)
    assert scene.status(graph_id) == "cancelled"
    scene.desk.advance([], 9 * SECOND_NS)
    assert [row["status"] for row in scene.orders()] == ["open", "cancelled"]


def test_an_amendment_has_to_be_paid_as_well(scene: Scene) -> None:
    graph_id = scene.send(node("order", "BTC-USD", "buy", 9, 90, venue="kraken"))
    name = f"graph:{graph_id}:order:1"
    for price, qty in ((None, 20 * ONE), (180 * DOLLAR, None)):
        receipt = scene.desk.amend("ann", name, price, qty, 1)
        assert receipt is not None
        assert receipt.rejection is Rejection.CANNOT_PAY
    receipt = scene.desk.amend("ann", name, 98 * DOLLAR, 10 * ONE, 1)
    assert receipt is not None
    assert receipt.rejection is None


def test_an_order_is_cancelled_by_its_owner_alone(scene: Scene) -> None:
    graph_id = scene.send(node("leg", KALSHI.slug, "buy", 5, 0.40))
    name = f"graph:{graph_id}:leg:1"
    assert scene.desk.cancel_order("bob", name, 1) is None
    assert scene.desk.cancel_graph("bob", graph_id, 1) is None
    assert scene.desk.cancel_order("ann", name, 1) is not None
    assert scene.desk.cancel_order("ann", name, 1) is None
    assert scene.status(graph_id) == "cancelled"


def test_one_venue_is_cleared(scene: Scene) -> None:
    scene.send(node("a", KALSHI.slug, "buy", 5, 0.40), node("b", POLY.slug, "buy", 5, 0.30))
    assert scene.desk.cancel_venue("ann", "kalshi", 1) == 1
    assert [row["status"] for row in scene.orders()] == ["cancelled", "open"]


def test_the_kill_switch_holds_everything_back_but_cancels_nothing(scene: Scene) -> None:
    graph_id = scene.send(
        node("a", KALSHI.slug, "buy", 1, 0.51),
        node("b", KALSHI.slug, "buy", 1, 0.53, activation="wait"),
        edges=[{"from_node": "a", "to_node": "b", "trigger": "on_fill"}],
    )
    scene.desk.halt("ann")
    with pytest.raises(TradingHaltedError):
        scene.send(node("leg", KALSHI.slug, "buy", 1, 0.53))
    scene.crowd(KALSHI.key, Side.SELL, 51 * CENT, ONE)
    assert [row["node_id"] for row in scene.fills()] == ["a"]
    assert scene.status(graph_id) == "paused"
    with pytest.raises(TradingHaltedError):
        scene.desk.resume("ann", graph_id, 3)
    scene.desk.clear("ann")
    scene.desk.resume("ann", graph_id, 3)
    assert scene.status(graph_id) == "completed"


def test_a_resumed_graph_is_told_as_changed_also_when_nothing_was_held(scene: Scene) -> None:
    graph_id = scene.send(node("leg", KALSHI.slug, "buy", 1, 0.40))
    scene.desk.halt("ann")
    scene.desk.clear("ann")
    scene.desk.take_changes()
    scene.desk.resume("ann", graph_id, 1)
    assert list(scene.desk.take_changes().graphs) == [("ann", graph_id)]
    scene.desk.resume("ann", graph_id, 2)
    assert not scene.desk.take_changes()


def test_the_kill_switch_holds_slices_and_amendments_back(scene: Scene) -> None:
    slow = node("slow", KALSHI.slug, "buy", 4, 0.53, policy="twap", horizon_ms=4_000)
    graph_id = scene.send(node("rest", KALSHI.slug, "buy", 1, 0.40), slow)
    scene.desk.halt("ann")
    scene.desk.advance([], 9 * SECOND_NS)
    assert len(scene.fills()) == 1
    with pytest.raises(TradingHaltedError):
        scene.desk.amend("ann", f"graph:{graph_id}:rest:1", None, 2 * ONE, 1)
    scene.desk.clear("ann")
    scene.desk.resume("ann", graph_id, 9 * SECOND_NS)
    scene.desk.advance([], 9 * SECOND_NS)
    assert len(scene.fills()) == 4


def test_owners_trade_with_each_other_and_never_with_themselves(scene: Scene) -> None:
    scene.ledger.deposit("bob", 100 * MONEY_SCALE)
    mine = scene.send(node("a", KALSHI.slug, "buy", 2, 0.51))
    selling = {"nodes": [node("s", KALSHI.slug, "sell", 1, 0.51)]}
    scene.desk.submit("bob", selling, 1)
    assert [len(fill_rows(scene.desk.fills, owner)) for owner in ("ann", "bob")] == [1, 1]
    own = scene.send(node("s", KALSHI.slug, "sell", 1, 0.51))
    assert (scene.status(mine), scene.status(own)) == ("active", "cancelled")
    assert len(scene.fills()) == 1
    assert scene.orders()[-1]["status"] == "cancelled"


def test_money_is_conserved_over_a_minute_of_a_simulated_market() -> None:
    listed = Catalogue(LISTED.pairs[:3], (KALSHI, LISTED.listings[1], POLY, LISTED.listings[-1]))
    books, ledger = VenueBooks(), Ledger()
    desk = Desk(listed, books, ledger, iter(f"g{at}" for at in range(10**6)).__next__)
    source = SimulatedSource(listed, 3, 0)
    for owner in ("ann", "bob"):
        ledger.deposit(owner, 10_000 * MONEY_SCALE)
    symbols = ["BTC-USD", *(one.yes_token_id for one in listed.listings), f"{KALSHI.slug}:NO"]
    for second in range(60):
        now_ns = second * SECOND_NS
        desk.advance(source.advance(books, now_ns), now_ns)
        symbol, side = symbols[second % len(symbols)], ("buy", "sell")[second // 7 % 2]
        qty = 0.01 if symbol == "BTC-USD" else 9
        body = {"nodes": [node("order", symbol, side, qty)]}
        desk.submit(("ann", "bob")[second % 2], body, now_ns)
    accounts = ledger.accounts.values()
    assert sum(one.cash_1e17 + one.fees_1e17 for one in accounts) == 20_000 * MONEY_SCALE
    for key in books:
        assert sum(one.qty_1e8.get(key, 0) for one in accounts) == 0
    assert len(desk.fills) > 20
    for owner in ("ann", "bob"):
        fees = sum(one.fee_1e17 for one in desk.fills if one.placed.entry.owner == owner)
        assert fees == ledger.account(owner).fees_1e17
        assert ledger.free_cash_1e17(owner, frozenset(["kalshi", "polymarket"])) >= 0
