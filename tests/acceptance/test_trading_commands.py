"""Trading by hand: the command line against the running market."""

import json
from typing import Any

from .dev_platform import DevPlatform


def told(platform: DevPlatform, *arguments: str) -> Any:
    """The JSON that a command prints, with the live key."""
    return json.loads(platform.command_line().run(*arguments, "--json"))


def test_a_live_key_trades_on_paper_when_it_says_so(platform: DevPlatform) -> None:
    quote = told(platform, "quote", "ETH-USD")
    assert 0 < quote["nbbo"]["bid"] < quote["nbbo"]["ask"]
    graph = told(platform, "buy", "ETH-USD", "0.01", "--sandbox")
    assert [node["state"] for node in graph["nodes"]] == ["filled"]
    mine = f"graph:{graph['graph_id']}:order:1"
    fills = told(platform, "fills", "--symbol", "ETH-USD")["fills"]
    assert sum(row["qty_1e8"] for row in fills if row["node_order_id"] == mine) == 1_000_000
    held = [row["symbol"] for row in told(platform, "positions")["positions"]]
    assert "ETH-USD" in held


def test_what_rests_is_listed_and_cancelled(platform: DevPlatform) -> None:
    options = ("--limit", "1", "--venue", "kraken", "--sandbox")
    graph_id = told(platform, "buy", "BTC-USD", "0.001", *options)["graph_id"]
    name = f"graph:{graph_id}:order:1"
    rows = {row["node_order_id"]: row["status"] for row in told(platform, "orders")["orders"]}
    assert rows[name] == "open"
    assert told(platform, "cancel", name) == {"cancelled": [name]}
    rows = {row["node_order_id"]: row["status"] for row in told(platform, "orders")["orders"]}
    assert rows[name] == "cancelled"


def test_a_live_order_is_refused_with_what_to_do(platform: DevPlatform) -> None:
    command_line = platform.command_line()
    order = ("buy", "BTC-USD", "0.001", "--venue", "kraken", "--yes")
    assert "sequence connect" in command_line.run(*order, exit_code=1)
    key = json.dumps({"api_key": "kraken-key-id-0001", "api_secret": "Y2FuYXJ5LXNlY3JldA=="})
    assert "live mode" in command_line.run("connect", "kraken", typed=key)
    assert "not part of this platform" in command_line.run(*order, exit_code=1)
    states = {line.split()[0]: line.split() for line in command_line.run("venues").splitlines()}
    assert states["kraken"][1:3] == ["connected", "live"]
    assert command_line.run("connect", "kraken", "--remove") == "kraken: gone\n"


def test_markets_are_found_by_their_words(platform: DevPlatform) -> None:
    page = told(platform, "markets", "bitcoin", "--venue", "kalshi", "--limit", "3")
    assert len(page["markets"]) == 3
    assert {row["venue"] for row in page["markets"]} == {"kalshi"}
