"""Recorded books, played back at the pace at which they were recorded."""

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from market.engine import BookKey, VenueBooks, VenueRules, rules_for
from market.errors import SourceError
from market.fixed_point import price_1e9, qty_1e8
from market.sources.mirror import BookMirror, Snapshot
from market.sources.protocol import Print
from market.symbols.models import VENUES

log = logging.getLogger(__name__)

MAX_GAP_S = 60.0
LINE = '{"ts_ns": 1, "venue": "kraken", "market": "BTC-USD", "bids": [[px, sz]], "asks": []}'


def read_recording(lines: Iterable[str]) -> Iterator[Snapshot]:
    """The snapshots of a file of JSON lines; prices and sizes as plain floats, as quotes have them.

    A gap of more than `MAX_GAP_S` is told in the log. Raises SourceError with the number of the
    line that cannot be read, or has a level that the venue does not know.
    """
    before_ns: int | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            snapshot = _snapshot(json.loads(line))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise SourceError(f"line {number}: {error!r}; each line is {LINE}") from None
        gap_ns = 0 if before_ns is None else snapshot.ts_ns - before_ns
        if gap_ns < 0:
            raise SourceError(f"line {number}: earlier than the line before; sort by ts_ns")
        if gap_ns > MAX_GAP_S * 1e9:
            log.warning("recording_gap", extra={"line": number, "seconds": round(gap_ns / 1e9, 1)})
        before_ns = snapshot.ts_ns
        yield snapshot


class ReplaySource:
    """Shows recorded books; `start_ns` is when the first snapshot is due."""

    def __init__(self, snapshots: Sequence[Snapshot], start_ns: int) -> None:
        self._snapshots = snapshots
        self._next = 0
        self._shift_ns = start_ns - snapshots[0].ts_ns if snapshots else 0
        self._mirror = BookMirror()

    def keys(self) -> Sequence[BookKey]:
        """The books that this source fills."""
        return list(dict.fromkeys(snapshot.key for snapshot in self._snapshots))

    def advance(self, books: VenueBooks, until_ns: int) -> list[Print]:
        """Show every snapshot that is due; what trades with callers' orders is on the tape."""
        prints: list[Print] = []
        while self._next < len(self._snapshots):
            snapshot = self._snapshots[self._next]
            ts_ns = snapshot.ts_ns + self._shift_ns
            if ts_ns > until_ns:
                break
            self._next += 1
            trades = self._mirror.show(books.open(snapshot.key), snapshot)
            prints += (Print(ts_ns, snapshot.key, trade) for trade in trades)
        return prints


def _snapshot(row: Any) -> Snapshot:
    if row["venue"] not in VENUES:
        raise ValueError(f"venue {row['venue']!r} is none of {', '.join(VENUES)}")
    key = BookKey(row["venue"], str(row["market"]))
    rules = rules_for(*key)
    bids, asks = _levels(row["bids"], rules), _levels(row["asks"], rules)
    return Snapshot(int(row["ts_ns"]), key, bids, asks)


def _levels(rows: Any, rules: VenueRules) -> tuple[tuple[int, int], ...]:
    levels = []
    for price, size in rows:
        level = (price_1e9(float(price)), qty_1e8(float(size)))
        refused = rules.price_refusal(level[0]) or rules.qty_refusal(level[1])
        if refused is not None:
            raise ValueError(f"{price} x {size}: {refused}")
        levels.append(level)
    return tuple(levels)
