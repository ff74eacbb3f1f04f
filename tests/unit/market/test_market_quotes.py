"""Quotes, discovery and history have the documented shapes, and the documented zeros."""

from dataclasses import replace

import pytest

from market.catalogue import Catalogue, simulated_catalogue
from market.engine import BookKey, Order, OrderBook, Side, VenueBooks, rules_for
from market.errors import QueryInvalidError
from market.quotes import (
    BookImage,
    HistoryQuery,
    MarketQuery,
    Tick,
    VenueBook,
    book_frame,
    edges,
    fees,
    image_of,
    markets_page,
    price_frame,
    price_history,
    quote,
    settlement,
    symbols,
)
from market.sources import SimulatedSource
from market.symbols import Instrument, Kind, Outcome, resolve

NOW_S = 1_777_414_125
DOLLAR = 10**9
ONE = 10**8
PAIR = Instrument(Kind.SPOT, "BTC-USD")
YES = Instrument(Kind.PREDICTION, "KX-A", "kalshi", Outcome.YES)
NO = Instrument(Kind.PREDICTION, "KX-A", "kalshi", Outcome.NO)
Books = dict[BookKey, BookImage]
ROW_FIELDS = {
    "slug",
    "question",
    "outcomes",
    "outcome_token_ids",
    "yes_token_id",
    "no_token_id",
    "event_id",
    "liquidity",
    "volume_24h",
    "volume_total",
    "best_yes_bid",
    "best_yes_ask",
    "best_no_bid",
    "best_no_ask",
    "spread_pct",
    "end_date",
    "start_date",
    "url",
    "is_placeholder_outcome",
    "outcome_name",
    "venue",
    "symbol",
    "neg_risk",
}


def book(venue: str, bids: list[tuple[float, float]], asks: list[tuple[float, float]]) -> VenueBook:
    made = OrderBook(rules_for(venue, "BTC-USD"))
    for side, levels in ((Side.BUY, bids), (Side.SELL, asks)):
        for price, size in levels:
            name = f"{side}{price}"
            order = Order(name, "x", side, round(price * DOLLAR), round(size * ONE))
            assert made.submit(order).rejection is None
    return VenueBook(venue, image_of(made), 5_000_000)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return simulated_catalogue(7, NOW_S)


@pytest.fixture(scope="module")
def books(catalogue: Catalogue) -> Books:
    made = VenueBooks()
    SimulatedSource(catalogue, 7, NOW_S * DOLLAR).advance(made, NOW_S * DOLLAR)
    return {key: image_of(made[key]) for key in made}


def test_a_quote_merges_venues() -> None:
    two = [
        book("coinbase", [(100, 1), (99, 2)], [(102, 1)]),
        book("kraken", [(100, 3)], [(101, 4), (102, 5)]),
    ]
    found = quote("btc-usd", PAIR, two, 2, 47_000_000)
    assert found == {
        "symbol": "btc-usd",
        "nbbo": {"bid": 100.0, "ask": 101.0, "mid": 100.5, "spread_bps": 99.5025},
        "venues": {
            "coinbase": {"bid": 100, "ask": 102, "bid_size": 1, "ask_size": 1, "age_ms": 42},
            "kraken": {"bid": 100, "ask": 101, "bid_size": 3, "ask_size": 4, "age_ms": 42},
        },
        "book": {"bids": [[100.0, 4.0], [99.0, 2.0]], "asks": [[101.0, 4.0], [102.0, 6.0]]},
        "source": "edge_nbbo",
    }


@pytest.mark.parametrize(
    ("asks", "expected"),
    [
        ([(99, 1)], {"bid": 100, "ask": 99, "mid": 0, "spread_bps": 0}),
        ([(100, 1)], {"bid": 100, "ask": 100, "mid": 0, "spread_bps": 0}),
        ([], {"bid": 100, "ask": 0, "mid": 0, "spread_bps": 0}),
    ],
)
def test_mid_and_spread_are_zero_without_a_bid_below_an_ask(
    asks: list[tuple[float, float]], expected: dict[str, float]
) -> None:
    two = [book("coinbase", [(100, 1)], []), book("kraken", [], asks)]
    assert quote("BTC-USD", PAIR, two, 10, 0)["nbbo"] == expected


def test_no_book_is_said_to_be_unavailable() -> None:
    found = quote("BTC-USD", PAIR, [], 10, 0)
    assert (found["source"], found["venues"], found["nbbo"]["bid"]) == ("unavailable", {}, 0)


@pytest.mark.parametrize(("depth", "levels"), [(-1, 1), (0, 1), (3, 3), (1_000, 100)])
def test_depth_is_held_within_its_bounds(depth: int, levels: int) -> None:
    deep = book("kraken", [(1_000 - step, 1) for step in range(120)], [])
    assert len(quote("BTC-USD", PAIR, [deep], depth, 0)["book"]["bids"]) == levels


def test_no_is_the_mirror_image_of_yes() -> None:
    one = [book("kalshi", [(0.40, 3), (0.39, 1)], [(0.45, 2)])]
    found = quote("KX-A:NO", NO, one, 10, 0)
    assert found["book"] == {"bids": [[0.55, 2.0]], "asks": [[0.6, 3.0], [0.61, 1.0]]}
    assert found["venues"]["kalshi"]["bid"] == 0.55


def test_a_far_outcome_has_bids_on_no_alone() -> None:
    one = [book("kalshi", [], [(0.01, 5)])]
    assert quote("KX-A", YES, one, 10, 0)["nbbo"]["bid"] == 0
    far = quote("KX-A:NO", NO, one, 10, 0)
    assert (far["nbbo"]["bid"], far["nbbo"]["ask"], far["book"]["asks"]) == (0.99, 0, [])


def test_the_frames_of_the_stream() -> None:
    one = [book("kalshi", [(0.40, 3)], [(0.42, 2)])]
    assert price_frame(YES, one, 9) == {
        "bid": 0.4, "ask": 0.42, "mid": 0.41, "bid_sz": 3.0, "ask_sz": 2.0, "ts_ns": 9,
    }  # fmt: skip
    assert book_frame(NO, one, 9) == {"bids": [[0.58, 2.0]], "asks": [[0.6, 3.0]], "ts_ns": 9}


@pytest.mark.parametrize("venue", ["kalshi", "polymarket"])
@pytest.mark.parametrize("expand", [None, "outcomes"])
def test_rows_are_uniform_and_lead_to_quotes(
    catalogue: Catalogue, books: Books, venue: str, expand: str | None
) -> None:
    query = MarketQuery(venue=venue, limit=500, order="volume", expand=expand)
    page = markets_page(query, catalogue, books, NOW_S)
    assert page["count"] == len(page["markets"]) > 0
    assert (page["has_more"], page["next_cursor"]) == (False, None)
    volumes = [row["volume_24h"] for row in page["markets"]]
    assert volumes == sorted(volumes, reverse=True)
    for row in page["markets"]:
        assert set(row) >= ROW_FIELDS
        if row["yes_token_id"] is None:
            assert len(row["outcomes"]) == len(row["outcome_token_ids"]) > 1
            continue
        found = resolve(row["yes_token_id"], catalogue)
        bid, ask = books[BookKey(venue, found.market)].best_prices_1e9()
        assert row["best_yes_bid"] == (bid and bid / DOLLAR)
        assert row["best_no_bid"] == (ask and (DOLLAR - ask) / DOLLAR)


def test_the_documented_discovery_finds_a_market_on_both_venues(
    catalogue: Catalogue, books: Books
) -> None:
    query = MarketQuery(venue="polymarket", limit=200, order="volume", expand="outcomes")
    rows = markets_page(query, catalogue, books, NOW_S)["markets"]
    assert [row for row in rows if not row["is_placeholder_outcome"] and row["liquidity"] >= 1_000]
    kalshi = MarketQuery(venue="kalshi", limit=30, order="volume")
    assert [
        row
        for row in markets_page(kalshi, catalogue, books, NOW_S)["markets"]
        if row["liquidity"] >= 100 and (row["best_yes_bid"] or row["best_no_bid"])
    ]


def test_pages_walk_the_whole_catalogue_once(catalogue: Catalogue, books: Books) -> None:
    query, seen = MarketQuery(venue="kalshi", limit=47), []
    while True:
        page = markets_page(query, catalogue, books, NOW_S)
        seen += [row["slug"] for row in page["markets"]]
        if not page["has_more"]:
            break
        query = replace(query, cursor=page["next_cursor"])
    assert seen == [one.slug for one in catalogue.listings if one.venue == "kalshi"]


def test_placeholders_come_last(catalogue: Catalogue, books: Books) -> None:
    query = MarketQuery(expand="outcomes", limit=500)
    flags = [row["is_placeholder_outcome"]
             for row in markets_page(query, catalogue, books, NOW_S)["markets"]]  # fmt: skip
    assert flags == sorted(flags)
    assert any(flags)


def test_a_market_is_found_by_each_of_its_names(catalogue: Catalogue, books: Books) -> None:
    one = catalogue.listings[-1]
    for query in (
        MarketQuery(slug=one.slug),
        MarketQuery(clob_token_id=one.no_token_id, active=False),
        MarketQuery(slug=one.url),
    ):
        rows = markets_page(query, catalogue, books, NOW_S)["markets"]
        assert [row["slug"] for row in rows] == [one.slug]
    event = markets_page(MarketQuery(slug=one.event_slug), catalogue, books, NOW_S)["markets"]
    assert [row["slug"] for row in event] == [one.event_slug]
    assert one.yes_token_id in event[0]["outcome_token_ids"]
    assert markets_page(MarketQuery(slug="none"), catalogue, books, NOW_S)["markets"] == []


def test_filters(catalogue: Catalogue, books: Books) -> None:
    def slugs(query: MarketQuery, now_s: int = NOW_S) -> list[str]:
        return [row["slug"] for row in markets_page(query, catalogue, books, now_s)["markets"]]

    assert all("rain" in slug for slug in slugs(MarketQuery(q="RAIN", limit=500)))
    assert slugs(MarketQuery(q="rain")) == slugs(MarketQuery(tag="weather"))
    assert slugs(MarketQuery(), NOW_S + 10**9) == []
    assert slugs(MarketQuery(active=False), NOW_S + 10**9)


def test_what_is_resolved_shows_only_when_asked_for(catalogue: Catalogue, books: Books) -> None:
    over = replace(catalogue.listings[0], resolved=Outcome.NO)
    listed = Catalogue((), [over])
    query = MarketQuery(venue="kalshi")
    assert markets_page(query, listed, books, NOW_S)["count"] == 0
    closed = markets_page(replace(query, closed=True), listed, books, NOW_S)["markets"]
    assert [(row["closed"], row["active"]) for row in closed] == [(True, False)]
    found = settlement(over, books[over.key], NOW_S)
    assert (found["status"], found["resolved_outcome"]) == ("resolved", "No")
    assert (found["yes_price"], found["no_price"]) == (0.0, 1.0)


def test_a_settlement_before_its_end(catalogue: Catalogue) -> None:
    one = catalogue.listings[0]
    shown = book("kalshi", [(0.40, 3)], [(0.42, 2)]).book
    found = settlement(one, shown, NOW_S)
    assert (found["status"], found["resolved_outcome"]) == ("open", None)
    assert (found["yes_price"], found["no_price"]) == (0.41, 0.59)
    assert settlement(one, shown, one.end_s)["status"] == "resolving"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        (MarketQuery(venue="coinbase"), "venue"),
        (MarketQuery(order="luck"), "order"),
        (MarketQuery(expand="all"), "expand"),
        (MarketQuery(cursor="!"), "cursor"),
        (MarketQuery(cursor="YXQ6LTE="), "cursor"),
    ],
)
def test_a_bad_parameter_is_named(
    catalogue: Catalogue, books: Books, query: MarketQuery, field: str
) -> None:
    with pytest.raises(QueryInvalidError) as caught:
        markets_page(query, catalogue, books, NOW_S)
    assert caught.value.field == field


def ticks_of_a_minute() -> list[Tick]:
    start_ns = NOW_S // 60 * 60 * DOLLAR
    return [
        Tick(start_ns + at_s * DOLLAR, "kalshi", cents * 10**7, ONE, "buy")
        for at_s, cents in ((0, 40), (30, 41), (60, 42), (200, 43))
    ]


def test_history_is_bars_or_single_trades() -> None:
    ticks, start_ns = ticks_of_a_minute(), NOW_S // 60 * 60 * DOLLAR
    now_s = NOW_S + 300
    bars = price_history("KX-A", YES, ticks, HistoryQuery(), now_s)
    found = {(one["ts_ns"] - start_ns) // DOLLAR: one["price_1e9"] for one in bars["points"]}
    assert found == {0: 41 * 10**7, 60: 42 * 10**7, 180: 43 * 10**7}
    newest = price_history("KX-A:NO", NO, ticks, HistoryQuery(fidelity_s=0, limit=1), now_s)
    assert newest["points"] == [
        {"ts_ns": start_ns + 200 * DOLLAR, "price_1e9": 57 * 10**7, "qty_1e8": ONE,
         "side": "sell", "venue_id": "kalshi"},
    ]  # fmt: skip
    start_s = start_ns // DOLLAR
    window = HistoryQuery(fidelity_s=1, start_s=start_s + 30, end_s=start_s + 60)
    assert price_history("KX-A", YES, ticks, window, now_s)["count"] == 2
    later = price_history("KX-A", YES, ticks, HistoryQuery(range="1h"), now_s + 7_200)
    assert later["points"] == []
    for bad in (HistoryQuery(range="2d"), HistoryQuery(fidelity_s=-1)):
        with pytest.raises(QueryInvalidError):
            price_history("KX-A", YES, [], bad, now_s)


def test_fees_edges_and_symbols(catalogue: Catalogue) -> None:
    assert fees("BTC-USD", PAIR, catalogue, ["kraken", "kalshi"]) == {
        "ticker": "BTC-USD",
        "fees": [
            {"venue": "kraken", "maker_bps": 25, "taker_bps": 40},
            {"venue": "kalshi", "maker_bps": None, "taker_bps": None},
        ],
    }
    assert fees("KX-A", YES, catalogue)["fees"] == [
        {"venue": "kalshi", "maker_bps": 0, "taker_bps": 350}
    ]
    assert {one["venue"]: one["instruments"] for one in edges(catalogue)["edges"]} == {
        "binance": 6, "coinbase": 6, "kraken": 6, "kalshi": 150, "polymarket": 150,
    }  # fmt: skip
    rows = {row["symbol"]: row for row in symbols(catalogue)}
    assert len(rows) == 306
    assert rows["BTC-USD"]["venues"] == ["binance", "coinbase", "kraken"]
