"""Nobody has less than nothing, and what was cut stays cut, also in the next process."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_market_desk import CENT, COINBASE, DOLLAR, KALSHI, LISTED, ONE, Scene, node

from market.engine import BookKey, Rejection, Side, VenueBooks
from market.errors import GraphInvalidError
from market.fixed_point import MONEY_SCALE
from market.trading import Desk
from market.trading.admission import PREDICTIONS
from market.trading.kept import KeptGraph, graph_state, order_state, restored


class Kept:
    """What a process would have written, and the next process that reads it."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.graphs: dict[str, Any] = {}
        self.orders: dict[str, dict[str, Any]] = {}

    def write(self) -> None:
        """Keep what the desk says has changed, and nothing else."""
        changes = self.scene.desk.take_changes()
        for (_, graph_id), entry in changes.graphs.items():
            self.graphs[graph_id] = (entry, graph_state(entry))
        for placed in changes.orders.values():
            self.orders[placed.name] = order_state(placed)

    def crash(self) -> None:
        """New books and a new desk; the accounts are as they were."""
        self.write()
        scene = self.scene
        scene.books = VenueBooks()
        scene.desk = Desk(LISTED, scene.books, scene.ledger, scene.new_id)

    def restore(self) -> None:
        self.scene.desk.restore([self._read(one) for one in self.graphs], [], 0)

    def _read(self, graph_id: str) -> Any:
        entry, state = self.graphs[graph_id]
        prefix = f"graph:{graph_id}:"
        rows = [(name, 1, row) for name, row in self.orders.items() if name.startswith(prefix)]
        kept = KeptGraph("ann", graph_id, None, entry.digest, entry.body, state, 0, rows)
        return restored(kept, LISTED)


def free_cash(scene: Scene) -> int:
    return scene.ledger.free_cash_1e17("ann", PREDICTIONS)


def with_cash(cash_1e17: int) -> Scene:
    """A scene with empty books in which `ann` has that much."""
    made = Scene()
    made.ledger.account("ann").cash_1e17 = cash_1e17
    return made


def test_an_order_that_self_trade_prevention_cut_is_told() -> None:
    scene = with_cash(1_000 * MONEY_SCALE)
    scene.send(node("mine", KALSHI.slug, "buy", 10, 0.50))
    scene.desk.take_changes()
    scene.send(node("own", KALSHI.slug, "sell", 4, 0.50, self_trade="decrement"))
    told = scene.desk.take_changes().orders
    assert {one.node.node_id: one.order.open_1e8 for one in told.values()} == {
        "mine": 6 * ONE, "own": 0,
    }  # fmt: skip


def test_a_cut_that_an_amendment_made_is_kept_as_well() -> None:
    scene = with_cash(1_000 * MONEY_SCALE)
    kept = Kept(scene)
    scene.send(node("mine", KALSHI.slug, "buy", 10, 0.50))
    other = scene.send(node("own", KALSHI.slug, "sell", 4, 0.60, self_trade="decrement"))
    kept.write()
    assert scene.desk.amend("ann", f"graph:{other}:own:1", 50 * CENT, None, 1) is not None
    kept.crash()
    kept.restore()
    scene.crowd(KALSHI.key, Side.SELL, 50 * CENT, 20 * ONE)
    assert sum(row["qty_1e8"] for row in scene.fills()) == 6 * ONE


@pytest.mark.parametrize(
    ("key", "symbol", "side", "price_1e9", "bound_1e17"),
    [
        (COINBASE, "BTC-USD", Side.BUY, 100 * DOLLAR, 1_004 * MONEY_SCALE),
        (KALSHI.key, KALSHI.slug, Side.BUY, 50 * CENT, 5 * MONEY_SCALE),
        (KALSHI.key, KALSHI.slug, Side.SELL, 50 * CENT, 5 * MONEY_SCALE),
    ],
)
def test_what_rested_before_a_restart_pays_as_the_maker_that_it_was(
    key: BookKey, symbol: str, side: Side, price_1e9: int, bound_1e17: int
) -> None:
    # Enough to submit it, and then no more than what it binds while it rests.
    scene = with_cash(2_000 * MONEY_SCALE)
    kept = Kept(scene)
    price = price_1e9 / DOLLAR
    graph_id = scene.send(node("leg", symbol, side.value, 10, price, venue=key.venue))
    scene.ledger.account("ann").cash_1e17 = bound_1e17
    kept.crash()
    scene.crowd(key, side.opposite, price_1e9, 4 * ONE)
    kept.restore()
    assert [row["qty_1e8"] for row in scene.fills()] == [4 * ONE]
    assert [fill.is_taker for fill in scene.desk.fills] == [False]
    assert free_cash(scene) >= 0
    scene.crowd(key, side.opposite, price_1e9, 6 * ONE)
    assert free_cash(scene) == 0
    assert scene.status(graph_id) == "completed"


def test_an_order_that_was_put_back_and_is_amended_takes_as_any_other() -> None:
    scene = with_cash(1_000 * MONEY_SCALE)
    kept = Kept(scene)
    graph_id = scene.send(node("leg", KALSHI.slug, "buy", 10, 0.40))
    kept.crash()
    scene.crowd(KALSHI.key, Side.SELL, 50 * CENT, 20 * ONE)
    kept.restore()
    assert scene.fills() == []
    assert scene.desk.amend("ann", f"graph:{graph_id}:leg:1", 50 * CENT, None, 1) is not None
    assert [(fill.is_taker, fill.fee_1e17 > 0) for fill in scene.desk.fills] == [(True, True)]


def invested(symbol: str, price: float) -> Scene:
    """A scene in which `ann` holds ten contracts and no free cash at all."""
    scene = with_cash(1_000 * MONEY_SCALE)
    scene.crowd(KALSHI.key, Side.SELL, 50 * CENT, 10 * ONE)
    scene.crowd(KALSHI.key, Side.BUY, 49 * CENT, 10 * ONE)
    scene.send(node("first", symbol, "buy", 10, price))
    scene.ledger.account("ann").cash_1e17 -= free_cash(scene)
    assert free_cash(scene) == 0
    return scene


YES, NO = (KALSHI.slug, 0.50), (f"{KALSHI.slug}:NO", 0.51)


@pytest.mark.parametrize(("symbol", "price"), [YES, NO])
def test_who_is_invested_sells_what_they_hold(symbol: str, price: float) -> None:
    for limit in (0.40, None):
        scene = invested(symbol, price)
        for side in (Side.BUY, Side.SELL):
            scene.crowd(KALSHI.key, side, (50 if side is Side.SELL else 49) * CENT, 10 * ONE)
        assert scene.reasons(scene.send(node("out", symbol, "sell", 10, limit))) == []
        assert len(scene.fills()) == 2
        assert free_cash(scene) > 0


@pytest.mark.parametrize(("symbol", "price"), [YES, NO])
def test_a_holding_is_promised_once_and_the_rest_is_paid(symbol: str, price: float) -> None:
    scene = invested(symbol, price)
    graphs = [scene.send(node("out", symbol, "sell", qty, 0.90)) for qty in (7, 4, 3, 1)]
    assert [scene.status(one) for one in graphs] == ["active", "failed", "active", "failed"]
    scene.ledger.deposit("ann", MONEY_SCALE // 2)
    assert scene.status(scene.send(node("more", symbol, "sell", 1, 0.90))) == "active"
    name = "graph:graph_2:out:1"
    receipt = scene.desk.amend("ann", name, None, 20 * ONE, 1)
    assert receipt is not None
    assert receipt.rejection is Rejection.CANNOT_PAY


CENTS = st.integers(5, 95)
SENDS = st.tuples(
    st.sampled_from([KALSHI.slug, f"{KALSHI.slug}:NO"]),
    st.sampled_from(["buy", "sell"]),
    st.integers(1, 12),
    st.one_of(st.none(), CENTS),
    st.sampled_from(["cancel_newest", "cancel_oldest", "cancel_both", "decrement"]),
)
CROWD_SENDS = st.tuples(
    st.just(""), st.sampled_from(["buy", "sell"]), st.integers(1, 12), CENTS, st.just("")
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(SENDS, CROWD_SENDS), max_size=40), st.integers(1, 12))
def test_cash_is_never_below_zero(
    sent: list[tuple[str, str, int, int | None, str]], usd: int
) -> None:
    scene = with_cash(usd * MONEY_SCALE)
    for symbol, side, qty, cents, word in sent:
        price = None if cents is None else cents / 100
        if symbol:
            scene.send(node("one", symbol, side, qty, price, self_trade=word))
        else:
            scene.crowd(KALSHI.key, Side(side), (cents or 0) * CENT, qty * ONE)
        assert free_cash(scene) >= 0


def test_a_market_order_pays_for_what_lies_behind_its_owners_own() -> None:
    scene = with_cash(12 * MONEY_SCALE)
    scene.send(node("own", KALSHI.slug, "sell", 10, 0.50))
    scene.crowd(KALSHI.key, Side.SELL, 90 * CENT, 10 * ONE)
    graph_id = scene.send(node("over", KALSHI.slug, "buy", 10, None, self_trade="cancel_oldest"))
    assert scene.status(graph_id) == "failed"
    assert free_cash(scene) >= 0


def test_an_amendment_that_misses_by_float_noise_is_the_one_that_was_meant() -> None:
    for symbol in (KALSHI.slug, f"{KALSHI.slug}:NO"):
        scene = with_cash(1_000 * MONEY_SCALE)
        graph_id = scene.send(node("leg", symbol, "buy", 5, 0.40))
        # As int(8.2 * 1e8) is 819999999; what misses by more is refused as ever.
        name = f"graph:{graph_id}:leg:1"
        receipt = scene.desk.amend("ann", name, 290_000_000 - 1, 8 * ONE - 1, 1)
        assert receipt is not None
        assert receipt.rejection is None
        (row,) = scene.orders()
        assert (row["price_1e9"], row["qty_1e8"]) == (29 * CENT, 8 * ONE)
        for price, qty in ((29 * CENT + 3, None), (None, 8 * ONE - 3)):
            refused = scene.desk.amend("ann", name, price, qty, 2)
            assert refused is not None
            assert refused.rejection in (Rejection.OFF_TICK, Rejection.OFF_LOT)


def test_no_caller_may_ask_to_trade_with_themselves() -> None:
    scene = with_cash(MONEY_SCALE)
    for word in ("allow", "ALLOW"):
        with pytest.raises(GraphInvalidError) as refused:
            scene.send(node("one", KALSHI.slug, "buy", 1, 0.40, self_trade=word))
        assert f"nodes.0.execution.self_trade: {word!r} is unknown" in str(refused.value)
        assert str(refused.value).endswith("cancel_newest, cancel_oldest, cancel_both, decrement")
