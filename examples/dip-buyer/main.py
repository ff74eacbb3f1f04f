"""Waits for a dip of bitcoin, buys it once, and is done."""

import json
import os
import sys
import time

from sequence_markets import Sequence, SequenceError

SYMBOL = "BTC-USD"
QTY = 0.001


def log(event: str, **fields: object) -> None:
    """One JSON line per event."""
    print(json.dumps({"ts": round(time.time(), 3), "event": event, **fields}), flush=True)


def main() -> int:
    """Look, and buy below the price; the exit status."""
    seq = Sequence(os.environ["SEQUENCE_API_KEY"], os.environ["SEQUENCE_API_URL"])
    below = float(os.environ.get("BUY_BELOW_USD", "60000"))
    every_s = float(os.environ.get("LOOK_EVERY_SECS", "30"))
    while True:
        try:
            mid = seq.quote(SYMBOL)["nbbo"]["mid"]
        except SequenceError as error:
            # Quotes come back by themselves; an order that was not answered is another matter.
            log("no_quote", error=str(error))
            mid = 0.0
        log("looked", mid=mid, below=below)
        # A mid of zero is no price: a side of the book is empty, or prices of venues cross.
        if 0 < mid < below:
            answer = seq.buy(SYMBOL, QTY, urgency="medium", sandbox=True)
            log("bought", graph_id=answer["graph_id"], qty=QTY)
            return 0
        time.sleep(every_s)


if __name__ == "__main__":
    sys.exit(main())
