"""The whole way through both prediction venues, for less than a dollar.

Health, discovery with the fall-back from YES to NO, the stream by raw sockets, a walk through both
books, one order per venue at half the bid that rests and never fills, its status, its cancel.
"""

import json
import os
import sys
import time
from typing import Any

from sequence_markets import Sequence, SequenceError
from stream import messages

BOOK_LEVELS = 5
STREAM_S = 12.0
STREAM_MESSAGES = int(os.environ.get("STREAM_MESSAGES", "8"))
REST_S = float(os.environ.get("REST_SECS", "4"))
# Kalshi and Polymarket, with a quantity for each that stays below a dollar at half the bid.
QUANTITIES = {"kalshi": 1.0, "polymarket": 1.0}
LEAST_LIQUIDITY = {"kalshi": 100, "polymarket": 1000}


def log(event: str, **fields: Any) -> None:
    """One JSON line per event: easy to find in `sequence strategy logs`."""
    print(json.dumps({"ts": round(time.time(), 3), "event": event, **fields}), flush=True)


def bid_of(seq: Sequence, symbol: str) -> float:
    """The best bid, 0 when nobody bids."""
    try:
        quote = seq.quote(symbol, depth=3)
    except SequenceError:
        return 0.0
    return float(quote["nbbo"]["bid"] or 0)


def tradable(seq: Sequence, venue: str) -> dict[str, Any] | None:
    """The first market by volume with a bid on YES, or else on NO; its `symbol` is that side's."""
    expand = "outcomes" if venue == "polymarket" else None
    found = seq.markets(venue=venue, limit=200, order="volume", active=True, expand=expand)
    log("discover_count", venue=venue, n=len(found["markets"]))
    for market in found["markets"]:
        if market.get("is_placeholder_outcome"):
            continue
        if (market.get("liquidity") or 0) < LEAST_LIQUIDITY[venue]:
            continue
        for side in ("yes", "no"):
            token = market.get(f"{side}_token_id")
            if token and bid_of(seq, token) > 0:
                return {**market, "symbol": token, "side": side}
    return None


def walk_book(seq: Sequence, venue: str, symbol: str) -> float:
    """Log the top of the book; its best bid."""
    quote = seq.quote(symbol, depth=10)
    best, book = quote["nbbo"], quote["book"]
    log(
        "book_summary",
        label=venue,
        bid=best["bid"],
        ask=best["ask"],
        n_bids=len(book["bids"]),
        n_asks=len(book["asks"]),
        top_bids=book["bids"][:BOOK_LEVELS],
        top_asks=book["asks"][:BOOK_LEVELS],
    )
    return float(best["bid"] or 0)


def resting_price(bid: float) -> float:
    """Half of the bid in whole cents, a cent at least: far below anything that would fill."""
    return max(0.01, int(bid * 100 / 2) / 100.0)


def submit(seq: Sequence, venue: str, market: dict[str, Any], bid: float) -> str:
    """Send the resting order; its graph's id."""
    qty, price = QUANTITIES[venue], resting_price(bid)
    log("graph_submit_intent", venue=venue, qty=qty, limit_price=price, best_bid=bid)
    node = seq.node(
        node_id="leg",
        symbol=market["symbol"],
        side="buy",
        qty=qty,
        venue=venue,
        instrument_type="prediction",
        limit_price=price,
    )
    graph_id: str = seq.graph([node], sandbox=True)["graph_id"]
    log("graph_submitted", venue=venue, graph_id=graph_id)
    return graph_id


def trade(seq: Sequence, markets: dict[str, dict[str, Any]]) -> int:
    """Rest an order on each venue, look at it, cancel it; how many there were."""
    bids = {venue: walk_book(seq, venue, market["symbol"]) for venue, market in markets.items()}
    graphs = {
        venue: submit(seq, venue, market, bids[venue])
        for venue, market in markets.items()
        if bids[venue] > 0
    }
    time.sleep(REST_S)
    for venue, graph_id in graphs.items():
        log("graph_status", venue=venue, status=seq.graph_status(graph_id)["status"])
    for venue, graph_id in graphs.items():
        seq.cancel(graph_id)
        log("graph_cancelled", venue=venue, graph_id=graph_id)
    return len(graphs)


def main() -> int:
    """The exit status: 0 once everything happened."""
    base_url = os.environ["SEQUENCE_API_URL"].rstrip("/")
    api_key = os.environ["SEQUENCE_API_KEY"]
    log("boot", sequence_api_url=base_url, run_id=os.environ.get("SEQUENCE_RUN_ID"))
    seq = Sequence(api_key, base_url)
    healthy = seq.health()
    log("health_check", ok=healthy)
    if not healthy:
        return 1
    found = {venue: tradable(seq, venue) for venue in QUANTITIES}
    markets = {venue: market for venue, market in found.items() if market}
    if len(markets) < len(found):
        log("fatal", reason="discovery_incomplete")
        return 1
    log("discovery_done", **{name: [one["slug"], one["side"]] for name, one in markets.items()})
    channels = [f"prices:{market['symbol']}" for market in markets.values()]
    for message in messages(base_url, api_key, channels, duration_s=STREAM_S, most=STREAM_MESSAGES):
        data = message["data"]
        log("ws_msg", channel=message["channel"][:60], bid=data.get("bid"), ask=data.get("ask"))
    submitted = trade(seq, markets)
    log("done", graphs_submitted=submitted)
    return 0 if submitted == len(markets) else 1


if __name__ == "__main__":
    sys.exit(main())
