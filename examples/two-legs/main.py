"""Two legs at once on two venues, and then the way back, the second leg only after the first.

A graph without edges fires all of its nodes together. An edge holds a node back until something
has happened to another: here the second sale waits until the first is filled.
"""

import json
import os
import sys
import time
from typing import Any

from sequence_markets import Sequence, SequenceError

TICKS = {"kalshi": 0.01, "polymarket": 0.001}
QUANTITIES = {"kalshi": 5.0, "polymarket": 20.0}
TICKS_THROUGH = 3
FILL_WITHIN_S = 10.0


def log(event: str, **fields: Any) -> None:
    """One JSON line per event."""
    print(json.dumps({"ts": round(time.time(), 3), "event": event, **fields}), flush=True)


def find(seq: Sequence, venue: str) -> str:
    """The YES of a market with both sides whose price leaves room in both directions."""
    page = seq.markets(venue=venue, limit=200, order="volume", active=True, expand="outcomes")
    for market in page["markets"]:
        bid, ask = market.get("best_yes_bid"), market.get("best_yes_ask")
        if bid and ask and bid > 0.2 and ask < 0.8:
            return str(market["yes_token_id"])
    raise LookupError(f"{venue} has no market with both sides")


def leg(seq: Sequence, venue: str, symbol: str, side: str) -> dict[str, Any]:
    """A node that trades at once: some ticks through the other side."""
    best, tick = seq.quote(symbol, depth=5)["nbbo"], TICKS[venue]
    ticks = best["ask"] / tick + TICKS_THROUGH if side == "buy" else best["bid"] / tick
    ticks -= TICKS_THROUGH if side == "sell" else 0
    node: dict[str, Any] = seq.node(
        node_id=f"{venue}-leg",
        symbol=symbol,
        side=side,
        qty=QUANTITIES[venue],
        venue=venue,
        instrument_type="prediction",
        limit_price=round(round(ticks) * tick, 6),
        urgency="high",
    )
    return node


def filled(seq: Sequence, graph_id: str, symbols: dict[str, str]) -> dict[str, float]:
    """What each leg of a graph has traded, once all of it has, or when the time is over."""
    deadline = time.monotonic() + FILL_WITHIN_S
    while True:
        traded = {}
        for venue, symbol in symbols.items():
            rows = seq.fills(symbol=symbol, limit=100)["fills"]
            prefix = f"graph:{graph_id}:{venue}-leg:"
            mine = [row["qty_1e8"] for row in rows if row["node_order_id"].startswith(prefix)]
            traded[venue] = sum(mine) / 1e8
        if traded == QUANTITIES or time.monotonic() > deadline:
            return traded
        time.sleep(0.2)


def main() -> int:
    """The exit status: 0 once both legs were bought and sold again."""
    seq = Sequence(os.environ["SEQUENCE_API_KEY"], os.environ["SEQUENCE_API_URL"])
    symbols = {venue: find(seq, venue) for venue in TICKS}
    buys = [leg(seq, venue, symbol, "buy") for venue, symbol in symbols.items()]
    graph_id = seq.graph(buys, edges=[], sandbox=True)["graph_id"]
    bought = filled(seq, graph_id, symbols)
    log("bought", graph_id=graph_id, **bought)
    sells = [leg(seq, venue, symbol, "sell") for venue, symbol in symbols.items()]
    edge = seq.edge("kalshi-leg", "polymarket-leg", trigger="on_full_fill")
    graph_id = seq.graph(sells, edges=[edge], sandbox=True)["graph_id"]
    sold = filled(seq, graph_id, symbols)
    log("sold", graph_id=graph_id, **sold)
    if bought == sold == QUANTITIES:
        log("done")
        return 0
    seq.cancel(graph_id)
    log("incomplete")
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (SequenceError, LookupError) as error:
        log("failed", error=str(error))
        sys.exit(1)
