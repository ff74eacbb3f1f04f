"""The rules of the venues, one by one."""

import pytest

from market.engine import (
    BookKey,
    Ledger,
    Order,
    OrderBook,
    Receipt,
    Rejection,
    SelfTrade,
    Side,
    Status,
    TimeInForce,
    VenueBooks,
    rules_for,
)

CENT = 10_000_000
ONE = 100_000_000
DOLLAR_1E17 = 10**17


def order(name: str, side: str, cents: float | None, qty: float, tif: str = "gtc") -> Order:
    price = None if cents is None else round(cents * CENT)
    return Order(name, f"of-{name}", Side(side), price, round(qty * ONE), TimeInForce(tif))


def book(venue: str = "kalshi", *resting: Order) -> OrderBook:
    made = OrderBook(rules_for(venue, "BTC-USD"))
    for one in resting:
        assert made.submit(one).rejection is None
    return made


def prices(receipt: Receipt | None) -> list[tuple[float, float]]:
    assert receipt is not None
    return [(trade.price_1e9 / CENT, trade.qty_1e8 / ONE) for trade in receipt.trades]


@pytest.mark.parametrize(
    ("venue", "candidate", "expected"),
    [
        ("kalshi", order("a", "buy", 50.5, 1), Rejection.OFF_TICK),
        ("kalshi", order("a", "buy", 50, 0.5), Rejection.OFF_LOT),
        ("kalshi", order("a", "buy", 0, 1), Rejection.PRICE_OUT_OF_RANGE),
        ("kalshi", order("a", "buy", 100, 1), Rejection.PRICE_OUT_OF_RANGE),
        ("polymarket", order("a", "buy", 50.05, 5), Rejection.OFF_TICK),
        ("polymarket", order("a", "buy", 99.95, 5), Rejection.PRICE_OUT_OF_RANGE),
        ("polymarket", order("a", "buy", 50, 5.001), Rejection.OFF_LOT),
        ("coinbase", order("a", "buy", -1, 1), Rejection.PRICE_OUT_OF_RANGE),
        ("coinbase", order("a", "buy", 50, 0), Rejection.QTY_NOT_POSITIVE),
        ("coinbase", order("a", "buy", None, 1), Rejection.MARKET_ORDER_CANNOT_REST),
        ("coinbase", order("a", "buy", 50, 1, "gtd"), Rejection.NO_EXPIRY),
        ("coinbase", order("a", "buy", 50, 1, "fok"), Rejection.CANNOT_FILL),
    ],
)
def test_what_a_venue_refuses_leaves_no_trace(
    venue: str, candidate: Order, expected: Rejection
) -> None:
    made = book(venue)
    assert made.submit(candidate).rejection is expected
    assert candidate.status is Status.REJECTED
    assert (len(made), made.version) == (0, 0)


def test_polymarket_takes_a_tenth_of_a_cent_and_a_hundredth_of_a_share() -> None:
    assert book("polymarket").submit(order("a", "buy", 15.2, 8.01)).rejection is None


def test_an_id_is_live_once() -> None:
    made = book("kalshi", order("a", "buy", 40, 1))
    assert made.submit(order("a", "buy", 41, 1)).rejection is Rejection.DUPLICATE_ID


def test_under_a_dollar_on_polymarket_is_accepted_and_never_matched() -> None:
    small = order("small", "buy", 15, 6)
    made = book("polymarket", small)
    assert made.submit(order("seller", "sell", 10, 50)).trades == []
    assert (small.status, made.best_prices_1e9()) == (Status.DORMANT, (None, 10 * CENT))
    assert made.cancel("small") is small


def test_kalshi_has_no_such_floor() -> None:
    made = book("kalshi", order("small", "buy", 15, 1))
    assert prices(made.submit(order("seller", "sell", 10, 1))) == [(15, 1)]


def test_amended_above_a_dollar_it_wakes_and_trades() -> None:
    small = order("small", "buy", 15, 6)
    made = book("polymarket", small, order("seller", "sell", 15, 50))
    assert prices(made.amend("small", qty_1e8=7 * ONE)) == [(15, 7)]
    assert small.status is Status.FILLED


def test_amended_below_a_dollar_it_falls_asleep() -> None:
    made = book("polymarket", order("a", "buy", 15, 8))
    made.amend("a", qty_1e8=6 * ONE)
    assert made.best_prices_1e9() == (None, None)
    assert len(made) == 1


def test_a_price_below_the_bid_rests_and_one_tick_through_the_ask_fills() -> None:
    made = book("kalshi", order("bid", "buy", 48, 9), order("ask", "sell", 50, 9))
    half = order("half", "buy", 24, 1)
    assert made.submit(half).trades == []
    assert half.status is Status.OPEN
    assert prices(made.submit(order("taker", "buy", 51, 2))) == [(50, 2)]


def test_less_at_the_same_price_keeps_its_place_and_more_loses_it() -> None:
    made = book("kalshi", order("a", "buy", 40, 5), order("b", "buy", 40, 5))
    made.amend("a", qty_1e8=3 * ONE)
    assert list(made.bids.levels[40 * CENT].orders) == ["a", "b"]
    made.amend("a", qty_1e8=4 * ONE)
    assert list(made.bids.levels[40 * CENT].orders) == ["b", "a"]
    assert made.bids.levels[40 * CENT].qty_1e8 == 9 * ONE


def test_a_refused_amendment_leaves_the_order_as_it_was() -> None:
    first = order("a", "buy", 40, 5)
    made = book("kalshi", first)
    made.submit(order("s", "sell", 40, 2))
    for price, qty, why in (
        (None, 2, Rejection.BELOW_FILLED),
        (40.5, None, Rejection.OFF_TICK),
        (None, 0, Rejection.QTY_NOT_POSITIVE),
    ):
        receipt = made.amend("a", price and round(price * CENT), None if qty is None else qty * ONE)
        assert receipt is not None
        assert receipt.rejection is why
    assert (first.price_1e9, first.open_1e8, first.status) == (40 * CENT, 3 * ONE, Status.OPEN)
    assert made.amend("nobody", 1) is None
    assert made.cancel("nobody") is None


def test_post_only_never_takes() -> None:
    made = book("kalshi", order("ask", "sell", 50, 1))
    crossing = order("maker", "buy", 50, 1)
    crossing.is_post_only = True
    assert made.submit(crossing).rejection is Rejection.WOULD_CROSS


def test_what_is_good_until_a_time_goes_then() -> None:
    mortal = order("a", "buy", 40, 1, "gtd")
    mortal.expires_ns = 1_000
    made = book("kalshi", mortal, order("b", "buy", 39, 1))
    assert made.expire(999) == []
    assert made.expire(1_000) == [mortal]
    assert (mortal.status, made.best_prices_1e9()[0]) == (Status.EXPIRED, 39 * CENT)


def test_the_oldest_goes_when_the_owner_asks_for_that() -> None:
    mine = order("mine", "sell", 50, 1)
    made = book("kalshi", mine, order("theirs", "sell", 51, 1))
    taker = order("taker", "buy", 51, 1)
    taker.owner, taker.self_trade = mine.owner, SelfTrade.CANCEL_OLDEST
    receipt = made.submit(taker)
    assert prices(receipt) == [(51, 1)]
    assert receipt.removed == [mine]


@pytest.mark.parametrize(
    ("venue", "cents", "is_taker", "bps_of_notional"),
    [
        ("coinbase", 5_000_000, True, 60),
        ("coinbase", 5_000_000, False, 40),
        ("polymarket", 5, True, 285),
        ("polymarket", 50, True, 150),
        ("polymarket", 50, False, 0),
        ("kalshi", 50, True, 350),
    ],
)
def test_fees_are_the_documented_ones(
    venue: str, cents: int, is_taker: bool, bps_of_notional: int
) -> None:
    fee = rules_for(venue, "BTC-USD").fee_1e17(cents * CENT, 100 * ONE, is_taker=is_taker)
    assert fee * 10_000 == cents * DOLLAR_1E17 * bps_of_notional


def test_a_no_position_binds_a_dollar_each_and_costs_average() -> None:
    key, ledger, made = BookKey("kalshi", "KX"), Ledger(), book("kalshi")
    ledger.deposit("of-no", 100 * DOLLAR_1E17)
    made.submit(order("yes", "buy", 40, 9))
    for trade in made.submit(order("no", "sell", 40, 9)).trades:
        ledger.apply(key, trade, made.rules)
    account = ledger.account("of-no")
    assert account.qty_1e8[key] == -9 * ONE
    assert account.cost_1e17[key] == -9 * 40 * DOLLAR_1E17 // 100
    paid = (
        100 * DOLLAR_1E17
        - account.fees_1e17
        - ledger.free_cash_1e17("of-no", frozenset(["kalshi"]))
    )
    assert paid == 9 * 60 * DOLLAR_1E17 // 100


def test_books_are_made_once() -> None:
    books = VenueBooks()
    first = books.open(BookKey("kraken", "BTC-USD"))
    assert books.open(BookKey("kraken", "BTC-USD")) is first
    assert list(books) == [BookKey("kraken", "BTC-USD")]
    with pytest.raises(KeyError):
        books.open(BookKey("nowhere", "BTC-USD"))
