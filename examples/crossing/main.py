"""Buys one tick through the ask on Polymarket, and finds its own fills by `node_order_id`.

A graph's status lags its fills by seconds, so the fills decide. Orders below a dollar rest forever
on Polymarket: the quantity is chosen to be worth more.
"""

import json
import math
import os
import sys
import time
from typing import Any

from sequence_markets import Sequence, SequenceError

VENUE = "polymarket"
TICK = 0.001
LEAST_NOTIONAL_USD = 1.2
FILL_WITHIN_S = 8.0
TRIES = 3


def log(event: str, **fields: Any) -> None:
    """One JSON line per event."""
    print(json.dumps({"ts": round(time.time(), 3), "event": event, **fields}), flush=True)


def two_sided(seq: Sequence) -> str | None:
    """The token of the first market by volume with both a bid and an ask."""
    page = seq.markets(venue=VENUE, limit=200, order="volume", active=True, expand="outcomes")
    for market in page["markets"]:
        if market.get("best_yes_bid") and market.get("best_yes_ask"):
            return str(market["yes_token_id"])
    return None


def through(ask: float) -> float:
    """One tick above the ask, on the tick."""
    return round(round(ask / TICK + 1) * TICK, 6)


def buy_through(seq: Sequence, symbol: str) -> str:
    """Send the order; its graph's id."""
    price = through(float(seq.quote(symbol, depth=5)["nbbo"]["ask"]))
    qty = float(math.ceil(LEAST_NOTIONAL_USD / price))
    node = seq.node(
        node_id="leg",
        symbol=symbol,
        side="buy",
        qty=qty,
        venue=VENUE,
        instrument_type="prediction",
        limit_price=price,
        urgency="high",
    )
    graph_id: str = seq.graph([node], sandbox=True)["graph_id"]
    log("submitted", graph_id=graph_id, qty=qty, limit_price=price)
    return graph_id


def fills_of(seq: Sequence, symbol: str, graph_id: str) -> list[dict[str, Any]]:
    """The fills of this very graph, once there are some; else none when the time is over."""
    deadline = time.monotonic() + FILL_WITHIN_S
    while time.monotonic() < deadline:
        answer = seq.fills(symbol=symbol, limit=50)
        rows = answer if isinstance(answer, list) else answer["fills"]
        mine = [row for row in rows if row["node_order_id"].startswith(f"graph:{graph_id}:")]
        if mine:
            return mine
        time.sleep(0.2)
    return []


def main() -> int:
    """The exit status: 0 once an order was filled."""
    seq = Sequence(os.environ["SEQUENCE_API_KEY"], os.environ["SEQUENCE_API_URL"])
    symbol = two_sided(seq)
    if symbol is None:
        log("fatal", reason="no market has both sides")
        return 1
    for _ in range(TRIES):
        graph_id = buy_through(seq, symbol)
        fills = fills_of(seq, symbol, graph_id)
        if fills:
            qty = sum(row["qty_1e8"] for row in fills) / 1e8
            log("filled", count=len(fills), qty=qty, status=seq.graph_status(graph_id)["status"])
            return 0
        # The ask moved away in between; take the order back before the next one.
        log("not_filled", graph_id=graph_id)
        seq.cancel(graph_id)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SequenceError as error:
        log("refused", error=str(error))
        sys.exit(1)
