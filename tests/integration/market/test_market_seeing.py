"""Quotes, discovery and the rest of what a strategy sees, over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote as quoted

import pytest
from redis import Redis
from support.api import Caller, error
from support.market import StillMarket

from market.engine import BookKey, Side
from market.feed import names
from market.quotes import MarketQuery, image_of, markets_page

pytestmark = [
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("market"),
]
PAIR_BOOKS = [BookKey(venue, "BTC-USD") for venue in ("binance", "coinbase", "kraken")]


@pytest.fixture
def market(redis: Redis) -> StillMarket:
    made = StillMarket(redis)
    for key in PAIR_BOOKS:
        made.replace(key, [(100.0, 1), (99.0, 2)], [(101.0, 1)])
    made.publish()
    return made


def seen(caller: Caller, path: str, **query: Any) -> Any:
    answer = caller.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def test_a_quote_of_a_pair_merges_its_exchanges(caller: Caller) -> None:
    found = seen(caller, "/quotes/BTC-USD", depth=1)
    assert found["symbol"] == "BTC-USD"
    assert found["nbbo"] == {"bid": 100.0, "ask": 101.0, "mid": 100.5, "spread_bps": 99.5025}
    assert found["book"] == {"bids": [[100.0, 3.0]], "asks": [[101.0, 3.0]]}
    assert found["source"] == "edge_nbbo"
    for venue in ("binance", "coinbase", "kraken"):
        one = found["venues"][venue]
        assert one.pop("age_ms") >= 0
        assert one == {"bid": 100.0, "ask": 101.0, "bid_size": 1.0, "ask_size": 1.0}
    assert seen(caller, "/quotes/btc%2Fusd", nowait="true")["nbbo"] == found["nbbo"]


def test_a_crossed_market_has_no_mid(caller: Caller, market: StillMarket) -> None:
    market.replace(PAIR_BOOKS[0], [(102.0, 1)], [(103.0, 1)])
    market.publish()
    nbbo = seen(caller, "/quotes/BTC-USD")["nbbo"]
    assert nbbo == {"bid": 102.0, "ask": 101.0, "mid": 0.0, "spread_bps": 0.0}


def test_a_market_is_quoted_by_each_of_its_names(caller: Caller, market: StillMarket) -> None:
    kalshi = next(one for one in market.catalogue.listings if one.venue == "kalshi")
    poly = next(one for one in market.catalogue.listings if one.venue == "polymarket")
    for listing, yes, no in (
        (kalshi, [kalshi.slug, f"{kalshi.slug}:YES"], [f"{kalshi.slug}:NO"]),
        (poly, [poly.slug, f"{poly.slug}:yes", poly.yes_token_id, poly.url],
         [f"{poly.slug}:no", poly.no_token_id]),
    ):  # fmt: skip
        market.replace(listing.key, [(0.4, 300)], [(0.42, 200)])
        market.publish()
        for name in yes:
            found = seen(caller, f"/quotes/{quoted(name, safe='')}")
            assert found["book"] == {"bids": [[0.4, 300.0]], "asks": [[0.42, 200.0]]}, name
            assert set(found["venues"]) == {listing.venue}
        for name in no:
            found = seen(caller, f"/quotes/{quoted(name, safe='')}")
            assert found["book"] == {"bids": [[0.58, 200.0]], "asks": [[0.6, 300.0]]}, name


def test_what_cannot_be_quoted_says_why(caller: Caller) -> None:
    assert "/v1/symbols" in error(caller.get("/quotes/ABC-USD"), 404, "NOT_FOUND")["message"]
    wrong = error(caller.get("/quotes/BTC-PERP"), 400, "INVALID_PARAMS")
    assert "spot pair" in wrong["message"]
    assert wrong["details"][0]["field"] == "symbol"
    for query in ({"depth": 0}, {"depth": 101}, {"depth": "x"}, {"nowait": "?"}, {"level": 1}):
        answer = caller.get("/quotes/BTC-USD", query_string=query)
        assert error(answer, 400, "INVALID_PARAMS")["details"], query
    error(caller.get("/quotes"), 400, "INVALID_PARAMS")


def test_a_batch_answers_in_order_and_partly(caller: Caller) -> None:
    names_ = ["BTC-USD", "?", "NO-USD", "ETH-USD", "BTC-USD"]
    answer = caller.post("/quotes_batch", json={"symbols": names_, "depth": 2, "concurrency": 8})
    assert answer.status_code == 200, answer.text
    found = answer.json
    assert [row["symbol"] for row in found["quotes"]] == names_
    assert [("error" in row) for row in found["quotes"]] == [False, True, True, False, False]
    assert found["count"] == 5
    assert found["elapsed_ms"] >= 0
    single = seen(caller, "/quotes/ETH-USD", depth=2)
    assert found["quotes"][3]["book"] == single["book"]
    assert seen(caller, "/quotes", symbols="BTC-USD,?")["count"] == 2


def test_a_batch_of_two_thousand(caller: Caller, market: StillMarket) -> None:
    tokens = [one.no_token_id for one in market.catalogue.listings]
    symbols = (tokens * 30)[:2_000]
    found = caller.post("/quotes_batch", json={"symbols": symbols, "nowait": True}).json
    assert [row["symbol"] for row in found["quotes"]] == symbols
    assert not [row for row in found["quotes"] if "error" in row]
    too_many = caller.post("/quotes_batch", json={"symbols": [*symbols, "BTC-USD"]})
    error(too_many, 422, "VALIDATION_ERROR")
    error(caller.post("/quotes_batch", json={"symbols": []}), 422, "VALIDATION_ERROR")
    error(caller.post("/quotes_batch", json={"symbols": [7]}), 422, "VALIDATION_ERROR")
    only = {"symbols": ["BTC-USD"], "instrument_type": "prediction"}
    assert "not prediction" in caller.post("/quotes_batch", json=only).json["quotes"][0]["error"]


def test_a_dead_market_is_told_from_a_quiet_one(
    caller: Caller, market: StillMarket, redis: Redis
) -> None:
    old = market.publisher
    assert seen(caller, "/quotes/BTC-USD")["venues"]["kraken"]["age_ms"] >= 0
    redis.delete(names.HEARTBEAT)  # it goes by itself 5 s after the last turn
    paths = ("/quotes/BTC-USD", "/quotes?symbols=BTC-USD", "/markets", "/symbols", "/edges",
             "/fees?ticker=BTC-USD", "/price_history/BTC-USD", "/settlement/x")  # fmt: skip
    for path in paths:
        answer = caller.get(path)
        assert "market.service" in error(answer, 503, "MARKET_UNAVAILABLE")["message"], path
        assert answer.headers["Retry-After"] == "1"
    market.publish()
    assert old is market.publisher
    assert seen(caller, "/quotes/BTC-USD")["nbbo"]["bid"] == 100.0


def test_a_listed_book_that_is_not_there_yet(caller: Caller, redis: Redis) -> None:
    for key in PAIR_BOOKS:
        redis.delete(names.book_key(key))
    found = seen(caller, "/quotes/BTC-USD", nowait="true")
    assert found["source"] == "unavailable"
    assert found["nbbo"]["bid"] == 0
    assert found["venues"] == {}


def test_discovery_walks_a_venue_page_by_page(caller: Caller, market: StillMarket) -> None:
    rows, query = [], {"venue": "kalshi", "limit": 15, "active": "true"}
    while True:
        page = seen(caller, "/markets", **query)
        rows += page["markets"]
        assert page["count"] == len(page["markets"])
        if not page["has_more"]:
            break
        query["cursor"] = page["next_cursor"]
    images = {key: image_of(market.books[key]) for key in market.books}
    asked = MarketQuery(venue="kalshi", limit=500)
    assert rows == markets_page(asked, market.catalogue, images, market.now_ns // 10**9)["markets"]


def test_discovery_filters(caller: Caller) -> None:
    spain = seen(caller, "/markets", q="spain", expand="outcomes", order="volume", limit=500)
    assert spain["count"] > 1
    assert {row["outcome_name"] for row in spain["markets"]} == {"Spain"}
    one = spain["markets"][0]
    by_token = seen(caller, "/markets", clob_token_id=one["no_token_id"], active="false", limit=1)
    by_slug = seen(caller, "/markets", slug=one["slug"])
    assert by_token["markets"] == by_slug["markets"] == [one]
    assert seen(caller, "/markets", tag="weather")["count"] > 1
    assert seen(caller, "/markets", slug="nothing")["markets"] == []
    for query in ({"venue": "kraken"}, {"order": "luck"}, {"limit": 501}, {"cursor": "x"},
                  {"tag_id": 5}, {"expand": "all"}, {"unknown": 1}):  # fmt: skip
        answer = caller.get("/markets", query_string=query)
        details = error(answer, 400, "INVALID_PARAMS")["details"]
        assert [one["field"] for one in details] == list(query), query


def test_a_settlement(caller: Caller, market: StillMarket) -> None:
    one = market.catalogue.listings[-1]
    market.replace(one.key, [(0.4, 300)], [(0.42, 200)])
    market.publish()
    found = seen(caller, f"/settlement/{one.slug}", underlying="false")
    assert (found["status"], found["yes_price"], found["no_price"]) == ("open", 0.41, 0.59)
    assert seen(caller, f"/settlement/{quoted(one.url, safe='')}") == found
    error(caller.get("/settlement/nothing"), 404, "NOT_FOUND")
    assert "pair" in error(caller.get("/settlement/BTC-USD"), 404, "NOT_FOUND")["message"]


def test_history_has_what_traded(caller: Caller, market: StillMarket) -> None:
    market.publish(market.place(PAIR_BOOKS[1], Side.SELL, 100.0, 0.5))
    market.publish(market.place(PAIR_BOOKS[2], Side.BUY, 101.0, 0.25))
    trades = seen(caller, "/price_history/BTC-USD", fidelity_secs=0)
    assert [(one["venue_id"], one["side"], one["price_1e9"], one["qty_1e8"])
            for one in trades["points"]] == [
        ("coinbase", "sell", 100 * 10**9, 50_000_000),
        ("kraken", "buy", 101 * 10**9, 25_000_000),
    ]  # fmt: skip
    only = seen(caller, "/price_history/BTC-USD", fidelity_secs=0, venue="kraken")
    assert only["count"] == 1
    bars = seen(caller, "/price_history/BTC-USD", fidelity_secs=3600, range="1w")
    assert 1 <= bars["count"] <= 2
    error(caller.get("/price_history/BTC-USD?range=2d"), 400, "INVALID_PARAMS")
    error(caller.get("/price_history/BTC-USD?venue=kalshi"), 400, "INVALID_PARAMS")


def test_symbols_fees_and_venues(caller: Caller) -> None:
    rows = seen(caller, "/symbols")
    assert len(rows) == 6 + 2 * 34
    assert rows[0]["symbol"] == "BTC-USD"
    assert seen(caller, "/fees", ticker="BTC-USD", venues="kraken,kalshi") == {
        "ticker": "BTC-USD",
        "fees": [
            {"venue": "kraken", "maker_bps": 25, "taker_bps": 40},
            {"venue": "kalshi", "maker_bps": None, "taker_bps": None},
        ],
    }
    error(caller.get("/fees"), 400, "INVALID_PARAMS")
    error(caller.get("/fees?ticker=ABC-USD"), 404, "NOT_FOUND")
    assert {one["venue"] for one in seen(caller, "/edges")["edges"]} == {
        "binance", "coinbase", "kraken", "kalshi", "polymarket",
    }  # fmt: skip


def test_odd_names_are_refused_and_never_a_fault_of_ours(caller: Caller) -> None:
    odd = [
        "%00",
        "%ff%fe",
        "a" * 5_000,
        "..%2f..",
        "https:%2f%2f",
        "http://[",
        "9" * 300,
        "KX:YES:NO",
        "%F0%9F%98%80",
        "-",
        ":",
        "BTC-USD:YES",
        "%20",
        "https://kalshi.com/markets/x",
    ]
    for name in odd:
        for path in (
            f"/quotes/{name}",
            f"/settlement/{name}",
            f"/price_history/{name}",
            f"/quotes?symbols={name}",
            f"/markets?slug={name}",
            f"/markets?cursor={name}",
            f"/markets?q={name}",
            f"/markets?clob_token_id={name}",
            f"/fees?ticker={name}",
            f"/fees?ticker=BTC-USD&venues={name}",
        ):
            answer = caller.get(path)
            assert answer.status_code in (200, 308, 400, 404), (path[:80], answer.text)
    bodies: list[Any] = [
        {"symbols": ["\ud800"]},
        {"symbols": ["\0"]},
        {"symbols": "BTC-USD"},
        {"symbols": {}},
        [],
        None,
        {"symbols": ["BTC-USD"], "depth": 10**30},
        {"symbols": ["BTC-USD"], "depth": float("nan")},
    ]
    for body in bodies:
        error(caller.post("/quotes_batch", json=body), 422, "VALIDATION_ERROR")
    for query in (
        "start_ts=5&end_ts=1",
        "fidelity_secs=8589934592",
        "start_ts=0&end_ts=8589934592",
    ):
        assert caller.get(f"/price_history/BTC-USD?{query}").json["points"] == []
