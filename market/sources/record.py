"""`python -m market.sources.record FILE VENUE:PAIR...`: a recording for MARKET_SOURCE=replay.

Fetches the public books of real exchanges by ccxt and writes each that changed as one JSON line.
"""

import json
import sys
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from market.errors import SourceError
from market.fixed_point import price_float, qty_float
from market.sources.exchanges import ExchangeFeed
from market.sources.mirror import Snapshot
from market.symbols.models import EXCHANGES

_LOOK_S = 0.05
Feeds = Sequence[ExchangeFeed]


def record(feeds: Feeds, out: IO[str], wanted: int, until_s: float) -> int:
    """Write until `wanted` lines are there or the monotonic clock says `until_s`; how many."""
    last: dict[object, object] = {}
    written = 0
    for feed in feeds:
        feed.start()
    try:
        while written < wanted and time.monotonic() < until_s:
            fresh = sorted(
                (one for feed in feeds for one in feed.take()), key=lambda one: one.ts_ns
            )
            for snapshot in fresh[: wanted - written]:
                if last.get(snapshot.key) != (snapshot.bids, snapshot.asks):
                    last[snapshot.key] = (snapshot.bids, snapshot.asks)
                    out.write(line_of(snapshot) + "\n")
                    written += 1
            out.flush()
            time.sleep(_LOOK_S)
    finally:
        for feed in feeds:
            feed.stop()
    return written


def line_of(snapshot: Snapshot) -> str:
    """One line of a recording."""
    sides = {
        name: [[price_float(price), qty_float(qty)] for price, qty in levels]
        for name, levels in (("bids", snapshot.bids), ("asks", snapshot.asks))
    }
    venue, market = snapshot.key
    return json.dumps({"ts_ns": snapshot.ts_ns, "venue": venue, "market": market, **sides})


def by_venue(names: Sequence[str]) -> Mapping[str, list[str]]:
    """`kraken:BTC-USD` and so on, by exchange. Raises SourceError for another form."""
    found: dict[str, list[str]] = {}
    for name in names:
        venue, _, pair = name.partition(":")
        if venue not in EXCHANGES or "-" not in pair:
            raise SourceError(f"{name!r}: name books as kraken:BTC-USD, of {', '.join(EXCHANGES)}")
        found.setdefault(venue, []).append(pair.upper())
    return found


def main(arguments: Sequence[str]) -> int:
    """Record; 0 when a line was written, 1 when none came."""
    parser = ArgumentParser(prog="python -m market.sources.record", description=__doc__)
    parser.add_argument("file", type=Path, help="where the lines are added")
    parser.add_argument("books", nargs="+", metavar="VENUE:PAIR", help="such as kraken:BTC-USD")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--lines", type=int, default=1_000_000, help="how many at most")
    given = parser.parse_args(arguments)
    try:
        feeds = [ExchangeFeed(venue, pairs) for venue, pairs in by_venue(given.books).items()]
    except SourceError as error:
        parser.error(str(error))
    with given.file.open("a", encoding="utf-8") as out:
        written = record(feeds, out, given.lines, time.monotonic() + given.seconds)
    sys.stdout.write(f"{written} lines in {given.file}\n")
    return 0 if written else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
