"""The engine against a naive one, and what has to hold after any sequence of orders."""

from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive_book import NaiveBook, Plain

from market.engine import (
    BookKey,
    Ledger,
    Order,
    OrderBook,
    Receipt,
    SelfTrade,
    Side,
    Status,
    TimeInForce,
    rules_for,
)
from market.engine.ladder import Ladder

CENT = 10_000_000
LOT = 100_000_000
KEY = BookKey("kalshi", "KXTEST")
OWNERS = ("ann", "bob", "cy")


@dataclass(frozen=True)
class Submit:
    owner: str
    is_buy: bool
    cents: int | None
    lots: int
    tif: str
    policy: SelfTrade
    is_post_only: bool


@dataclass(frozen=True)
class Cancel:
    which: int


@dataclass(frozen=True)
class Amend:
    which: int
    cents: int
    lots: int


# Few prices and sizes, so that orders meet; the edges of the range among them.
CENTS = st.sampled_from([49, 50, 50, 51, 1, 99])
LIMITS = st.builds(
    Submit,
    st.sampled_from(OWNERS),
    st.booleans(),
    CENTS,
    st.integers(1, 6),
    st.sampled_from(["gtc", "gtc", "gtc", "ioc", "fok"]),
    st.sampled_from(list(SelfTrade)),
    st.sampled_from([False, False, False, True]),
)
MARKETS = st.builds(
    Submit,
    st.sampled_from(OWNERS),
    st.booleans(),
    st.none(),
    st.integers(1, 9),
    st.sampled_from(["ioc", "fok"]),
    st.sampled_from(list(SelfTrade)),
    st.just(False),
)
WHICH = st.integers(0, 30)
STEPS = st.lists(
    LIMITS
    | LIMITS
    | MARKETS
    | st.builds(Cancel, WHICH)
    | st.builds(Amend, WHICH, CENTS, st.integers(1, 8)),
    max_size=40,
)


class Scene:
    """Both books side by side, and the ledger of the real one."""

    def __init__(self) -> None:
        self.book = OrderBook(rules_for(*KEY))
        self.naive = NaiveBook()
        self.ledger = Ledger()
        self.trades: list[tuple[int, int, str, str]] = []
        for owner in OWNERS:
            self.ledger.deposit(owner, 10**20)

    def play(self, number: int, step: Submit | Cancel | Amend) -> None:
        if isinstance(step, Submit):
            self.submit(str(number), step)
        elif isinstance(step, Cancel):
            mine, theirs = self.book.cancel(str(step.which)), self.naive.cancel(str(step.which))
            assert (mine is not None) == theirs
        else:
            name, price, qty = str(step.which), step.cents * CENT, step.lots * LOT
            receipt = self.book.amend(name, price, qty)
            was_taken = receipt is not None and receipt.rejection is None
            assert was_taken == self.naive.amend(name, price, qty)
            self.settle(receipt)

    def submit(self, name: str, step: Submit) -> None:
        price = None if step.cents is None else step.cents * CENT
        side = Side.BUY if step.is_buy else Side.SELL
        order = Order(
            *(name, step.owner, side, price, step.lots * LOT, TimeInForce(step.tif)),
            is_post_only=step.is_post_only,
            self_trade=step.policy,
        )
        plain = Plain(
            *(name, step.owner, step.is_buy, price, step.lots * LOT, step.tif, step.policy),
            is_post_only=step.is_post_only,
        )
        receipt = self.book.submit(order)
        assert (receipt.rejection is None) == self.naive.submit(plain)
        assert (order.open_1e8, order.qty_1e8) == (plain.open, plain.qty)
        self.settle(receipt)

    def settle(self, receipt: Receipt | None) -> None:
        for trade in receipt.trades if receipt else ():
            self.ledger.apply(KEY, trade, self.book.rules)
            row = (trade.price_1e9, trade.qty_1e8, trade.maker.order_id, trade.taker.order_id)
            self.trades.append(row)


def queue(ladder: Ladder) -> list[tuple[int, str, int]]:
    return [
        (level.price_1e9, order.order_id, order.open_1e8)
        for level in ladder.walk()
        for order in level.orders.values()
    ]


def drawn(rng: Random, number: int) -> Submit | Cancel | Amend:
    """One step of a long life: mostly plain orders around one price."""
    what, cents, lots = rng.random(), rng.choice([48, 49, 50, 51, 52]), rng.randint(1, 9)
    if what < 0.15:
        return Cancel(rng.randrange(max(number - 30, 0), number + 1))
    if what < 0.3:
        return Amend(rng.randrange(max(number - 30, 0), number + 1), cents, lots)
    tif = rng.choices(["gtc", "ioc", "fok"], [8, 1, 1])[0]
    is_market = tif != "gtc" and rng.random() < 0.5
    policy = rng.choice(list(SelfTrade))
    is_buy, owner = rng.random() < 0.5, rng.choice(OWNERS)
    return Submit(owner, is_buy, None if is_market else cents, lots, tif, policy, what > 0.95)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_long_lives_of_both_books_are_the_same(seed: int) -> None:
    scene, rng = Scene(), Random(seed)
    for number in range(400):
        scene.play(number, drawn(rng, number))
        assert scene.trades == scene.naive.trades
        assert queue(scene.book.bids) == scene.naive.queue(is_buy=True)
        assert queue(scene.book.asks) == scene.naive.queue(is_buy=False)
        check_the_books(scene)
    assert len(scene.trades) > 100


@settings(max_examples=80, deadline=None)
@given(STEPS)
def test_the_engine_does_what_the_naive_book_does(steps: list[Submit | Cancel | Amend]) -> None:
    scene = Scene()
    for number, step in enumerate(steps):
        scene.play(number, step)
        assert scene.trades == scene.naive.trades
        assert queue(scene.book.bids) == scene.naive.queue(is_buy=True)
        assert queue(scene.book.asks) == scene.naive.queue(is_buy=False)
        bid, ask = scene.book.best_prices_1e9()
        assert bid is None or ask is None or bid < ask
    check_the_books(scene)


def check_the_books(scene: Scene) -> None:
    accounts = scene.ledger.accounts.values()
    assert sum(one.cash_1e17 + one.fees_1e17 for one in accounts) == len(OWNERS) * 10**20
    assert sum(one.qty_1e8.get(KEY, 0) for one in accounts) == 0
    live = 0
    for ladder in (scene.book.bids, scene.book.asks):
        assert ladder.keys == sorted(ladder.keys)
        assert len(ladder.keys) == len(ladder.levels)
        for level in ladder.walk():
            orders = level.orders.values()
            assert level.qty_1e8 == sum(order.open_1e8 for order in orders)
            assert all(order.status is Status.OPEN and order.open_1e8 > 0 for order in orders)
            live += len(orders)
    assert live == len(scene.book)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_every_order_trades_no_more_than_its_quantity_nor_beyond_its_limit(
    steps: list[Submit | Cancel | Amend],
) -> None:
    scene = Scene()
    traded: dict[str, int] = {}
    asked: dict[str, int] = {}
    for number, step in enumerate(steps):
        seen = len(scene.trades)
        scene.play(number, step)
        if isinstance(step, Submit):
            asked[str(number)] = step.lots * LOT
        elif isinstance(step, Amend) and str(step.which) in asked:
            asked[str(step.which)] = max(asked[str(step.which)], step.lots * LOT)
        for price, qty, maker, taker in scene.trades[seen:]:
            assert qty > 0
            if isinstance(step, Submit) and step.cents is not None:
                assert taker == str(number)
                assert (price - step.cents * CENT) * (1 if step.is_buy else -1) <= 0
            for name in (maker, taker):
                traded[name] = traded.get(name, 0) + qty
    assert [name for name, qty in traded.items() if qty > asked[name]] == []
