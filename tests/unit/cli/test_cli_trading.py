"""The commands that look at the market and trade on it."""

import json
import os
import pty
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from cli_api_server import Answer, LocalApi, error_answer

from sequence_cli.trading.amounts import from_wire, shown
from sequence_cli.trading.estimate import estimate
from sequence_cli.trading.order import Wanted

ROOT = Path(__file__).resolve().parents[3]
LIVE_KEY = "seq_live_" + "5" * 64
GRAPH_ID = "cli-0123456789"
QUOTE = {
    "symbol": "BTC-USD",
    "nbbo": {"bid": 64990.0, "ask": 65010.5, "mid": 65000.25, "spread_bps": 3.1538},
    "venues": {
        "coinbase": {"bid": 64990, "ask": 65020, "bid_size": 0.1, "ask_size": 1e-05, "age_ms": 3},
        "kraken": {"bid": 0, "ask": 65010.5, "bid_size": 0, "ask_size": 0.02, "age_ms": 12},
    },
    "book": {"bids": [[64990.0, 0.1]], "asks": [[65010.5, 0.02], [65020.0, 0.5]]},
    "source": "edge_nbbo",
}


MARKET = {
    "slug": "world-cup-spain",
    "question": "Who wins? " * 10,
    "best_yes_bid": 0.15,
    "best_yes_ask": None,
    "volume_24h": 12345.6,
    "liquidity": 999.0,
    "end_date": "2027-01-02T03:04:05Z",
}


ORDER = {
    "node_order_id": "graph:g1:order:1",
    "symbol": "7" * 70,
    "venue": "polymarket",
    "side": "buy",
    "qty_1e8": 500_000_000,
    "filled_qty_1e8": 0,
    "price_1e9": 70_000_000,
    "status": "open",
    "reason": None,
    "created_at_ns": 1_777_414_125_000_000_000,
}


def graph(state: str = "filled", **node: object) -> Answer:
    row = {"node_id": "order", "state": state, "filled_qty_1e8": 1_000_000, "reason": None, **node}
    return Answer({"graph_id": GRAPH_ID, "status": "active", "nodes": [row]})


@pytest.fixture
def market(api: LocalApi) -> LocalApi:
    api.answer("GET", "/v1/quotes/BTC-USD", Answer(QUOTE))

    def submitted(request) -> Answer:
        name = request.json()["graph_id"]
        api.answer("GET", f"/v1/execution_graphs/{name}", graph())
        return Answer({"graph_id": name, "status": "active", "node_count": 1, "edge_count": 0})

    api.answer("POST", "/v1/orders", submitted)
    return api


class TestQuote:
    def test_it_has_the_best_and_each_venue(self, market: LocalApi, run) -> None:
        lines = run("quote", "BTC-USD").out.splitlines()
        assert lines[1].split()[:6] == ["BTC-USD", "64990", "65010.5", "65000.25", "3.2", "bps"]
        assert lines[2].split() == ["64990", "65020", "coinbase", "0.1", "0.00001", "3", "ms"]
        assert lines[3].split() == ["-", "65010.5", "kraken", "-", "0.02", "12", "ms"]
        assert market.received[0].query == {"depth": "10"}

    @pytest.mark.usefixtures("market")
    def test_the_book_is_shown_on_demand(self, run) -> None:
        out = run("quote", "BTC-USD", "--depth", 2).out
        assert ["-", "-", "65020", "0.5"] in [line.split() for line in out.splitlines()]
        assert json.loads(run("quote", "BTC-USD", "--json").out) == QUOTE

    def test_a_symbol_is_escaped_and_a_refusal_says_why(self, api: LocalApi, run) -> None:
        path = "/v1/quotes/KX%2FA%3ANO"
        api.answer("GET", path, error_answer(404, "NOT_FOUND", "no such market; /v1/markets"))
        result = run("quote", "KX/A:NO")
        assert result.status == 1
        assert "/v1/markets" in result.err


class TestMarkets:
    def test_rows_and_the_next_page(self, api: LocalApi, run) -> None:
        answer = {"markets": [MARKET], "next_cursor": "YXQ6MjA=", "has_more": True}
        api.answer("GET", "/v1/markets", Answer(answer))
        result = run("markets", "world", "cup", "--limit", 5, "--outcomes", "--venue", "kalshi")
        line = result.out.splitlines()[1]
        assert line.split()[:6] == [
            *("world-cup-spain", "0.15", "-", "12,346", "999", "2027-01-02")
        ]
        assert line.endswith("...")
        assert "--cursor YXQ6MjA=" in result.err
        assert api.received[0].query == {
            "venue": "kalshi",
            "limit": "5",
            "order": "volume",
            "q": "world cup",
            "expand": "outcomes",
        }

    def test_none_is_said_so(self, api: LocalApi, run) -> None:
        api.answer("GET", "/v1/markets", Answer({"markets": []}))
        assert "no market matches" in run("markets").out


class TestPlace:
    def sent(self, market: LocalApi) -> dict:
        (request,) = market.calls("POST")
        return request.json()

    def test_a_paper_order_is_sent_exactly(self, market: LocalApi, run) -> None:
        result = run("buy", "BTC-USD", "0.01", "--limit", "64321.1", "--tif", "ioc")
        assert result.status == 0, result.err
        body = self.sent(market)
        node = body["nodes"][0]
        assert body["graph_id"].startswith("cli-")
        assert body["is_sandbox"] is False
        assert node["order_type"] == {"limit": {"price_1e9": 64_321_100_000_000}}
        assert node["quantity"] == {"fixed": {"qty_1e8": 1_000_000}}
        assert node["instrument"] == {"symbol": "BTC-USD", "type": "spot", "venue": None}
        assert node["execution"] == {"tif": "ioc"}
        assert "filled 0.01 of 0.01" in result.out
        assert result.err.startswith("paper: buy 0.01 BTC-USD at 64321.1 or better")

    def test_what_it_would_cost_is_said_first(self, market: LocalApi, run) -> None:
        err = run("buy", "BTC-USD", "0.03").err
        assert "0.03 of it trade at once, at 65013.666666667 on average" in err
        assert "costs about 1,950.41 USD" in err
        assert "the best ask is 65010.5" in err
        assert "brings about 6,499.00 USD" in run("sell", "BTC-USD", "0.1").err
        assert market.calls("POST")

    def test_a_prediction_market_is_named_as_one(self, market: LocalApi, run) -> None:
        market.answer("GET", "/v1/quotes/some-slug%3Ano", Answer({**QUOTE, "book": {}}))
        run("sell", "some-slug:no", "5", "--limit", "0.55", "--venue", "polymarket", "--sandbox")
        body = self.sent(market)
        assert body["nodes"][0]["instrument"]["type"] == "prediction"
        assert body["is_sandbox"] is True

    @pytest.mark.parametrize(
        ("qty", "advice"),
        [
            *(("0", "not above zero"), ("nan", "not above zero"), ("inf", "not above zero")),
            *(("ten", "is no number"), ("1e10", "right unit"), ("0.000000001", "8 decimals")),
        ],
    )
    def test_nonsense_is_refused_before_anything_is_asked(
        self, market: LocalApi, run, qty: str, advice: str
    ) -> None:
        result = run("buy", "BTC-USD", qty)
        assert result.status == 2
        assert advice in result.err
        assert market.received == []

    def test_a_price_of_a_prediction_market_is_below_a_dollar(self, market: LocalApi, run) -> None:
        result = run("buy", "some-slug", "5", "--limit", "55")
        assert result.status == 1
        assert "55 cents are 0.55" in result.err
        assert market.received == []

    def test_a_refused_order_is_a_failure_with_its_reason(self, market: LocalApi, run) -> None:
        def refused(request) -> Answer:
            name = request.json()["graph_id"]
            market.answer(
                "GET", f"/v1/execution_graphs/{name}", graph("rejected", reason="cannot_pay")
            )
            return Answer({"graph_id": name})

        market.answer("POST", "/v1/orders", refused)
        result = run("buy", "BTC-USD", "0.01")
        assert result.status == 1
        assert "refused: cannot_pay" in result.err
        assert run("buy", "BTC-USD", "0.01", "--json").status == 1

    def test_a_broken_connection_is_repeated_under_the_same_id(self, market: LocalApi, run) -> None:
        (submitted,) = market.replies[("POST", "/v1/orders")]
        market.answer("POST", "/v1/orders", Answer(drop=True), submitted)
        assert run("buy", "BTC-USD", "0.01").status == 0
        first, second = market.calls("POST")
        assert first.json() == second.json()


class TestLive:
    @pytest.fixture(autouse=True)
    def live(self, market: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
        assert market.received == []
        monkeypatch.setenv("SEQUENCE_API_KEY", LIVE_KEY)

    def test_nothing_is_sent_unasked(self, market: LocalApi, run) -> None:
        result = run("buy", "BTC-USD", "0.01")
        assert result.status == 1
        assert "LIVE: buy 0.01 BTC-USD" in result.err
        assert "--yes" in result.err
        assert market.calls("POST") == []

    @pytest.mark.parametrize("option", ["--yes", "--sandbox"])
    def test_yes_and_sandbox_need_no_answer(self, market: LocalApi, run, option: str) -> None:
        assert run("buy", "BTC-USD", "0.01", option).status == 0
        assert len(market.calls("POST")) == 1

    @pytest.mark.parametrize(("answer", "sent"), [("y", 1), ("n", 0), ("", 0)])
    def test_a_person_is_asked(self, market: LocalApi, answer: str, sent: int) -> None:
        master, slave = pty.openpty()
        os.write(master, f"{answer}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "sequence_cli.main", "buy", "BTC-USD", "0.01"],
            cwd=ROOT,
            stdin=slave,
            capture_output=True,
            text=True,
            check=False,
        )
        os.close(slave)
        os.close(master)
        assert "Send this live order?" in done.stderr
        assert (done.returncode == 0) == bool(sent)
        assert len(market.calls("POST")) == sent


class TestBooks:
    def test_orders(self, api: LocalApi, run) -> None:
        rows = [ORDER, {**ORDER, "price_1e9": None, "reason": "off_tick"}]
        api.answer("GET", "/v1/orders", Answer({"orders": rows}))
        lines = run("orders", "--symbol", "x", "--sandbox").out.splitlines()
        assert lines[1].split()[:8] == [
            *("graph:g1:order:1", "7" * 37 + "...", "polymarket", "buy"),
            *("5", "0", "0.07", "open"),
        ]
        assert lines[2].split()[6:9] == ["-", "open", "(off_tick)"]
        assert api.received[0].query == {"limit": "50", "symbol": "x"}
        assert json.loads(run("orders", "--json").out) == {"orders": rows}

    def test_fills(self, api: LocalApi, run) -> None:
        fill = {**ORDER, "fee_usd_1e9": 1_500_000, "ts_ns": 1_777_414_125_000_000_000}
        api.answer("GET", "/v1/fills", Answer({"fills": [fill]}))
        assert run("fills").out.splitlines()[1].split()[4:7] == ["5", "0.07", "0.0015"]

    @pytest.mark.parametrize("name", ["orders", "fills"])
    def test_none_has_a_hint_and_no_market_is_named(self, api: LocalApi, run, name: str) -> None:
        api.answer("GET", f"/v1/{name}", Answer({name: []}))
        assert "`sequence " in run(name).out
        api.answer("GET", f"/v1/{name}", Answer({}))
        result = run(name)
        assert result.status == 1
        assert "without a market" in result.err

    def test_cancel_knows_orders_graphs_and_venues(self, api: LocalApi, run) -> None:
        order = "/v1/orders/graph%3Ag1%3Aorder%3A1"
        api.answer("DELETE", order, Answer())
        api.answer("DELETE", "/v1/execution_graphs/g1", Answer())
        api.answer("POST", "/v1/venue_cancel_all/kalshi", Answer({"cancelled": 3}))
        assert run("cancel", "graph:g1:order:1", "g1").status == 0
        assert [call.path for call in api.received] == [order, "/v1/execution_graphs/g1"]
        assert json.loads(run("cancel", "--venue", "kalshi", "--json").out) == {"cancelled": 3}
        assert run("cancel").status == 2
        assert run("cancel", "g1", "--venue", "kalshi").status == 2

    def test_positions(self, api: LocalApi, run) -> None:
        rows = [
            {"kind": "fiat", "symbol": "USD", "venue": None, "value_usd_1e9": 99_000 * 10**9},
            {
                "kind": "event_contract",
                "symbol": "slug",
                "outcome": "no",
                "venue": "polymarket",
                "qty_1e8": 500_000_000,
                "avg_price_1e9": 300_000_000,
                "mark_price_1e9": 310_000_000,
                "value_usd_1e9": 1_550_000_000,
                "unrealized_pnl_usd_1e9": -50_000_000,
            },
        ]
        answer = {"positions": rows, "totals": {"nav_usd_1e9": 99_001_550_000_000}}
        api.answer("GET", "/v1/positions/unified", Answer(answer))
        result = run("positions", "--venue", "kalshi", "--venue", "polymarket")
        lines = result.out.splitlines()
        assert lines[1].split() == ["USD", "-", "fiat", "-", "-", "-", "99,000.00", "-"]
        assert lines[2].split() == [
            *("slug:no", "polymarket", "event_contract", "5", "0.3", "0.31", "1.55", "-0.0500")
        ]
        assert "99,001.55 USD" in result.err
        assert api.received[0].query == {"venues": "kalshi,polymarket"}


def wanted(side: str, qty: str, limit: str | None = None) -> Wanted:
    return Wanted(side, "BTC-USD", Decimal(qty), limit and Decimal(limit), None, None, None)


@pytest.mark.parametrize(
    ("order", "at_once", "told"),
    [
        (wanted("buy", "0.02"), "0.02", "65010.5 on average"),
        (wanted("buy", "1", "65010.5"), "0.02", "0.98 would rest in the book and binds 63,710.29"),
        (wanted("buy", "1", "60000"), "0", "1 would rest in the book and binds 60,000.00"),
        (wanted("buy", "1"), "0.52", "for 0.48 of it nobody stands"),
        (wanted("sell", "1", "64990"), "0.1", "0.9 would rest in the book"),
        (wanted("sell", "1", "64991"), "0", "the best bid is 64990"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.words().replace(" ", "-"),
)
def test_an_estimate_walks_the_book(order: Wanted, at_once: str, told: str) -> None:
    found = estimate(order, QUOTE)
    assert found.at_once == Decimal(at_once)
    assert told in "; ".join(found.lines())


def test_numbers_are_shown_without_noise() -> None:
    assert [shown(value) for value in (1e-05, 0.1, 65000.0, None, True)] == [
        *("0.00001", "0.1", "65000", "-", "-")
    ]
    assert [from_wire(value, 9) for value in (1_500_000_000, 1, "1", None)] == [
        *("1.5", "0.000000001", "-", "-")
    ]
