"""Sources of prices: reproducible, lively, never crossed, and callers' orders are among theirs."""

import json
from random import Random

import pytest

from market.catalogue import Catalogue, simulated_catalogue
from market.engine import BookKey, Order, OrderBook, Side, Status, VenueBooks
from market.errors import SourceError
from market.sources import ReplaySource, SimulatedSource, read_recording
from market.sources.crowd import Fair
from market.symbols import Kind, Outcome, resolve

NOW_S = 1_777_414_125
START_NS = NOW_S * 10**9
SECOND_NS = 10**9
KEY = BookKey("kraken", "BTC-USD")


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return simulated_catalogue(7, NOW_S)


@pytest.fixture(scope="module")
def played(catalogue: Catalogue) -> VenueBooks:
    """The books after four seconds."""
    books = VenueBooks()
    SimulatedSource(catalogue, 7, START_NS).advance(books, START_NS + 4 * SECOND_NS)
    return books


def small(catalogue: Catalogue) -> Catalogue:
    """A few books of each kind, for what has to be played twice."""
    return Catalogue(catalogue.pairs[:3], catalogue.listings[:2] + catalogue.listings[-2:])


def shown(book: OrderBook) -> list[list[tuple[int, int]]]:
    sides = (book.bids, book.asks)
    return [[(level.price_1e9, level.qty_1e8) for level in side.walk()] for side in sides]


def test_the_catalogue_is_the_same_for_the_same_seed(catalogue: Catalogue) -> None:
    assert simulated_catalogue(7, NOW_S).listings == catalogue.listings
    assert simulated_catalogue(8, NOW_S).listings != catalogue.listings
    assert len(catalogue.listings) == len({one.key for one in catalogue.listings}) == 300
    assert {one.venue for one in catalogue.listings} == {"kalshi", "polymarket"}
    assert {pair.venue for pair in catalogue.pairs} == {"binance", "coinbase", "kraken"}


def test_every_listing_is_found_by_each_of_its_names(catalogue: Catalogue) -> None:
    for one in catalogue.listings:
        for name in (one.slug, one.yes_token_id, one.url):
            found = resolve(name, catalogue)
            assert (found.venue, found.market, found.outcome) == (*one.key, Outcome.YES)
        assert resolve(one.no_token_id, catalogue).outcome is Outcome.NO


def test_pairs_are_listed_by_exchange(catalogue: Catalogue) -> None:
    assert catalogue.exchanges_of("BTC-USD") == ["binance", "coinbase", "kraken"]
    assert not catalogue.is_listed(Kind.SPOT, "BTC-USD", "kalshi")


def test_books_are_alive_and_never_crossed(played: VenueBooks) -> None:
    one_sided = 0
    for key in played:
        bid, ask = played[key].best_prices_1e9()
        one_sided += (bid is None) != (ask is None)
        assert bid is not None or ask is not None
        assert bid is None or ask is None or bid < ask
    assert 300 // 20 <= one_sided <= 300 // 4


def test_a_bid_does_not_stay_above_an_ask_of_another_exchange(catalogue: Catalogue) -> None:
    listed = small(catalogue)
    books, source = VenueBooks(), SimulatedSource(listed, 7, START_NS)
    for step in range(1, 80):
        source.advance(books, START_NS + step * SECOND_NS // 4)
        best = [books[key].best_prices_1e9() for key in listed.pairs]
        assert max(bid or 0 for bid, _ in best) < min(ask or 10**18 for _, ask in best), step


def test_exchanges_agree_on_a_price(played: VenueBooks) -> None:
    prices = [played[BookKey(venue, "BTC-USD")].best_prices_1e9()[0] or 0
              for venue in ("binance", "coinbase", "kraken")]  # fmt: skip
    assert (max(prices) - min(prices)) / max(prices) < 0.005


def test_the_same_seed_gives_the_same_books_however_time_is_cut(catalogue: Catalogue) -> None:
    listed = small(catalogue)
    results = []
    for steps in (1, 50):
        books, source = VenueBooks(), SimulatedSource(listed, 7, START_NS)
        prints = []
        for step in range(1, steps + 1):
            prints += source.advance(books, START_NS + step * 20 * SECOND_NS // steps)
        tape = [(one.ts_ns, one.key, one.trade.price_1e9, one.trade.qty_1e8) for one in prints]
        results.append((tape, [shown(books[key]) for key in source.keys()]))  # noqa: SIM118
    assert results[0] == results[1]
    assert len(results[0][0]) > 20


def test_half_the_bid_rests_for_minutes_and_a_tick_through_the_ask_fills(
    catalogue: Catalogue,
) -> None:
    listed = small(catalogue)
    books, source = VenueBooks(), SimulatedSource(listed, 7, START_NS)
    source.advance(books, START_NS)
    resting = []
    for key in source.keys():  # noqa: SIM118 - a method of a protocol, no mapping
        book = books[key]
        bid, ask = book.best_prices_1e9()
        if bid is None or ask is None:
            continue
        tick = book.rules.tick_1e9
        half = Order("half", "ann", Side.BUY, max(bid // 2 // tick, 1) * tick, 100 * 10**8)
        book.submit(half)
        through = Order("through", "ann", Side.BUY, ask + tick, 8 * 10**8)
        assert book.submit(through).trades
        resting.append(half)
    source.advance(books, START_NS + 120 * SECOND_NS)
    assert {one.status for one in resting} == {Status.OPEN}
    assert len(resting) >= 3


def test_a_fair_price_stays_within_a_fifth_of_where_it_began() -> None:
    fair = Fair(100.0, 100.0, 30.0, Random(1))
    seen = [fair.move() for _ in range(200)]
    assert (min(seen), max(seen)) == (80.0, 120.0)


def line(ts_ns: int, bids: list[list[float]], asks: list[list[float]]) -> str:
    row = {"ts_ns": ts_ns, "venue": KEY.venue, "market": KEY.market, "bids": bids, "asks": asks}
    return json.dumps(row)


def test_a_recording_is_shown_at_its_pace() -> None:
    lines = [
        line(50, [[99.0, 1.0], [98.0, 2.0]], [[101.0, 1.5]]),
        "",
        line(60, [[99.0, 1.0]], [[100.5, 1.5]]),
        line(70, [], []),
    ]
    source, books = ReplaySource(list(read_recording(lines)), 1_000), VenueBooks()
    assert source.advance(books, 999) == []
    assert list(books) == []
    source.advance(books, 1_009)
    book = books[KEY]
    assert shown(book) == [[(99 * 10**9, 10**8), (98 * 10**9, 2 * 10**8)],
                           [(101 * 10**9, 15 * 10**7)]]  # fmt: skip
    source.advance(books, 1_010)
    assert shown(book) == [[(99 * 10**9, 10**8)], [(100_500_000_000, 15 * 10**7)]]
    source.advance(books, 2_000)
    assert shown(book) == [[], []]


def test_what_a_caller_took_is_back_with_the_next_snapshot_and_their_orders_fill() -> None:
    lines = [line(1, [[99.0, 1.0]], [[101.0, 2.0]]), line(2, [[99.0, 1.0]], [[101.0, 2.0]]),
             line(3, [], [[98.0, 2.0]])]  # fmt: skip
    source, books = ReplaySource(list(read_recording(lines)), 1), VenueBooks()
    source.advance(books, 1)
    book = books[KEY]
    assert book.submit(Order("t", "ann", Side.BUY, 101 * 10**9, 10**8)).trades
    source.advance(books, 2)
    assert shown(book)[1] == [(101 * 10**9, 2 * 10**8)]
    mine = Order("m", "ann", Side.BUY, 100 * 10**9, 10**8)
    book.submit(mine)
    prints = source.advance(books, 3)
    assert [(one.ts_ns, one.trade.price_1e9, one.trade.maker) for one in prints] == [
        (3, 100 * 10**9, mine)
    ]
    assert shown(book) == [[], [(98 * 10**9, 10**8)]]


def test_a_crossed_snapshot_does_not_cross_the_book() -> None:
    source, books = (
        ReplaySource(list(read_recording([line(1, [[101.0, 1]], [[99.0, 1]])])), 1),
        (VenueBooks()),
    )
    assert source.advance(books, 1) == []
    assert books[KEY].best_prices_1e9() == (None, 99 * 10**9)


@pytest.mark.parametrize(
    ("lines", "advice"),
    [
        (["{"], "line 1"),
        ([line(1, [], []), "[]"], "line 2"),
        (['{"ts_ns": 1, "venue": "mars", "market": "X", "bids": [], "asks": []}'], "mars"),
        ([line(1, [[float("nan"), 1]], [])], "line 1"),
        ([line(1, [[float("inf"), 1]], [])], "line 1"),
        ([line(2, [], []), line(1, [], [])], "sort by ts_ns"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(lines: list[str], advice: str) -> None:
    with pytest.raises(SourceError) as caught:
        list(read_recording(lines))
    assert advice in str(caught.value)


def test_a_recorded_level_that_the_venue_does_not_know_is_named() -> None:
    for level, word in (
        ([99.001, 1.0], "tick"),
        ([99.0, 0.0], "above zero"),
        ([0.0, 1.0], "price"),
    ):
        with pytest.raises(SourceError) as caught:
            list(read_recording([line(1, [], []), line(2, [level], [])]))
        assert "line 2" in str(caught.value)
        assert word in str(caught.value)


def test_a_gap_is_told_with_its_line(caplog: pytest.LogCaptureFixture) -> None:
    lines = [line(1, [], []), line(2, [], []), line(90 * SECOND_NS, [], [])]
    assert len(list(read_recording(lines))) == 3
    (record,) = caplog.records
    assert (record.message, vars(record)["line"], vars(record)["seconds"]) == (
        *("recording_gap", 3, 90.0),
    )
